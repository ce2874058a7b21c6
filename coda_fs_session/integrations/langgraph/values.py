"""Values of a graph's state as JSON that people can read, search and redact; what only a serialiser knows is base64."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any

import ormsgpack
from langchain_core.messages import BaseMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from langgraph.types import Interrupt, Send

from ... import SessionError
from ..langchain.messages import Serialiser, fields_of, item_of, message_of, sealed, unsealed

_PLAIN = frozenset((str, int, float, bool, type(None)))
_EXACT = (
    ormsgpack.OPT_PASSTHROUGH_TUPLE
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
    | ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_UUID
)
"""What has no type of its own in msgpack is refused, so that no two values have one print."""


_PRINT = 16


def print_of(message: BaseMessage, serde: Serialiser) -> bytes:
    """Return bytes that two messages have in common only if they are equal, in every type within."""
    said: Any = message
    if not isinstance(said, BaseMessage):
        # What a strict serialiser makes of a class that it was not told of.
        return serde.dumps_typed(message)[1]
    kind = type(message).__name__
    try:
        told = ormsgpack.packb([kind, message.__dict__, message.__pydantic_extra__], None, _EXACT)
        return blake2b(told, digest_size=_PRINT).digest()
    except ormsgpack.MsgpackEncodeError:
        pass
    try:
        # Lone surrogates and large integers are JSON for Python.
        return json.dumps([kind, fields_of(message)]).encode()
    except (TypeError, ValueError, RecursionError):
        return serde.dumps_typed(message)[1]


class Values:
    """Writes values in JSON as far as it has them, and messages in the form that LangChain's history has.

    Each other value is a dict with one key that begins with ``$``.

    Args:
        serde: writes what JSON cannot. One that is not LangGraph's own, as for encryption, writes everything.
    """

    def __init__(self, serde: Serialiser) -> None:
        self._serde = serde
        self.is_readable = type(serde) is JsonPlusSerializer

    def print_of(self, message: BaseMessage) -> bytes:
        """Return what only an equal message has."""
        return print_of(message, self._serde)

    def item_of(self, message: BaseMessage) -> tuple[dict[str, Any], bool]:
        """Return a message in the form in which a session has it, and whether it is read back as it was given."""
        exact = False

        def same(one: BaseMessage, other: BaseMessage) -> bool:
            nonlocal exact
            exact = self.print_of(one) == self.print_of(other)
            return exact

        return item_of(message, self._serde, same=same), exact

    def message_of(self, item: dict[str, Any]) -> BaseMessage:
        """Return the message of an item, which is used up."""
        return message_of(item, self._serde)

    def packed(self, value: Any) -> Any:
        """Return the form in which a record has a value."""
        if not self.is_readable:
            return {"$serde": sealed(value, self._serde)}
        kind = type(value)
        if kind in _PLAIN:
            return value
        if kind is list or kind is tuple:
            # LangGraph's serialiser gives a list back for both.
            return [self.packed(each) for each in value]
        if kind is dict and all(type(key) is str for key in value):
            made = {key: self.packed(each) for key, each in value.items()}
            return {"$dict": made} if len(made) == 1 and next(iter(made))[:1] == "$" else made
        if kind is _DeltaSnapshot:
            return {"$snapshot": self.packed(value.value)}
        if kind is Send and value.timeout is None:
            return {"$send": [value.node, self.packed(value.arg)]}
        if kind is Interrupt and value.response_schema is None:
            return {"$interrupt": [value.id, self.packed(value.value)]}
        if isinstance(value, BaseMessage):
            return {"$message": self.item_of(value)[0]}
        return {"$serde": sealed(value, self._serde)}

    def unpacked(self, value: Any) -> Any:
        """Return a value of its own, which was packed.

        Raises:
            SessionError: the form is not known, as of a later version.
        """
        kind = type(value)
        if kind is list:
            return [self.unpacked(each) for each in value]
        if kind is not dict:
            return value
        if len(value) == 1:
            ((key, inner),) = value.items()
            if key[:1] == "$":
                return self._made(key, inner)
        return {key: self.unpacked(each) for key, each in value.items()}

    def _made(self, key: str, inner: Any) -> Any:
        if key == "$serde":
            return unsealed(inner, self._serde)
        if key == "$message":
            return self.message_of(inner)
        if key == "$dict":
            return {name: self.unpacked(each) for name, each in inner.items()}
        if key == "$snapshot":
            return _DeltaSnapshot(self.unpacked(inner))
        if key == "$send":
            return Send(inner[0], self.unpacked(inner[1]))
        if key == "$interrupt":
            return Interrupt(value=self.unpacked(inner[1]), id=inner[0])
        raise SessionError(f"a value of the form {key!r} is not known: it is of a later version of this package")
