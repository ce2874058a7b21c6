"""Where in a message its words are: many programs wrap what a model gets or says into a record of their own."""

from __future__ import annotations

from typing import Any

_SAYING = ("content", "parts", "tool_calls", "toolCalls", "function_call")
# Claude Code and Strands; LangChain, in its two forms. The payloads of Codex may be parts themselves.
_WRAPPERS = ("message", "data", "kwargs")
_TELLING = frozenset((*_SAYING, "role"))


def body(message: dict[str, Any]) -> dict[str, Any]:
    """Return the dict in a message that holds what is said: the message itself, or one that it wraps."""
    for key in _SAYING:
        if message.get(key):
            return message
    for key in _WRAPPERS:
        inner = message.get(key)
        if isinstance(inner, dict) and not _TELLING.isdisjoint(inner):
            return inner
    payload = message.get("payload")
    if isinstance(payload, dict) and ("type" in payload or "role" in payload):
        return payload
    return message
