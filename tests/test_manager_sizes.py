"""Times, sizes, limits and token counts, over files and memory."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from storekit import Opener, message, open_store, say, tree, untouched

from coda_fs_session import (
    Session,
    SessionManager,
    SessionTooLargeError,
)


def test_times_are_naive_local(make: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Times compare with `datetime.now()`, in whatever zone the computer is."""
    for zone in ("UTC", "Asia/Kathmandu", "America/St_Johns"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        before = datetime.now()
        manager = make()
        session = manager.create_session(f"in {zone}")
        say(manager, session, 1)
        info = manager.get_session_info(f"in {zone}")
        assert info is not None
        for moment in (session.created_at, session.updated_at, info.created_at, info.updated_at):
            assert moment.tzinfo is None
            assert before <= moment <= datetime.now()
        session.reload()
        assert (session.created_at, session.updated_at) == (info.created_at, info.updated_at)
    monkeypatch.undo()
    time.tzset()


def test_times_on_disk_are_utc(tmp_path: Path) -> None:
    """In the files stands UTC with its offset, whatever was given."""
    manager = open_store(tmp_path / "store")
    moment = datetime(2024, 5, 17, 12, 0, tzinfo=UTC)
    manager.save_session(Session("chat", created_at=moment))
    assert b'"created":"2024-05-17T12:00:00.000000+00:00"' in next((tmp_path / "store").glob("refs/*/*")).read_bytes()
    assert manager.load_session("chat").created_at == moment.astimezone().replace(tzinfo=None)


def test_updated_moves_with_changes_only(make: Opener) -> None:
    """Messages and metadata move `updated_at`; loading, saving nothing, reading and branching from it do not."""
    manager = make()
    session = manager.create_session("chat")
    say(manager, session, 1)
    before = session.updated_at
    for _ in range(2):
        manager.save_session(session)
        session.get_messages()
        assert session.messages
        session.update_metadata({})
        session.truncate_messages(10)
        manager.create_session("chat")
        manager.create_session("branch", branch_from="chat")
        manager.save_all()
        session.messages = session.get_messages()
        manager.save_session(session)
        assert session.updated_at == before
        session.reload()
        assert session.updated_at == before
    session.update_metadata({"a": 1})
    assert session.updated_at > before
    manager.save_session(session)
    info = manager.get_session_info("chat")
    assert info is not None
    assert info.updated_at == session.updated_at > before
    assert info.created_at == session.created_at <= before


def test_an_empty_save_writes_nothing(tmp_path: Path) -> None:
    """Saving what is saved touches no file, also after assigning equal messages and metadata."""
    store = tmp_path / "store"
    manager = open_store(store)
    session = manager.create_session("chat")
    session.update_metadata({"a": [1]})
    say(manager, session, 1, 2)
    with untouched(store):
        manager.save_session(session)
        session.messages = session.get_messages()
        session.metadata = {"a": [1]}
        manager.save_session(session)
        assert not session.has_unsaved_changes
        manager.save_all()
        manager.close()


def test_size_is_that_of_the_messages(make: Opener) -> None:
    """`size_bytes` is the size of the messages as JSON lines; hidden and removed ones do not count."""
    manager = make()
    session = manager.create_session("chat")
    session.add_message({"a": 1})
    session.add_message({"b": "\u00e9"})
    manager.save_session(session)
    info = manager.get_session_info("chat")
    assert info is not None
    assert info.size_bytes == len(b'{"a":1}\n') + len('{"b":"\u00e9"}\n'.encode())
    session.truncate_messages(1)
    manager.save_session(session)
    info = manager.get_session_info("chat")
    assert info is not None
    assert (info.size_bytes, info.message_count) == (len('{"b":"\u00e9"}\n'.encode()), 1)
    stats = manager.stats()
    assert (stats.sessions, stats.messages, stats.logical_bytes) == (1, 1, info.size_bytes)
    assert stats.stored_bytes > 0


def test_the_size_limit(tmp_path: Path) -> None:
    """Passing `max_session_size` is refused by add and by save, memory and disk unchanged; at the limit is fine."""
    store = tmp_path / "store"
    manager = open_store(store, max_session_size=1000 / 2**20)
    session = manager.create_session("chat")
    line = len(b'{"c":""}\n')
    session.add_message({"c": "x" * (600 - line)})
    session.add_message({"c": "x" * (400 - line)})
    manager.save_session(session)
    with untouched(store):
        for live in (False, True):
            if live:
                assert len(session.messages) == 2
            with pytest.raises(SessionTooLargeError, match="max_session_size"):
                session.add_message({})
            assert len(session) == 2
            assert not session.has_unsaved_changes
        session.messages.append({})
        with pytest.raises(SessionTooLargeError):
            manager.save_session(session)
        with pytest.raises(SessionTooLargeError):
            manager.save_session(Session("new", [{"c": "x" * 1000}]))
        assert session.messages.pop() == {}
    del session.messages[0]
    session.add_message({"c": "x" * (600 - line)})
    manager.save_session(session)
    assert len(open_store(store, max_session_size=0).load_session("chat")) == 2


def test_a_session_over_a_lowered_limit_can_shrink(tmp_path: Path) -> None:
    """Lowering the limit locks nobody out: reading, metadata and truncation work, adding does not."""
    store = tmp_path / "store"
    manager = open_store(store)
    say(manager, manager.create_session("chat"), *range(100))
    manager = open_store(store, max_session_size=100 / 2**20)
    session = manager.load_session("chat")
    session.update_metadata({"a": 1})
    manager.save_session(session)
    session.truncate_messages(50)
    manager.save_session(session)
    assert len(session.get_messages()) == 50
    with pytest.raises(SessionTooLargeError):
        session.add_message(message(1))


def test_too_large_to_create_leaves_nothing_behind(tmp_path: Path) -> None:
    """A new session that is refused for its size after megabytes were cut into chunks has written none of them."""
    store = tmp_path / "store"
    manager = open_store(store, max_session_size=20)
    with pytest.raises(SessionTooLargeError):
        manager.save_session(Session("big", [message(number, 1_000_000) for number in range(24)]))
    assert tree(store) == {}


def test_token_counts(make: Opener) -> None:
    """A quarter of the content's characters, rounded up over all; other content by its JSON; or a counter given."""
    session = make().create_session("chat")
    assert session.get_token_count() == 0
    session.add_message({"role": "user", "content": "12345"})
    assert session.get_token_count() == 2
    session.add_message({"role": "user", "content": "678"})
    assert session.get_token_count() == 2
    session.add_message({"role": "user", "content": [{"a": 1}]})
    session.add_message({"role": "user"})
    session.add_message({"role": "user", "content": None})
    assert session.get_token_count() == -(-(8 + len('[{"a":1}]')) // 4)
    seen: list[str] = []
    manager = SessionManager({"session": {"backend": "memory"}}, token_counter=lambda text: seen.append(text) or 3)  # type: ignore[func-returns-value]
    counted = manager.create_session("chat")
    counted.add_message({"content": "one"})
    counted.add_message({"content": ["two"]})
    assert counted.get_token_count() == 6
    assert seen == ["one", '["two"]']
