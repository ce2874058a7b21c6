"""Taking fields out of a record, so that what nobody took can be kept beside the message."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Literal

from . import times

Keep = Literal["none", "rest", "all"]


class Fields:
    """A record of a source, and which of its fields a message has already.

    Args:
        record: any value: of one that is no object, nothing can be taken.
    """

    def __init__(self, record: Any) -> None:
        self.record: dict[str, Any] = record if isinstance(record, dict) else {}
        self._taken: dict[str, Any] = {}

    def look(self, *path: str) -> Any:
        """Return the value at a path of keys, None where there is none, and leave it where it is."""
        value: Any = self.record
        for key in path:
            if not isinstance(value, dict):
                return None
            value = value.get(key)
        return value

    def take(self, *path: str) -> Any:
        """Return the value at a path of keys, None where there is none; the message has it from now on."""
        self._take(path)
        return self.look(*path)

    def _take(self, path: tuple[str, ...]) -> None:
        taken = self._taken
        for key in path[:-1]:
            taken = taken.setdefault(key, {})
            if taken is True:
                return
        taken[path[-1]] = True

    def text(self, *path: str) -> str:
        """Take a text; what is none is left where it is, and "" returned."""
        value = self.look(*path)
        if not isinstance(value, str):
            return ""
        self._take(path)
        return value

    def stamp(self, *path: str) -> str | None:
        """Take a time; where the form of messages does not say all of it, it is left where it is, too."""
        text, is_all = times.stamped(self.look(*path))
        if is_all:
            self._take(path)
        return text

    def rest(self) -> dict[str, Any]:
        """Return what was not taken."""
        return _without(self.record, self._taken)


def _without(record: dict[str, Any], taken: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in record.items():
        mark = taken.get(key)
        if mark is None:
            kept[key] = value
        elif isinstance(mark, dict):
            inner = _without(value, mark) if isinstance(value, dict) else value
            if inner:
                kept[key] = inner
    return kept


def message(
    role: str, content: Any, fields: Fields | None = None, *, keep: Keep = "rest", **others: Any
) -> dict[str, Any]:
    """Return a message with its keys in their order; those of `others` that are None or empty are left out.

    Args:
        fields: the record that it was made of: what of it the message does not have goes to its `source`.
    """
    made: dict[str, Any] = {"role": role, "content": content}
    made |= {key: value for key, value in others.items() if value not in (None, "", [], {})}
    if fields is not None and keep != "none":
        rest = fields.record if keep == "all" else fields.rest()
        if rest:
            made["source"] = rest
    return made


def call(identity: str, name: str, arguments: str) -> dict[str, Any]:
    """Return the call of a tool with JSON as its arguments, in OpenAI's form."""
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


def free_call(identity: str, name: str, text: str) -> dict[str, Any]:
    """Return the call of a tool with any text as its input, in OpenAI's form."""
    return {"id": identity, "type": "custom", "custom": {"name": name, "input": text}}


def text_part(text: str) -> dict[str, Any]:
    """Return a text among the parts of a message."""
    return {"type": "text", "text": text}


def as_text(value: Any) -> str:
    """Return a text as it is, and any other value as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def content_of(parts: list[dict[str, Any]]) -> Any:
    """Return parts as the content of a message: None for none, and a text where there is nothing but that."""
    if not parts:
        return None
    if len(parts) == 1 and parts[0].keys() == {"type", "text"} and parts[0]["type"] == "text":
        text = parts[0]["text"]
        return text if isinstance(text, str) else parts
    return parts


def strings(value: Any, skipped: frozenset[str] = frozenset()) -> list[str]:
    """Return all texts in a value, in order, without those under some keys."""
    found: list[str] = []
    pending = [value]
    while pending:
        at = pending.pop()
        if isinstance(at, str):
            if at:
                found.append(at)
        elif isinstance(at, list):
            pending += reversed(at)
        elif isinstance(at, dict):
            pending += [each for key, each in reversed(at.items()) if key not in skipped]
    return found


def base_name(path: str) -> str:
    """Return the last step of a path as any system writes it."""
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2]


def left_out(counts: Counter[str]) -> list[str]:
    """Return the note that tells of which kind, and how many, records were left out; no note where none were."""
    told = ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items()))
    return [f"left out: {told}"] if told else []
