"""A save fails while another process writes to the same session: neither one's messages are lost or there twice."""

from __future__ import annotations

import contextlib
import errno
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from crash.stores import SMALL, content, message, open_store

from coda_fs_session import Session, SessionManager, StoreError
from coda_fs_session.format.chunks import STANDARD, Sizes

from .failing import FOR_GOOD, ONCE, FailingFiles, Fault, When

BASE, MINE, LATER, OTHERS = range(3), (100, 101), (102,), (200, 201)


class Writers:
    """Two processes with one session: ours on a disk that fails, the other one's on the same disk, healthy."""

    def __init__(self, folder: Path, fault: Fault | None, sizes: Sizes, length: int, on_conflict: str) -> None:
        self.folder, self.sizes, self.length = folder, sizes, length
        (folder / "disk").mkdir(parents=True)
        with self.other() as manager:
            self.append(manager.create_session("chat"), manager, BASE)
        self.files = FailingFiles(folder / "disk", fault)
        store, state = folder / "disk/store", folder / "state"
        self.manager = open_store(store, state, files=self.files, sizes=sizes, on_conflict=on_conflict)
        self.session = self.manager.load_session("chat")
        self.calls = 0

    def other(self) -> SessionManager:
        return open_store(self.folder / "disk/store", self.folder / "other", sizes=self.sizes)

    def append(self, session: Session, manager: SessionManager, numbers: range | tuple[int, ...]) -> None:
        for number in numbers:
            session.add_message(message(number, self.length))
        manager.save_session(session)

    def interfere(self, how: str, numbers: tuple[int, ...]) -> None:
        with self.other() as manager:
            session = manager.load_session("chat")
            if how == "clears":
                session.clear_messages()
                manager.save_session(session)
            elif how == "seals":
                session.add_message(message(900, 3000))
            self.append(session, manager, numbers)

    def stored(self) -> dict[str, list[int]]:
        """Return the numbers of the messages of each session, but for the one that only seals."""
        with self.other() as manager:
            found = content(manager)
        return {
            name: [number for each in messages if (number := int(each["content"][:4])) != 900]
            for name, (messages, _, _) in found.items()
        }


CASES = [
    (how, sizes, length, on_conflict)
    for how in ("appends", "seals", "clears")
    for sizes, length in ((STANDARD, 100), (SMALL, 400))
    for on_conflict in ("append", "branch")
]


def faults(at: int, *, every: bool) -> list[Fault]:
    ways: list[tuple[When, float]] = [("after", FOR_GOOD), ("before", FOR_GOOD), ("after", ONCE), ("before", ONCE)]
    return [Fault(at, errno.EIO, when, lasting) for when, lasting in (ways if every else [ways[at % 4]])]


@pytest.mark.parametrize("live", [False, True], ids=["lines", "live list"])
@pytest.mark.parametrize("moment", ["before", "between", "both"])
@pytest.mark.parametrize(
    ("how", "sizes", "length", "on_conflict"),
    CASES,
    ids=[f"{how}-{'line' if sizes is STANDARD else 'seal'}-{policy}" for how, sizes, _, policy in CASES],
)
def test_a_failed_save_beside_another_writer(
    how: str,
    sizes: Sizes,
    length: int,
    on_conflict: str,
    moment: str,
    live: bool,
    scratch: Path,
    long_size: bool,
    is_tried: Callable[[int], bool],
) -> None:
    """Another process appends, seals or clears before our save fails, or before it is done again, or both: each
    message is stored once then, every writer's in order, and our object holds what its session does."""
    harm = []
    whole = Writers(scratch / "whole", None, sizes, length, on_conflict)
    _go(whole, how, moment, live)
    for at in filter(is_tried, range(0, whole.calls, 5 if live and not long_size else 1)):
        for fault in faults(at, every=long_size):
            writers = Writers(scratch / "run", fault, sizes, length, on_conflict)
            try:
                _go(writers, how, moment, live)
            except Exception as error:
                harm.append(f"{fault} ({whole.files.names[at]}): {type(error).__name__}: {error}")
            shutil.rmtree(scratch / "run")
    assert not harm, f"{len(harm)} faults do harm:\n" + "\n".join(harm[:4])


def _go(writers: Writers, how: str, moment: str, live: bool) -> None:
    manager, session, others = writers.manager, writers.session, []
    if live:
        assert session.messages
    if moment != "between":
        writers.interfere(how, OTHERS)
        others.extend(OTHERS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(StoreError):
            writers.append(session, manager, MINE)
        writers.calls = writers.files.made
        if moment != "before":
            writers.interfere(how, (202, 203))
            others.extend((202, 203))
        writers.files.fault = None
        writers.append(session, manager, LATER)
    stored = writers.stored()
    mine = [number for number in stored[session.name] if 100 <= number < 200]
    assert mine == [*MINE, *LATER], f"of ours there is {stored} in {session.name!r}"
    if session.name != "chat":
        # A branch from after the save that had failed: what that one stored is in both, as all of a branch's past.
        shared = [number for number in stored["chat"] if 100 <= number < 200]
        assert len(stored) == 2, f"ours are there twice: {stored}"
        assert shared in ([], [*MINE]), f"ours are there twice: {stored}"
    if how != "clears":
        assert [n for n in stored["chat"] if n >= 200] == others, f"of theirs there is {stored}"
    elif moment == "both":
        assert [n for n in stored["chat"] if n >= 200][-2:] == others[-2:], f"of theirs there is {stored}"
    shown = [int(each["content"][:4]) for each in session.get_messages() if each["content"][:4] != "0900"]
    assert shown == stored[session.name], f"in memory {shown}, stored {stored}"
    assert not session.has_unsaved_changes


class Interrupted(FailingFiles):
    """Lets the other process act while our line is being synced, before the sync fails, if it does."""

    meanwhile: Callable[[], None] | None = None

    def sync_data(self, descriptor: int) -> None:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        super().sync_data(descriptor)


@pytest.mark.parametrize("lasting", [0, ONCE, FOR_GOOD], ids=["synced", "fails once", "fails for good"])
@pytest.mark.parametrize("live", [False, True], ids=["lines", "live list"])
@pytest.mark.parametrize("on_conflict", ["append", "branch"])
@pytest.mark.parametrize("how", ["appends", "seals", "clears"])
def test_another_writer_while_we_sync(how: str, on_conflict: str, live: bool, lasting: float, scratch: Path) -> None:
    """Our line is written, not durable yet, and another process goes on from it: nothing is lost or there twice,
    whether our sync succeeds, the new file that it takes otherwise does, or only the next save."""
    writers = Writers(scratch / "run", None, STANDARD, 100, on_conflict)
    files = Interrupted(scratch / "run/disk")
    store, state = scratch / "run/disk/store", scratch / "run/state"
    manager = open_store(store, state, files=files, sizes=STANDARD, on_conflict=on_conflict)
    session = manager.load_session("chat")
    if live:
        assert session.messages

    def meanwhile() -> None:
        writers.interfere(how, OTHERS)
        if lasting:
            files.fault = Fault(files.made, errno.EIO, "before", lasting)

    files.meanwhile = meanwhile
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        failed = False
        try:
            writers.append(session, manager, MINE)
        except StoreError:
            failed = True
        assert files.meanwhile is None, "the other process never had its turn"
        assert not failed or lasting == FOR_GOOD
        files.fault = None
        writers.append(session, manager, LATER)
    assert not files.resynced
    stored = writers.stored()
    if how == "clears":
        # They have seen ours before they cleared it: what was saved after that is all there is, or a branch.
        assert stored["chat"][-2:] == [*OTHERS] or stored["chat"][-1:] == [*LATER]
        assert [n for n in stored[session.name] if 100 <= n < 200][-1:] == [*LATER]
        assert all(len(numbers) == len(set(numbers)) for numbers in stored.values())
    elif session.name == "chat":
        assert sorted(stored["chat"]) == sorted([*BASE, *MINE, *OTHERS, *LATER])
        assert [n for n in stored["chat"] if 100 <= n < 200] == [*MINE, *LATER]
    else:
        assert on_conflict == "branch"
        assert stored["chat"] == [*BASE, *MINE, *OTHERS]
        assert stored[session.name] == [*BASE, *MINE, *LATER]
    shown = [int(each["content"][:4]) for each in session.get_messages() if each["content"][:4] != "0900"]
    assert shown == stored[session.name]
    manager.close()
