"""Saved requests and responses of four services: conversations that each request repeats."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .trees import read, read_all, whole

CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"q": 1}'}}

CHAT_ASKED = [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hi"}]
CHAT_SAID = {"role": "assistant", "content": None, "tool_calls": [CALL]}
CHAT = (
    {"model": "m", "messages": CHAT_ASKED, "temperature": 0},
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1737979200,
        "model": "m-1",
        "usage": {"n": 1},
        "choices": [{"index": 0, "message": {**CHAT_SAID, "refusal": None}, "finish_reason": "tool_calls"}],
    },
    {"model": "m", "messages": [*CHAT_ASKED, CHAT_SAID, {"role": "tool", "tool_call_id": "c1", "content": "found"}]},
    {"id": "chatcmpl-2", "choices": [{"message": {"role": "assistant", "content": "Done"}}]},
)

USED = {"type": "tool_use", "id": "c1", "name": "look", "input": {"q": 1}}
ANTHROPIC = (
    {"model": "m", "max_tokens": 9, "system": "Be brief", "messages": [{"role": "user", "content": "Hi"}]},
    {"id": "msg_1", "type": "message", "role": "assistant", "model": "m-1", "content": [USED], "usage": {"n": 1}},
    {
        "model": "m",
        "max_tokens": 9,
        "system": [{"type": "text", "text": "Be brief"}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
            {"role": "assistant", "content": [USED]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "found"}]},
        ],
    },
    {"id": "msg_2", "type": "message", "role": "assistant", "content": [{"type": "text", "text": "Done"}]},
)

RESPONSES = (
    {"model": "m", "instructions": "Be brief", "input": "Hi"},
    {
        "id": "resp_1",
        "object": "response",
        "model": "m-1",
        "created_at": 1737979200,
        "usage": {"n": 1},
        "output": [{"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"q": 1}'}],
    },
    {
        "model": "m",
        "previous_response_id": "resp_1",
        "input": [{"type": "function_call_output", "call_id": "c1", "output": "found"}],
    },
    {
        "id": "resp_2",
        "object": "response",
        "previous_response_id": "resp_1",
        "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Done"}]}],
    },
)

ASKED = {"role": "user", "parts": [{"text": "Hi"}]}
LOOKS = {"role": "model", "parts": [{"functionCall": {"id": "c1", "name": "look", "args": {"q": 1}}}]}
FOUND = {"role": "user", "parts": [{"functionResponse": {"id": "c1", "name": "look", "response": "found"}}]}
TOLD = {"parts": [{"text": "Be brief"}]}
GEMINI = (
    {"contents": [ASKED], "systemInstruction": TOLD},
    {"candidates": [{"content": LOOKS, "finishReason": "STOP"}], "modelVersion": "m-1", "usageMetadata": {"n": 1}},
    {"contents": [ASKED, LOOKS, FOUND], "system_instruction": TOLD},
    {"candidates": [{"content": {"parts": [{"text": "Done"}]}}]},
)

SERVICES = {"chat": CHAT, "anthropic": ANTHROPIC, "responses": RESPONSES, "gemini": GEMINI}


def pairs(service: str) -> list[dict[str, Any]]:
    asked, answered, again, end = SERVICES[service]
    return [{"request": asked, "response": answered}, {"body": json.dumps(again), "result": {"message": end}}]


@pytest.mark.parametrize("form", ["pairs", "lines", "alone"])
@pytest.mark.parametrize("service", SERVICES)
def test_a_conversation(service: str, form: str) -> None:
    """What each request repeats is there once, in a document, on lines, and in requests without what was answered."""
    given: list[Any] = pairs(service) if form != "alone" else [list(SERVICES[service][::2])]
    if (service, form) == ("responses", "alone"):
        # Its requests do not repeat what came before.
        given = [list(SERVICES[service][:3])]
    data = "\n".join(map(json.dumps, given)) if form == "lines" else json.dumps(given)
    (tree,) = read(data.encode(), "dump.json")
    (messages,) = whole(tree)
    assert tree.format == "api"
    roles = ["system", "user", "assistant", "tool", "assistant"]
    assert [each["role"] for each in messages] == roles[: len(messages)]
    assert [each["content"] or None for each in messages] == ["Be brief", "Hi", None, "found", "Done"][: len(messages)]
    assert [{key: call[key] for key in CALL} for call in messages[2]["tool_calls"]] == [CALL]
    assert messages[3]["tool_call_id"] == "c1"
    if form != "alone":
        assert (len(messages), messages[2]["model"], messages[2]["usage"]) == (5, "m-1", {"n": 1})


def test_several_answers() -> None:
    """They are branches; what is said of the answer stays beside it."""
    answers = [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"} for text in ("One", "Two")]
    pair = {"request": CHAT[0], "response": {"choices": answers, "id": "x"}}
    (tree,) = read(json.dumps(pair, indent=1).encode(), "dump.json")
    assert [messages[-1]["content"] for messages in whole(tree)] == ["One", "Two"]
    assert whole(tree)[1][-1]["source"] == {"response": {"id": "x", "choice": {"finish_reason": "stop"}}}
    assert tree.rest == {"request": {"model": "m", "temperature": 0}}


def test_a_response_that_is_not_there() -> None:
    """A request that goes on from it begins a conversation, with a note."""
    (tree,) = read(json.dumps(RESPONSES[2]).encode(), "dump.json")
    assert whole(tree)[0][0]["content"] == "found"
    assert "resp_1" in tree.notes[0]


def test_batches() -> None:
    """Lines of a batch are requests and responses, each a conversation; what is neither is told."""
    asked = [
        {"custom_id": str(n), "url": "/v1", "body": {"model": "m", "messages": [{"role": "user", "content": str(n)}]}}
        for n in range(2)
    ]
    answered = [{"custom_id": "0", "response": {"status_code": 200, "body": CHAT[3]}}, {"custom_id": "1", "error": {}}]
    trees, problems = read_all({"in.jsonl": "\n".join(map(json.dumps, asked)).encode()})
    assert ([each[0]["content"] for tree in trees for each in whole(tree)], problems) == (["0", "1"], [])
    (tree,), problems = read_all({"out.jsonl": "\n".join(map(json.dumps, answered)).encode()})
    assert (tree.id, whole(tree)[0][0]["content"], len(problems)) == ("chatcmpl-2", "Done", 1)


def test_parts_of_gemini() -> None:
    """Thoughts are reasoning, and files are parts."""
    parts = [{"text": "Hm", "thought": True}, {"inlineData": {"mimeType": "image/png", "data": "iQ=="}}, {"text": "Hi"}]
    given = {"contents": [ASKED, {"role": "model", "parts": parts}]}
    (tree,) = read(json.dumps(given).encode(), "dump.json")
    answer = whole(tree)[0][1]
    assert answer["reasoning"] == [{"text": "Hm"}]
    assert answer["content"][0]["image_url"]["url"] == "data:image/png;base64,iQ=="
    assert answer["content"][1] == {"type": "text", "text": "Hi"}
