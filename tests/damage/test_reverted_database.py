"""A database that lost what was acknowledged: its log was deleted, or an older copy of it came back."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from storekit import fill, message, open_store, run_python, say

from coda_fs_session import SessionManager, SessionWarning, StoreError


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
        (record,) = Path(f"{store}.state").glob("*/own/*/chat.jsonl")
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
