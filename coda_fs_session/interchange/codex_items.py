"""Items of Codex, and of OpenAI's Responses, as messages."""

from __future__ import annotations

import json
import re
from typing import Any

from .fields import Fields, Keep, as_text, call, content_of, free_call, message, strings, text_part
from .times import stamp as stamp_of
from .tree import Message

KINDS = frozenset(
    (
        *("message", "reasoning", "function_call", "function_call_output", "custom_tool_call"),
        *("custom_tool_call_output", "web_search_call", "local_shell_call", "agent_message"),
    )
)
_INJECTED = re.compile(
    r"\s*(?:<(?:environment_context|user_instructions|permissions instructions|turn_aborted|skill|INSTRUCTIONS)\b"
    r"|# AGENTS\.md instructions)"
)
_TEXTS = ("input_text", "output_text", "text", "summary_text", "reasoning_text", "refusal")


def is_prompt(payload: dict[str, Any]) -> bool:
    """Tell whether an item is something that a user said."""
    return payload.get("type") == "user_message" or payload.get("role") == "user"


def is_answer(payload: dict[str, Any]) -> bool:
    """Tell whether an item is of a model."""
    return payload.get("role") == "assistant" or payload.get("type") in (
        *("reasoning", "function_call", "custom_tool_call", "local_shell_call", "web_search_call"),
    )


def texts(payload: dict[str, Any]) -> list[str]:
    """Return the texts of an item that is a message, each alone."""
    return [part["text"] for part in _parts(payload.get("content")) if _is_text(part)]


def message_of(payload: dict[str, Any], name: str, stamp: Any, model: str, usage: Any, keep: Keep) -> Message:
    """Return the message that an item became."""
    fields = Fields(payload)
    kind = fields.text("type") or "message"
    made = _MADE.get(kind, _other)(fields, name)
    role, content = made.pop("role"), made.pop("content")
    others = made | {"id": name, "timestamp": stamp_of(stamp)}
    if role == "assistant":
        others |= {"model": model, "usage": usage}
    if kind not in KINDS:
        # The record says what it is.
        return message(role, content, Fields(payload), keep="all" if keep != "none" else keep, **others)
    return message(role, content, fields, keep=keep, **others)


def _is_text(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type", "text") in _TEXTS and isinstance(part.get("text"), str)


def _parts(value: Any) -> list[dict[str, Any]]:
    return [_part(part) for part in value] if isinstance(value, list) else [_part(value)] if value else []


def _part(part: Any) -> dict[str, Any]:
    if _is_text(part):
        rest = {key: value for key, value in part.items() if key not in ("type", "text") and value != []}
        return text_part(part["text"]) | rest
    if isinstance(part, dict) and part.get("type") == "input_image" and isinstance(part.get("image_url"), str):
        rest = {key: value for key, value in part.items() if key not in ("type", "image_url")}
        return {"type": "image_url", "image_url": {"url": part["image_url"], **rest}}
    if isinstance(part, dict):
        return dict(part)
    return text_part(as_text(part))


def _message(fields: Fields, _name: str) -> dict[str, Any]:
    parts = _parts(fields.take("content"))
    role = fields.text("role") or "assistant"
    text = "\n".join(part["text"] for part in parts if _is_text(part))
    hidden = True if role == "user" and _INJECTED.match(text) else None
    return {"role": role, "content": content_of(parts), "hidden": hidden}


def _reasoning(fields: Fields, _name: str) -> dict[str, Any]:
    made: list[dict[str, Any]] = []
    for key, form in (("summary", "summary"), ("content", "text")):
        given = fields.take(key)
        for each in given if isinstance(given, list) else [given] if isinstance(given, str) else []:
            made.append({form: "\n".join(strings(each, frozenset(("type",))))})
    encrypted = fields.text("encrypted_content")
    if encrypted:
        made.append({"encrypted": encrypted})
    return {"role": "assistant", "content": None, "reasoning": made}


def _call(fields: Fields, name: str) -> dict[str, Any]:
    identity = fields.text("call_id") or name
    given = fields.take("arguments")
    arguments = given if isinstance(given, str) else "" if given is None else json.dumps(given, ensure_ascii=False)
    return {"role": "assistant", "content": None, "tool_calls": [call(identity, fields.text("name"), arguments)]}


def _custom_call(fields: Fields, name: str) -> dict[str, Any]:
    made = free_call(fields.text("call_id") or name, fields.text("name"), fields.text("input"))
    return {"role": "assistant", "content": None, "tool_calls": [made]}


def _built_in(tool: str) -> Any:
    def make(fields: Fields, name: str) -> dict[str, Any]:
        identity = fields.text("call_id") or fields.text("id") or name
        action = fields.take("action")
        arguments = "" if action is None else json.dumps(action, ensure_ascii=False)
        return {"role": "assistant", "content": None, "tool_calls": [call(identity, tool, arguments)]}

    return make


def _output(fields: Fields, _name: str) -> dict[str, Any]:
    given = fields.take("output")
    if isinstance(given, dict) and isinstance(given.get("content"), (str, list)):
        fields.record = fields.record | {"output": {key: value for key, value in given.items() if key != "content"}}
        fields._taken.pop("output")
        given = given["content"]
    content = content_of(_parts(given)) if isinstance(given, (str, list)) else json.dumps(given, ensure_ascii=False)
    return {"role": "tool", "content": content, "tool_call_id": fields.text("call_id"), "name": fields.text("name")}


def _user_event(fields: Fields, _name: str) -> dict[str, Any]:
    return {"role": "user", "content": fields.text("message")}


def _compacted(fields: Fields, _name: str) -> dict[str, Any]:
    return {"role": "system", "content": fields.text("message"), "hidden": True}


def _other(fields: Fields, _name: str) -> dict[str, Any]:
    found = strings(fields.record, frozenset(("type", "id", "call_id", "status", "role", "encrypted_content")))
    return {"role": "assistant", "content": "\n".join(found) or None}


_MADE = {
    "message": _message,
    "agent_message": _message,
    "reasoning": _reasoning,
    "function_call": _call,
    "custom_tool_call": _custom_call,
    "local_shell_call": _built_in("local_shell"),
    "web_search_call": _built_in("web_search"),
    "function_call_output": _output,
    "custom_tool_call_output": _output,
    "user_message": _user_event,
    "compacted": _compacted,
}
