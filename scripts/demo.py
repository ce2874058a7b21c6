"""Import conversations into a fresh store and show what the library does with them, and how long it takes.

`scripts/demo` prepares the environment and calls this: see `scripts/demo --help`.
"""

from __future__ import annotations

import argparse
import io
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from demo_command import show_command
from demo_input import BadInput, read_conversations
from demo_machines import show_kills, show_machines, show_secret
from demo_steps import (
    long_session,
    rare_word,
    show_branches,
    show_comparison,
    show_disk,
    show_find,
    show_fork,
    show_import,
    show_list,
)
from demo_text import Stopwatch, heading
from demo_tools import show_text_tools

from coda_fs_session import SessionError, SessionManager

CONVERSATIONS = Path(__file__).resolve().parent.parent / "fixtures" / "conversations"


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


def demo(file: Path | None, wanted: Path | None, wanted_word: str | None) -> None:
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
        show_find(manager, infos, word := wanted_word or rare_word(read), watch)
        heading("4. A fork in the middle, and what it costs")
        name = long_session(manager, conversations, infos)
        fork_name = show_fork(manager, name, store, watch)
        show_disk(manager, store)
        with tempfile.TemporaryDirectory(prefix="coda-demo-") as scratch:
            show_machines(Path(scratch), conversations[0].threads[0].messages[:4], watch)
        show_kills(options, manager, watch)
        show_secret(manager, [store, *map(Path, filter(None, [options.get("state_path")]))], watch)
        show_text_tools(store, fork_name, word, manager.load_session(fork_name).messages, watch)
        show_command(options, manager, fork_name, word, watch)
    heading("10. How long each took")
    watch.show()
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
    parser.add_argument("--find", metavar="WORD", help="look for who said this; default: a word that few said")
    options = parser.parse_args()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # end quietly in `scripts/demo | head`
    if isinstance(sys.stdout, io.TextIOWrapper):  # conversations have characters that not every terminal has
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        demo(options.file, options.store, options.find)
    except (BadInput, SessionError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("\ninterrupted")


if __name__ == "__main__":
    main()
