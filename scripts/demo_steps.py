"""The steps of the demo that show one store: import, list, find, fork, and what that takes on the disk."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from demo_input import Conversation
from demo_text import Message, Progress, Stopwatch, cell, heading, plural, said, show_messages, size, words

from coda_fs_session import Session, SessionInfo, SessionManager

LONG = 1000
"""A conversation of this many messages is long enough to show a fork in; shorter ones are chained."""


def files_of(folder: Path) -> dict[Path, int]:
    """Return every file under a folder with its size in bytes."""
    return {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def import_all(manager: SessionManager, conversations: Sequence[Conversation], progress: Progress) -> None:
    for conversation in conversations:
        for thread in conversation.threads:
            if thread.parent is None:
                session = Session(thread.name, thread.messages, conversation.metadata)
            else:
                session = manager.create_session(thread.name, branch_from=thread.parent.name, at=thread.at)
                session.messages += thread.messages[thread.at :]
            manager.save_session(session)
            progress.step(len(thread.messages) - thread.at)


def show_import(manager: SessionManager, read: dict[Path, list[Conversation]], watch: Stopwatch) -> None:
    heading("1. Import: a conversation becomes a session, a tree of messages a session with branches")
    threads = [thread for conversations in read.values() for c in conversations for thread in c.threads]
    messages = sum(len(thread.messages) - thread.at for thread in threads)
    with watch(f"import {plural(messages, 'message')} into {plural(len(threads), 'session')}, each synced to disk"):
        progress = Progress("messages imported", messages)
        for path, conversations in read.items():
            import_all(manager, conversations, progress)
            branches = sum(len(conversation.threads) - 1 for conversation in conversations)
            print(
                f"  {cell(path.name, 32)}{plural(len(conversations), 'conversation'):>18}"
                + (f" with {plural(branches, 'branch')}" if branches else "")
            )
        progress.end()
    print(f"\n  {plural(messages, 'message')} in {plural(len(threads), 'session')}, in {watch.last}")


def show_comparison(manager: SessionManager, read: dict[Path, list[Conversation]], watch: Stopwatch) -> None:
    """Read everything back and compare it with what was in the files, byte for byte."""
    threads = [thread for conversations in read.values() for c in conversations for thread in c.threads]
    with watch("read every session back"):
        progress = Progress("sessions read back", len(threads))
        for thread in threads:
            messages = manager.load_session(thread.name).get_messages()
            progress.step()
            if json.dumps(messages) != json.dumps(thread.messages):
                sys.exit(f"error: session {thread.name!r} did not come back as it went in")
        progress.end()
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


def rare_word(read: dict[Path, list[Conversation]]) -> str:
    """Choose a word that is worth looking for: long, and said in a few conversations only."""
    talks = [c.threads[0].messages for conversations in read.values() for c in conversations]
    counts: Counter[str] = Counter()
    for messages in talks:
        counts.update(set(re.findall(r"[^\W\d_]{4,12}", " ".join(str(said(message)) for message in messages))))
    few = [word for word, count in counts.items() if 3 <= count <= 6] or list(counts) or ["a"]
    return max(few, key=lambda word: (len(word), word))


def show_find(manager: SessionManager, infos: Sequence[SessionInfo], word: str, watch: Stopwatch) -> None:
    """Find who said something, in every message of every session; of a branch in what is its own."""
    heading(f"3. Who said {word!r}?")
    known = {info.name for info in infos}
    hits: list[tuple[str, int, Message]] = []
    total = 0
    with watch(f"look for {words(word, 30)!r} in every message"):
        progress = Progress("sessions searched", len(infos))
        for info in infos:
            first = info.forked_at or 0 if info.parent in known else 0
            for number, message in enumerate(manager.load_session(info.name)):
                if number >= first:
                    total += 1
                    if word.casefold() in json.dumps(message, ensure_ascii=False).casefold():
                        hits.append((info.name, number + 1, message))
            progress.step()
        progress.end()
    for name, number, message in hits[:8]:
        text = str(said(message))
        at = max(text.casefold().find(word.casefold()) - 24, 0)
        shown = words(("…" if at else "") + text[at:], 60)
        print(f"  {cell(name, 34)} {number:>5,}  {cell(str(message.get('role')), 9)}  {shown}")
    more = f", of which {len(hits) - 8} are not shown" if len(hits) > 8 else ""
    found = f"{plural(len(hits), 'message')} of {plural(len({name for name, *_ in hits}), 'session')}"
    print(f"\n  {found}{more}: found among {total:,} in {watch.last}")


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

    print("\n  A further turn on both sides: neither sees the other's\n")
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
    print("\n  What all of it takes on the disk:")
    print(f"  {size(stats.logical_bytes):>9}  the messages of {plural(stats.sessions, 'session')}, each counted alone")
    print(f"  {size(stats.shared_bytes):>9}  of that is held once and shared by several sessions")
    print(f"  {size(sum(files.values())):>9}  in {plural(len(files), 'file')} is what the store takes")
