"""What a list shows of the messages of a session."""

from __future__ import annotations

import copy
import pickle
import random
import time
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest
from storekit import Opener, objects_of, open_store

from coda_fs_session import Preview, Session, SessionInfo, SessionManager
from coda_fs_session.backends.disk.tokens import is_recent
from coda_fs_session.backends.files.backend import LocalBackend
from coda_fs_session.repo.index import previews

HELLO = {"role": "user", "content": "Hello,\n\tworld\x1b[2J " + "and so on " * 20}
SYSTEM = {"role": "system", "content": "Be brief"}
ANSWER = {"role": "assistant", "content": [{"type": "text", "text": "Hi"}]}
RESULT = {"role": "tool", "tool_call_id": "1", "content": "42"}
FIRST = "Hello, world[2J and so on and so on and so on and so on and so on and so on and"
LARGE = {"role": "user", "content": "A long one: " + "x" * 100_000}


def shown(manager: SessionManager, name: str = "chat") -> Preview:
    """Return the preview of a session, which every way to ask for it tells alike."""
    info = manager.get_session_info(name)
    assert info is not None
    listed = {each.name: each for each in manager.list_sessions()}
    (by_prefix,) = (each for each in manager.list_sessions(prefix=name) if each.name == name)
    assert info.preview == listed[name].preview == by_prefix.preview
    return info.preview


def save(manager: SessionManager, name: str, messages: list[dict[str, Any]]) -> Session:
    session = manager.create_session(name)
    session.messages = messages
    manager.save_session(session)
    return session


def test_first_and_last(again: Opener) -> None:
    """They are of the stored state, at once and in every process, whatever is saved."""
    manager = again()
    chat = manager.create_session("chat")
    assert shown(manager) == (None, None, None)
    steps: list[tuple[list[dict[str, Any]], Preview]] = [
        ([SYSTEM], Preview(None, "Be brief", "system")),
        ([HELLO], Preview(FIRST, FIRST, "user")),
        ([ANSWER], Preview(FIRST, "Hi", "assistant")),
        ([RESULT, {"role": "user", "content": "Once more"}], Preview(FIRST, "Once more", "user")),
        ([RESULT], Preview(FIRST, "42", "tool")),
    ]
    for messages, expected in steps:
        for message in messages:
            chat.add_message(message)
        manager.save_session(chat)
        assert shown(manager) == expected == shown(again())
        assert Preview.of(chat.get_messages()) == expected
    chat.messages[1] = {"role": "user", "content": "Edited"}
    manager.save_session(chat)
    assert shown(again()) == shown(manager) == ("Edited", "42", "tool")
    manager.rename_session("chat", "talk")
    assert shown(manager, "talk") == ("Edited", "42", "tool")
    chat.clear_messages()
    manager.save_session(chat)
    assert shown(again(), "talk") == shown(manager, "talk") == (None, None, None)


def test_messages_in_objects(again: Opener) -> None:
    """They may stand anywhere: in chunks, in a tail, in lists of lists."""
    manager = again()
    answers = [{**ANSWER, "number": number} for number in range(9000)]
    chat = save(manager, "chat", [SYSTEM, HELLO, *answers, LARGE, RESULT])
    assert shown(manager) == shown(again()) == (FIRST, "42", "tool")
    manager.create_session("branch", branch_from="chat", at=9003)
    assert shown(manager, "branch") == (FIRST, f"A long one: {'x' * 68}", "user")
    chat.drop_last(9003)
    manager.save_session(chat)
    assert shown(manager) == shown(again()) == (None, "Be brief", "system")


@pytest.mark.parametrize("again", ["files", "memory", "sqlite"], indirect=True)
def test_only_so_much_is_read(again: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's first message is looked for in the beginning; what is very large is left alone."""
    manager = again()
    save(manager, "late", [ANSWER] * 100 + [HELLO])
    save(manager, "in time", [ANSWER] * 99 + [HELLO])
    monkeypatch.setattr(previews, "_MOST_BYTES", 50_000)
    save(manager, "large", [LARGE])
    save(manager, "behind", [LARGE, {"role": "user", "content": "b"}])
    assert shown(manager, "late") == (None, FIRST, "user")
    assert shown(manager, "in time") == (FIRST, FIRST, "user")
    assert shown(manager, "large") == (None, None, None)
    assert shown(manager, "behind") == (None, "b", "user")
    assert Preview.of([ANSWER] * 100 + [HELLO]) == (None, FIRST, "user")


def test_what_says_nothing(again: Opener) -> None:
    """A message of any shape is no error."""
    manager = again()
    for number, message in enumerate(({}, {"role": 5}, {"content": None}, {"role": "user"}, {"x": {"y": [1]}})):
        save(manager, f"{number}", [message])
    found = [shown(manager, f"{number}") for number in range(5)]
    assert found[:4] == [(None, "", "")] * 3 + [("", "", "user")]
    assert found[4] == Preview.of([{"x": {"y": [1]}}])


def test_what_is_missing(tmp_path: Path) -> None:
    """What can be read is shown. The rest is, once it has come, though no ref has changed by that."""
    manager = open_store(tmp_path / "store")
    chat = save(manager, "chat", [HELLO, *({**ANSWER, "number": number} for number in range(6000))])
    chat.add_message(RESULT)
    manager.close()
    gone = {path: path.read_bytes() for path in objects_of(tmp_path / "store")}
    for path in gone:
        path.unlink()
    for reader in (open_store(tmp_path / "store"), open_store(tmp_path / "store", state_path=str(tmp_path / "state"))):
        for path in gone:
            path.unlink(missing_ok=True)
        assert shown(reader) == shown(reader) == (None, "42", "tool")
        for path, data in gone.items():
            path.write_bytes(data)
        # A list first: what was told of it before is no longer so.
        assert [info.preview for info in reader.list_sessions()] == [(FIRST, "42", "tool")]
        assert shown(reader) == (FIRST, "42", "tool")
        reader.close()


def test_nothing_is_read_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found out once is kept: the next list reads no ref and no object, after a bulk as well."""
    with open_store(tmp_path / "store") as manager:
        with manager.bulk():
            for number in range(40):
                save(manager, f"short {number}", [HELLO, ANSWER])
        save(manager, "long", [HELLO, *({**ANSWER, "number": number} for number in range(6000)), ANSWER])
        listed = manager.list_sessions()
    # A file that was written within the last tick of the clock is read again: it may have changed since.
    written = max(path.stat().st_mtime_ns for path in tmp_path.glob("store/refs/*/*.jsonl"))
    while is_recent(written, time.time_ns()):
        time.sleep(0.001)
    reads: list[object] = []
    for verb in ("read_ref", "get_object"):
        monkeypatch.setattr(LocalBackend, verb, lambda self, *args: reads.append(args))
    with open_store(tmp_path / "store") as manager:
        infos = manager.list_sessions()
        assert infos == listed
        assert {info.preview for info in infos} == {Preview(FIRST, "Hi", "assistant")}
        assert reads == []


def test_several_replicas(tmp_path: Path) -> None:
    """Of a session that two machines wrote it is that of the newest state, also where the index has kept it."""
    here, there = ({"state_path": str(tmp_path / each), "replica": each} for each in ("here", "there"))
    with open_store(tmp_path / "store", **here) as manager:
        save(manager, "chat", [HELLO])
    for options, message in ((there, ANSWER), (here, RESULT), (there, SYSTEM)):
        with open_store(tmp_path / "store", **options) as manager:
            chat = manager.load_session("chat")
            chat.add_message(message)
        for each in (here, there) * 2:
            with open_store(tmp_path / "store", **each) as manager:
                assert shown(manager) == Preview.of([HELLO, message])


@pytest.fixture
def infos(again: Opener) -> list[SessionInfo]:
    manager = again()
    for number in range(30):
        save(manager, f"chat {number}", [HELLO, {"role": "assistant", "content": f"{number}"}])
    manager.list_sessions()
    manager.close()
    # From what was kept: those previews are not decoded yet.
    return again().list_sessions()


def test_it_is_a_field_like_others(infos: list[SessionInfo], seed: int) -> None:
    """Whatever takes a `SessionInfo` apart, copies or compares it finds the preview in it."""
    expected = {f"chat {number}": Preview(FIRST, f"{number}", "assistant") for number in range(30)}
    random.Random(seed).shuffle(infos)
    ways = [copy.copy, copy.deepcopy, replace, lambda info: pickle.loads(pickle.dumps(info))]
    for number, info in enumerate(infos):
        made = ways[number % 4](info)
        assert made.preview == expected[info.name]
        assert made == info
        assert replace(made, preview=Preview()) != info
        assert asdict(made)["preview"] == expected[info.name]
        assert repr(expected[info.name]) in repr(info)
    assert "preview" in {field.name for field in fields(SessionInfo)}
    assert len(pickle.dumps(infos[0])) < 2000
