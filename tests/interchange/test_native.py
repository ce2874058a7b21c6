"""What was imported goes back to its program: every record that became a message comes back equal."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from storekit import open_store

from coda_fs_session import SessionManager, UnsupportedError
from coda_fs_session.interchange import claude_code, gptme
from coda_fs_session.interchange import pi as pi_module
from coda_fs_session.interchange.sources import in_memory
from coda_fs_session.interchange.tree import branches

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


def claude(name: str, above: str | None, role: str, content: Any, **others: Any) -> Line:
    line = {"type": role, "uuid": name, "parentUuid": above, "timestamp": "2026-01-11T09:53:23.575Z", "sessionId": "s"}
    identity = {"id": others.pop("of", f"m-{name}"), "model": "m"} if role == "assistant" else {}
    return line | {"message": {"role": role, "content": content} | identity | others.pop("said", {})} | others


HM = {"type": "thinking", "thinking": "Hm", "signature": "s"}
USE = {"type": "tool_use", "id": "c1", "name": "Read", "input": {"p": "é"}, "caller": {"type": "direct"}}
PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iQ=="}}
GAVE = {"type": "tool_result", "tool_use_id": "c1", "content": "found", "is_error": False}
CLAUDE: list[Line] = [
    claude("u1", None, "user", "Hi", isMeta=False),
    claude("a1", "u1", "assistant", [HM], of="m", said={"usage": {"output_tokens": 1}, "stop_reason": None}),
    claude("a2", "a1", "assistant", [TEXT], of="m", said={"usage": {"output_tokens": 2}, "stop_reason": None}),
    claude("a3", "a2", "assistant", [USE], of="m", said={"usage": {"output_tokens": 9}, "stop_reason": "tool_use"}),
    claude(
        "u2", "a3", "user", [GAVE, {**GAVE, "content": [TEXT], "is_error": True}, TEXT], toolUseResult={"new": "x" * 50}
    ),
    claude("a4", "u2", "assistant", [HM, {"type": "redacted_thinking", "data": "x"}, TEXT, PNG, USE]),
    claude("u3", "a4", "user", [TEXT]),
    claude("u4", "u3", "user", [TEXT, PNG, {"type": "document", "source": {"type": "url", "url": "https://a"}}]),
    claude("a5", "u4", "assistant", [USE, TEXT, HM]),
    claude("a6", "a5", "assistant", "Alone", said={"model": "", "usage": None}),
    claude("u5", "a6", "user", []),
    {
        "type": "attachment",
        "uuid": "q",
        "parentUuid": "u5",
        "sessionId": "s",
        "timestamp": "2026-01-11T09:53:24Z",
        "attachment": {"type": "queued_command", "prompt": "Wait", "mode": "x"},
    },
    {"type": "user", "sessionId": "s", "message": {"role": "user", "content": "Of an old version"}},
]
HEADER = {"type": "session", "version": 3, "id": "s1", "cwd": "/home/me/app", "timestamp": "2025-01-01T10:00:00Z"}


def encoded(lines: list[Line]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def back(manager: SessionManager, name: str, folder: Path) -> list[Line]:
    path = manager.export_session(name, folder / "native", format="native", overwrite=True)
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@pytest.mark.parametrize("keep", ["rest", "all"])
@pytest.mark.parametrize(
    ("name", "lines"), [("conversation.jsonl", GPTME), ("s.jsonl", [HEADER, *PI]), ("claude.jsonl", CLAUDE)]
)
def test_records_come_back_equal(keep: Any, name: str, lines: list[Line], tmp_path: Path) -> None:
    """Whatever they have: fields that are null or empty, blocks in another order, roles that are not known."""
    with open_store(tmp_path / "store") as manager:
        manager.import_sessions(put(tmp_path / "in", name, encoded(lines)), keep=keep)
        (info,) = manager.list_sessions()
        assert back(manager, info.name, tmp_path) == lines


@pytest.mark.parametrize(("lines", "twice"), [([HEADER, *PI], ["e7", "e9"]), (CLAUDE, ["a5", "a6", "u5"])])
def test_few_are_kept_twice(lines: list[Line], twice: list[str], tmp_path: Path) -> None:
    """Only records whose messages do not say all of them stand beside these as a whole."""
    with open_store(tmp_path / "store") as manager:
        manager.import_sessions(put(tmp_path, "s.jsonl", encoded(lines)))
        (info,) = manager.list_sessions()
        messages = manager.load_session(info.name).messages
        assert [each["id"] for each in messages if "record" in each.get("source", {})] == twice


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


def test_what_was_changed_here_in_claude_code(tmp_path: Path) -> None:
    """An edited answer goes out as it is now; what repeats a result is not there again; a new line follows the last."""
    lines = [
        *CLAUDE[:4],
        claude("u2", "a3", "user", [GAVE], toolUseResult={"file": "found"}),
        CLAUDE[8] | {"parentUuid": "u2"},
    ]
    with open_store(tmp_path / "store") as manager:
        manager.import_sessions(put(tmp_path, "s.jsonl", encoded(lines)))
        (info,) = manager.list_sessions()
        session = manager.load_session(info.name)
        session.messages[3]["content"] = "Changed"
        session.add_message({"role": "user", "content": "More"})
        manager.save_session(session)
        found = back(manager, info.name, tmp_path)
        assert found[:4] == CLAUDE[:4]
        assert found[4] == claude("u2", "a3", "user", [GAVE])
        assert text_of(found[5]) == "Changed"
        assert (found[6]["parentUuid"], found[6]["sessionId"], text_of(found[6])) == ("a5", "s", "More")


def text_of(line: Line) -> str:
    content = line["message"]["content"]
    return content if isinstance(content, str) else "".join(block.get("text", "") for block in content)


def test_sessions_of_no_such_program(tmp_path: Path) -> None:
    """They are refused, and nothing is written."""
    with open_store(tmp_path / "store") as manager:
        manager.create_session("talk")
        with pytest.raises(UnsupportedError, match="talk"):
            manager.export_session("talk", tmp_path / "native", format="native")
        assert not (tmp_path / "native").exists()


@needs_samples
@pytest.mark.parametrize("place", ["gptme", "pi", "claude-code/grows", "claude-code"])
def test_samples(place: str, tmp_path: Path) -> None:
    """Each record of a real file that became a message comes back equal, but for what only repeats a result."""
    assert DATA is not None
    path = max(Path(DATA, "native", place).rglob("*.jsonl"))
    given = [_bare(json.loads(line)) for line in path.read_bytes().splitlines() if line.endswith(b"}")]
    with open_store(tmp_path / "store") as manager:
        manager.import_sessions(path)
        (info,) = manager.list_sessions()
        lines = back(manager, info.name, tmp_path)
        assert len(lines) >= len(manager.load_session(info.name).messages)
        assert all(_bare(line) in given for line in lines)


def _bare(line: Line) -> Line:
    return {key: value for key, value in line.items() if key != "toolUseResult"}


VALUES = [None, True, 0, -1, 1.5, "", "x", [], {}, [1], [None], {"a": 1}, [{"type": "text"}], "{", [[]]]


@pytest.mark.parametrize("keep", ["rest", "all"])
@pytest.mark.parametrize(
    ("module", "lines"),
    [(claude_code, CLAUDE), (gptme, GPTME), (pi_module, [HEADER, *PI])],
    ids=["claude", "gptme", "pi"],
)
def test_records_with_values_of_any_kind(module: Any, lines: list[Line], keep: Any, seed: int, long_size: bool) -> None:
    """Wherever a value is of another kind than it should be, or absent, the record comes back equal all the same."""
    chance = random.Random(seed)
    for _ in range(4000 if long_size else 100):
        changed = json.loads(json.dumps(lines))
        line = chance.choice(changed)
        inner = line.get("message") if chance.random() < 0.7 else line
        inner = inner if isinstance(inner, dict) else line
        key = chance.choice(list(inner))
        if chance.random() < 0.2 and len(inner) > 1:
            del inner[key]
        else:
            inner[key] = chance.choice(VALUES)
        given = [_bare(each) for each in changed]
        for tree in module.read([in_memory("a.jsonl", encoded(changed))], keep, []):
            for branch in branches(tree):
                for found in module.lines_of(branch.messages, {"id": tree.id, **tree.rest}):
                    assert _bare(found) in given or found["type"] == "session", seed
