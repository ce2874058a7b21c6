"""What requests and responses of services look like: OpenAI's chat and Responses, Anthropic's Messages, Gemini's."""

from __future__ import annotations

import json
from typing import Any

from . import claude_lines, codex_items
from .fields import Fields, Keep, as_text, call, content_of, message, text_part
from .times import stamp
from .tree import Message

_OF_RESPONSES = ("instructions", "previous_response_id", "max_output_tokens", "tools", "reasoning", "store", "stream")
_BLOCKS = ("tool_use", "tool_result", "thinking", "redacted_thinking", "image", "document", "server_tool_use")
_HAS = ("messages", "input", "contents", "system", "systemInstruction", "system_instruction", "instructions")

Record = dict[str, Any]


def is_request(body: Record) -> bool:
    """Tell whether an object is what was sent to a service."""
    if _are_objects(body.get("messages")) and all("role" in each for each in body["messages"]):
        return True
    given = body.get("input")
    if "model" in body and (isinstance(given, str) or _are_objects(given)):
        if isinstance(given, str):
            return any(key in body for key in _OF_RESPONSES)
        return all("role" in each or "type" in each for each in given or ())
    return _are_objects(body.get("contents")) and all("parts" in each for each in body["contents"])


def is_response(body: Record) -> bool:
    """Tell whether an object is what a service answered."""
    choices, candidates = body.get("choices"), body.get("candidates")
    return (
        (_are_objects(choices) and all(isinstance(each.get("message"), dict) for each in choices or ()))
        or (body.get("object") == "response" and _are_objects(body.get("output")))
        or (body.get("type") == "message" and body.get("role") == "assistant" and _are_objects(body.get("content")))
        or (_are_objects(candidates) and any("content" in each for each in candidates or ()))
    )


def said_in(body: Record, keep: Keep) -> list[Message]:
    """Return the messages that a request has."""
    made: list[Message] = []
    system = body.get("system") or body.get("instructions")
    if isinstance(system, (str, list)) and system:
        made.append({"role": "system", "content": content_of(_parts(system))})
    for key in ("systemInstruction", "system_instruction"):
        if isinstance(body.get(key), dict):
            made += [each | {"role": "system"} for each in _gemini(body[key], keep)]
    given = body.get("input")
    if isinstance(given, str):
        made.append({"role": "user", "content": given})
    elif "messages" not in body and "contents" not in body:
        made += [codex_items.message_of(each, "", None, "", None, keep) for each in given or ()]
    for each in body.get("messages") or ():
        made += _said(each, keep)
    for each in body.get("contents") or ():
        made += _gemini(each, keep)
    return made


def rest_of(body: Record) -> Record:
    """Return what a request says besides its messages."""
    return {key: value for key, value in body.items() if key not in _HAS}


def answers_of(body: Record, keep: Keep) -> list[list[Message]]:
    """Return the answers of a response, of which each may be several messages."""
    if "choices" in body:
        return [[_choice(body, each, keep)] for each in body["choices"]]
    if body.get("type") == "message":
        return [[claude_lines.answer([{"message": body}], "", keep)]]
    fields = Fields(body)
    if "candidates" in body:
        fields.take("candidates")
        about = {"model": fields.text("modelVersion"), "usage": fields.take("usageMetadata")}
        about["timestamp"] = fields.stamp("createTime")
        given = [each for each in body["candidates"] if isinstance(each.get("content"), dict)]
        answers = [_gemini({"role": "model", **each["content"]}, keep) for each in given]
        rests = [fields.rest() | {key: value for key, value in each.items() if key != "content"} for each in given]
    else:
        items = fields.take("output")
        about = {"model": "", "usage": fields.take("usage")}
        model, when = fields.text("model"), fields.look("created_at")
        fields.take("instructions")
        answers = [[codex_items.message_of(each, "", when, model, None, keep) for each in items]]
        rests = [fields.rest()]
    for answer, rest in zip(answers, rests, strict=True):
        if answer:
            answer[-1] |= {key: value for key, value in about.items() if value}
            if rest and keep != "none":
                answer[-1]["source"] = answer[-1].get("source", {}) | {"response": rest}
    return [answer for answer in answers if answer]


def _said(given: Record, keep: Keep) -> list[Message]:
    """Return the messages of one in a request: one in OpenAI's form as it is, one of Anthropic's in that form."""
    content = given.get("content")
    if not _are_objects(content) or not any(each.get("type") in _BLOCKS for each in content or ()):
        return [dict(given)]
    if given["role"] == "assistant":
        return [claude_lines.answer([{"message": given}], "", keep)]
    return claude_lines.prompt({"message": given}, "", keep)


def _choice(body: Record, choice: Record, keep: Keep) -> Message:
    fields = Fields({key: value for key, value in body.items() if key != "choices"} | {"choice": choice})
    said = ("choice", "message")
    reasoning = fields.text(*said, "reasoning_content") or fields.text(*said, "reasoning")
    made = message(
        fields.text(*said, "role") or "assistant",
        fields.take(*said, "content"),
        None,
        tool_calls=fields.take(*said, "tool_calls"),
        reasoning=[{"text": reasoning}] if reasoning else None,
        timestamp=stamp(fields.take("created")),
        model=fields.text("model"),
        usage=fields.take("usage"),
    )
    rest = fields.rest()
    if keep != "none" and rest:
        made["source"] = {"response": rest}
    return made


def _gemini(content: Record, keep: Keep) -> list[Message]:
    """Return the messages of a content of Gemini's: a result of a function is one of its own."""
    role = {"model": "assistant", "function": "user"}.get(str(content.get("role")), "user")
    parts, calls, reasoning, results = [], list[Record](), list[Record](), list[Message]()
    given = content.get("parts")
    for part in given if isinstance(given, list) else ():
        fields = Fields(part)
        for one, other in (("function_call", "functionCall"), ("function_response", "functionResponse")):
            if one in fields.record:
                fields.record = {other if key == one else key: value for key, value in fields.record.items()}
        asked, answered = fields.look("functionCall"), fields.look("functionResponse")
        data = fields.look("inlineData") or fields.look("inline_data")
        if isinstance(asked, dict):
            # There are none where a function may be called once at a time.
            name = str(asked.get("name") or "")
            arguments = json.dumps(asked.get("args") or {}, ensure_ascii=False)
            fields.take("functionCall")
            made = call(str(asked.get("id") or name), name, arguments)
            calls.append(made | ({"source": fields.rest()} if fields.rest() and keep != "none" else {}))
        elif isinstance(answered, dict):
            said = answered.get("response")
            text = as_text(said)
            name = str(answered.get("name") or "")
            results.append(message("tool", text, tool_call_id=str(answered.get("id") or name), name=name))
        elif fields.look("thought") is True:
            fields.take("thought")
            reasoning.append({"text": fields.text("text"), **fields.rest()})
        elif isinstance(data, dict):
            kind = str(data.get("mimeType") or data.get("mime_type") or "")
            url = f"data:{kind};base64,{data.get('data', '')}"
            image = kind.startswith("image/")
            parts.append(
                {"type": "image_url", "image_url": {"url": url}}
                if image
                else {"type": "file", "file": {"file_data": url}}
            )
        elif isinstance(fields.look("text"), str):
            parts.append(text_part(fields.text("text")) | fields.rest())
        else:
            parts.append({"type": "other", **fields.record})
    if results and not (parts or calls or reasoning):
        return results
    return [*results, message(role, content_of(parts), tool_calls=calls, reasoning=reasoning)]


def _parts(value: Any) -> list[Record]:
    return [text_part(value)] if isinstance(value, str) else [claude_lines.part_of(each) for each in value]


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)
