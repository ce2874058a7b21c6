"""Times, sizes, limits and token counts, over files and memory."""

from __future__ import annotations

import base64
import json
import random
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from storekit import Opener, message, open_store, say, tree, untouched

from coda_fs_session import (
    InvalidMessageError,
    Session,
    SessionManager,
    SessionTooLargeError,
    SessionWarning,
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


def _grow(manager: SessionManager, how: str, count: int) -> Session:
    """Put messages of 10 kB into a session, one after the other, and store them at the end."""
    session = Session("big") if how == "create" else manager.create_session("big")
    for number in range(count):
        if how == "list":
            session.messages.append(message(number, 10_000))
        else:
            session.add_message(message(number, 10_000))
    manager.save_session(session)
    return session


@pytest.mark.parametrize("how", ["add", "list", "create"])
def test_a_warning_before_the_limit(make: Opener, how: str) -> None:
    """From 80 % of `max_session_size` on one warning names the option and says what to do; before there is none."""
    one = 1 + len(orjson.dumps(message(0, 10_000)))
    limit = 10 * one / 2**20
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _grow(make(max_session_size=limit), how, 7)
    manager = make(max_session_size=limit)
    manager.delete_session("big", missing_ok=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        session = _grow(manager, how, 8)
        session.add_message(message(8, 10_000))
        manager.save_session(session)
    (warning,) = caught
    assert warning.category is SessionWarning
    assert str(warning.message).startswith("session 'big' has reached 80% of max_session_size (")
    assert "raise the option (0 is no limit)" in str(warning.message)
    assert warning.filename == __file__
    session.messages = [*session.messages, message(9, 20_000)]
    with pytest.raises(SessionTooLargeError, match="max_session_size"):
        manager.save_session(session)


def test_the_warning_refuses_nothing(make: Opener, capsys: pytest.CaptureFixture[str]) -> None:
    """Where warnings are errors the message is in all the same, so stderr tells, and nothing is raised."""
    session = make(max_session_size=1 / 64).create_session("big")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        session.add_message(message(1, 14_000))
    assert len(session) == 1
    assert "has reached 80% of max_session_size (0.015625 MB)" in capsys.readouterr().err


def test_no_limit_is_no_warning(make: Opener) -> None:
    """With 0 there is no limit to come near to."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _grow(make(max_session_size=0), "list", 20)


def test_tokens_of_what_is_no_message(make: Opener) -> None:
    """Something else in the live list is told of as where it is saved."""
    session = make().create_session("chat")
    session.messages.append("text")  # type: ignore[arg-type]
    with pytest.raises(InvalidMessageError, match=r"messages\[0\]"):
        session.get_token_count()


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


PICTURE = base64.b64encode(random.Random(1).randbytes(300_000)).decode()
IMAGES: dict[str, object] = {
    "OpenAI": [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}", "detail": "low"}}],
    "Anthropic": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}}],
    "Anthropic, in a result": [
        {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image", "source": {"data": PICTURE}}]}
    ],
    "Gemini": {"parts": [{"inline_data": {"mime_type": "image/png", "data": PICTURE}}]},
    "MCP": [{"type": "image", "data": PICTURE, "mimeType": "image/png"}],
    "audio": [{"type": "input_audio", "input_audio": {"data": PICTURE, "format": "wav"}}],
    "a file": [{"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PICTURE}"}}],
    "in lines": [{"type": "image", "data": base64.encodebytes(base64.b64decode(PICTURE)).decode()}],
    "for URLs": [{"type": "image", "data": PICTURE.replace("+", "-").replace("/", "_")}],
    "in Markdown": f"Here it is: ![chart](data:image/png;base64,{PICTURE}) as you see.",
    "in JSON in a text": json.dumps({"screenshot": f"data:image/png;base64,{PICTURE}"}),
}


@pytest.mark.parametrize("form", IMAGES)
def test_images_are_no_text(form: str) -> None:
    """Bug: a screenshot in base64 counted as 100,000 tokens of text. What is around it counts."""
    session = Session("chat", [{"role": "user", "content": IMAGES[form]}])
    assert 1 < session.get_token_count() < 40


def test_what_is_text_counts() -> None:
    """A long word, base64 in a text that says what it is, and a link are what a model reads."""
    for content in (
        "x" * 4000,
        [{"type": "text", "text": "x" * 4000}],
        f"Decode this: {PICTURE[:4000]}",
        [{"type": "text", "text": f"Decode this: {PICTURE[:4000]}"}],
        [{"type": "image_url", "image_url": {"url": "https://example.org/" + "a/b-c?" * 700}}],
    ):
        assert Session("chat", [{"content": content}]).get_token_count() >= 1000


def test_tool_calls_are_text() -> None:
    """Bug: what an assistant writes into its calls counted as nothing."""
    calls = [{"id": "c1", "type": "function", "function": {"name": "grep", "arguments": '{"pattern": "TODO"}'}}]
    size = len(orjson.dumps(calls))
    counted = [{"role": "assistant", "content": None, "tool_calls": calls}, {"role": "assistant", "content": "Done."}]
    assert Session("chat", counted).get_token_count() == -(-(size + len("Done.")) // 4)
    old = {"role": "assistant", "content": "", "function_call": {"name": "grep", "arguments": "{}"}}
    assert Session("chat", [old]).get_token_count() == -(-len('{"name":"grep","arguments":"{}"}') // 4)
    for nothing in (None, []):
        assert Session("chat", [{"content": "four", "tool_calls": nothing}]).get_token_count() == 1


def test_a_counter_gets_what_is_counted() -> None:
    """A `token_counter` is given the same text: the calls in, what is binary out."""
    seen: list[str] = []

    def count(text: str) -> int:
        seen.append(text)
        return 1

    manager = SessionManager({"session": {"backend": "memory"}}, token_counter=count)
    session = manager.create_session("chat")
    session.add_message({"content": [{"data": PICTURE}], "tool_calls": [{"id": 1}]})
    assert (session.get_token_count(), seen) == (1, ['[{"data":""}][{"id":1}]'])
