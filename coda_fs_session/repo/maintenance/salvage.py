"""What is intact of a damaged ref: the lines before the damage, and those behind it that verify on their own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from ...format.records import Stamped, Tag
from ...format.refs import Save, encode_save, read_alone
from ..content.state import State

_JOINT = re.compile(rb'(?<="\})[^\n](?=\{"prev":")')
"""Where a newline was, between two saves."""


class Salvage(NamedTuple):
    """A ref made of what is intact of a damaged one.

    Attributes:
        data: its bytes.
        lost: the places of messages that are not in it, in the list as it was, hidden ones counted; kept: of how many
            messages behind the damage it has what verifies.
        uncounted: a save is gone of which it cannot be told how many messages it had.
    """

    data: bytes
    lost: tuple[range, ...]
    kept: int
    uncounted: bool


def salvaged(head: State, data: bytes) -> Salvage:
    """Return what is intact of a damaged ref.

    Args:
        head: its state up to the damage; data: the whole file.
    """
    first, before = head.header.base.messages, head.messages.lines
    lines: list[bytes | None] = [*before]
    metadata: dict[str, Stamped] = {}
    tags: dict[str, Tag] = {}
    last, time, kept, uncounted = head.last_id, head.updated, 0, False
    for line in _lines(data[head.size :]):
        save, identity = _read(line)
        at = save.replace - first if save and save.replace is not None else len(lines)
        if save is None or not 0 <= at <= len(lines):
            fields = line.count(b"\t") // 2 if save is None else len(save.messages)
            lines += [None] * fields
            uncounted |= not fields
            last = ""
            continue
        uncounted |= last not in ("", save.previous)
        last, time = identity, save.time
        lines[at:] = save.messages
        kept += len(save.messages)
        metadata.update(save.metadata)
        tags.update(save.tags)
    good = [line for line in lines if line is not None]
    same = next((at for at, pair in enumerate(zip(before, good, strict=False)) if pair[0] != pair[1]), len(before))
    same = min(same, len(good))
    data = data[: head.size]
    if same < len(before) or len(good) > same or metadata or tags:
        replace = None if same == len(before) else first + same
        data += encode_save(Save(head.last_id, time, good[same:], replace, metadata, tags))[0]
    return Salvage(data, _ranges(first, lines), kept, uncounted)


def _lines(data: bytes) -> Iterator[bytes]:
    """Yield lines, each with its newline, also where that is not one any more."""
    *whole, rest = data.split(b"\n")
    for line in whole:
        pieces = _JOINT.split(line)
        yield from (piece + b"\n" for piece in (pieces if all(_read(each + b"\n")[0] for each in pieces) else [line]))
    if rest:
        yield rest[:-1] + b"\n" if _read(rest[:-1] + b"\n")[0] else rest


def _read(line: bytes) -> tuple[Save | None, str]:
    try:
        return read_alone(line)
    except (ValueError, KeyError, TypeError):
        return None, ""


def _ranges(first: int, lines: list[bytes | None]) -> tuple[range, ...]:
    found: list[range] = []
    for place, line in enumerate(lines, first):
        if line is None:
            start = found.pop().start if found and found[-1].stop == place else place
            found.append(range(start, place + 1))
    return tuple(found)
