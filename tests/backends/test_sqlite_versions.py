"""Databases of an earlier version: read as they are, and brought to this version by the first write."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from storekit import ROOT, fill, message, run_python, say

from coda_fs_session import SessionNotFoundError, StoreError
from coda_fs_session.backends.sqlite import schema

from .databases import database, make_old, opened, rows

STATE = "SELECT user_version, (SELECT sql LIKE '%WITHOUT ROWID%' FROM sqlite_master WHERE name = 'ref_lines')"
OLD, NEW = {1: [(1, 1)], 2: [(2, 0)]}, [(len(schema.STEPS), 0)]


def state(store: Path) -> list[tuple[int, ...]]:
    """Return the version that a database says it has, and whether its lines are kept as in the first one."""
    return rows(store, f"{STATE} FROM pragma_user_version")


@pytest.fixture(params=[1, 2])
def version(request: pytest.FixtureRequest) -> int:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def old(store: Path, version: int) -> Path:
    """A database of an earlier version: "chat" with three messages, "large" with objects, "gone" deleted."""
    with opened(store) as manager:
        fill(manager, "chat")
        fill(manager, "large", 2, size=70_000)
        fill(manager, "gone")
        manager.delete_session("gone")
    make_old(store, version)
    assert state(store) == OLD[version]
    return store


def test_it_is_read_as_it_is(old: Path, version: int) -> None:
    """Whatever only reads finds all of it, and changes nothing."""
    before = rows(old, "SELECT * FROM ref_lines ORDER BY ref, position")
    with opened(old) as manager:
        assert [info.name for info in manager.list_sessions()] == ["large", "chat"]
        assert manager.load_session("chat").get_messages() == [message(number) for number in range(3)]
        assert len(manager.load_session("large").get_messages()) == 2
        with pytest.raises(SessionNotFoundError):
            manager.load_session("gone")
    assert state(old) == OLD[version]
    assert rows(old, "SELECT * FROM ref_lines ORDER BY ref, position") == before


@pytest.mark.parametrize("write", ["save", "create", "fork", "rename", "delete", "sync"])
def test_the_first_write_brings_it_to_this_version(old: Path, tmp_path: Path, write: str) -> None:
    """Whichever it is, and nothing is lost; a view that somebody made of the lines goes on working."""
    with database(old) as connection:
        connection.execute("CREATE VIEW lines_of_people AS SELECT data FROM ref_lines")
    before = rows(old, "SELECT ref, position, data FROM ref_lines ORDER BY ref, position")
    with opened(old) as manager:
        session = manager.load_session("chat")
        if write == "save":
            say(manager, session, 3)
        elif write == "create":
            manager.create_session("another")
        elif write == "fork":
            manager.create_session("another", branch_from="large")
        elif write == "rename":
            manager.rename_session("large", "another")
        elif write == "delete":
            manager.delete_session("large")
        else:
            with opened(tmp_path / "other") as other:
                fill(other, "theirs")
                manager.sync(other, direction="pull")
        assert state(old) == NEW
        assert manager.load_session("chat").get_messages(limit=3)[-1] == message(3 if write == "save" else 2)
    after = rows(old, "SELECT ref, position, data FROM ref_lines ORDER BY ref, position")
    if write not in ("rename", "delete"):
        assert set(before) < set(after)
    assert len(rows(old, "SELECT * FROM lines_of_people")) == len(after)
    assert rows(old, "PRAGMA integrity_check") == [("ok",)]


def test_a_step_or_a_write_that_fails_changes_nothing(old: Path, version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps are one transaction with what is written; once they work, so does the save."""
    with opened(old) as manager:
        session = manager.load_session("chat")
        session.add_message(message(3))
        with monkeypatch.context() as patch:
            patch.setattr(schema, "STEPS", (*schema.STEPS, "CREATE TABLE a (x);\nINSERT INTO nothing VALUES (1)"))
            with pytest.raises(StoreError, match="nothing"):
                manager.save_session(session)
        assert state(old) == OLD[version]
        with monkeypatch.context() as patch:
            patch.setattr("coda_fs_session.backends.sqlite.refs._ADD_LINE", "INSERT INTO nothing VALUES (1)")
            with pytest.raises(StoreError, match="nothing"):
                manager.save_session(session)
        assert state(old) == OLD[version]
        manager.save_session(session)
    assert state(old) == NEW
    with opened(old) as manager:
        assert len(manager.load_session("chat")) == 4


def test_a_step_that_fails_leaves_the_connection_as_it_was(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bug: if a step failed, its setting of how tables are renamed stayed on, as that is in no transaction."""
    with opened(old) as manager:
        session = manager.load_session("chat")
        with monkeypatch.context() as patch:
            failing = "PRAGMA legacy_alter_table = ON;\nINSERT INTO nothing VALUES (1)"
            patch.setattr(schema, "STEPS", (*schema.STEPS, failing))
            with pytest.raises(StoreError, match="nothing"):
                say(manager, session, 3)
        with manager._storage.repo.backend._database.reading() as connection:  # type: ignore[attr-defined]
            assert connection.execute("PRAGMA legacy_alter_table").fetchone() == (0,)
        manager.save_session(session)


def test_each_step_is_run_once(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database goes through all that it lacks, and no second time."""
    step = "CREATE TABLE added (x INTEGER);\nINSERT INTO added SELECT count(*) FROM refs"
    monkeypatch.setattr(schema, "STEPS", (*schema.STEPS, step))
    for number in (3, 4):
        with opened(old) as manager:
            say(manager, manager.load_session("chat"), number)
    assert rows(old, "SELECT x, user_version FROM added, pragma_user_version") == [(3, len(schema.STEPS))]


def test_a_process_that_has_it_open_goes_on(old: Path) -> None:
    """Another process may bring it to this version at any time: what is open reads either, and writes the new one."""
    with opened(old) as manager:
        session = manager.load_session("chat")
        assert len(session.get_messages()) == 3
        script = """
            import sys
            from pathlib import Path
            from storekit import open_store, say
            with open_store(Path(sys.argv[1]), backend="sqlite") as manager:
                say(manager, manager.load_session("chat"), 3)
        """
        done = run_python(script, old)
        assert (done.returncode, done.stderr) == (0, "")
        assert state(old) == NEW
        assert manager.load_session("chat").get_messages()[-1] == message(3)
        say(manager, session, 4)
    with opened(old) as manager:
        assert manager.load_session("chat").get_messages() == [message(number) for number in range(5)]


SAVES = """
import sys
from pathlib import Path
from storekit import open_store, message
manager = open_store(Path(sys.argv[1]), backend="sqlite", durability="full")
session = manager.load_session("chat")
session.add_message(message(3))
print("ready", flush=True)
manager.save_session(session)
print("saved", flush=True)
"""


def test_killed_at_any_moment(old: Path, version: int, tmp_path: Path, seed: int) -> None:
    """With SIGKILL: the database has its old form with what it held, or the new one with what was saved too."""
    chance = random.Random(seed)
    with opened(old) as manager:
        # Enough lines for the steps to take a moment.
        session = manager.create_session("long")
        for number in range(300):
            say(manager, session, number)
    make_old(old, version)
    whole, environment = 0.0, {"PYTHONPATH": f"{ROOT}:{ROOT}/tests"}
    for trial in range(12):
        store = tmp_path / f"trial-{trial}"
        shutil.copytree(old, store)
        with subprocess.Popen(
            [sys.executable, "-c", SAVES, str(store)],
            stdout=subprocess.PIPE,
            env=environment,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            begun = time.monotonic()
            if trial:
                time.sleep(chance.uniform(0, whole))
                process.kill()
            told = process.stdout.readline()
            whole = whole or time.monotonic() - begun
        found = state(store)
        assert rows(store, "PRAGMA integrity_check") == [("ok",)]
        assert found in (OLD[version], NEW)
        assert found == NEW or not told
        with opened(store) as manager:
            assert len(manager.load_session("chat").get_messages()) == (3 if found != NEW else 4)
            assert len(manager.load_session("long").get_messages()) == 300
