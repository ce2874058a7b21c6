"""Who says a message."""

from __future__ import annotations

from typing import Any

from .bodies import body
from .kinds import kind_of
from .parts import parts

_ROLES = {
    **dict.fromkeys(("human", "HumanMessage", "HumanMessageChunk"), "user"),
    **dict.fromkeys(("ai", "model", "gpt", "bot", "gemini", "agent", "AIMessage", "AIMessageChunk"), "assistant"),
    **dict.fromkeys(("function", "toolResult", "ipython", "observation", "bashExecution"), "tool"),
    **dict.fromkeys(("ToolMessage", "ToolMessageChunk", "FunctionMessage"), "tool"),
    **dict.fromkeys(("SystemMessage", "SystemMessageChunk"), "system"),
}
_KNOWN = frozenset(("system", "developer", "user", "assistant", "tool", *_ROLES))
_KEYS = ("role", "sender", "from")


def role(message: dict[str, Any]) -> str:
    """Return who says a message: "system", "developer", "user", "assistant" or "tool"; "" where nothing tells.

    A role of another name that means one of these is called by it; any other is returned as it is. A message that has
    nothing but results of tools is one of a tool.
    """
    told = message.get("role")
    if type(told) is str and told in _KNOWN and type(message.get("content")) is str and message["content"]:
        # Most messages are like that.
        return _ROLES.get(told, told)
    said = body(message)
    found = _told(said, message)
    if found in ("user", "") and not isinstance(said.get("content"), str) and _is_all_results(message):
        return "tool"
    return found


def model(message: dict[str, Any]) -> str:
    """Return the model that a message says it is of, "" where it says none."""
    for holder in (message, body(message)):
        for key in ("model", "model_name", "modelID"):
            found = holder.get(key)
            if isinstance(found, str):
                return found
    return ""


def _told(said: dict[str, Any], message: dict[str, Any]) -> str:
    for holder in (said, _dict(said, "content"), message, _dict(message, "author"), _dict(message, "info")):
        for key in _KEYS:
            found = holder.get(key)
            if isinstance(found, str) and found:
                return _ROLES.get(found, found)
    names = [message.get("type"), said.get("type"), _last(message.get("id"))]
    for name in names:
        if isinstance(name, str) and name in _KNOWN:
            return _ROLES.get(name, name)
    if message.get("kind") in ("request", "response"):
        return _of_pydantic(message)
    if isinstance(message.get("author"), str):
        # An event of ADK that says nothing has no more than this: "user", or the name of the agent.
        return "user" if message["author"] == "user" else "assistant"
    if isinstance(message.get("is_user"), bool):
        return "user" if message["is_user"] else "assistant"
    if isinstance(said.get("type"), str):
        # An item of OpenAI's Responses.
        return {"call": "assistant", "reasoning": "assistant", "result": "tool"}.get(kind_of(said["type"]) or "", "")
    return ""


def _of_pydantic(message: dict[str, Any]) -> str:
    if message["kind"] == "response":
        return "assistant"
    found = message.get("parts")
    kinds = [part.get("part_kind") for part in found if isinstance(part, dict)] if isinstance(found, list) else []
    return "user" if "user-prompt" in kinds or not kinds else "system" if "system-prompt" in kinds else "tool"


def _is_all_results(message: dict[str, Any]) -> bool:
    kinds = {part.kind for part in parts(message)}
    return "result" in kinds and kinds <= {"result", "image", "audio", "video", "file"}


def _dict(holder: dict[str, Any], key: str) -> dict[str, Any]:
    found = holder.get(key)
    return found if isinstance(found, dict) else {}


def _last(value: Any) -> Any:
    return value[-1] if isinstance(value, list) and value else None
