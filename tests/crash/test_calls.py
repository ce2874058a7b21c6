"""Which calls each change makes, and in which order."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from layouts import path_of

from coda_fs_session import SessionManager
from coda_fs_session.format.chunks import STANDARD, Sizes

from .recording import Call, Recorder
from .stores import REPLICA, SMALL, message, open_store

FOLDER_CALLS = {"create", "rename", "link", "unlink", "make_folder", "sync_folder"}


def ref(key: str = "chat") -> str:
    return f"refs/{path_of(REPLICA, key)}"


@pytest.fixture
def files(tmp_path: Path) -> Recorder:
    (tmp_path / "store").mkdir()
    return Recorder(tmp_path / "store")


def opened(tmp_path: Path, files: Recorder, sizes: Sizes = STANDARD) -> SessionManager:
    return open_store(tmp_path / "store", tmp_path / "state", files=files, sizes=sizes)


def names(calls: list[Call]) -> list[str]:
    return [call.name for call in calls]


@pytest.mark.parametrize("held_open", [True, False])
@pytest.mark.parametrize("count", [1, 20])
def test_a_save_between_seals_is_one_write_and_one_sync(
    tmp_path: Path, files: Recorder, held_open: bool, count: int
) -> None:
    """A durable save makes one write and one fdatasync, both of the ref, and no call on any folder;
    also the first one of a process, which has to open the ref, and with many messages in it."""
    manager = opened(tmp_path, files)
    session = manager.create_session("chat")
    for number in range(200):
        session.add_message(message(number))
    manager.save_session(session)
    if not held_open:
        manager.close()
        manager = opened(tmp_path, files)
        session = manager.load_session("chat")
    files.calls.clear()
    for number in range(count):
        session.add_message(message(number))
    manager.save_session(session)
    made = [(call.name, call.path) for call in files.calls]
    assert made == [("open_append", ref())] * (not held_open) + [("write", ref()), ("sync_data", ref())]
    manager.close()


def test_a_save_of_nothing_makes_no_call(tmp_path: Path, files: Recorder) -> None:
    """Saving a session without changes touches nothing."""
    with opened(tmp_path, files) as manager:
        session = manager.create_session("chat")
        files.calls.clear()
        manager.save_session(session)
    assert files.calls == []


def test_a_new_session_is_durable_before_it_has_its_name(tmp_path: Path, files: Recorder) -> None:
    """Create: a temporary file with everything in it, synced, then its name (never over another's), then the folder."""
    folder = os.path.dirname(ref())
    # One of the same folder, which is there then.
    first = next(name for name in map("first-{}".format, count()) if os.path.dirname(ref(name)) == folder)
    with opened(tmp_path, files) as manager:
        manager.create_session(first)
        files.calls.clear()
        manager.create_session("chat")
    scratch = files.calls[0].path
    assert os.path.basename(scratch).startswith(".tmp-")
    assert [(call.name, call.path, call.target) for call in files.calls] == [
        ("create", scratch, ""),
        ("write", scratch, ""),
        ("sync_data", scratch, ""),
        ("link", scratch, ref()),
        ("unlink", scratch, ""),
        ("sync_folder", folder, ""),
    ]


def test_objects_are_durable_before_the_ref_that_names_them(tmp_path: Path, files: Recorder) -> None:
    """Seal: every object is written, synced and named, and its folder synced, before the ref's rename; that is the
    last change, and its folder is synced as well."""
    with opened(tmp_path, files, SMALL) as manager:
        session = manager.create_session("chat")
        for number in range(40):
            session.add_message(message(number))
        files.calls.clear()
        manager.save_session(session)
    calls = files.calls
    swap = next(place for place, call in enumerate(calls) if call.name == "rename" and call.target == ref())
    assert names(calls[swap + 1 :]) == ["sync_folder"]
    named = [(place, call) for place, call in enumerate(calls) if call.target.startswith("objects/")]
    assert len(named) > 5
    for place, call in named:
        assert_durable(calls, place, call, before=swap)
    assert_durable(calls, swap, calls[swap], before=len(calls))


def assert_durable(calls: list[Call], place: int, rename: Call, *, before: int) -> None:
    scratch = rename.path
    assert [c.name for c in calls[:place] if c.path == scratch and c.name != "open_append"] == [
        "create",
        "write",
        "sync_data",
    ]
    assert ("sync_folder", os.path.dirname(rename.target)) in [(c.name, c.path) for c in calls[place:before]]


def test_a_fork_writes_a_tail_object_and_a_ref(tmp_path: Path, files: Recorder) -> None:
    """Fork: at the head one small object and the new ref, whatever the length; nothing of the parent's is touched,
    and a second fork at the same point writes the ref only."""
    with opened(tmp_path, files) as manager:
        session = manager.create_session("chat")
        for number in range(3000):
            session.add_message(message(number, 400))
        manager.save_session(session)
        files.calls.clear()
        manager.create_session("one", branch_from="chat")
        first = [call for call in files.calls if call.name in ("link", "rename")]
        assert [call.target.split("/")[0] for call in first] == ["objects", "refs"]
        assert not any(ref() in (call.path, call.target) for call in files.calls)
        files.calls.clear()
        manager.create_session("two", branch_from="chat")
        assert [call.target for call in files.calls if call.target] == [ref("two")]


def test_durability_none_makes_no_sync(tmp_path: Path) -> None:
    """With ``durability = "none"`` the same calls are made, apart from the syncs."""
    made = []
    for durable in (True, False):
        (tmp_path / str(durable) / "store").mkdir(parents=True)
        files = Recorder(tmp_path / str(durable) / "store", durable=durable)
        with opened(tmp_path / str(durable), files, SMALL) as manager:
            session = manager.create_session("chat")
            for number in range(30):
                session.add_message(message(number))
                manager.save_session(session)
            manager.create_session("child", branch_from="chat", at=11)
        made.append(names(files.calls))
    assert not any("sync" in name for name in made[1])
    assert [name for name in made[0] if "sync" not in name] == made[1]


class Audit:
    """Counts the changing calls that the interpreter itself sees below a folder."""

    def __init__(self) -> None:
        self.folder: str | None = None
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.folder is None:
            return
        if event == "open":
            path, _, flags = arguments
            changes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        else:
            path = arguments[0] if arguments else None
            changes = event in (
                "os.rename",
                "os.link",
                "os.remove",
                "os.mkdir",
                "os.rmdir",
                "os.truncate",
                "os.symlink",
            )
        if changes and isinstance(path, str) and path.startswith(self.folder):
            self.seen.append(event)

    @contextmanager
    def below(self, folder: Path) -> Iterator[list[str]]:
        self.folder, self.seen = str(folder), []
        try:
            yield self.seen
        finally:
            self.folder = None


AUDIT = Audit()  # a hook cannot be taken out again


def test_nothing_goes_around_the_recorder(tmp_path: Path, files: Recorder) -> None:
    """Every call that changes a name in the store, or opens a file there for writing, is one that is recorded."""
    events = {"create": "open", "open_append": "open", "unlink": "os.remove", "make_folder": "os.mkdir"}
    with AUDIT.below(tmp_path / "store") as seen, opened(tmp_path, files, SMALL) as manager:
        session = manager.create_session("chat")
        for number in range(30):
            session.add_message(message(number))
            manager.save_session(session)
        session.clear_messages()
        manager.save_session(session)
        manager.create_session("child", branch_from="chat")
        manager.rename_session("child", "grown")
        manager.delete_session("grown")
        manager.list_sessions()
        manager.stats()
    recorded = [events.get(name, f"os.{name}") for name in names(files.calls) if name in FOLDER_CALLS | {"open_append"}]
    assert seen == [event for event in recorded if event != "os.sync_folder"]
