"""Messages in the shapes of programs and frameworks, with the role and the parts of each."""

from __future__ import annotations

from message_shapes import PICTURE, PROVIDERS, URL, Shape, call, result, said

from coda_fs_session.session.shapes import Part

PROGRAMS: dict[str, Shape] = {
    "Claude Code, a prompt": Shape(
        "user", {"type": "user", "uuid": "u", "message": {"role": "user", "content": "hi"}}, [said("hi")]
    ),
    "Claude Code, a result": Shape(
        "tool",
        {
            "type": "user",
            "message": {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "found"}]},
            "toolUseResult": {"stdout": "found"},
        },
        [result()],
    ),
    "Claude Code, a summary": Shape("", {"type": "summary", "summary": "Talk", "leafUuid": "u"}, [said("Talk")]),
    "Claude Code, progress": Shape("", {"type": "progress", "data": {"type": "hook_progress", "command": "x"}}, []),
    "Claude Code, a snapshot": Shape("", {"type": "file-history-snapshot", "snapshot": {}}, []),
    "Codex, a message": Shape(
        "assistant",
        {
            "type": "response_item",
            "payload": {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]},
        },
        [said("hi")],
    ),
    "Codex, a call": Shape(
        "assistant",
        {
            "type": "response_item",
            "payload": {"type": "function_call", "name": "grep", "arguments": '{"x":1}', "call_id": "c1"},
        },
        [call()],
    ),
    "pydantic-ai, a request": Shape(
        "user",
        {
            "kind": "request",
            "parts": [
                {"part_kind": "system-prompt", "content": "Be kind."},
                {
                    "part_kind": "user-prompt",
                    "content": ["hi", {"kind": "binary", "media_type": "image/png", "data": PICTURE}],
                },
            ],
        },
        [said("Be kind."), said("hi"), Part("image")],
    ),
    "pydantic-ai, results": Shape(
        "tool",
        {
            "kind": "request",
            "parts": [
                {"part_kind": "tool-return", "tool_name": "grep", "content": {"n": 1}, "tool_call_id": "c1"},
                {"part_kind": "retry-prompt", "tool_name": "grep", "content": "again", "tool_call_id": "c2"},
            ],
        },
        [result('{"n":1}', "grep"), result("again", "grep", "c2")],
    ),
    "pydantic-ai, a response": Shape(
        "assistant",
        {
            "kind": "response",
            "parts": [
                {"part_kind": "thinking", "content": "hm"},
                {"part_kind": "text", "content": "I look"},
                {"part_kind": "tool-call", "tool_name": "grep", "args": {"x": 1}, "tool_call_id": "c1"},
            ],
        },
        [Part("reasoning", "hm"), said("I look"), call()],
    ),
    "ADK, an event": Shape(
        "assistant",
        {
            "author": "helper",
            "content": {
                "role": "model",
                "parts": [
                    {"text": "hm", "thought": True},
                    {"text": "I look"},
                    {"function_call": {"id": "c1", "name": "grep", "args": {"x": 1}}},
                    {"inline_data": {"mime_type": "image/png", "data": PICTURE}},
                ],
            },
        },
        [Part("reasoning", "hm"), said("I look"), call(), Part("image")],
    ),
    "ADK, a result": Shape(
        "tool",
        {
            "author": "helper",
            "content": {
                "role": "user",
                "parts": [{"function_response": {"id": "c1", "name": "grep", "response": {"n": 1}}}],
            },
        },
        [result('{"n":1}', "grep")],
    ),
    "LlamaIndex, blocks": Shape(
        "assistant",
        {
            "role": "assistant",
            "content": [
                {"block_type": "thinking", "content": "Hm."},
                {"block_type": "text", "text": "hi"},
                {"block_type": "tool_call", "tool_call_id": "c1", "tool_name": "grep", "tool_kwargs": {"x": 1}},
            ],
        },
        [Part("reasoning", "Hm."), said("hi"), call()],
    ),
    "Strands": Shape(
        "assistant",
        {
            "message_id": 1,
            "message": {
                "role": "assistant",
                "content": [
                    {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
                    {"text": "I look"},
                    {"toolUse": {"toolUseId": "c1", "name": "grep", "input": {"x": 1}}},
                    {"document": {"name": "D", "format": "pdf", "source": {"bytes": PICTURE}}},
                ],
            },
        },
        [Part("reasoning", "hm"), said("I look"), call(), Part("file", "", "D")],
    ),
    "Strands, a result": Shape(
        "tool",
        {
            "message": {
                "role": "user",
                "content": [{"toolResult": {"toolUseId": "c1", "status": "success", "content": [{"text": "found"}]}}],
            }
        },
        [result()],
    ),
    "LangChain, data": Shape(
        "assistant",
        {"type": "ai", "data": {"content": "hi", "tool_calls": [{"name": "grep", "args": {"x": 1}, "id": "c1"}]}},
        [said("hi"), call()],
    ),
    "LangChain, kwargs": Shape(
        "tool",
        {
            "lc": 1,
            "type": "constructor",
            "id": ["langchain", "schema", "messages", "ToolMessage"],
            "kwargs": {"content": "found", "tool_call_id": "c1", "type": "tool"},
        },
        [result()],
    ),
    "AI SDK, parts": Shape(
        "assistant",
        {
            "id": "m",
            "role": "assistant",
            "parts": [
                {"type": "step-start"},
                {"type": "reasoning", "text": "hm"},
                {"type": "text", "text": "I look"},
                {
                    "type": "tool-grep",
                    "toolCallId": "c1",
                    "state": "output-available",
                    "input": {"x": 1},
                    "output": {"n": 1},
                },
                {"type": "file", "mediaType": "image/png", "filename": "a.png", "url": URL},
            ],
        },
        [
            *(Part("reasoning", "hm"), said("I look"), call(), result('{"n":1}', "grep")),
            Part("image", "", "a.png"),
        ],
    ),
    "AI SDK, a message of tools": Shape(
        "tool",
        {
            "role": "tool",
            "content": [
                {
                    "type": "tool-result",
                    "toolCallId": "c1",
                    "toolName": "grep",
                    "output": {"type": "text", "value": "found"},
                }
            ],
        },
        [result(name="grep")],
    ),
    "AI SDK, as it was": Shape(
        "assistant",
        {
            "role": "assistant",
            "content": "",
            "parts": [
                {
                    "type": "tool-invocation",
                    "toolInvocation": {"toolCallId": "c1", "toolName": "grep", "args": {"x": 1}, "result": "found"},
                }
            ],
        },
        [call(), result(name="grep")],
    ),
    "Gemini CLI": Shape(
        "assistant",
        {
            "type": "gemini",
            "content": "I look",
            "thoughts": [{"subject": "S", "description": "hm"}],
            "toolCalls": [
                {
                    "id": "c1",
                    "name": "grep",
                    "args": {"x": 1},
                    "result": [{"functionResponse": {"id": "c1", "response": {"n": 1}}}],
                }
            ],
        },
        [Part("reasoning", "S\nhm"), said("I look"), call(), result('{"n":1}', "grep")],
    ),
    "opencode, a part": Shape(
        "",
        {
            "role": "",
            "parts": [
                {"type": "tool", "tool": "grep", "callID": "c1", "state": {"input": {"x": 1}, "output": "found"}}
            ],
        },
        [call(), result(name="grep")],
    ),
    "ShareGPT": Shape("assistant", {"from": "gpt", "value": "hi"}, [said("hi")]),
    "ChatGPT export": Shape(
        "user",
        {"author": {"role": "user"}, "content": {"content_type": "text", "parts": ["hi", {"asset_pointer": "f"}]}},
        [said("hi"), Part("other", '{"asset_pointer":"f"}')],
    ),
    "SillyTavern": Shape("user", {"name": "Ann", "is_user": True, "mes": "hi"}, [said("hi")]),
    "MCP, in a result": Shape(
        "tool",
        {
            "role": "tool",
            "tool_call_id": "c1",
            "content": [
                {"type": "resource", "resource": {"uri": "file:///a", "text": "body"}},
                {"type": "image", "data": PICTURE, "mimeType": "image/png"},
            ],
        },
        [result(""), Part("file", "body"), Part("image")],
    ),
    "unknown part": Shape(
        "user",
        {"role": "user", "content": [{"type": "hologram", "x": 1}]},
        [Part("other", '{"type":"hologram","x":1}')],
    ),
    "a role of its own": Shape("narrator", {"role": "narrator", "content": "Once"}, [said("Once")]),
    "nothing": Shape("", {}, []),
}

SHAPES = {**PROVIDERS, **PROGRAMS}
