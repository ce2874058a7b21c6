"""A small source of each format. Each text that a format's page lists is a word of its own, as ``word7``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from . import test_claude as claude
from . import test_claude_code as code
from . import test_codex as codex
from . import test_gemini_and_pi as pi
from .chats import chatgpt

_WORD = re.compile(r"word\d+")


def found(value: Any) -> set[str]:
    """Return the words in a value, or in raw bytes."""
    raw = value.decode(errors="replace") if isinstance(value, bytes) else json.dumps(value)
    return set(_WORD.findall(raw))


def words(*numbers: int) -> frozenset[str]:
    return frozenset(f"word{number}" for number in numbers)


def _lines(*records: Any) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in records)


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _claude() -> bytes:
    answer = claude.said("a1", "assistant", "", "u1")
    answer["content"] = [
        {"type": "thinking", "thinking": "word2"},
        {"type": "tool_use", "id": "t1", "name": "look", "input": {"q": "word3"}},
        {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "word4"}]},
        {"type": "text", "text": "word5", "citations": []},
    ]
    file = {"file_name": "word6.txt", "file_type": "txt", "file_size": 1, "extracted_content": "word7"}
    return claude.chat(
        claude.said("u1", "human", "word1", attachments=[file]), answer, claude.said("a2", "assistant", "word8", "u1")
    )


def _claude_code() -> bytes:
    call = {"type": "tool_use", "id": "t1", "name": "Read", "input": {"path": "word3"}}
    return code.data(
        code.line("u1", None, "user", "word1"),
        code.said("a1", "u1", "m1", {"type": "thinking", "thinking": "word2"}),
        code.said("a2", "a1", "m1", call),
        code.result("r1", "a2", "t1", "word4"),
        code.said("a3", "r1", "m2", code.text("word5")),
        code.line("u2", "a3", "user", "word6"),
        code.said("a4", "u2", "m3", code.text("word7")),
        code.line("u3", "a3", "user", "word8"),
        code.said("a5", "u3", "m4", code.text("word9")),
    )


def _codex() -> bytes:
    return codex.data(
        codex.meta("a"),
        codex.turn("t1"),
        codex.said("user", "word1"),
        codex.item({"type": "reasoning", "summary": [{"type": "summary_text", "text": "word2"}]}),
        codex.item({"type": "function_call", "name": "run", "arguments": '{"a": "word3"}', "call_id": "c1"}),
        codex.item({"type": "function_call_output", "call_id": "c1", "output": "word4"}),
        codex.item({"type": "custom_tool_call", "name": "patch", "input": "word5", "call_id": "c2"}),
        codex.item({"type": "custom_tool_call_output", "call_id": "c2", "output": "word6"}),
        codex.said("assistant", "word7"),
    )


def _gemini() -> bytes:
    call = {"id": "t1", "name": "run", "args": {"a": "word3"}}
    call["result"] = [{"functionResponse": {"response": {"output": "word4"}}}]
    thoughts = [{"subject": "word5", "description": "word6"}]
    return pi.data(
        pi.HEADER,
        pi.said("a", "word1"),
        pi.said("b", "word2", "gemini", toolCalls=[call], thoughts=thoughts),
        pi.said("c", "word7"),
        {"$rewindTo": "c"},
        pi.said("d", [{"text": "word8"}]),
    )


def _pi() -> bytes:
    blocks = [
        {"type": "thinking", "thinking": "word2"},
        {"type": "toolCall", "id": "t1", "name": "read", "arguments": {"p": "word3"}},
    ]
    results = {"role": "toolResult", "toolCallId": "t1", "content": [{"type": "text", "text": "word4"}]}
    return pi.data(
        pi.PI,
        pi.entry("a", None, "word1"),
        {"type": "message", "id": "b", "parentId": "a", "message": {"role": "assistant", "content": blocks}},
        {"type": "message", "id": "c", "parentId": "b", "message": results},
        {"type": "compaction", "id": "d", "parentId": "c", "summary": "word5"},
        pi.entry("e", "b", "word6"),
    )


def _opencode() -> dict[str, bytes]:
    part = {"sessionID": "s1", "messageID": "m2"}
    state = {"status": "completed", "input": {"p": "word3"}, "output": "word4"}
    files: dict[str, dict[str, Any]] = {
        "session/p/s1.json": {
            "id": "s1",
            "version": "1",
            "title": "T",
            "directory": "/app",
            "time": {"created": 17e11},
        },
        "message/s1/m1.json": {"id": "m1", "sessionID": "s1", "role": "user", "time": {"created": 17e11}},
        "message/s1/m2.json": {"id": "m2", "sessionID": "s1", "role": "assistant", "time": {"created": 17e11 + 1}},
        "part/m1/a.json": {"id": "a", "sessionID": "s1", "messageID": "m1", "type": "text", "text": "word1"},
        "part/m2/a.json": {"id": "a", **part, "type": "reasoning", "text": "word2"},
        "part/m2/b.json": {"id": "b", **part, "type": "tool", "tool": "read", "callID": "c1", "state": state},
        "part/m2/c.json": {"id": "c", **part, "type": "text", "text": "word5"},
    }
    return {name: _json(record) for name, record in files.items()}


def _openwebui() -> bytes:
    thought = '<details type="reasoning" done="true">\n<summary>Thought</summary>\nword2\n</details>\nword3'
    messages = {
        "u": {"id": "u", "parentId": None, "childrenIds": ["a", "b"], "role": "user", "content": "word1"},
        "a": {"id": "a", "parentId": "u", "childrenIds": [], "role": "assistant", "content": thought},
        "b": {"id": "b", "parentId": "u", "childrenIds": [], "role": "assistant", "content": "word4"},
    }
    return _json([{"id": "w", "title": "T", "chat": {"history": {"messages": messages, "currentId": "a"}}}])


def _librechat() -> bytes:
    call = {"id": "t1", "name": "search", "args": '{"q": "word5"}', "output": "word6"}
    said = [
        {"type": "think", "think": "word3"},
        {"type": "text", "text": "word4"},
        {"type": "tool_call", "tool_call": call},
    ]
    messages = [
        {"messageId": "u", "parentMessageId": "0000", "isCreatedByUser": True, "text": "word1"},
        {"messageId": "a", "parentMessageId": "u", "isCreatedByUser": False, "text": "word2"},
        {"messageId": "b", "parentMessageId": "u", "isCreatedByUser": False, "content": said},
    ]
    messages[0]["parentMessageId"] = "00000000-0000-0000-0000-000000000000"
    return _json({"conversationId": "l1", "title": "T", "messages": messages})


def _gptme() -> dict[str, bytes]:
    start = [
        {"role": role, "content": text, "timestamp": "2026-06-13T10:00:00"}
        for role, text in (("system", "word1"), ("user", "word2"))
    ]
    return {
        name: _lines(*start, {"role": "assistant", "content": text, "timestamp": "2026-06-13T10:00:01"})
        for name, text in (("day/conversation.jsonl", "word3"), ("day/branches/b.jsonl", "word4"))
    }


def _sillytavern() -> bytes:
    header = {"user_name": "Me", "character_name": "Ann", "create_date": "x", "chat_metadata": {}}
    shown = {"name": "Ann", "is_user": False, "mes": "word3", "swipes": ["word2", "word3"], "swipe_id": 1}
    shown["extra"] = {"reasoning": "word4"}
    return _lines(
        header, {"name": "Me", "is_user": True, "mes": "word1"}, shown, {"name": "Me", "is_user": True, "mes": "word5"}
    )


def _own() -> bytes:
    one = {"name": "a", "messages": [{"role": "user", "content": "word1"}, {"role": "assistant", "content": "word2"}]}
    other = {"name": "b", "parent": "a", "at": 1, "messages": [{"role": "assistant", "content": "word3"}]}
    return _json({"coda_fs_session.family": 1, "sessions": [one, other]})


_TALK = [{"role": "user", "content": "word1"}, {"role": "assistant", "content": "word2"}]
_LANGCHAIN = [
    {"type": "human", "data": {"content": "word1"}},
    {"type": "ai", "data": {"content": "word2", "tool_calls": [{"name": "f", "args": {"q": "word3"}, "id": "c"}]}},
    {"type": "tool", "data": {"content": "word4", "tool_call_id": "c"}},
]
_ASKED = {"model": "m", "max_tokens": 9, "system": "word1", "messages": [{"role": "user", "content": "word2"}]}
_ANSWERED = {"id": "msg_1", "type": "message", "role": "assistant", "content": [{"type": "text", "text": "word3"}]}
_TEXTS = {f"{kind}{number}": f"word{place}" for place, (kind, number) in enumerate(["u1", "a1", "a2", "u2"], 1)}
_AIDER = "\n# aider chat started at 2024-05-17 12:30:00\n\n> word1\n\n#### word2\n\nword3\n"

CORPUS: dict[str, dict[str, bytes]] = {
    "chatgpt": {"conversations.json": chatgpt({"u1": None, "a1": "u1", "a2": "u1", "u2": "a2"}, texts=_TEXTS)},
    "claude": {"conversations.json": _claude()},
    "claude-code": {"s1.jsonl": _claude_code()},
    "codex": {"rollout-1.jsonl": _codex()},
    "openai": {
        "train.jsonl": _lines({"messages": _TALK}, {"messages": [*_TALK, {"role": "user", "content": "word3"}]})
    },
    "coda": {"own.json": _own()},
    "gemini": {"session-1.jsonl": _gemini()},
    "pi": {"1_p1.jsonl": _pi()},
    "opencode": _opencode(),
    "openwebui": {"chats.json": _openwebui()},
    "librechat": {"chat.json": _librechat()},
    "gptme": _gptme(),
    "sharegpt": {
        "a.jsonl": _lines(
            {
                "system": "word1",
                "conversations": [{"from": "human", "value": "word2"}, {"from": "gpt", "value": "word3"}],
            }
        )
    },
    "sillytavern": {"Ann/day.jsonl": _sillytavern()},
    "aider": {".aider.chat.history.md": _AIDER.encode()},
    "langchain": {"dump.json": _json(_LANGCHAIN)},
    "api": {"call.json": _json({"request": _ASKED, "response": _ANSWERED})},
}
"""Files by format and name."""

WAYS: dict[str, set[frozenset[str]]] = {
    "chatgpt": {words(1, 2), words(1, 3, 4)},
    "claude": {words(1, 2, 3, 4, 5, 6, 7), words(1, 6, 7, 8)},
    "claude-code": {words(1, 2, 3, 4, 5, 6, 7), words(1, 2, 3, 4, 5, 8, 9)},
    "codex": {words(1, 2, 3, 4, 5, 6, 7)},
    "openai": {words(1, 2, 3)},
    "coda": {words(1, 2), words(1, 3)},
    "gemini": {words(1, 2, 3, 4, 5, 6, 7), words(1, 2, 3, 4, 5, 6, 8)},
    "pi": {words(1, 2, 3, 4, 5), words(1, 2, 3, 6)},
    "opencode": {words(1, 2, 3, 4, 5)},
    "openwebui": {words(1, 2, 3), words(1, 4)},
    "librechat": {words(1, 2), words(1, 3, 4, 5, 6)},
    "gptme": {words(1, 2, 3), words(1, 2, 4)},
    "sharegpt": {words(1, 2, 3)},
    "sillytavern": {words(1, 2), words(1, 3, 4, 5)},
    "aider": {words(1, 2, 3)},
    "langchain": {words(1, 2, 3, 4)},
    "api": {words(1, 2, 3)},
}
"""Every way from a first message to a last one, by hand: the words on it."""

TEXTS = ("content", "reasoning", "tool_calls", "attachments")


def ways(sessions: Iterable[Iterable[dict[str, Any]]]) -> set[frozenset[str]]:
    """Return the words that the messages of sessions say: in texts, calls, reasoning and names of files."""
    return {
        frozenset().union(*(found([message.get(key) for key in TEXTS]) for message in messages))
        for messages in sessions
    }
