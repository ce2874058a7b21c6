"""Taking a message apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from .bodies import body
from .kinds import Kind, kind_of, kind_of_media
from .words import first_text, in_json

__all__ = ["Kind", "Part", "parts"]


class Part(NamedTuple):
    """A part of a message.

    Attributes:
        kind: what it is. A tool that was run by the provider gives a call and a result in one message. "other" is what
            no shape is known for.
        text: what it says; of a call nothing, of a file or image its address where it has one, never its bytes.
        name: of the tool, or of the file.
        arguments: of a call, as JSON or in the tool's own language.
        id: of the call: a result has that of the call that it answers.
    """

    kind: Kind
    text: str = ""
    name: str = ""
    arguments: str = ""
    id: str = ""


_Adding: TypeAlias = Callable[[dict[str, Any], dict[str, Any], list[Part], int], None]
"""Adds a part: given the part, the dict in it that has the rest (often the same), the list, and the depth."""

_DEEPEST = 8
"""Levels of parts within parts that are taken apart; what lies deeper is given as JSON. No known shape has more."""

_NAMES = ("name", "tool_name", "toolName", "tool", "filename", "file_name", "title")
_IDS = ("call_id", "tool_call_id", "toolCallId", "tool_use_id", "toolUseId", "callID", "id")
_ARGUMENTS = (
    *("arguments", "args", "input", "parameters", "rawInput", "action"),
    *("code", "command", "queries", "tool_kwargs"),
)
_OUTPUTS = ("output", "result", "outputs", "errorText", "error")
_RESULTS = ("content", "response", *_OUTPUTS, "value", "text", "results")
_TEXTS = ("text", "content", "value", "refusal", "prompt")
_REASONING = ("thinking", "reasoning", "text", "reasoningText", "content", "summary", "subject", "description")
_ADDRESSES = ("url", "uri", "image_url", "file_url", "file_uri", "fileUri", "file_id", "fileId", "path", "image")
_INSIDE_FILES = ("file", "source", "resource", "image_url", "input_audio", "s3Location")
_LONGEST_ADDRESS = 2048

_WRAPPED: dict[str, Kind] = {
    # Bedrock and Strands, Gemini and ADK: the key of a part says what it is.
    **dict.fromkeys(("toolUse", "functionCall", "function_call", "executableCode", "executable_code"), "call"),
    **dict.fromkeys(("toolResult", "functionResponse", "function_response"), "result"),
    **dict.fromkeys(("codeExecutionResult", "code_execution_result"), "result"),
    "reasoningContent": "reasoning",
    **dict.fromkeys(("inlineData", "inline_data", "fileData", "file_data", "document"), "file"),
    "image": "image",
    "audio": "audio",
    "video": "video",
}
_THOUGHTS = ("reasoning_content", "reasoning", "thoughts", "reasoning_details", "thinking")
_CALLS = ("tool_calls", "toolCalls", "function_call")
_FILES = ("attachments", "experimental_attachments")
_PLAIN = ("text", "value", "mes", "output", "prompt", "summary", "message")
"""Where a message may have its words that has no content: the first text among these."""


def parts(message: dict[str, Any]) -> list[Part]:
    """Return the parts of a message, in order: reasoning, content, calls, files; [] where nothing is said.

    Takes as long as the message is, and never fails, whatever is in it.
    """
    found: list[Part] = []
    said = body(message)
    for key in _THOUGHTS:
        if said.get(key):
            _add_all(said[key], found, 1, "reasoning")
            break
    content = said.get("content")
    if not content or (isinstance(content, str) and isinstance(said.get("parts"), list)):
        # The AI SDK had the text in both.
        content = said.get("parts") or content
    kind = said.get("type")
    if content:
        if kind == "reasoning":
            _add(said, found, 0)
        elif _is_result(said):
            _add_answer(said, content, found)
        else:
            _add_all(content, found, 1)
    elif isinstance(kind, str) and (kind == "reasoning" or kind_of(kind) in _ITEMS) and not found:
        _add(said, found, 0)
    for key in _CALLS:
        if said.get(key) and not (key == "function_call" and kind == key):
            _add_all(said[key], found, 1, "call")
            break
    for key in _FILES:
        if said.get(key):
            _add_all(said[key], found, 1, "file")
    if not found and not said.get("content"):
        plain = first_text(said, _PLAIN)
        return [Part("text", plain)] if plain else []
    return found


_MORE = frozenset((*_THOUGHTS, *_CALLS, *_FILES, "parts", "type", "tool_call_id"))


def is_all_said(message: dict[str, Any]) -> bool:
    """Tell whether a message whose content is text has only this part."""
    return _MORE.isdisjoint(message) and message.get("role") not in _RESULT_ROLES


def _is_result(said: dict[str, Any]) -> bool:
    return bool(said.get("tool_call_id")) or said.get("role") in _RESULT_ROLES or said.get("type") == "tool"


_ITEMS = frozenset(("call", "result", "image"))
"""What may be a message as a whole, as the items of OpenAI's Responses are."""
_RESULT_ROLES = ("tool", "function", "toolResult", "ipython")


def _add_answer(said: dict[str, Any], content: Any, found: list[Part]) -> None:
    """Add what a message says that is a result as a whole, unless it has parts that are results themselves."""
    inner: list[Part] = []
    _add_all(content, inner, 1)
    if any(part.kind == "result" for part in inner):
        found += inner
    else:
        _add_result(said, inner, found)


def _add_all(value: Any, found: list[Part], depth: int, kind: Kind | None = None) -> None:
    """Add the part that a value is, or the parts in it."""
    if isinstance(value, list):
        for item in value:
            _add(item, found, depth, kind)
    elif isinstance(value, dict) and isinstance(value.get("parts"), list):
        for item in value["parts"]:
            _add(item, found, depth, kind)
    else:
        _add(value, found, depth, kind)


def _add(value: Any, found: list[Part], depth: int, kind: Kind | None = None) -> None:
    """Add a part.

    Args:
        kind: what it is, where its place says so.
    """
    if isinstance(value, str):
        if value:
            found.append(Part(kind if kind == "reasoning" else "text", value))
        return
    if value is None:
        return
    if not isinstance(value, dict) or depth > _DEEPEST:
        found.append(Part("other", in_json(value)))
        return
    outer = value
    if kind is None:
        kind, value = _told(value)
    elif kind == "file":
        kind = kind_of_media(value)
    if kind is not None:
        _ADD[kind](outer, value, found, depth)


def _told(value: dict[str, Any]) -> tuple[Kind | None, dict[str, Any]]:
    """Return what a part says that it is, None for nothing that anybody reads, and the dict that has the rest."""
    for key in ("type", "part_kind", "kind", "block_type"):
        told = value.get(key)
        if isinstance(told, str):
            inner = value.get("toolInvocation")
            if isinstance(inner, dict):
                return "call", inner
            kind = kind_of(told)
            return (kind_of_media(value) if kind == "file" else kind), value
    for key in value:
        kind = _WRAPPED.get(key)
        inner = value[key]
        if kind is not None and isinstance(inner, dict):
            return (kind_of_media(inner) if kind == "file" else kind), inner
    if isinstance(value.get("text"), str):
        return ("reasoning" if value.get("thought") is True else "text"), value
    return "other", value


def _add_text(_outer: dict[str, Any], part: dict[str, Any], found: list[Part], depth: int) -> None:
    for key in _TEXTS:
        value = part.get(key)
        if value:
            _add_all(value, found, depth + 1)
            return


def _add_reasoning(_outer: dict[str, Any], part: dict[str, Any], found: list[Part], depth: int) -> None:
    inner: list[Part] = []
    for key in _REASONING:
        if part.get(key):
            _add_all(part[key], inner, depth + 1)
    found.append(Part("reasoning", _joined(inner)))


def _add_call(outer: dict[str, Any], part: dict[str, Any], found: list[Part], depth: int) -> None:
    for key in ("function", "custom", "state"):
        # OpenAI's form of a call; opencode's has the rest of it under "state".
        inner = part.get(key)
        if isinstance(inner, dict):
            part = inner
            break
    name = first_text(part, _NAMES) or first_text(outer, _NAMES) or _type_of(outer)
    identity = first_text(part, _IDS) or first_text(outer, _IDS)
    arguments = ""
    for key in _ARGUMENTS:
        value = part.get(key)
        if value is not None and value != "":
            arguments = value if isinstance(value, str) else in_json(value)
            break
    found.append(Part("call", "", name, arguments, identity))
    for key in _OUTPUTS:
        if part.get(key):
            inner_parts: list[Part] = []
            _add_all(part[key], inner_parts, depth + 1)
            _gather(inner_parts, name, identity, found)
            break


def _type_of(part: dict[str, Any]) -> str:
    """Return the name of a tool that only the type has, such as ``tool-weather`` or ``web_search_call``."""
    kind = part.get("type")
    if not isinstance(kind, str):
        return ""
    return kind[5:] if kind.startswith("tool-") else kind.removesuffix("_call")


def _add_result_part(outer: dict[str, Any], part: dict[str, Any], found: list[Part], depth: int) -> None:
    inner: list[Part] = []
    for key in _RESULTS:
        value = part.get(key)
        if value is not None and value != "" and value != []:
            _add_all(value, inner, depth + 1)
            break
    else:
        if not any(key in part for key in _RESULTS):
            inner.append(Part("other", in_json(part)))
    _add_result(part if part is outer or first_text(part, _IDS) else {**outer, **part}, inner, found)


def _add_result(said: dict[str, Any], inner: list[Part], found: list[Part]) -> None:
    _gather(inner, first_text(said, _NAMES), first_text(said, _IDS), found)


def _gather(inner: list[Part], name: str, identity: str, found: list[Part]) -> None:
    """Add a result that says what these parts do, and the images and files among them."""
    found.append(Part("result", _joined(inner), name, "", identity))
    found += [part for part in inner if part.kind in _MEDIA]


_MEDIA = frozenset(("image", "audio", "video", "file"))


def _joined(inner: list[Part]) -> str:
    return "\n".join(part.text for part in inner if part.text and part.kind not in _MEDIA)


def _media(kind: Kind) -> _Adding:
    def add(_outer: dict[str, Any], part: dict[str, Any], found: list[Part], _depth: int) -> None:
        places = [part, *(inner for key in _INSIDE_FILES if isinstance(inner := part.get(key), dict))]
        name = next(filter(None, (first_text(place, _NAMES) for place in places)), "")
        found.append(Part(kind, next(filter(None, map(_address, places)), ""), name))

    return add


def _address(place: dict[str, Any]) -> str:
    """Return the text of a file, or where it is; "" where only its bytes are there."""
    text = place.get("text") or (place.get("data") if place.get("type") == "text" else None)
    if isinstance(text, str):
        return text
    for key in _ADDRESSES:
        value = place.get(key)
        if isinstance(value, str) and 0 < len(value) <= _LONGEST_ADDRESS and not value.startswith("data:"):
            return value
    return ""


def _add_other(_outer: dict[str, Any], part: dict[str, Any], found: list[Part], _depth: int) -> None:
    found.append(Part("other", in_json(part)))


_ADD: dict[Kind, _Adding] = {
    "text": _add_text,
    "reasoning": _add_reasoning,
    "call": _add_call,
    "result": _add_result_part,
    "image": _media("image"),
    "audio": _media("audio"),
    "video": _media("video"),
    "file": _media("file"),
    "other": _add_other,
}
