"""`SessionManager.bulk`: many creates and saves in a row, which last together."""

from __future__ import annotations

import threading
import time
import warnings
from pathlib import Path

import pytest
from storekit import Opener, message, open_store, run_python, say
from test_custom_storage import DictStorage

from coda_fs_session import SessionError, SessionManager, SessionWarning, StoreFullError, StoreGoneError
from coda_fs_session.backends import staged
from coda_fs_session.backends.base import Backend, RefFolders
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.files.backend import LocalBackend
from coda_fs_session.backends.staged import StagedBackend

SETTLED = 0.1
"""Seconds after which another change of a folder surely has another time."""


@pytest.fixture(params=["files", "sqlite"])
def lasting(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Opens managers on one store, as other processes do."""
    return lambda **options: open_store(tmp_path / "store", backend=request.param, **options)


def texts(manager: SessionManager) -> dict[str, list[object]]:
    """Return what is in a store."""
    infos = manager.list_sessions()
    assert [info.error for info in infos if info.error] == []
    return {info.name: [each["content"] for each in manager.load_session(info.name).messages] for info in infos}


def fill(manager: SessionManager, count: int = 5, *, size: int = 0) -> dict[str, list[object]]:
    """Make sessions, in several saves each, and return what is in them."""
    expected: dict[str, list[object]] = {}
    for number in range(count):
        session = manager.create_session(f"chat {number}")
        for save in range(3):
            session.add_message(message(10 * number + save, size))
            manager.save_session(session)
        expected[session.name] = [each["content"] for each in session.messages]
    return expected


def backend_of(manager: SessionManager) -> Backend:
    return manager._storage.repo.backend  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize("size", [0, 70_000])
def test_all_is_there_at_the_end(make: Opener, size: int) -> None:
    """In the block the manager sees what it has saved, and afterwards everybody does."""
    manager = make()
    with manager.bulk():
        expected = fill(manager, size=size)
        assert texts(manager) == expected
        manager.create_session("branch", branch_from="chat 1", at=2)
        manager.rename_session("chat 2", "renamed")
        manager.delete_session("chat 3")
        expected |= {"branch": expected["chat 1"][:2], "renamed": expected.pop("chat 2")}
        del expected["chat 3"]
        assert texts(manager) == expected
    assert not isinstance(backend_of(manager), StagedBackend)
    assert texts(manager) == expected
    if "memory" not in repr(manager):
        assert texts(make()) == expected
    # And one can go on.
    session = manager.load_session("renamed")
    say(manager, session, 99)
    assert texts(manager)["renamed"] == [*expected["renamed"], message(99)["content"]]


def test_what_was_saved_before_an_error_lasts(lasting: Opener) -> None:
    manager = lasting()
    expected: dict[str, list[object]] = {}
    error = KeyboardInterrupt()

    def work() -> None:
        with manager.bulk():
            expected.update(fill(manager))
            raise error

    with pytest.raises(KeyboardInterrupt) as raised:
        work()
    assert raised.value is error
    assert texts(lasting()) == expected


def test_blocks_are_not_within_each_other(make: Opener) -> None:
    """Nor beside each other in two threads; after the end of one, the next may begin."""
    manager, errors = make(), list[Exception]()

    def begin() -> None:
        try:
            with manager.bulk():
                raise AssertionError("it was let in")
        except Exception as error:
            errors.append(error)

    with manager.bulk():
        thread = threading.Thread(target=begin)
        thread.start()
        thread.join()
        begin()
        manager.create_session("chat")
    assert [type(error) for error in errors] == [SessionError, SessionError]
    assert "under way" in str(errors[0])
    for _ in range(2):
        with manager.bulk():
            manager.create_session("another")
    assert texts(manager).keys() == {"chat", "another"}


def test_a_block_is_refused_when_it_begins() -> None:
    """Also where it was asked for before the other one began, or is the same one."""
    manager = SessionManager({"session": {"backend": "memory"}})
    one, other = manager.bulk(), manager.bulk()
    with one:
        for each in (one, other):
            with pytest.raises(SessionError, match="under way"), each:
                pass
        assert isinstance(backend_of(manager), StagedBackend)


def test_a_manager_that_is_let_go_of_in_the_block(tmp_path: Path) -> None:
    """What was saved is written when the program ends."""
    script = """
        import gc, sys
        from storekit import open_store, say
        from pathlib import Path
        def work():
            manager = open_store(Path(sys.argv[1]))
            manager.bulk().__enter__()
            for name in ("one", "two"):
                say(manager, manager.create_session(name), 1)
        work()
        gc.collect()
    """
    done = run_python(script, tmp_path / "store")
    assert (done.returncode, done.stderr) == (0, "")
    assert texts(open_store(tmp_path / "store")).keys() == {"one", "two"}


def make_twice(lasting: Opener) -> None:
    """Make a session in a block while another manager makes one of the same name."""
    manager = lasting()
    manager.create_session("before")
    with manager.bulk():
        say(manager, manager.create_session("chat"), 1, 2)
        with lasting() as other:
            say(other, other.create_session("chat"), 3)


def test_warnings_that_are_errors_keep_nothing_from_being_written(lasting: Opener) -> None:
    """The warning comes after the writing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(SessionWarning, match="another process"):
            make_twice(lasting)
    assert sorted(map(len, texts(lasting()).values())) == [0, 1, 2]


def test_a_save_of_another_thread_lasts_when_it_returns(lasting: Opener) -> None:
    """With what it rests on, such as a session that was made in the block."""
    manager, found = lasting(), list[dict[str, list[object]]]()

    def work() -> None:
        session = manager.load_session("chat 1")
        session.add_message(message(99))
        manager.save_session(session)
        found.append(texts(lasting()))

    with manager.bulk():
        expected = fill(manager)
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        session = manager.create_session("after")
        say(manager, session, 1)
        chat = manager.load_session("chat 1")
        say(manager, chat, 100)
    expected["chat 1"].append(message(99)["content"])
    assert found == [expected]
    expected["chat 1"].append(message(100)["content"])
    assert texts(lasting()) == {**expected, "after": [message(1)["content"]]}


def test_another_process_makes_a_session_of_the_same_name(lasting: Opener) -> None:
    """It cannot see ours yet: both are kept, one by a derived name."""
    with pytest.warns(match="another process"):
        make_twice(lasting)
    found = texts(lasting())
    assert len(found) == 3
    assert sorted(map(len, found.values())) == [0, 1, 2]


def test_many_more_than_are_held_back(lasting: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block is written in several parts; the session that is being made is in one of them."""
    monkeypatch.setattr(staged, "MOST_REFS", 3)
    monkeypatch.setattr(staged, "MOST_BYTES", 100_000)
    manager = lasting()
    with manager.bulk():
        expected = fill(manager, 20, size=20_000)
        assert len(texts(lasting())) > 10
    assert texts(lasting()) == expected


def test_a_full_disk_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says so, nothing is lost, and what writes next writes that too."""
    manager = open_store(tmp_path / "store")
    manager.create_session("before")

    def full(*_: object) -> None:
        raise StoreFullError("no room")

    with monkeypatch.context() as context:
        context.setattr(LocalBackend, "create_refs", full)
        with pytest.raises(StoreFullError, match="no room"), manager.bulk():
            expected = fill(manager)
        with pytest.raises(StoreFullError, match="no room"):
            manager.create_session("another")
        with pytest.raises(StoreFullError, match="no room"), manager.bulk():
            raise AssertionError("a block begins with what another has left")
    manager.close()
    assert texts(open_store(tmp_path / "store")) == {**expected, "before": []}


def test_a_store_that_is_gone_at_the_end(lasting: Opener, tmp_path: Path) -> None:
    """The error says that; nothing is lost once it is back."""
    manager = lasting()
    manager.create_session("before")
    store, away = tmp_path / "store", tmp_path / "away"

    def work() -> None:
        with manager.bulk():
            manager.create_session("chat")
            store.rename(away)

    with pytest.raises(StoreGoneError):
        work()
    assert not store.exists()
    away.rename(store)
    manager.close()
    assert texts(lasting()).keys() == {"before", "chat"}


def test_an_error_at_the_end_does_not_take_the_place_of_the_body_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = open_store(tmp_path / "store")
    manager.create_session("before")
    error = ValueError("body")

    def work() -> None:
        with manager.bulk():
            manager.create_session("chat")
            monkeypatch.setattr(LocalBackend, "create_refs", None)
            raise error

    with pytest.raises(ValueError, match="body"):
        work()
    assert "not in the store yet" in error.__notes__[0]
    monkeypatch.undo()
    manager.close()
    assert texts(open_store(tmp_path / "store")).keys() == {"before", "chat"}


def test_in_the_block_nothing_is_synced_for_a_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At its end each new file is, and the folders they are in."""
    manager = open_store(tmp_path / "store", durability="full")
    manager.create_session("before")
    synced: list[str] = []
    for verb in ("sync_data", "sync_folder"):
        # The record of what this machine has saved is never synced.
        monkeypatch.setattr(Files, verb, lambda files, _, verb=verb: synced.extend([verb] * files.durable))
    with manager.bulk():
        fill(manager, 10)
        assert synced == []
    assert synced == ["sync_data"] * 10 + ["sync_folder"]


def test_names_are_not_listed_for_each(lasting: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """To make one takes as long whether there are ten or ten thousand."""
    manager = lasting()
    manager.create_session("before")
    looks: list[object] = []
    with manager.bulk():
        # Until the times of folders tell.
        time.sleep(SETTLED)
        manager.create_session("first")
        folders = StagedBackend.ref_folders

        def look(*args: object, **options: object) -> RefFolders:
            found = folders(*args, **options)  # type: ignore[arg-type]
            looks.append(found.contents)
            return found

        staging = backend_of(manager)
        assert isinstance(staging, StagedBackend)
        monkeypatch.setattr(StagedBackend, "ref_folders", look)
        monkeypatch.setattr(type(staging.inner), "ref_tokens", None)
        fill(manager, 50)
    assert looks
    assert sum(bool(look) for look in looks) <= 2


def test_what_was_written_is_not_read_to_know_it(lasting: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither while more is made nor for a list: what was saved since a session was made is known as well."""
    monkeypatch.setattr(staged, "MOST_REFS", 3)
    manager = lasting()
    manager.create_session("before")
    assert manager.list_sessions()
    time.sleep(SETTLED)
    read: list[object] = []
    with monkeypatch.context() as context:
        context.setattr(type(backend_of(manager)), "read_ref", lambda _, key: read.append(key))
        with manager.bulk():
            expected = fill(manager, 10)
        # Until the times of refs tell.
        time.sleep(SETTLED)
        listed = {info.name: info.message_count for info in manager.list_sessions()}
    assert read == []
    assert listed == {"before": 0} | {name: len(contents) for name, contents in expected.items()}


def test_a_child_of_a_fork_does_not_write_what_the_parent_will(tmp_path: Path) -> None:
    """What was saved by then is written before the fork; both go on from there."""
    script = """
        import os, sys
        from storekit import open_store, say
        from pathlib import Path
        manager = open_store(Path(sys.argv[1]))
        with manager.bulk():
            for name in ("one", "two"):
                say(manager, manager.create_session(name), 1)
            child = os.fork()
            say(manager, manager.create_session("child" if child == 0 else "parent"), 2)
        if child == 0:
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        manager.close()
    """
    done = run_python(script, tmp_path / "store")
    assert (done.returncode, done.stderr) == (0, "")
    assert {name: len(found) for name, found in texts(open_store(tmp_path / "store")).items()} == dict.fromkeys(
        ("one", "two", "child", "parent"), 1
    )


def test_a_program_that_ends_in_the_block(tmp_path: Path) -> None:
    """What was saved is written then, as by a generator that is never gone on with."""
    script = """
        import sys
        from storekit import open_store, say
        from pathlib import Path
        manager = open_store(Path(sys.argv[1]))
        block = manager.bulk()
        block.__enter__()
        for name in ("one", "two", "three"):
            say(manager, manager.create_session(name), 1)
    """
    done = run_python(script, tmp_path / "store")
    assert (done.returncode, done.stderr) == (0, "")
    assert texts(open_store(tmp_path / "store")).keys() == {"one", "two", "three"}


def test_a_storage_of_ones_own() -> None:
    """It saves as ever."""
    manager = SessionManager({"session": {"autosave_interval": 0}}, storage=DictStorage())
    with manager.bulk():
        expected = fill(manager)
        with pytest.raises(SessionError, match="under way"), manager.bulk():
            pass
    assert texts(manager) == expected
