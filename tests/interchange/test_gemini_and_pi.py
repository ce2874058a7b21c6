"""Gemini CLI and pi: what was taken back is a branch, and what stands in one record is taken apart."""

from __future__ import annotations

import json
from typing import Any

import pytest

from coda_fs_session.interchange.tree import MessageTree, branches

from .trees import needs_samples, read, read_all, sample, whole

Line = dict[str, Any]
HEADER: Line = {"sessionId": "g1", "projectHash": "abc", "startTime": "2026-01-16T11:01:00Z"}


def said(name: str, words: Any = "", kind: str = "user", **others: Any) -> Line:
    return {"id": name, "timestamp": "2026-01-16T11:01:00Z", "type": kind, "content": words or name, **others}


def data(*lines: Line) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in lines)


def words(tree: MessageTree) -> list[list[Any]]:
    return [[message["content"] for message in messages] for messages in whole(tree)]


def gemini(*lines: Line) -> MessageTree:
    (tree,) = read(data(HEADER, *lines), "session-1.jsonl")
    return tree


def test_what_gemini_took_back() -> None:
    """A rewind drops a message and all after it; an unknown id drops all. What was dropped is still there."""
    lines = [said("a"), said("b", kind="gemini"), said("c"), {"$rewindTo": "c"}, said("d")]
    assert words(gemini(*lines)) == [["a", "b", "c"], ["a", "b", "d"]]
    assert [branch.current for branch in branches(gemini(*lines))] == [False, True]
    assert words(gemini(*lines, {"$rewindTo": "?"}, said("e"))) == [["a", "b", "c"], ["a", "b", "d"], ["e"]]


def test_records_of_gemini_that_come_again() -> None:
    """A record whose id is there replaces it in its place; a whole list may come, too."""
    again = [said("a"), said("b", "half"), said("c"), said("b", "whole")]
    assert words(gemini(*again)) == [["a", "whole", "c"]]
    listed = {"$set": {"messages": [said("a"), said("b", "all"), said("d")], "summary": "T"}}
    assert words(gemini(*again, listed)) == [["a", "all", "c"], ["a", "all", "d"]]
    assert gemini(*again, listed).title == "T"


def test_a_gemini_session_that_was_resumed() -> None:
    """The document and the lines beside it are one session."""
    document = json.dumps(HEADER | {"messages": [said("a"), said("b", kind="gemini")]}, indent=1).encode()
    (tree,), _ = read_all({"session-1.json": document, "session-1.jsonl": data(HEADER, said("c"))})
    assert (tree.id, words(tree)) == ("g1", [["a", "b", "c"]])


def test_calls_of_gemini() -> None:
    """Calls and results stand in one record: each result is a message of its own, with the id of its call."""
    calls = [
        {"id": "t1", "name": "run", "args": {"a": 1}, "result": [{"functionResponse": {"response": {"output": "ok"}}}]},
        {"name": "bad", "args": {}, "status": "error", "result": [{"functionResponse": {"response": {"error": "no"}}}]},
        {"id": "t3", "name": "open", "args": {}},
    ]
    thoughts = [{"subject": "S", "description": "D"}]
    (messages,) = whole(gemini(said("b", "Hm", "gemini", toolCalls=calls, thoughts=thoughts, tokens={"input": 1})))
    assert [each["id"] for each in messages[0]["tool_calls"]] == ["t1", "b:1", "t3"]
    assert messages[0]["reasoning"] == [{"summary": "S", "text": "D"}]
    assert messages[0]["usage"] == {"input": 1}
    assert [(each["content"], each["tool_call_id"], each.get("is_error")) for each in messages[1:]] == [
        ("ok", "t1", None),
        ("no", "b:1", True),
    ]


def entry(name: str | None, parent: str | None, words: str = "", **others: Any) -> Line:
    content = [{"type": "text", "text": words or name}]
    made: Line = {
        "type": "message",
        "timestamp": "2025-01-01T10:00:00Z",
        "message": {"role": "user", "content": content},
    }
    return made | ({"id": name, "parentId": parent} if name else {}) | others


PI: Line = {"type": "session", "version": 3, "id": "p1", "cwd": "/home/me/app", "timestamp": "2025-01-01T10:00:00Z"}


def test_the_tree_of_pi() -> None:
    """Entries that are no messages are passed over; two after one are branches; a summary is hidden."""
    lines = [entry("a", None), {"type": "model_change", "id": "m", "parentId": "a"}, entry("b", "m"), entry("c", "m")]
    lines.append({"type": "compaction", "id": "s", "parentId": "c", "summary": "Sum"})
    lines.append({"type": "session_info", "id": "i", "parentId": "s", "name": "Title"})
    (tree,) = read(data(PI, *lines), "p.jsonl")
    assert words(tree) == [["a", "b"], ["a", "c", "Sum"]]
    assert (tree.id, tree.project, tree.title) == ("p1", "app", "Title")
    assert whole(tree)[1][2]["hidden"] is True


def test_a_fork_of_pi() -> None:
    """A file that was forked has what came before once more: both are one tree; alone it is the beginning of one."""
    fork = PI | {
        "id": "p2",
        "parentSession": "/x/2025-01-01T10-00-00-000Z_p1.jsonl",
        "timestamp": "2025-02-01T00:00:00Z",
    }
    old, new = data(PI, entry("a", None), entry("b", "a")), data(fork, entry("a", None), entry("c", "a"))
    (tree,), _ = read_all({"2_p2.jsonl": new, "1_p1.jsonl": old})
    assert (tree.id, words(tree)) == ("p1", [["a", "b"], ["a", "c"]])
    (alone,) = read(new, "2_p2.jsonl")
    assert (alone.id, words(alone)) == ("p1", [["a", "c"]])


def test_messages_of_pi() -> None:
    """Calls, results, commands and old files without ids; a broken line in the middle costs that line only."""
    blocks = [
        {"type": "thinking", "thinking": "Hm", "thinkingSignature": "s"},
        {"type": "toolCall", "id": "t1", "name": "read", "arguments": {"p": 1}},
    ]
    lines = [
        entry(None, None, "first"),
        {"type": "message", "message": {"role": "assistant", "content": blocks, "model": "m", "usage": {"input": 1}}},
        {"type": "message", "message": {"role": "toolResult", "toolCallId": "t1", "content": "ok", "isError": True}},
        {"type": "message", "message": {"role": "bashExecution", "command": "ls", "output": "x"}},
    ]
    raw = data(PI, *lines[:2]) + b"broken\n" + data(*lines[2:])
    (tree,) = read(raw, "p.jsonl")
    _, answer, result, ran = whole(tree)[0]
    assert answer["tool_calls"][0]["function"] == {"name": "read", "arguments": '{"p": 1}'}
    assert answer["reasoning"] == [{"text": "Hm", "signature": "s"}]
    assert (result["role"], result["tool_call_id"], result["is_error"]) == ("tool", "t1", True)
    assert ran["content"] == "$ ls\nx"
    assert any("no JSON" in note for note in tree.notes)


@needs_samples
@pytest.mark.parametrize(
    ("name", "roles"),
    [
        ("gemini/session-2026-01-16T11-01-file-ops-37b7abef.json", "uauatttttttttauatauattauatta"),
        ("gemini/thinking-only.json", "ua"),
        ("gemini/tool-calls-with-results.json", "uatt"),
        ("pi/session.jsonl", "uatsua"),
        ("gptme/2026-06-13-write-hello-world/conversation.jsonl", "suatuat"),
    ],
)
def test_samples(name: str, roles: str) -> None:
    """Each has the messages that a person counts."""
    (tree,) = read(sample(*name.split("/")), name.rpartition("/")[2])
    assert ["".join(message["role"][0] for message in messages) for messages in whole(tree)] == [roles]
