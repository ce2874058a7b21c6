"""opencode: a session whose messages and parts are in a file each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from storekit import open_store

from .chats import put
from .sessions import counts
from .trees import DATA, needs_samples, read_all, whole

FILES: dict[str, dict[str, Any]] = {
    "session/p/s1.json": {
        "id": "s1",
        "version": "1",
        "title": "T",
        "directory": "/home/me/app",
        "time": {"created": 1737979200000, "updated": 1737979800000},
    },
    "message/s1/m2.json": {
        "id": "m2",
        "sessionID": "s1",
        "role": "assistant",
        "modelID": "m",
        "providerID": "p",
        "time": {"created": 1737979500000},
    },
    "message/s1/m1.json": {"id": "m1", "sessionID": "s1", "role": "user", "time": {"created": 1737979200000}},
    "part/m1/a.json": {"id": "a", "sessionID": "s1", "messageID": "m1", "type": "text", "text": "Hi"},
    "part/m2/a.json": {"id": "a", "sessionID": "s1", "messageID": "m2", "type": "reasoning", "text": "Hm"},
    "part/m2/b.json": {
        "id": "b",
        "sessionID": "s1",
        "messageID": "m2",
        "type": "tool",
        "tool": "read",
        "callID": "c1",
        "state": {"status": "completed", "input": {"p": 1}, "output": "found", "title": "t"},
    },
    "part/m2/c.json": {
        "id": "c",
        "sessionID": "s1",
        "messageID": "m2",
        "type": "tool",
        "tool": "run",
        "state": {"status": "error", "input": {}, "error": "no"},
    },
    "part/m2/d.json": {"id": "d", "sessionID": "s1", "messageID": "m2", "type": "text", "text": "Done"},
    "part/m2/e.json": {"id": "e", "sessionID": "s1", "messageID": "m2", "type": "step-finish", "tokens": {"input": 1}},
    "part/m2/f.json": {"id": "f", "sessionID": "s1", "messageID": "m2", "type": "snapshot"},
}


def encoded(files: dict[str, dict[str, Any]]) -> dict[str, bytes]:
    return {name: json.dumps(record, indent=1).encode() for name, record in files.items()}


def test_a_session() -> None:
    """Messages are in the order of their times, and parts in that of their ids; results are messages of their own."""
    (tree,), problems = read_all(encoded(FILES))
    assert (tree.format, tree.id, tree.title, tree.project, problems) == ("opencode", "s1", "T", "app", [])
    prompt, answer, found, failed = whole(tree)[0]
    assert (prompt["role"], prompt["content"], prompt["timestamp"]) == ("user", "Hi", "2025-01-27T12:00:00Z")
    assert (answer["content"], answer["reasoning"], answer["usage"]) == ("Done", [{"text": "Hm"}], {"input": 1})
    assert [each["id"] for each in answer["tool_calls"]] == ["c1", "c"]
    assert (found["content"], found["tool_call_id"], found["source"]["state"]["title"]) == ("found", "c1", "t")
    assert (failed["content"], failed["is_error"]) == ("no", True)
    assert "1 snapshot" in tree.notes[-1]


@pytest.mark.parametrize("missing", ["session/p/s1.json", "message/s1/m1.json", "part/m2/d.json"])
def test_files_that_are_absent(missing: str) -> None:
    """What is there is read: without the session it has no title, and parts without their message are a note."""
    files = encoded(FILES)
    del files[missing]
    files["part/m2/g.json"] = b'{"id": "g", "sess'
    (tree,), problems = read_all(files)
    assert tree.id == "s1"
    assert len(problems) == 1
    assert any("m1" in note for note in tree.notes) == missing.startswith("message")


def test_an_import(tmp_path: Path) -> None:
    """All files of a session are one conversation, and a part that comes later completes it."""
    for name, data in encoded(FILES).items():
        put(tmp_path / "in", name, data)
    with open_store(tmp_path / "store") as manager:
        assert counts(manager.import_sessions(tmp_path / "in")) == (1, 1, 0, 4, 0, 0, 0)
        assert counts(manager.import_sessions(tmp_path / "in")) == (1, 0, 0, 0, 0, 1, 0)
        late = FILES["part/m2/b.json"] | {"id": "g", "callID": "c3"}
        put(tmp_path / "in", "part/m2/g.json", json.dumps(late).encode())
        assert counts(manager.import_sessions(tmp_path / "in")) == (1, 0, 1, 1, 0, 0, 0)
        assert len(manager.list_sessions()) == 1


@needs_samples
def test_samples(tmp_path: Path) -> None:
    """The session has the messages that a person counts."""
    assert DATA is not None
    with open_store(tmp_path / "store") as manager:
        manager.import_sessions(Path(DATA, "native", "opencode"))
        (info,) = manager.list_sessions()
        roles = [message["role"] for message in manager.load_session(info.name).messages]
        assert roles == ["user", "assistant", "tool", "tool"]
