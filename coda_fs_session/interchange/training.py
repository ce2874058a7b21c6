"""Sessions as lines for training: OpenAI's form, with a weight, and ShareGPT's."""

from __future__ import annotations

import hashlib
from typing import Any

from ..errors import UnsupportedError
from ..format.jsonl import encode_value
from ..session.session import Session
from ..session.shapes import role, text

_ROLES = ("system", "developer", "user", "assistant", "tool")
_SPEAKERS = {"system": "system", "developer": "system", "user": "human", "assistant": "gpt", "tool": "observation"}
_KEYS = ("content", "tool_calls", "tool_call_id", "name", "weight")


class OpenAILines:
    """Writes each session as a line as OpenAI takes it for fine-tuning.

    An answer that a line before has with all that led to it gets weight 0: what branches share is trained once.
    """

    def __init__(self) -> None:
        self._written: set[bytes] = set()

    def line(self, session: Session) -> bytes:
        """Return the line of a session.

        Raises:
            UnsupportedError: the service would refuse it; the text says why.
        """
        made: list[dict[str, Any]] = []
        before = b""
        open_calls: list[Any] = []
        for message in session.iter_messages():
            one = plain(session, message)
            if one is None:
                continue
            before = hashlib.sha256(before + encode_value(one, "message")).digest()
            if one["role"] == "assistant":
                _refuse_open(session, open_calls)
                open_calls = [call.get("id") for call in one.get("tool_calls", ()) if isinstance(call, dict)]
                if before in self._written:
                    one["weight"] = 0
                self._written.add(before)
            elif one["role"] == "tool":
                if one.get("tool_call_id") not in open_calls:
                    raise _refused(session, "a result is of no call before it")
                open_calls.remove(one["tool_call_id"])
            else:
                _refuse_open(session, open_calls)
                open_calls = []
            made.append(one)
        _refuse_open(session, open_calls)
        if not any(one["role"] == "assistant" for one in made):
            raise _refused(session, "it has no message of an assistant")
        return encode_value({"messages": made}, session.name) + b"\n"


def plain(session: Session, message: dict[str, Any]) -> dict[str, Any] | None:
    """Return what OpenAI knows of a message; None of one that has nothing but reasoning."""
    kind = role(message)
    if kind not in _ROLES:
        raise _refused(session, f"a message has the role {kind!r}")
    one = {"role": kind} | {key: message[key] for key in _KEYS if message.get(key) is not None}
    if "content" not in one and not one.get("tool_calls"):
        return None
    if kind != "tool":
        one.pop("tool_call_id", None)
    else:
        one.pop("name", None)
    for call in one.get("tool_calls", ()) if isinstance(one.get("tool_calls"), list) else ():
        if isinstance(call, dict):
            continue
        raise _refused(session, "a call is no object")
    return one


def _refuse_open(session: Session, open_calls: list[Any]) -> None:
    if open_calls:
        raise _refused(session, f"the call {open_calls[0]!r} has no result")


def _refused(session: Session, why: str) -> UnsupportedError:
    return UnsupportedError(f"session {session.name!r} cannot be written as openai, which would refuse it: {why}")


def sharegpt_line(session: Session) -> bytes:
    """Return a session as a line of ShareGPT's; a call is said as JSON."""
    said: list[dict[str, Any]] = []
    system = ""
    for number, message in enumerate(session.iter_messages()):
        kind = role(message)
        content = message.get("content")
        words = content if isinstance(content, str) else text(message)
        if number == 0 and kind in ("system", "developer"):
            system = words
            continue
        if words:
            said.append({"from": _SPEAKERS.get(kind, "gpt"), "value": words})
        for call in message.get("tool_calls") or ():
            said.append({"from": "function_call", "value": encode_value(call, "call").decode()})
    line: dict[str, Any] = {"id": session.name, "conversations": said}
    return encode_value(line | ({"system": system} if system else {}), session.name) + b"\n"
