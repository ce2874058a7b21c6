"""LangChain: both ways to dump messages, alone or somewhere in a document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from storekit import open_store

from .chats import put
from .sessions import counts
from .trees import read, read_all, whole

CALL = {"name": "look", "args": {"q": 1}, "id": "c1", "type": "tool_call"}
RAW = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"q": 1}'}}
SAID: list[tuple[str, dict[str, Any]]] = [
    ("system", {"content": "Be brief", "additional_kwargs": {}, "id": None}),
    ("human", {"content": [{"type": "text", "text": "Hi"}, "there"], "id": "h1", "example": False}),
    (
        "ai",
        {
            "content": [{"type": "thinking", "thinking": "Hm"}, {"type": "tool_use", "id": "c1", "name": "look"}],
            "tool_calls": [CALL],
            "invalid_tool_calls": [],
            "additional_kwargs": {"tool_calls": [RAW]},
            "response_metadata": {"model_name": "m", "finish_reason": "stop"},
            "usage_metadata": {"input_tokens": 1},
        },
    ),
    ("tool", {"content": "No", "tool_call_id": "c1", "name": "look", "status": "error", "artifact": {"a": 0}}),
    ("ai", {"content": "Done", "type": "ai"}),
]
CLASSES = {"system": "SystemMessage", "human": "HumanMessage", "ai": "AIMessage", "tool": "ToolMessage"}
DICTS = [{"type": kind, "data": data} for kind, data in SAID]
FLAT = [{**data, "type": kind} for kind, data in SAID]
DUMPS = [
    {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", CLASSES[kind]], "kwargs": data}
    for kind, data in SAID
]


@pytest.mark.parametrize("given", [DICTS, [DICTS], DUMPS, {"messages": DUMPS}, {"a": {"kwargs": {"b": FLAT}}}])
def test_its_forms(given: Any) -> None:
    """Each of them, wherever it stands, gives the same messages."""
    (tree,) = read(json.dumps(given).encode(), "history.json")
    system, prompt, answer, result, last = whole(tree)[0]
    assert (tree.format, system["role"], system["content"]) == ("langchain", "system", "Be brief")
    assert (prompt["id"], [part["text"] for part in prompt["content"]]) == ("h1", ["Hi", "there"])
    assert (answer["content"], answer["reasoning"], answer["tool_calls"]) == (None, [{"text": "Hm"}], [RAW])
    assert (answer["model"], answer["usage"]) == ("m", {"input_tokens": 1})
    assert answer["source"] == {"response_metadata": {"finish_reason": "stop"}}
    assert (result["tool_call_id"], result["is_error"], result["source"]) == ("c1", True, {"artifact": {"a": 0}})
    assert (last["content"], "source" in last) == ("Done", False)


def test_older_calls() -> None:
    """A call that only the service's own form has is there; one that could not be read is too, with what was wrong."""
    given = [
        {"type": "human", "data": {"content": "Hi"}},
        {"type": "ai", "data": {"content": "", "additional_kwargs": {"tool_calls": [RAW]}}},
        {
            "type": "ai",
            "data": {"content": "", "additional_kwargs": {"function_call": {"name": "f", "arguments": "{"}}},
        },
        {
            "type": "ai",
            "data": {"content": "", "invalid_tool_calls": [{"name": "g", "args": "{", "id": "x", "error": "e"}]},
        },
        {"type": "remove", "data": {"content": "", "id": "h"}},
        {"type": "chat", "data": {"content": "Yo", "role": "critic"}},
    ]
    (tree,), problems = read_all({"h.json": json.dumps(given).encode()})
    _, raw, old, bad, other = whole(tree)[0]
    assert raw["tool_calls"] == [RAW]
    assert old["tool_calls"][0]["function"] == {"name": "f", "arguments": "{"}
    assert (bad["tool_calls"][0]["id"], bad["tool_calls"][0]["source"]) == ("x", {"error": "e"})
    assert (other["role"], other["content"]) == ("critic", "Yo")
    assert problems == ["h.json: left out: 1 remove"]


def test_lists_that_begin_alike() -> None:
    """They are branches of one; so are those on lines. What has no messages is told."""
    lists = [[*DICTS[:3], {"type": "human", "data": {"content": text}}] for text in ("One", "Two")]
    document = json.dumps([*lists, {"no": 1}]).encode()
    lines = b"".join(json.dumps({"messages": each}).encode() + b"\n" for each in [*lists, [{"no": 1}]])
    for name, data in (("a.json", document), ("a.jsonl", lines)):
        (tree,), problems = read_all({name: data})
        assert [messages[-1]["content"] for messages in whole(tree)] == ["One", "Two"]
        assert len(problems) == 1


def test_lists_of_one_system() -> None:
    """What the system was told makes no conversation: those of other prompts are others."""
    lists = [[DICTS[0], {"type": "human", "data": {"content": text}}] for text in ("One", "Two")]
    trees, _ = read_all({"a.json": json.dumps(lists).encode()})
    assert [whole(tree)[0][-1]["content"] for tree in trees] == ["One", "Two"]


def test_an_import(tmp_path: Path) -> None:
    """A history that goes on adds what is new."""
    with open_store(tmp_path / "store") as manager:
        put(tmp_path, "h.json", json.dumps(DICTS[:3]).encode())
        assert counts(manager.import_sessions(tmp_path / "h.json")) == (1, 1, 0, 3, 0, 0, 0)
        put(tmp_path, "h.json", json.dumps(DICTS).encode())
        assert counts(manager.import_sessions(tmp_path / "h.json")) == (1, 0, 1, 2, 0, 0, 0)
