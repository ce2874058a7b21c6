"""What was imported goes back to its program: every record that became a message comes back equal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from storekit import open_store

from coda_fs_session import SessionManager, UnsupportedError

from .chats import put
from .trees import DATA, needs_samples

Line = dict[str, Any]
GPTME: list[Line] = [
    {"role": "system", "content": "Be brief", "timestamp": "2026-06-13T10:00:00.5", "hide": True, "pinned": True},
    {"role": "user", "content": "Hi", "timestamp": "2026-06-13T10:00:01+02:00", "files": ["a.txt"], "hide": False},
    {
        "role": "assistant",
        "content": "I look",
        "timestamp": "2026-06-13T10:00:02",
        "files": [],
        "call_id": "",
        "metadata": {"model": "m", "usage": {"n": 1}, "cost": 0.5},
    },
    {"role": "tool", "content": [{"type": "text", "text": "x"}], "timestamp": None, "call_id": "c", "metadata": {}},
]


def pi(kind: str, number: int, **others: Any) -> Line:
    above = None if number == 1 else f"e{number - 1}"
    return {"type": kind, "id": f"e{number}", "parentId": above, "timestamp": f"2025-01-01T10:00:0{number}Z"} | others


THOUGHT = {"type": "thinking", "thinking": "Hm", "thinkingSignature": "s", "redacted": False}
CALL = {"type": "toolCall", "id": "c1", "name": "read", "arguments": {"p": 1}, "more": 1}
TEXT = {"type": "text", "text": "I look"}
PI: list[Line] = [
    pi("message", 1, message={"role": "user", "content": "Hi", "timestamp": 1735725601000}),
    pi(
        "message",
        2,
        message={"role": "user", "content": [TEXT, {"type": "image", "data": "iQ==", "mimeType": "image/png"}]},
    ),
    pi("message", 3, message={"role": "assistant", "content": [THOUGHT, TEXT, CALL], "model": "m", "usage": {"n": 1}}),
    pi(
        "message",
        4,
        message={"role": "toolResult", "toolCallId": "c1", "toolName": "read", "content": [TEXT], "isError": True},
    ),
    pi("message", 5, message={"role": "bashExecution", "command": "ls", "output": "a\nb", "exitCode": 0}),
    pi("compaction", 6, summary="Short", tokensBefore=5),
    pi("message", 7, message={"role": "assistant", "content": [TEXT, CALL, THOUGHT], "model": "", "usage": None}),
    pi("message", 8, message={"role": "custom", "content": "Odd", "customType": "x"}),
    pi("message", 9, message={"role": "toolResult", "toolCallId": "c1", "content": []}),
]
HEADER = {"type": "session", "version": 3, "id": "s1", "cwd": "/home/me/app", "timestamp": "2025-01-01T10:00:00Z"}


def encoded(lines: list[Line]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def back(manager: SessionManager, name: str, folder: Path) -> list[Line]:
    path = manager.export_session(name, folder / "native", format="native", overwrite=True)
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@pytest.mark.parametrize("keep", ["rest", "all"])
@pytest.mark.parametrize(("name", "lines"), [("conversation.jsonl", GPTME), ("s.jsonl", [HEADER, *PI])])
def test_records_come_back_equal(keep: Any, name: str, lines: list[Line], tmp_path: Path) -> None:
    """Whatever they have: fields that are null or empty, blocks in another order, roles that are not known."""
    with open_store(tmp_path / "store") as manager:
        manager.import_sessions(put(tmp_path / "in", name, encoded(lines)), keep=keep)
        (info,) = manager.list_sessions()
        assert back(manager, info.name, tmp_path) == lines


def test_few_are_kept_twice(tmp_path: Path) -> None:
    """Only records whose messages do not say all of them stand beside these as a whole."""
    with open_store(tmp_path / "store") as manager:
        manager.import_sessions(put(tmp_path, "s.jsonl", encoded([HEADER, *PI])))
        (info,) = manager.list_sessions()
        messages = manager.load_session(info.name).messages
        assert [number for number, each in enumerate(messages, 1) if "record" in each["source"]] == [7, 9]


@pytest.mark.parametrize("keep", ["rest", "all"])
def test_what_was_changed_here(keep: Any, tmp_path: Path) -> None:
    """An edited message goes out as it is now, and one that was added comes after the one before it."""
    with open_store(tmp_path / "store") as manager:
        manager.import_sessions(
            put(tmp_path, "s.jsonl", encoded([HEADER, *PI[:3], PI[6] | {"parentId": "e3"}])), keep=keep
        )
        (info,) = manager.list_sessions()
        session = manager.load_session(info.name)
        for place in (0, 3):
            session.messages[place]["content"] = "Changed"
        session.add_message({"role": "user", "content": "More"})
        manager.save_session(session)
        lines = back(manager, info.name, tmp_path)
        assert [line["message"]["content"] for line in lines[1:4:2]] == ["Changed", PI[2]["message"]["content"]]
        assert {"type": "text", "text": "Changed"} in lines[4]["message"]["content"]
        assert (lines[5]["parentId"], lines[5]["message"]["role"]) == (PI[6]["id"], "user")


def test_sessions_of_no_such_program(tmp_path: Path) -> None:
    """They are refused, and nothing is written."""
    with open_store(tmp_path / "store") as manager:
        manager.create_session("talk")
        with pytest.raises(UnsupportedError, match="talk"):
            manager.export_session("talk", tmp_path / "native", format="native")
        assert not (tmp_path / "native").exists()


@needs_samples
@pytest.mark.parametrize("kind", ["gptme", "pi"])
def test_samples(kind: str, tmp_path: Path) -> None:
    """Each record of a real file that became a message comes back equal."""
    assert DATA is not None
    (path,) = Path(DATA, "native", kind).rglob("*.jsonl")
    given = [json.loads(line) for line in path.read_bytes().splitlines() if line.startswith(b"{")]
    with open_store(tmp_path / "store") as manager:
        manager.import_sessions(path)
        (info,) = manager.list_sessions()
        lines = back(manager, info.name, tmp_path)
        assert len(lines) == len(manager.load_session(info.name).messages) + (kind == "pi")
        assert all(line in given for line in lines)
