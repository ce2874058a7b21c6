"""From messages back to the records that they were made of, for programs that are to read these again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from .fields import Fields, Keep
from .tree import Message

Record = dict[str, Any]
Restore = Callable[[list[Message]], Any]
WHOLE = "record"
"""The key of `source` under which a record stands that its messages do not say all of."""

_DATA = re.compile(r"data:([^;,]*);base64,(.*)", re.DOTALL)


def keep_whole(made: list[Message], record: Any, restore: Restore, keep: Keep) -> list[Message]:
    """Keep a record beside its messages where it could not be restored from them: most can."""
    if keep == "rest" and made and restore(made) != record:
        made[0]["source"] = made[0].get("source", {}) | {WHOLE: record}
    return made


def restored(messages: list[Message], restore: Restore, read: Callable[[Any, Keep], list[Message]]) -> Any:
    """Return the record that messages were made of; of those that were changed since, one that says what they say.

    Args:
        restore: makes a record of messages.
        read: makes messages of a record.
    """
    source = messages[0].get("source")
    if isinstance(source, dict):
        if WHOLE in source and read(source[WHOLE], "rest") == messages:
            return source[WHOLE]
        if read(source, "all") == messages:
            return source
    return restore(messages)


def rest_of(message: Message) -> Record:
    """Return what a message has of its record besides what it says itself."""
    source = message.get("source")
    return {key: value for key, value in source.items() if key != WHOLE} if isinstance(source, dict) else {}


def merged(record: Record, more: Record) -> Record:
    """Return a record with more in it, also within what it has already; what is there counts."""
    made = dict(record)
    for key, value in more.items():
        known = made.get(key)
        if isinstance(known, dict) and isinstance(value, dict):
            made[key] = merged(known, value)
        else:
            made.setdefault(key, value)
    return made


def data_of(url: Any) -> tuple[str, str] | None:
    """Return the type and the base64 of what a URL has in itself; None where it has nothing."""
    match = _DATA.match(url) if isinstance(url, str) else None
    return None if match is None else (match[1], match[2])


def arguments_of(call: Any) -> Any:
    """Return the value that the arguments of a call are as JSON; what is none stays as it is."""
    arguments = Fields(call).look("function", "arguments")
    try:
        return json.loads(arguments) if isinstance(arguments, str) else arguments
    except ValueError:
        return arguments
