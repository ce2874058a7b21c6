"""Messages in the shapes of model providers, with the role and the parts of each; those of programs stand beside."""

from __future__ import annotations

from typing import Any, NamedTuple

from coda_fs_session.session.shapes import Part

PICTURE = "iVBORw0KGgo" + "A" * 400
URL = f"data:image/png;base64,{PICTURE}"


class Shape(NamedTuple):
    role: str
    message: dict[str, Any]
    parts: list[Part]


def said(words: str) -> Part:
    return Part("text", words)


def call(name: str = "grep", arguments: str = '{"x":1}', id: str = "c1") -> Part:
    return Part("call", "", name, arguments, id)


def result(words: str = "found", name: str = "", id: str = "c1") -> Part:
    return Part("result", words, name, "", id)


PROVIDERS: dict[str, Shape] = {
    "OpenAI, text": Shape("user", {"role": "user", "content": "hi"}, [said("hi")]),
    "OpenAI, calls": Shape(
        "assistant",
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "grep", "arguments": '{"x":1}'}},
                {"id": "c2", "type": "custom", "custom": {"name": "sh", "input": "ls"}},
            ],
        },
        [call(), call("sh", "ls", "c2")],
    ),
    "OpenAI, a call as it was": Shape(
        "assistant",
        {"role": "assistant", "content": "", "function_call": {"name": "grep", "arguments": '{"x":1}'}},
        [call(id="")],
    ),
    "OpenAI, a result": Shape(
        "tool",
        {"role": "tool", "tool_call_id": "c1", "name": "grep", "content": [{"type": "text", "text": "found"}]},
        [result(name="grep")],
    ),
    "OpenAI, images and files": Shape(
        "user",
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": URL}},
                {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
                {"type": "input_audio", "input_audio": {"data": PICTURE, "format": "wav"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": PICTURE}},
                {"type": "refusal", "refusal": "no"},
            ],
        },
        [
            said("look"),
            Part("image"),
            Part("image", "https://example.org/a.png"),
            Part("audio"),
            Part("file", "", "a.pdf"),
            said("no"),
        ],
    ),
    "DeepSeek, reasoning": Shape(
        "assistant",
        {"role": "assistant", "content": "4", "reasoning_content": "2+2"},
        [Part("reasoning", "2+2"), said("4")],
    ),
    "interchange, reasoning and attachments": Shape(
        "assistant",
        {
            "role": "assistant",
            "content": "4",
            "reasoning": [{"summary": "sum"}, {"text": "2+2"}],
            "attachments": [{"name": "a.csv", "mime": "text/csv"}, {"name": "a.png", "mime": "image/png"}],
        },
        [
            *(Part("reasoning", "sum"), Part("reasoning", "2+2"), said("4")),
            *(Part("file", "", "a.csv"), Part("image", "", "a.png")),
        ],
    ),
    "Responses, a message": Shape(
        "user",
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "hi"}, {"type": "input_image", "image_url": URL}],
        },
        [said("hi"), Part("image")],
    ),
    "Responses, a call": Shape(
        "assistant", {"type": "function_call", "name": "grep", "arguments": '{"x":1}', "call_id": "c1"}, [call()]
    ),
    "Responses, a result": Shape(
        "tool", {"type": "function_call_output", "call_id": "c1", "output": "found"}, [result()]
    ),
    "Responses, a screenshot": Shape(
        "tool",
        {
            "type": "computer_call_output",
            "call_id": "c1",
            "output": {"type": "computer_screenshot", "image_url": "https://example.org/s.png"},
        },
        [result(""), Part("image", "https://example.org/s.png")],
    ),
    "Responses, a free call": Shape(
        "assistant", {"type": "custom_tool_call", "name": "sh", "input": "ls", "call_id": "c1"}, [call("sh", "ls")]
    ),
    "Responses, a provider's call": Shape(
        "assistant",
        {"type": "mcp_call", "id": "c1", "name": "grep", "arguments": '{"x":1}', "output": "found"},
        [call(), result(name="grep")],
    ),
    "Responses, a provider's search": Shape(
        "assistant",
        {"type": "web_search_call", "id": "c1", "action": {"query": "x"}},
        [call("web_search", '{"query":"x"}')],
    ),
    "Responses, a picture that was made": Shape(
        "", {"type": "image_generation_call", "id": "i1", "result": PICTURE}, [Part("image")]
    ),
    "Responses, reasoning": Shape(
        "assistant",
        {"type": "reasoning", "id": "r1", "summary": [{"type": "summary_text", "text": "sum"}], "content": None},
        [Part("reasoning", "sum")],
    ),
    "Anthropic, an answer": Shape(
        "assistant",
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "redacted_thinking", "data": "x"},
                {"type": "text", "text": "I look"},
                {"type": "tool_use", "id": "c1", "name": "grep", "input": {"x": 1}},
                {"type": "server_tool_use", "id": "c2", "name": "web_search", "input": {"query": "x"}},
                {
                    "type": "web_search_tool_result",
                    "tool_use_id": "c2",
                    "content": [{"type": "web_search_result", "title": "T", "url": "u"}],
                },
            ],
        },
        [
            *(Part("reasoning", "hm"), Part("reasoning"), said("I look"), call()),
            call("web_search", '{"query":"x"}', "c2"),
            result('{"type":"web_search_result","title":"T","url":"u"}', id="c2"),
        ],
    ),
    "Anthropic, results": Shape(
        "tool",
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": "found"},
                {
                    "type": "tool_result",
                    "tool_use_id": "c2",
                    "content": [
                        {"type": "text", "text": "a"},
                        {"type": "image", "source": {"type": "base64", "data": PICTURE}},
                        {"type": "text", "text": "b"},
                    ],
                },
            ],
        },
        [result(), result("a\nb", id="c2"), Part("image")],
    ),
    "Anthropic, documents": Shape(
        "user",
        {
            "role": "user",
            "content": [
                {"type": "document", "title": "D", "source": {"type": "text", "data": "body"}},
                {"type": "document", "source": {"type": "url", "url": "https://example.org/a.pdf"}},
            ],
        },
        [Part("file", "body", "D"), Part("file", "https://example.org/a.pdf")],
    ),
}
