"""A database that lost what was acknowledged: its log was deleted, or an older copy of it came back."""

from __future__ import annotations

import shutil
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from storekit import fill, message, open_store, run_python, say

from coda_fs_session import SessionManager, SessionWarning, StoreError
from coda_fs_session.backends.base import RefKey
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.machine.newest import Newest
from coda_fs_session.backends.machine.own_refs import FileRecord


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def opened(store: Path, **options: Any) -> SessionManager:
    return open_store(store, backend="sqlite", **options)


@contextmanager
def warned() -> Iterator[list[str]]:
    texts: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield texts
    texts += [str(each.message) for each in caught if each.category is SessionWarning]


_KILLED = """
import os, signal, sys
from pathlib import Path
from storekit import message, open_store, say
manager = open_store(Path(sys.argv[1]), backend="sqlite")
chat = manager.create_session("chat")
say(manager, chat, 1, 2)
say(manager, manager.create_session("new"), 3)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("before", [False, True], ids=["all of it", "the newest of it"])
def test_the_log_is_deleted_after_a_kill(store: Path, before: bool) -> None:
    """Bug: who tidied the files beside the database away opened an older or an empty one, without a word."""
    if before:
        with opened(store) as manager:
            fill(manager, "chat", 1)
    run_python(_KILLED, store)
    (store / "sessions.db-wal").unlink()
    with warned() as texts:
        manager = opened(store)
    assert len(texts) == 2
    assert all(any(f"'{name}'" in text and "put back" in text for text in texts) for name in ("chat", "new"))
    expected = [message(number) for number in ([0] if before else []) + [1, 2]]
    assert manager.load_session("chat").get_messages() == expected
    assert manager.load_session("new").get_messages() == [message(3)]
    manager.close()
    with warned() as texts, opened(store) as manager:
        say(manager, manager.load_session("chat"), 4)
    assert texts == []


@pytest.mark.parametrize("running", [False, True], ids=["closed", "under a manager"])
def test_an_older_copy(store: Path, tmp_path: Path, running: bool) -> None:
    """What this machine had saved since is put back, into the database that is there now."""
    with opened(store) as manager:
        fill(manager, "chat", 1)
        fill(manager, "other", 1)
    backup = Path(shutil.copy(store / "sessions.db", tmp_path / "backup"))
    with opened(store) as manager:
        say(manager, manager.load_session("chat"), 1, 2)
        fill(manager, "new", 2)
    manager = opened(store)
    other = manager.load_session("other")
    if not running:
        manager.close()
    backup.replace(store / "sessions.db")
    with warned() as texts:
        if running:
            session = manager.load_session("chat")
            assert [info.reverted for info in manager.list_sessions() if info.name == "chat"] == [True]
            say(manager, session, 3)
        else:
            manager = opened(store)
    assert any("'chat'" in text and "1 save put back" in text for text in texts)
    assert any("'new'" in text and "2 messages put back" in text for text in texts)
    with opened(store) as manager:
        numbers = [0, 1, 2, *([3] if running else [])]
        assert manager.load_session("chat").get_messages() == [message(number) for number in numbers]
        assert manager.load_session("new").get_messages() == [message(0), message(1)]
        assert len(other) == 1


def test_another_database(store: Path) -> None:
    """What was saved in the first one is kept aside, and can be brought back."""
    with opened(store) as manager:
        fill(manager, "chat", 2)
    store.rename(store.with_name("away"))
    with warned() as texts, opened(store) as manager:
        fill(manager, "second", 1)
        assert [info.name for info in manager.kept_aside()] == ["chat"]
        assert [info.name for info in manager.bring_back()] == ["chat"]
    assert len(texts) == 1
    with opened(store) as manager:
        assert manager.load_session("chat").get_messages() == [message(0), message(1)]
        assert manager.kept_aside() == []


def test_what_was_not_shown_is_not_deleted(store: Path, tmp_path: Path) -> None:
    """As with files: a delete by name takes what was shown of a session, and what had to be put back stays."""
    with opened(store) as manager:
        fill(manager, "chat", 1)
    backup = Path(shutil.copy(store / "sessions.db", tmp_path / "backup"))
    with opened(store) as manager:
        say(manager, manager.load_session("chat"), 1, 2)
    manager = opened(store)
    backup.replace(store / "sessions.db")
    assert [info.message_count for info in manager.list_sessions()] == [1]
    with warned() as texts:
        manager.delete_session("chat")
    assert any("only what was shown" in text for text in texts)
    assert [info.message_count for info in manager.list_sessions()] == [3]
    manager.close()


def test_a_commit_that_fails_is_in_no_record(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was never acknowledged is not put back."""
    with opened(store) as manager:
        fill(manager, "chat", 1)
        (record,) = Path(f"{store}.state").rglob("own/*/**/chat.jsonl")
        before = record.read_bytes()
        database = manager._storage.repo.backend._database  # type: ignore[attr-defined]
        session = manager.load_session("chat")

        def failing(lease: Any) -> None:
            database._give_back(lease)
            raise OSError("interrupted")

        with monkeypatch.context() as patch:
            patch.setattr(database, "_commit", failing)
            with pytest.raises(StoreError, match="interrupted"):
                say(manager, session, 1)
        assert record.read_bytes() == before
        manager.save_session(session)
        assert record.read_bytes() != before
    with warned() as texts, opened(store) as manager:
        assert manager.load_session("chat").get_messages() == [message(0), message(1)]
    assert texts == []


def newest_of(store: Path) -> Path:
    """Return the file that tells which ref this machine wrote last."""
    (found,) = Path(f"{store}.state").glob("*/own/.newest")
    return found


def test_the_newest_write_vouches_for_all(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database goes back as a whole, so that opening one looks at one record, however many there are."""
    with opened(store) as manager:
        for name in ("chat", "other", "third"):
            fill(manager, name, 1)

    def tokens(*_: object) -> Any:
        raise AssertionError("it has looked at all records")

    monkeypatch.setattr(FileRecord, "tokens", tokens)
    with opened(store) as manager:
        say(manager, manager.load_session("chat"), 1)
    opened(store).close()
    newest_of(store).unlink()
    with pytest.raises(AssertionError, match="all records"):
        opened(store)


@pytest.mark.parametrize("harm", ["gone", "empty", "torn", "flipped", "folder", "of no record"])
def test_a_note_of_the_newest_that_tells_nothing(store: Path, tmp_path: Path, harm: str) -> None:
    """What an older copy lacks is put back all the same: only looking takes longer."""
    with opened(store) as manager:
        fill(manager, "other", 1)
        fill(manager, "chat", 1)
    backup = Path(shutil.copy(store / "sessions.db", tmp_path / "backup"))
    with opened(store) as manager:
        say(manager, manager.load_session("chat"), 1)
        say(manager, manager.load_session("other"), 1)
    backup.replace(store / "sessions.db")
    note = newest_of(store)
    content = note.read_bytes()
    note.unlink()
    if harm == "empty":
        note.touch()
    elif harm == "torn":
        note.write_bytes(content[:-3])
    elif harm == "flipped":
        note.write_bytes(content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
    elif harm == "folder":
        note.mkdir()
    elif harm == "of no record":
        Newest(lambda: str(note.parent), Files()).note(RefKey("nobody-00000000/none.jsonl"))
    with warned() as texts, opened(store) as manager:
        assert [len(manager.load_session(name)) for name in ("chat", "other")] == [2, 2]
    assert sum("1 save put back" in text for text in texts) == 2


def test_two_programs_note_what_they_write(store: Path, tmp_path: Path) -> None:
    """Whichever of them saved last, an older copy that lacks just that is noticed, also if it had saved before."""
    with opened(store) as one, opened(store) as two:
        chat, other = one.create_session("chat"), two.create_session("other")
        say(one, chat, 0)
        say(two, other, 0)
        backup = tmp_path / "backup"
        with closing(sqlite3.connect(store / "sessions.db")) as connection:
            connection.execute("VACUUM INTO ?", [str(backup)])
        say(one, chat, 1)
    backup.replace(store / "sessions.db")
    with warned() as texts, opened(store) as manager:
        assert manager.load_session("chat").get_messages() == [message(0), message(1)]
    assert any("'chat'" in text and "1 save put back" in text for text in texts)


_KILLED_BEFORE_THE_RECORD = """
import os, signal, sys
from pathlib import Path
from storekit import open_store, say
from coda_fs_session.backends.machine.own_refs import FileRecord
manager = open_store(Path(sys.argv[1]), backend="sqlite")
session = manager.load_session("chat")
FileRecord.append = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
say(manager, session, 1)
"""


def test_killed_between_the_note_and_the_record(store: Path) -> None:
    """What was committed stays, and nothing is told of it; the record has it once it was looked at."""
    with opened(store) as manager:
        fill(manager, "chat", 1)
        fill(manager, "other", 1)
    run_python(_KILLED_BEFORE_THE_RECORD, store)
    (record,) = Path(f"{store}.state").rglob("own/*/**/chat.jsonl")
    before = record.stat().st_size
    with warned() as texts, opened(store) as manager:
        assert manager.load_session("chat").get_messages() == [message(0), message(1)]
        assert record.stat().st_size > before
    assert texts == []


def test_the_file_of_the_newest_stays_small(tmp_path: Path) -> None:
    """However much is saved, and whichever of several processes begins it anew."""
    one, two = (Newest(lambda: str(tmp_path), Files()) for _ in range(2))
    for number in range(2000):
        key = RefKey(f"machine-12345678/session-{number}.jsonl")
        (one, two)[number % 2].note(key)
        assert two.last() == key
    assert (tmp_path / ".newest").stat().st_size < 2**17
