"""Databases of other programs: read whole, also what is in their logs alone, and never changed."""

from __future__ import annotations

import os
import shutil
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import pytest
from storekit import open_store

from coda_fs_session import SessionManager
from coda_fs_session.backends.sqlite import unchanged
from coda_fs_session.manager import databases

from .databases import Tables, database, insert
from .sessions import counts, said

ONE: Tables = {
    "conversations": [{"id": "c", "name": "T"}],
    "responses": [{"id": "r1", "prompt": "text of u", "response": "text of a", "conversation_id": "c"}],
}
TWO: Tables = {"responses": [{"id": "r2", "prompt": "text of v", "response": "text of b", "conversation_id": "c"}]}


@pytest.fixture
def manager(tmp_path: Path) -> SessionManager:
    return open_store(tmp_path / "store")


def listing(folder: Path) -> list[tuple[str, int, int, bytes]]:
    """Return all that can be seen of a folder."""
    return sorted(
        (entry.name, entry.stat().st_size, entry.stat().st_mtime_ns, Path(entry.path).read_bytes())
        for entry in os.scandir(folder)
    )


def with_log(path: Path) -> sqlite3.Connection:
    """Return the connection of a program that is running: what it wrote last is in the log alone."""
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    insert(connection, ONE)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return connection


def test_nothing_beside_it_changes(manager: SessionManager, tmp_path: Path) -> None:
    """A database in use with a log, and one that its program closed, are read; their folders stay as they are."""
    folder = tmp_path / "in"
    connection = with_log(folder / "logs.db")
    insert(connection, TWO)
    before = listing(folder)
    assert [name for name, *_ in before] == ["logs.db", "logs.db-shm", "logs.db-wal"]
    manager.import_sessions(folder)
    assert [each[:3] for each in listing(folder)] == [each[:3] for each in before]
    assert said(manager) == {("u", "a", "v", "b")}
    connection.close()
    before = listing(folder)
    assert [name for name, *_ in before] == ["logs.db"]
    assert manager.import_sessions(folder).unchanged == 1
    assert listing(folder) == before


def test_a_log_that_grows(manager: SessionManager, tmp_path: Path) -> None:
    """What comes into the log alone is new, although the database itself has its size and time."""
    connection = with_log(tmp_path / "in" / "logs.db")
    assert counts(manager.import_sessions(tmp_path / "in")) == (1, 1, 0, 2, 0, 0, 0)
    insert(connection, TWO)
    assert counts(manager.import_sessions(tmp_path / "in")) == (1, 0, 1, 2, 0, 0, 0)
    connection.close()


def test_a_copy_with_its_log(manager: SessionManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log without the file by which it is read is not passed over, and that file is not made."""
    monkeypatch.setattr(unchanged, "_CLOSING_SECONDS", 0.05)
    connection = with_log(tmp_path / "in" / "logs.db")
    insert(connection, TWO)
    (tmp_path / "copy").mkdir()
    for name in ("logs.db", "logs.db-wal"):
        shutil.copy(tmp_path / "in" / name, tmp_path / "copy" / name)
    connection.close()
    before = listing(tmp_path / "copy")
    manager.import_sessions(tmp_path / "copy")
    assert said(manager) == {("u", "a", "v", "b")}
    assert listing(tmp_path / "copy") == before


def test_a_database_that_is_changed_meanwhile(
    manager: SessionManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read of it is not believed."""
    path = tmp_path / "logs.db"
    database(ONE, path)
    connect = databases._connect

    def connected(name: str, mode: str) -> sqlite3.Connection:
        connection = connect(name, mode)
        database(TWO, path)
        return connection

    monkeypatch.setattr(databases, "_connect", connected)
    report = manager.import_sessions(path)
    assert "import it again" in report.unreadable[0]
    assert manager.list_sessions() == []
    monkeypatch.undo()
    assert manager.import_sessions(path).messages == 4


def test_a_log_that_is_changed_while_it_is_copied(
    manager: SessionManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copies may be of two moments: they are not believed."""
    monkeypatch.setattr(unchanged, "_CLOSING_SECONDS", 0.05)
    connection = with_log(tmp_path / "in" / "logs.db")
    insert(connection, TWO)
    (tmp_path / "copy").mkdir()
    for name in ("logs.db", "logs.db-wal"):
        shutil.copy(tmp_path / "in" / name, tmp_path / "copy" / name)
    connection.close()
    write, path = databases.write_outside, tmp_path / "copy" / "logs.db"

    def written(*given: Any, **options: Any) -> Path:
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
        return write(*given, **options)

    monkeypatch.setattr(databases, "write_outside", written)
    assert "import it again" in manager.import_sessions(path).unreadable[0]
    assert manager.list_sessions() == []
    monkeypatch.setattr(databases, "write_outside", write)
    assert manager.import_sessions(path).messages == 4


@pytest.mark.parametrize("cut", [20, 3000])
def test_a_database_that_is_damaged(cut: int, manager: SessionManager, tmp_path: Path) -> None:
    """It is told, and the others are read."""
    folder = tmp_path / "in"
    folder.mkdir()
    database(ONE, folder / "a.db")
    (folder / "b.db").write_bytes(database(ONE)[:cut])
    report = manager.import_sessions(folder)
    assert ["b.db" in each for each in report.unreadable] == [True]
    assert said(manager) == {("u", "a")}


def test_in_a_zip_file(manager: SessionManager, tmp_path: Path) -> None:
    """A database is read out of it, also one that was made with a log; a log beside it cannot be, which is told."""
    connection = with_log(tmp_path / "in" / "logs.db")
    for name, also in (("a.zip", False), ("b.zip", True)):
        with zipfile.ZipFile(tmp_path / name, "w") as zipped:
            zipped.write(tmp_path / "in" / "logs.db", "logs.db")
            if also:
                insert(connection, TWO)
                zipped.write(tmp_path / "in" / "logs.db-wal", "logs.db-wal")
    connection.close()
    assert manager.import_sessions(tmp_path / "a.zip").messages == 2
    report = manager.import_sessions(tmp_path / "b.zip")
    assert "logs.db-wal" in report.unreadable[0]


def test_text_that_is_none(manager: SessionManager, tmp_path: Path) -> None:
    """Bytes that are no UTF-8 become a sign that says so, with a note; the rest of the text is there."""
    path = tmp_path / "logs.db"
    database(ONE, path)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE responses SET prompt = CAST(X'74ff' AS TEXT)")
    connection.commit()
    connection.close()
    report = manager.import_sessions(path)
    assert said(manager) == {("t\ufffd", "a")}
    assert len(report.notes) == 1
