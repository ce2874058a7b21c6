"""A transaction is there whole or not at all, whenever the power fails or its process is killed."""

from __future__ import annotations

import errno
import math
import os
import random
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from faults.failing import FailingFiles, Fault

from coda_fs_session import Session, SessionError, SessionManager
from coda_fs_session.backends.disk.files import Files

from .recording import Call, Recorder
from .states import LONG, QUICK, Disk, Limits, Tree, read_tree, write_tree
from .stores import Content, content, message, open_store

FEW = Limits(subsets=3, contents=6, hidden=0)

Work = Callable[[SessionManager], None]


def prepare(folder: Path) -> None:
    """Make the sessions that the transactions are about."""
    folder.mkdir(parents=True)
    with open_store(folder / "store", folder / "state", files=Files(durable=False)) as manager:
        for name, count in (("chat", 7), ("old", 4), ("beside", 2), ("other", 1)):
            session = manager.create_session(name)
            for number in range(count):
                session.add_message(message(number))
            manager.save_session(session)


def family(manager: SessionManager) -> None:
    """Do each verb once: a line, an edit, a branch, a new session, a rename and a delete."""
    chat, beside = manager.load_session("chat"), manager.load_session("beside")
    chat.add_message(message(50))
    beside.messages[0]["content"] = "edited"
    with manager.transaction() as change:
        child = change.create_session("child", branch_from="chat", at=3)
        child.add_message(message(51, 1300))
        change.save_session(chat)
        change.save_session(beside)
        change.save_session(Session("new", [message(52)]))
        change.rename_session("other", "renamed")
        change.delete_session("old")


def lines(manager: SessionManager) -> None:
    """Add a line to each of two refs, and nothing else."""
    with manager.transaction() as change:
        for name in ("chat", "beside"):
            session = manager.load_session(name)
            session.add_message(message(60))
            change.save_session(session)


def anew(manager: SessionManager) -> None:
    """Use names again: one that is deleted, and one that moves on as another comes to it."""
    with manager.transaction() as change:
        change.delete_session("old")
        change.create_session("old").add_message(message(70))
        change.rename_session("chat", "chatted")
        change.rename_session("beside", "chat")


WORKS = {work.__name__: work for work in (family, lines, anew)}


class Store:
    """A store with its state folder, on a disk that can be brought back to how it was."""

    def __init__(self, folder: Path) -> None:
        self.disk = folder / "disk"
        prepare(self.disk)
        self.start = read_tree(self.disk)
        self.before = self.read()

    def opened(self, files: Files | None = None) -> SessionManager:
        return open_store(self.disk / "store", self.disk / "state", files=files or Files(durable=False))

    def read(self) -> Content:
        with self.opened() as manager:
            return content(manager)

    def put(self, tree: Tree) -> None:
        # At the same path, as that is what the state folder is of.
        shutil.rmtree(self.disk)
        write_tree(self.disk, tree)

    def after(self, work: Work) -> Content:
        with self.opened() as manager:
            work(manager)
            found = content(manager)
        assert self.read() == found
        self.put(self.start)
        return found

    def problem(self, *allowed: Content) -> str:
        """Say what is wrong with the store as a process finds it that goes on with it."""
        try:
            with self.opened() as manager:
                found = content(manager)
                assert found in allowed, f"{_counts(found)}, not {' or '.join(map(_counts, allowed))}"
                for name in list(found):
                    session = manager.load_session(name)
                    session.add_message(message(90))
                    manager.save_session(session)
                    found[name][0].append(message(90))
                assert not list(self.disk.glob("state/*/plan*")), "the plan is left"
            assert self.read() == found, "what was saved after it is not there"
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return ""


def _counts(found: Content) -> str:
    return str({name: len(messages) for name, (messages, _, _) in found.items()})


@pytest.fixture
def store(scratch: Path) -> Store:
    return Store(scratch)


@pytest.mark.parametrize("work", WORKS)
def test_every_crash_leaves_all_of_it_or_nothing(
    store: Store, work: str, long_size: bool, seed: int, is_tried: Callable[[int], bool]
) -> None:
    """After a power failure at any moment a process that writes finds the state before the block or that after it."""
    after = store.after(WORKS[work])
    model, files = Disk(store.disk), Recorder(store.disk)
    with store.opened(files) as manager:
        WORKS[work](manager)
        acknowledged = len(files.calls)
    found, count = [], 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number, (made, tree) in enumerate(_crashes(model, files.calls, LONG if long_size else QUICK, seed)):
            if not is_tried(number):
                continue
            store.put(tree)
            count += 1
            allowed = (after,) if made >= acknowledged else (store.before, after)
            if problem := store.problem(*allowed):
                found.append(f"after {made} calls, the last of them {files.calls[made - 1]}: {problem}")
    print(f"{count} states after {len(files.calls)} calls")
    assert not found, f"{len(found)} of {count} crashes do harm, the first one {found[0]}"


def _crashes(model: Disk, calls: list[Call], limits: Limits, seed: int) -> Iterator[tuple[int, Tree]]:
    chance, seen = random.Random(seed), set()
    for made in range(len(calls) + 1):
        if made:
            model.apply(calls[made - 1])
        trees = list(model.crashes(limits, chance))
        for tree in trees if len(trees) <= 4 or limits is LONG else [trees[0], trees[-1], *chance.sample(trees, 2)]:
            key = hash(tuple(sorted(tree.items(), key=lambda item: item[0])))
            if key not in seen:
                seen.add(key)
                yield made, tree


class Killed(Recorder):
    """Kills its process before a call."""

    def __init__(self, disk: Path, at: int) -> None:
        self.left = at
        super().__init__(disk)

    def _note(self, call: Call) -> None:
        super()._note(call)
        self.left -= 1
        if self.left < 0:
            os._exit(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no os.fork")
@pytest.mark.parametrize("work", WORKS)
def test_every_kill_leaves_all_of_it_or_nothing(store: Store, work: str, is_tried: Callable[[int], bool]) -> None:
    """Whichever call its process is killed after, the next process finds the state before the block or after it."""
    after = store.after(WORKS[work])
    found, seen = [], set()
    for at in filter(is_tried, range(1000)):
        child = os.fork()
        if not child:
            with suppress(BaseException):
                WORKS[work](store.opened(Killed(store.disk, at)))
            os._exit(1)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        seen.add(bool(list(store.disk.glob("state/*/plan"))))
        if problem := store.problem(store.before, after):
            found.append(f"killed after {at} calls: {problem}")
        store.put(store.start)
        if ended == 1:
            break
    assert seen == {True, False}, "no kill came between"
    assert not found, f"{len(found)} of {at} kills do harm, the first one {found[0]}"


@pytest.mark.parametrize("work", WORKS)
def test_what_is_finished_after_a_kill_survives_a_crash(
    store: Store, work: str, seed: int, is_tried: Callable[[int], bool]
) -> None:
    """What a process had no time to sync is made durable by the one that finishes it, before that forgets the plan."""
    after = store.after(WORKS[work])
    model, files = Disk(store.disk), Recorder(store.disk)
    with store.opened(files) as manager:
        WORKS[work](manager)
    # Of these very calls: another run may make one more, or one less, before the plan is there.
    moments = _planned(files)
    found = []
    for made, call in enumerate(files.calls[: moments.stop], start=1):
        model.apply(call)
        if made not in moments or not is_tried(made):
            continue
        shutil.rmtree(store.disk)
        disk, recorder = model.moved_to(store.disk), Recorder(store.disk)
        with store.opened(recorder) as manager:
            assert content(manager) == after
        for each in recorder.calls:
            disk.apply(each)
        for tree in disk.crashes(FEW, random.Random(seed)):
            store.put(tree)
            if (now := store.read()) != after:
                found.append(f"killed after {made} calls: {_counts(now)}, not {_counts(after)}")
    assert not found, f"{len(found)} crashes do harm, the first one {found[0]}"


def _moments(store: Store, work: str) -> range:
    """Return the numbers of the calls at which the plan is there."""
    files = Recorder(store.disk)
    with store.opened(files) as manager:
        WORKS[work](manager)
    store.put(store.start)
    return _planned(files)


def _planned(files: Recorder) -> range:
    """Return the numbers of the calls at which the plan is there."""
    first = next(number for number, call in enumerate(files.calls) if call.target.endswith("/plan"))
    last = next(number for number, call in enumerate(files.calls) if call.path.endswith("/plan"))
    return range(first + 1, last + 1)


@pytest.mark.parametrize(
    ("work", "how"),
    [
        *((work, "line") for work in WORKS),
        *(("family", how) for how in ("metadata", "create", "rename", "transaction")),
    ],
)
def test_who_has_the_store_open_finishes_it_before_a_change(
    store: Store, work: str, how: str, is_tried: Callable[[int], bool]
) -> None:
    """A program that has the sessions open, and was the last to save to them, changes nothing of what another one has
    begun before that is all there: what it has is added to it."""
    after, found, tried = store.after(WORKS[work]), [], 0
    for at in filter(is_tried, _moments(store, work)):
        with store.opened() as mine:
            session = mine.load_session("chat")
            session.update_metadata({"mine": 1})
            mine.save_session(session)
            files = FailingFiles(store.disk, Fault(at, errno.EIO, "before", math.inf))
            other = store.opened(files)
            with suppress(SessionError):
                WORKS[work](other)
            if not list(store.disk.glob("state/*/plan")):
                # The saves before it have made other calls necessary.
                continue
            tried += 1
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                _go_on(mine, session, how)
            if list(store.disk.glob("state/*/plan*")):
                found.append(f"failed from call {at} on: the plan is left")
            if (now := _without(content(mine))) != _without(after):
                found.append(f"failed from call {at} on: {_counts(now)}, not {_counts(after)}")
        other._autosave.stop()
        store.put(store.start)
    assert tried > 2
    assert not found, f"{len(found)} of {tried} do harm, the first one {found[0]}"


def _go_on(mine: SessionManager, session: Session, how: str) -> None:
    match how:
        case "line":
            session.add_message(message(81))
            mine.save_session(session)
        case "metadata":
            session.update_metadata({"mine": 2})
            mine.save_session(session)
        case "create":
            mine.create_session("mine")
        case "rename":
            mine.rename_session(mine.create_session("mine").name, "mine too")
        case _:
            with mine.transaction() as change:
                change.create_session("mine")
                change.create_session("mine too")


def _without(found: Content) -> Content:
    """Return what is in a store but for what `_go_on` adds to it."""
    return {
        name: ([each for each in messages if each != message(81)], {**metadata, "mine": 0}, parent)
        for name, (messages, metadata, parent) in found.items()
        if name not in ("mine", "mine too")
    }
