"""Changing messages and metadata that somebody holds, under their hands."""

from __future__ import annotations

from typing import Any

from ..errors import InvalidMessageError
from ..format.jsonl import decode, decode_all, encode_value


def amend(live: list[dict[str, Any]], lines: list[bytes], new: list[bytes], first: int) -> None:
    """Bring the live messages from position `first` on, which were `lines`, to what `new` says."""
    if len(new) == len(lines):
        for target, before, after in zip(live[first : first + len(lines)], lines, new, strict=False):
            if before != after and _is(target, before):
                # In place: others hold this very dict, and may be adding to its text.
                bring(target, decode(before), decode(after))
    else:
        targets = live[first : first + len(lines)]
        if len(targets) == len(lines) and all(map(_is, targets, lines)):
            live[first : first + len(lines)] = decode_all(new)


def bring(target: Any, old: Any, new: Any) -> None:
    """Change what differs between `old` and `new` in a dict or list that was `old`, where another thread has not.

    Under autosave another thread may be at work on it. So no call stands between comparing a text and setting it, which
    is where the interpreter changes threads.
    """
    if isinstance(old, dict):
        pairs = list(new.items()) if list(old) == list(new)[: len(old)] else None
    else:
        pairs = list(enumerate(new)) if len(old) == len(new) == len(target) else None
    if pairs is None:
        if _same(target, old):
            if isinstance(old, dict):
                target.clear()
                target.update(new)
            else:
                target[:] = new
        return
    for key, after in pairs:
        if isinstance(old, dict) and key not in old:
            target.setdefault(key, after)
            continue
        before = old[key]
        if _same(before, after):
            continue
        try:
            nested = type(before) is type(after) is type(target[key]) and isinstance(after, (dict, list))
            if nested:
                bring(target[key], before, after)
            elif target[key] == before:
                target[key] = after
        except LookupError:
            # Taken out meanwhile.
            continue


def _same(one: Any, other: Any) -> bool:
    """Tell whether two values are the same JSON, which `==` does not for 1 and True."""
    text = _encoded(one)
    return text is not None and text == _encoded(other)


def _is(value: Any, line: bytes) -> bool:
    return _encoded(value) == line


def _encoded(value: Any) -> bytes | None:
    try:
        return encode_value(value, "")
    except InvalidMessageError:
        return None
