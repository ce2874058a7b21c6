"""LangChain's messages as messages of a session, and back; LangGraph's saver writes the same."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any, Protocol

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    ChatMessageChunk,
    FunctionMessage,
    FunctionMessageChunk,
    HumanMessage,
    HumanMessageChunk,
    RemoveMessage,
    SystemMessage,
    SystemMessageChunk,
    ToolMessage,
    ToolMessageChunk,
)

from ... import InvalidMessageError, SessionError
from ..escapes import restored

SHAPE = "langchain"
_CLASSES: tuple[type[BaseMessage], ...] = (
    *(HumanMessage, AIMessage, SystemMessage, ToolMessage, FunctionMessage, ChatMessage, RemoveMessage),
    *(HumanMessageChunk, AIMessageChunk, SystemMessageChunk, ToolMessageChunk, FunctionMessageChunk, ChatMessageChunk),
)
_KINDS: dict[str, type[BaseMessage]] = {str(each.model_fields["type"].default): each for each in _CLASSES}
_DEFAULTS = {
    kind: {
        name: field.get_default(call_default_factory=True)
        for name, field in kind.model_fields.items()
        if name != "type" and not field.is_required()
    }
    for kind in _CLASSES
}
_ROLES: dict[type[Any], str] = {
    HumanMessage: "user",
    AIMessage: "assistant",
    SystemMessage: "system",
    ToolMessage: "tool",
}
_ROLES |= {FunctionMessage: "tool"}
_ROLE = "lc_role"
"""Where a field `role` stands that is not what says who speaks."""
_SEALED = "lc_serde"
"""What only a serialiser can write: by field its kind and its bytes in base64, or so the whole of an own class."""


class Serialiser(Protocol):
    """LangGraph's serialisers."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]: ...

    def loads_typed(self, data: tuple[str, bytes]) -> Any: ...


def fields_of(message: BaseMessage) -> dict[str, Any]:
    """Return what a message holds, by field, without a copy."""
    return {**message.__dict__, **(message.__pydantic_extra__ or {})}


def item_of(
    message: BaseMessage,
    serde: Serialiser | None = None,
    *,
    same: Callable[[BaseMessage, BaseMessage], bool] | None = None,
) -> dict[str, Any]:
    """Return a message in the form in which a session has it.

    Args:
        serde: writes what JSON cannot.
        same: tells whether the message that is read back is the one given. JSON is not used where it is not.

    Raises:
        InvalidMessageError: it holds what JSON cannot write, and there is no `serde`.
    """
    kind = type(message)
    if _KINDS.get(message.type) is kind:
        fields = _item(message, kind)
        try:
            made = json.loads(json.dumps(fields))
            if serde is None or same is None or same(message_of(dict(made)), message):
                return made
        except (TypeError, ValueError, RecursionError):
            pass
        if serde is not None:
            return _sealed_in_part(message, fields, serde)
    if serde is None:
        raise InvalidMessageError(
            "message", f"{kind.__qualname__} holds values that are no JSON, or is a class of your own: give its fields"
        )
    said = {"role": _role(message), "content": str(message.text), "type": message.type}
    return {**said, _SEALED: sealed(message, serde)}


def message_of(item: dict[str, Any], serde: Serialiser | None = None) -> BaseMessage:
    """Return the message of an item, which is used up.

    Raises:
        SessionError: it is none of LangChain's.
    """
    fields = restored(item)
    hidden = fields.pop(_SEALED, {})
    if isinstance(hidden, list):
        return unsealed(hidden, serde or _strict())
    for name, data in hidden.items():
        fields[name] = unsealed(data, serde or _strict())
    told = fields.get("type")
    kind = _KINDS.get(told) if isinstance(told, str) else None
    if kind is None:
        raise SessionError(f"this message is none of LangChain's: its type is {told!r}")
    role = fields.pop("role", None)
    if issubclass(kind, ChatMessage):
        fields["role"] = role
    if _ROLE in fields:
        fields = {"role" if name == _ROLE else name: value for name, value in fields.items()}
    try:
        return kind(**fields)
    except ValueError as error:
        raise SessionError(f"this message is none of LangChain's: {error}") from error


def _sealed_in_part(message: BaseMessage, fields: dict[str, Any], serde: Serialiser) -> dict[str, Any]:
    """Return an item whose fields are JSON but for those that JSON has not, which a serialiser writes."""
    hidden = {name for name, value in fields.items() if not _is_json(value)}
    dumped = message.model_dump(include=hidden) if hidden else {}
    made: dict[str, Any] = json.loads(json.dumps({name: fields[name] for name in fields if name not in hidden}))
    return {**made, _SEALED: {name: sealed(dumped[name], serde) for name in sorted(hidden)}} if hidden else made


def _is_json(value: Any) -> bool:
    """Tell whether JSON gives a value back; a tuple as a list, as LangGraph's serialiser does."""
    if type(value) in (list, tuple):
        return all(map(_is_json, value))
    if type(value) is dict:
        return all(type(key) is str and _is_json(each) for key, each in value.items())
    return value is None or type(value) in (str, int, float, bool)


def _item(message: BaseMessage, kind: type[BaseMessage]) -> dict[str, Any]:
    """Return the fields of a message but for those that say nothing, with its role."""
    fields = fields_of(message)
    for name, default in _DEFAULTS[kind].items():
        if type(fields.get(name)) is type(default) and fields.get(name) == default:
            fields.pop(name, None)
    if not issubclass(kind, ChatMessage):
        if "role" in fields:
            fields = {_ROLE if name == "role" else name: value for name, value in fields.items()}
        fields = {"role": _role(message), **fields}
    return fields


def _role(message: BaseMessage) -> str:
    known = next((role for kind, role in _ROLES.items() if isinstance(message, kind)), None)
    told = known or getattr(message, "role", None)
    return told if isinstance(told, str) else message.type


def sealed(value: Any, serde: Serialiser) -> list[str]:
    """Return what a serialiser makes of a value, as JSON has it."""
    kind, data = serde.dumps_typed(value)
    return [kind, b64encode(data).decode()]


def unsealed(data: Any, serde: Serialiser) -> Any:
    """Return the value that was sealed."""
    kind, text = data
    return serde.loads_typed((kind, b64decode(text)))


def _strict() -> Serialiser:
    """Return the serialiser that makes values of known classes alone.

    Raises:
        SessionError: it is not installed.
    """
    try:
        from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
    except ImportError as error:
        raise SessionError(
            "this message was written by LangGraph with values that are no JSON: reading it needs "
            "pip install 'coda-fs-session[langgraph]'"
        ) from error
    return JsonPlusSerializer(allowed_msgpack_modules=None)
