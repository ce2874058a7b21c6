"""A database that a newer version has, that is locked, full, read-only or damaged."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from storekit import fill, message, run_python, say

from coda_fs_session import (
    CorruptionError,
    StoreError,
    StoreFormatError,
    StoreFullError,
)
from coda_fs_session.backends.sqlite import backend as sqlite_backend
from coda_fs_session.backends.sqlite.backend import SqliteBackend
from coda_fs_session.backends.sqlite.schema import STEPS
from coda_fs_session.testing.kit.case import new_object

from .databases import database, opened


def test_a_newer_version_is_refused(store: Path) -> None:
    """It is left as it is, and the error says to upgrade."""
    with opened(store) as manager:
        fill(manager, "chat")
    with database(store) as connection:
        connection.execute("PRAGMA user_version = 9")
    with pytest.raises(StoreFormatError, match=rf"version 9.*knows {len(STEPS)}: upgrade") as caught:
        opened(store)
    assert caught.value.path == store / "sessions.db"


def test_a_newer_version_takes_it_over(store: Path) -> None:
    """Who has it open writes no more, as a later version may keep things elsewhere, and holds what was not saved."""
    with opened(store) as manager:
        fill(manager, "chat", 2)
        session = manager.load_session("chat")
        with database(store) as connection:
            connection.execute("PRAGMA user_version = 9")
            before = list(connection.iterdump())
            session.add_message(message(2))
            with pytest.raises(StoreFormatError, match=f"knows {len(STEPS)}: upgrade"):
                manager.save_session(session)
            assert list(connection.iterdump()) == before
            connection.execute(f"PRAGMA user_version = {len(STEPS)}")
        manager.save_session(session)
    with opened(store) as manager:
        assert len(manager.load_session("chat")) == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"just some text, and not little of it. " * 50, "no SQLite database"), (None, "another program")],
)
def test_what_is_not_ours_is_refused(content: bytes | None, said: str, store: Path) -> None:
    """A file that is no database, or another program's, is never written."""
    store.mkdir()
    path = store / "sessions.db"
    if content:
        path.write_bytes(content)
    else:
        with database(store) as connection:
            connection.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(StoreFormatError, match=said) as caught:
        opened(store)
    assert caught.value.path == path
    assert path.read_bytes() == before


def test_a_locked_database(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another program keeps it locked, saving waits and then says so; reading goes on, and nothing is lost."""
    monkeypatch.setattr(sqlite_backend, "PATIENCE_SECONDS", 0.2)
    with opened(store) as manager:
        fill(manager, "chat", 2)
    with opened(store) as manager, database(store) as connection:
        session = manager.load_session("chat")
        session.add_message(message(2))
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another program keeps it locked") as caught:
            manager.save_session(session)
        assert caught.value.path == store / "sessions.db"
        assert len(opened(store).load_session("chat")) == 2
        connection.execute("ROLLBACK")
        manager.save_session(session)
        assert len(opened(store).load_session("chat")) == 3


def test_a_full_disk(store: Path) -> None:
    """It is StoreFullError, and once there is room the same save works."""
    with opened(store) as manager:
        session = manager.create_session("chat")
        say(manager, session, 0)
        backend = manager._storage.repo.backend  # type: ignore[attr-defined]
        with backend._database.reading() as connection:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(f"PRAGMA max_page_count = {pages}")
        session.add_message(message(1, 60_000))
        with pytest.raises(StoreFullError, match="make room"):
            manager.save_session(session)
        with backend._database.reading() as connection:
            connection.execute("PRAGMA max_page_count = 100000")
        manager.save_session(session)
    assert len(opened(store).load_session("chat")) == 2


READ_ONLY = """
import os, sys
from pathlib import Path
from storekit import drop_privileges, message, open_store
from coda_fs_session import StoreReadOnlyError
from coda_fs_session.backends import sqlite
store = Path(sys.argv[1])
with open_store(Path(os.environ["WARM_STORE"] + ".db"), backend="sqlite") as manager:
    manager.create_session("warm")
drop_privileges()
manager = open_store(store, backend="sqlite", state_path=sys.argv[2])
session = manager.load_session("chat")
assert len(session) == 2 and len(manager.list_sessions()) == 1
session.add_message(message(2))
try:
    manager.save_session(session)
except StoreReadOnlyError as error:
    assert str(error.path) == str(store / "sessions.db"), error.path
    print("refused")
assert len(session) == 3
"""


@pytest.mark.parametrize("what", ["file", "folder"])
def test_read_only(what: str, store: Path, tmp_path: Path) -> None:
    """What cannot be written can be read, and saving says why it cannot."""
    with opened(store) as manager:
        fill(manager, "chat", 2)
    for path in (tmp_path, *tmp_path.parents):
        # How many there are depends on how the tests are run.
        if Path(tempfile.gettempdir()) in path.parents:
            path.chmod(0o755)
    os.chmod(store / "sessions.db", 0o444)
    os.chmod(store, 0o555 if what == "folder" else 0o777)
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(0o777)
    done = run_python(READ_ONLY, store, state, WARM_STORE=str(tmp_path / "warm"))
    os.chmod(store, 0o755)
    assert done.stdout == "refused\n", done.stderr


def test_every_page_damaged(store: Path, tmp_path: Path) -> None:
    """Whatever page is overwritten, each session comes back as it was, or not at all, with an error of ours that
    names the database."""
    with opened(store) as manager:
        expected = {name: fill(manager, name, 12, size=20_000) for name in ("a", "b")}
    whole = (store / "sessions.db").read_bytes()
    found: list[str] = []
    for page in range(0, len(whole), 4096):
        copy = tmp_path / f"copy-{page}"
        copy.mkdir()
        (copy / "sessions.db").write_bytes(whole[:page] + b"\xa5" * 4096 + whole[page + 4096 :])
        for name, messages in expected.items():
            try:
                with opened(copy) as manager:
                    assert manager.load_session(name).get_messages() == messages
            except StoreError as error:
                found.append(str(error))
        shutil.rmtree(copy)
    assert len(found) > 5
    assert all("sessions.db" in each for each in found)


def test_a_line_and_an_object_changed(store: Path) -> None:
    """Another byte in a row is damage, located, and not data."""
    with opened(store) as manager:
        fill(manager, "chat", 3)
        fill(manager, "large", 1, size=70_000)
    with database(store) as connection:
        connection.execute("UPDATE ref_lines SET data = CAST(replace(data, 'message 1', 'massage 1') AS BLOB)")
        connection.execute("UPDATE objects SET form = 'plain', data = zeroblob(length(data))")
    with opened(store) as manager:
        for name in ("chat", "large"):
            with pytest.raises(CorruptionError) as caught:
                manager.load_session(name).get_messages()
            assert "sessions.db" in str(caught.value.path)


def test_a_bad_object_is_mended(tmp_path: Path) -> None:
    """Putting an object verifies the one that is there."""
    backend = SqliteBackend(tmp_path)
    backend.prepare()
    for compress in (False, True):
        new = new_object(b"words " * 500 + bytes([compress]), compress=compress)
        backend.put_objects([new])
        with database(tmp_path) as connection:
            connection.execute("UPDATE objects SET data = x'00' WHERE id = ?", (new.id,))
        with pytest.raises(CorruptionError):
            backend.get_object(new.id, size=None, limit=10_000)
        backend.put_objects([new])
        assert backend.get_object(new.id, size=None, limit=10_000) == new.data
    backend.close()
