"""Records that programs write, but should not: each has one rule, which the page of its format tells."""

from __future__ import annotations

import json
from typing import Any

from .trees import read, read_all, whole

Line = dict[str, Any]


def data(*lines: Line) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def claude(name: str, above: str | None, role: str, **others: Any) -> Line:
    line = {"type": role, "uuid": name, "parentUuid": above, "sessionId": "s", "cwd": "/app"}
    return line | {"message": {"role": role, "content": [{"type": "text", "text": name}]}} | others


def contents(tree: Any) -> list[list[Any]]:
    return [[message["content"] for message in messages] for messages in whole(tree)]


def test_answers_without_an_id() -> None:
    """Each line of Claude Code is a message of its own then."""
    lines = [claude("u1", None, "user"), claude("a1", "u1", "assistant"), claude("a2", "a1", "assistant")]
    (tree,) = read(data(*lines), "s.jsonl")
    assert contents(tree) == [["u1", "a1", "a2"]]


def test_two_files_of_one_session() -> None:
    """Files of Claude Code that begin with the same record are one session; those that do not are two."""
    first, other = claude("u1", None, "user"), claude("x1", None, "user")
    (tree,), _ = read_all({"a.jsonl": data(first), "b/a.jsonl": data(first, claude("u2", "u1", "user"))})
    assert contents(tree) == [["u1", "u2"]]
    found = [read(data(each), "s.jsonl")[0].id for each in (first, other)]
    assert found == ["u1", "x1"]


def test_payloads_without_a_type() -> None:
    """One of Codex is a message by its role; one without arguments calls without any; both outputs of a call count."""
    payloads: list[Line] = [
        {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        {"role": "assistant", "content": "Yes"},
        {"type": "function_call", "name": "run", "call_id": "c"},
        {"type": "function_call", "name": "again", "call_id": "c"},
        *({"type": "function_call_output", "call_id": "c", "output": text} for text in ("one", "two")),
    ]
    first = {"type": "session_meta", "payload": {"id": "a", "cwd": "/app"}}
    (tree,) = read(data(first, *({"type": "response_item", "payload": each} for each in payloads)), "rollout-a.jsonl")
    (messages,) = whole(tree)
    assert [(each["role"], each["content"]) for each in messages] == [
        *(("user", "Hi"), ("assistant", "Yes"), ("assistant", None), ("assistant", None)),
        *(("tool", "one"), ("tool", "two")),
    ]
    assert [each["tool_calls"][0]["id"] for each in messages[2:4]] == ["c", "c"]
    assert messages[2]["tool_calls"][0]["function"]["arguments"] == ""


def test_results_without_an_id() -> None:
    """One of gptme stays a result, of no call."""
    lines = [{"role": role, "content": role, "timestamp": "2026-06-13T10:00:00"} for role in ("user", "tool")]
    (tree,) = read(data(*lines), "day/conversation.jsonl")
    assert [(each["role"], each.get("tool_call_id")) for each in whole(tree)[0]] == [("user", None), ("tool", None)]


def test_headings_in_answers() -> None:
    """A heading of four signs in an answer of aider is taken for a prompt: nothing tells them apart."""
    text = "# aider chat started at 2024-05-17 12:30:00\n\n#### Do it\n\nSure.\n\n#### A heading\n\nMore.\n"
    (tree,) = read(text.encode(), ".aider.chat.history.md")
    assert [each["role"] for each in whole(tree)[0]] == ["user", "assistant", "user", "assistant"]


def test_texts_that_are_none() -> None:
    """A block of text without a text, and a content of another kind, are kept as they are; none ends the import."""
    odd: list[Any] = [{"type": "text", "text": None}]
    (tree,) = read(data(claude("u1", None, "user", message={"role": "user", "content": odd})), "s.jsonl")
    assert contents(tree) == [[odd]]
    result = [{"type": "tool_result", "tool_use_id": "c", "content": 5}]
    (tree,) = read(data(claude("u1", None, "user", message={"role": "user", "content": result})), "s.jsonl")
    assert whole(tree)[0][0]["role"] == "tool"
    summary = {"type": "summary", "summary": "Sum", "leafUuid": ["u1"]}
    assert read(data(claude("u1", None, "user"), summary), "s.jsonl")[0].title is None
    payload = {"type": "message", "role": "user", "content": odd}
    lines = [{"type": "response_item", "payload": payload}, {"type": ["x"]}]
    (tree,) = read(data(*lines), "rollout-a.jsonl")
    assert contents(tree) == [[odd]]
