"""Rows of a database that hold something of another kind, as after a slip of a person or a disk: only they are bad."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from storekit import fill, open_store, say, within

from coda_fs_session import CorruptionError, SessionError

VALUES = (
    "'text'",
    "5",
    "-1",
    "x'ff2f78'",
    "CAST(x'ff2f78' AS TEXT)",
    "''",
    "'a'||char(0)||'b/c.jsonl'",
    "1.5",
    "2e300",
)
ROWS = {
    "refs": (("path", "version", "size", "mark"), "path LIKE '%/bad.jsonl'"),
    "ref_lines": (("position", "data"), "ref = (SELECT id FROM refs WHERE path LIKE '%/bad.jsonl')"),
    "objects": (("id", "tag", "form", "data"), "id = (SELECT max(id) FROM objects)"),
    "sessions": (
        ("name", "replica", "messages", "bytes", "created", "updated", "metadata", "parent", "deleted", "line"),
        "name = 'bad'",
    ),
}
CASES = [(table, column, value) for table, (columns, _) in ROWS.items() for column in columns for value in VALUES]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the sessions good and bad, and some objects that only bad has."""
    store = tmp_path_factory.mktemp("rows") / "store"
    with open_store(store, backend="sqlite", replica="here") as manager:
        fill(manager, "good", 3)
        bad = manager.create_session("bad")
        bad.update_metadata({"key": 1})
        manager.save_session(bad)
        for number in range(3):
            say(manager, bad, number)
        fill(manager, "large", 3, size=70_000)
    return store


def damaged(whole: Path, folder: Path, table: str, column: str, value: str) -> Iterator[Path]:
    store = folder / "store"
    shutil.copytree(whole, store)
    with closing(sqlite3.connect(store / "sessions.db")) as connection:
        try:
            connection.execute(f"UPDATE {table} SET {column} = {value} WHERE {ROWS[table][1]}")
        except sqlite3.IntegrityError:
            # Two lines cannot be in one place.
            return
        connection.commit()
    yield store
    shutil.rmtree(folder)


def assert_only_it_is_bad(store: Path, what: str) -> None:
    """Use every other session in every way; whatever is wrong with the bad one is an error of this package."""
    with open_store(store, backend="sqlite", replica="here") as manager, within(20):
        errors = {info.name: info.error for info in manager.list_sessions()}
        assert errors["good"] is None, what
        assert all(error is None or isinstance(error, SessionError) for error in errors.values()), what
        say(manager, manager.load_session("good"), 7)
        say(manager, manager.create_session("new"), 1)
        manager.stats()
        with suppress(SessionError):
            say(manager, manager.load_session("bad"), 4, 5)
        with suppress(SessionError):
            manager.load_session("large").get_messages()
        report = manager.sync(f"{store}.files")
        assert "good" in report.pushed.new, what
        manager.delete_session("new")
    with open_store(Path(f"{store}.files")) as manager:
        assert len(manager.load_session("good").get_messages()) == 4, what


@pytest.mark.parametrize("table", ROWS)
def test_a_value_of_another_kind(whole: Path, tmp_path: Path, table: str, long_size: bool) -> None:
    """Bug: TypeError, ValueError and others, from every method and for every session."""
    cases = [case for case in CASES if case[0] == table]
    # Each column, and all kinds of values in turn.
    for number, (_, column, value) in enumerate(cases if long_size else cases[:: 3 if table != "sessions" else 10]):
        for store in damaged(whole, tmp_path / str(number), table, column, value):
            assert_only_it_is_bad(store, f"{table}.{column} = {value}")


@pytest.mark.parametrize("value", VALUES)
def test_a_ref_whose_path_is_none(whole: Path, tmp_path: Path, value: str) -> None:
    """Its session does not vanish: it is listed by the number of its row, with what to do."""
    for store in damaged(whole, tmp_path / "it", "refs", "path", value):
        with open_store(store, backend="sqlite", replica="here") as manager:
            found = {info.name: info.error for info in manager.list_sessions()}
            bad = found.get("bad", found.get("row-2"))
            assert ("bad" in found) != ("row-2" in found)
            if "row-2" in found:
                assert isinstance(bad, CorruptionError)
                assert "restore the database" in str(bad)


@pytest.mark.parametrize("value", ["'text'", "x'ff'", "1.5"])
def test_the_row_of_the_store_itself(whole: Path, tmp_path: Path, value: str) -> None:
    """Without it nothing can be told apart: that is said, as damage."""
    store = tmp_path / "store"
    shutil.copytree(whole, store)
    with closing(sqlite3.connect(store / "sessions.db")) as connection:
        connection.execute(f"UPDATE store SET changed = {value}")
        connection.commit()
    with open_store(store, backend="sqlite", replica="here") as manager, pytest.raises(CorruptionError):
        manager.create_session("new")
