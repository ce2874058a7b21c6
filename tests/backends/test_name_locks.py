"""The locks of names: a fixed set of files, which names may share, and one order in which all take them."""

from __future__ import annotations

import threading
from itertools import count
from pathlib import Path

import pytest
from storekit import open_store, say, within

from coda_fs_session import SessionManager
from coda_fs_session.backends.machine.name_locks import LOCKS, files_of
from coda_fs_session.backends.machine.state import LocalState
from coda_fs_session.format.names import session_key


def name_of(file: str, *but: str) -> str:
    """Return a name with this lock, which is none of `but`."""
    names = (f"chat-{number}" for number in count())
    return next(name for name in names if files_of([session_key(name)]) == [file] and name not in but)


@pytest.fixture
def manager(tmp_path: Path) -> SessionManager:
    return open_store(tmp_path / "store")


def test_many_names_share_a_few_files(manager: SessionManager, tmp_path: Path) -> None:
    """However many sessions were made, renamed and deleted, there is no further file; and each has its turn."""
    for number in range(3 * LOCKS):
        manager.create_session(f"Chat {number}")
    manager.rename_session("Chat 1", "renamed")
    manager.delete_session("Chat 2")
    (folder,) = tmp_path.glob("store.state/*/locks")
    files = {path.name for path in folder.iterdir()}
    assert files - {".replica.lock", ".naming.lock"} <= {f"{number:02x}" for number in range(LOCKS)}
    assert len(files) > LOCKS / 2


def test_names_that_share_a_lock(manager: SessionManager) -> None:
    """An operation that needs several names takes a lock that they share once: it would wait for itself."""
    one = name_of("05")
    two = name_of("05", one)
    three = name_of("05", one, two)
    session = manager.create_session(one)
    say(manager, session, 0)
    with within(60):
        manager.rename_session(one, two)
        manager.create_session(three, branch_from=two)
        # A derived name takes the lock of what it is derived from, too.
        derived = next(f"{two}~{n:08x}" for n in count() if files_of([session_key(f"{two}~{n:08x}")]) == ["05"])
        manager.create_session(derived)
        manager.rename_session(derived, one)
        manager.delete_session(two)
    assert sorted(info.name for info in manager.list_sessions()) == sorted([one, three])


def test_no_two_wait_for_each_other(tmp_path: Path) -> None:
    """Who renames there and who renames back take the locks of both names in one order."""
    one, two = name_of("01"), name_of("02")
    assert files_of([session_key(one), session_key(two)]) == files_of([session_key(two), session_key(one)])
    three, four = name_of("02", two), name_of("01", one)
    managers = [open_store(tmp_path / "store") for _ in range(2)]
    managers[0].create_session(one)
    managers[0].create_session(three)

    def turn(manager: SessionManager, there: str, back: str) -> None:
        for _ in range(30):
            manager.rename_session(there, back)
            manager.rename_session(back, there)

    threads = [
        threading.Thread(target=turn, args=each, daemon=True)
        for each in ((managers[0], one, two), (managers[1], three, four))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert sorted(info.name for info in managers[0].list_sessions()) == sorted([one, three])


def test_a_lock_keeps_out_who_shares_it_only(tmp_path: Path) -> None:
    """A name waits for the one that has its lock, and for no other."""
    state = LocalState(tmp_path / "store", folder=tmp_path / "state")
    one, two, three = name_of("07"), name_of("07", name_of("07")), name_of("08")
    entered: list[str] = []

    def enter(name: str) -> None:
        with state.lock(session_key(name)):
            entered.append(name)

    waiting = threading.Thread(target=enter, args=[two])
    with state.lock(session_key(one)):
        waiting.start()
        other = threading.Thread(target=enter, args=[three])
        other.start()
        other.join(60)
        assert entered == [three]
    waiting.join(60)
    assert entered == [three, two]


def test_what_is_no_name_has_a_lock_of_its_own() -> None:
    """Who puts something back under the lock for that takes those of names within."""
    assert files_of([".put-back"]) == [".put-back.lock"]
