"""Import real conversations into a fresh store and show what the library does with them, and how long it takes.

`scripts/demo` prepares the environment and calls this: see `scripts/demo --help`.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from demo_input import BadInput, Conversation, read_conversations
from demo_text import BOLD, PLAIN, Message, cell, duration, heading, plural, show_messages, size, words

from coda_fs_session import Session, SessionError, SessionInfo, SessionManager

ROOT = Path(__file__).resolve().parent.parent
CONVERSATIONS = ROOT / "fixtures" / "conversations"
READ_STORE = ROOT / "scripts" / "read_store"

LONG = 1000
"""A conversation of this many messages is long enough to show a fork in; shorter ones are chained."""


# -- what is shown -----------------------------------------------------------------------------------------------------


class Stopwatch:
    """Times of the steps, for the table at the end."""

    def __init__(self) -> None:
        self.times: list[tuple[str, float]] = []

    @contextmanager
    def __call__(self, what: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.times.append((what, time.perf_counter() - start))

    @property
    def last(self) -> str:
        return duration(self.times[-1][1])


def files_of(folder: Path) -> dict[Path, int]:
    """Return every file under a folder with its size in bytes."""
    return {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def import_all(manager: SessionManager, conversations: Sequence[Conversation]) -> None:
    for conversation in conversations:
        for thread in conversation.threads:
            if thread.parent is None:
                session = Session(thread.name, thread.messages, conversation.metadata)
            else:
                session = manager.create_session(thread.name, branch_from=thread.parent.name, at=thread.at)
                session.messages += thread.messages[thread.at :]
            manager.save_session(session)


def show_import(manager: SessionManager, read: dict[Path, list[Conversation]], watch: Stopwatch) -> None:
    heading("1. Import: a conversation becomes a session, a tree of messages a session with branches")
    threads = [thread for conversations in read.values() for c in conversations for thread in c.threads]
    messages = sum(len(thread.messages) - thread.at for thread in threads)
    with watch(f"import {plural(messages, 'message')} into {plural(len(threads), 'session')}, each synced to disk"):
        for path, conversations in read.items():
            import_all(manager, conversations)
            branches = sum(len(conversation.threads) - 1 for conversation in conversations)
            print(
                f"  {cell(path.name, 32)}{plural(len(conversations), 'conversation'):>18}"
                + (f" with {plural(branches, 'branch')}" if branches else "")
            )
    print(f"\n  {plural(messages, 'message')} in {plural(len(threads), 'session')}, in {watch.last}")


def show_comparison(manager: SessionManager, read: dict[Path, list[Conversation]], watch: Stopwatch) -> None:
    """Read everything back and compare it with what was in the files, byte for byte."""
    threads = [thread for conversations in read.values() for c in conversations for thread in c.threads]
    with watch("read every session back"):
        found = [manager.load_session(thread.name).get_messages() for thread in threads]
    for thread, messages in zip(threads, found, strict=True):
        if json.dumps(messages) != json.dumps(thread.messages):
            sys.exit(f"error: session {thread.name!r} did not come back as it went in")
    print(f"  Read back by another manager, in {watch.last}: every message is equal to the file's.")


def show_list(manager: SessionManager, watch: Stopwatch) -> list[SessionInfo]:
    with watch("list all sessions"):
        infos = manager.list_sessions()
    heading(f"2. The list: {plural(len(infos), 'session')}, in {watch.last}")
    step = max(1, len(infos) // 12)
    print(f"  {'name':<64}{'messages':>8}{'size':>12}")
    for info in infos[::step]:
        print(f"  {cell(info.name, 64)}{info.message_count:>8,}{size(info.size_bytes):>12}")
    if step > 1:
        print(f"  (one of every {step} is shown)")
    return infos


def show_branches(infos: Sequence[SessionInfo]) -> None:
    """Show the session that most sessions were branched off, with its branches."""
    children = Counter(info.parent for info in infos if info.parent is not None)
    if not children:
        return
    top, _ = children.most_common(1)[0]
    print(f"\n  One question, several answers: the branches of\n  {words(top, 90)}")
    for info in sorted((info for info in infos if info.parent == top), key=lambda info: info.created_at)[:8]:
        print(f"    leaves after message {info.forked_at}:  {words(info.name, 66)}")


def show_last_messages(manager: SessionManager, infos: Sequence[SessionInfo], watch: Stopwatch) -> None:
    info = max(infos, key=lambda info: info.message_count)
    with watch(f"open a session of {plural(info.message_count, 'message')} and read its last 4"):
        messages = manager.load_session(info.name).get_messages(limit=4)
    heading(f"3. The last messages of {words(info.name, 60)}, in {watch.last}")
    show_messages(messages, info.message_count - len(messages) + 1)


def long_session(manager: SessionManager, conversations: Sequence[Conversation], infos: Sequence[SessionInfo]) -> str:
    """Return the name of a session that is long enough to make a fork interesting."""
    longest = max(infos, key=lambda info: info.message_count)
    if longest.message_count >= LONG or len(conversations) == 1:
        return longest.name
    name = "demo/all in one"
    session = manager.create_session(name)
    session.messages += [message for conversation in conversations for message in conversation.threads[0].messages]
    manager.save_session(session)
    print(f"  No conversation here has {LONG:,} messages, so all of them were chained into one: {name!r}.\n")
    return name


def show_fork(manager: SessionManager, name: str, store: Path, watch: Stopwatch) -> str:
    """Fork a session in the middle, go on with both sides, and show what each step put on the disk."""
    session = manager.load_session(name)
    count, at, fork_name = len(session), max(1, len(session) // 2), f"{name} (what if)"

    before = files_of(store)
    with watch(f"fork it after message {at:,} of {count:,}"):
        fork = manager.create_session(fork_name, branch_from=name, at=at)
    forked = files_of(store)
    print(f"  {name!r} has {plural(count, 'message')}; {fork_name!r} leaves it after message {at:,}.")
    history = next(info.size_bytes for info in manager.list_sessions() if info.name == fork_name)
    print(f"  It took {watch.last}. The history behind it is {size(history)}; this is what it put on the disk:")
    show_growth(before, forked, store)

    session.add_message({"role": "user", "content": "Thank you. Put it all into three sentences for my notes."})
    session.add_message({"role": "assistant", "content": "Gladly: here are your three sentences."})
    with watch("save a turn on the original"):
        manager.save_session(session)
    fork.add_message({"role": "user", "content": "Wait, let us take the other way here."})
    fork.add_message({"role": "assistant", "content": "All right, from this point the other way."})
    with watch("save another turn on the fork"):
        manager.save_session(fork)

    heading("5. A further turn on both sides: neither sees the other's")
    for side, shown in ((session, count), (fork, at)):
        print(f"  {side.name} ({plural(len(side), 'message')})")
        show_messages(side.get_messages(limit=3), shown)
        print()
    print("  Both turns together put this on the disk:")
    show_growth(forked, files_of(store), store)
    return fork_name


def show_growth(before: dict[Path, int], after: dict[Path, int], store: Path) -> None:
    for path in sorted(after.keys() - before.keys()):
        print(f"    new    {size(after[path]):>12}  {path.relative_to(store)}")
    for path in sorted(path for path in after.keys() & before.keys() if after[path] != before[path]):
        print(f"    grown  {size(after[path] - before[path]):>12}  {path.relative_to(store)}")
    for path in sorted(before.keys() - after.keys()):
        print(f"    gone   {size(before[path]):>12}  {path.relative_to(store)}")


def show_disk(manager: SessionManager, store: Path) -> None:
    stats, files = manager.stats(), files_of(store)
    heading("6. What all of it takes on the disk")
    print(f"  {size(stats.logical_bytes):>9}  the messages of {plural(stats.sessions, 'session')}, each counted alone")
    print(f"  {size(stats.shared_bytes):>9}  of that is held once and shared by several sessions")
    print(f"  {size(sum(files.values())):>9}  in {plural(len(files), 'file')} is what the store takes")


def show_text_tools(store: Path, name: str, messages: Sequence[Message], watch: Stopwatch) -> None:
    """Read one session without this library, and compare it with `messages`, which the library read."""
    heading("7. The same without this library")
    missing = [tool for tool in ("jq", "zstdcat", "sha256sum") if shutil.which(tool) is None]
    if missing:
        print(f"  !! {' and '.join(missing)} NOT INSTALLED: what needs them is left out.")
        print("  !! On Debian and Ubuntu: sudo apt install jq zstd coreutils\n")

    # read_store asks for a python3: let it be the one that runs this, for another may be too old.
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}

    def run(command: str, lines: int = 4) -> str:
        """Run a command in the store, and show it with the first lines that it prints."""
        if any(tool in command for tool in missing):
            print(f"  !! left out: {command}\n")
            return ""
        result = subprocess.run(
            ["sh", "-c", command], cwd=store, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        print(f"  {BOLD}$ {command}{PLAIN}")
        output = (result.stdout + result.stderr).splitlines()
        for line in output[:lines]:
            print(f"    {words(line, 104)}")
        if len(output) > lines:
            print(f"    ... {plural(len(output) - lines, 'line')} more")
        print()
        return result.stdout

    print(f"  $ cd {store}\n")
    with watch("the same with grep, jq, zstdcat and sha256sum"):
        run("awk 'FNR==1' refs/*/*.jsonl | jq -r .name | sort")
        header = json.dumps({"coda_fs_session": 1, "name": name}, ensure_ascii=False, separators=(",", ":"))[:-1]
        ref = run(f"grep -lF {shlex.quote(header)} refs/*/*.jsonl").strip()
        run(f"tail -n +2 {ref} | jq -c '.messages[]'")
        objects = run(f"head -n1 {ref} | jq -r '.base | .spine[0][]?, .tail | values | .[0]'").split()
        objects = objects or sorted(path.name.split(".")[0] for path in store.glob("objects/*/*"))
        for form in ("jsonl", "jsonl.zst"):
            found = [path for name in reversed(objects) for path in store.glob(f"objects/*/{name}.{form}")]
            if found:
                path = found[0].relative_to(store)
                run(f"sha256sum {path}" if form == "jsonl" else f"zstdcat {path} | sha256sum")
                run(f"{'cat' if form == 'jsonl' else 'zstdcat'} {path} | jq -r .role | sort | uniq -c")
    if missing:
        return
    print("  scripts/read_store does all of that, and verifies every hash on the way:\n")
    with watch("rebuild and verify it with scripts/read_store"):
        digest = run(f"{shlex.quote(str(READ_STORE))} . {shlex.quote(name)} | sha256sum")
    if digest.split()[0] != hashlib.sha256(b"".join(orjson.dumps(message) + b"\n" for message in messages)).hexdigest():
        sys.exit(f"error: read_store and the library do not agree about {name!r}")
    print(f"  The {plural(len(messages), 'message')} that the library returns have the same hash.")


def show_times(watch: Stopwatch) -> None:
    heading("8. How long each took")
    for what, seconds in watch.times:
        print(f"  {cell(what, 84)}{duration(seconds):>10}")


# -- the program -------------------------------------------------------------------------------------------------------


def fresh_store(wanted: Path | None) -> dict[str, Any]:
    """Return the `[session]` options of a store in an empty folder; a folder with something in it is left alone."""
    # Every message is stored, however many there are; saving is done here, not by a timer.
    options = {"max_session_size": 0, "autosave_interval": 0}
    if wanted is None:
        folder = Path(tempfile.mkdtemp(prefix="coda-demo-"))
        return options | {"storage_path": str(folder / "store"), "state_path": str(folder / "state")}
    if wanted.exists() and (not wanted.is_dir() or any(wanted.iterdir())):
        raise BadInput(f"{wanted} is not an empty folder; name a new one, so that nothing of yours is touched")
    return options | {"storage_path": str(wanted)}


def demo(file: Path | None, wanted: Path | None) -> None:
    read = {path: read_conversations(path) for path in ([file] if file else sorted(CONVERSATIONS.glob("*.jsonl")))}
    conversations = [conversation for found in read.values() for conversation in found]
    options = fresh_store(wanted)
    store = Path(options["storage_path"])
    print(f"The store is {store}")

    watch = Stopwatch()
    try:
        with SessionManager({"session": options}) as manager:
            show_import(manager, read, watch)
    except SessionError as error:
        shutil.rmtree(store, ignore_errors=True)
        raise BadInput(f"nothing was imported: {error}") from error

    with SessionManager({"session": options}) as manager:
        show_comparison(manager, read, watch)
        infos = show_list(manager, watch)
        show_branches(infos)
        show_last_messages(manager, infos, watch)
        heading("4. A fork in the middle")
        name = long_session(manager, conversations, infos)
        fork_name = show_fork(manager, name, store, watch)
        show_disk(manager, store)
        show_text_tools(store, fork_name, manager.load_session(fork_name).messages, watch)
    show_times(watch)
    print(f"\nThe store stays where it is, to look around: {store}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__.splitlines()[0])
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        metavar="FILE.jsonl",
        help='your own conversations: each line an object with "messages" (a conversation), or with "role" '
        "(a message; all such lines are one conversation). Default: those of fixtures/conversations",
    )
    parser.add_argument("--store", type=Path, metavar="DIR", help="make the store there, not in a temporary folder")
    options = parser.parse_args()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # end quietly in `scripts/demo | head`
    if isinstance(sys.stdout, io.TextIOWrapper):  # conversations have characters that not every terminal has
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        demo(options.file, options.store)
    except (BadInput, SessionError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("\ninterrupted")


if __name__ == "__main__":
    main()
