"""Purge records: what was taken out of a store, told without a word of it (FORMAT.md, "Purge records")."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from .generations import GenerationId
from .ids import Chain, ObjectId, is_hex64
from .records import FORMAT_NAME, FORMAT_VERSION, check_format, count, decode_time, typed

Change = tuple[tuple[int, str], ...]
"""What stands in a line now: from which byte on, and what, in order."""

_START = b'{"%b":%d,"purge":' % (FORMAT_NAME.encode(), FORMAT_VERSION)


class Deleted(NamedTuple):
    """What ended a session. Two that were like each other up to then have the same step, and each its own name.

    Attributes:
        step: the id of the delete; name: that the session had.
    """

    step: GenerationId
    name: str


class PurgedSession(NamedTuple):
    """A session that was taken out whole.

    Attributes:
        name: that it had.
        imported: a key, and the hash of what it was imported from by `import_hash`; empty where it was not imported.
    """

    name: str
    imported: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PurgeRecord:
    """What one purge took out.

    Attributes:
        time: when.
        objects: of each object that is gone, the one that stands for it now, which has as many bytes.
        chains: what is computed of lines as they are now, and the chain hash that it stands for.
        lines: what was changed in message lines, and in values of metadata, by their hashes.
        sessions: what was taken out whole, by what ended it.
        is_of_session: the objects were taken out as a session was, so another session may have such a one anew.
    """

    time: str
    objects: Mapping[ObjectId, ObjectId] = field(default_factory=dict)
    chains: Mapping[Chain, Chain] = field(default_factory=dict)
    lines: Mapping[str, Change] = field(default_factory=dict)
    sessions: Mapping[Deleted, PurgedSession] = field(default_factory=dict)
    is_of_session: bool = False


def encode_purge_record(record: PurgeRecord) -> bytes:
    """Return the bytes of the record's object: a JSON line an item."""
    what = "session" if record.is_of_session else "text"
    items: list[dict[str, Any]] = [{FORMAT_NAME: FORMAT_VERSION, "purge": what, "time": record.time}]
    for (step, _), session in sorted(record.sessions.items()):
        told = {"imported": list(session.imported)} if session.imported else {}
        items.append({"session": session.name, "step": step, **told})
    items += [{"object": identity, "to": to} for identity, to in sorted(record.objects.items())]
    items += [{"chain": chain, "from": computed} for computed, chain in sorted(record.chains.items())]
    items += [{"line": line, "put": [list(put) for put in change]} for line, change in sorted(record.lines.items())]
    return b"".join(orjson.dumps(item) + b"\n" for item in items)


def is_purge_record(data: bytes) -> bool:
    """Tell a purge record from all other objects, but for messages that look like one."""
    return data.startswith(_START)


def decode_purge_record(data: bytes) -> PurgeRecord:
    """Read a record whose hash has been verified; items of a kind that is not known are left out.

    Raises:
        ValueError: it is none.
        StoreFormatError: it is of a newer version.
    """
    try:
        first, *items = [typed(orjson.loads(line), dict, "an item") for line in data.splitlines()]
        check_format(first, "the purge record")
        decode_time(first["time"])
        objects: dict[ObjectId, ObjectId] = {}
        chains: dict[Chain, Chain] = {}
        lines: dict[str, Change] = {}
        sessions: dict[Deleted, PurgedSession] = {}
        for item in items:
            if "object" in item:
                objects[ObjectId(_hash(item["object"]))] = ObjectId(_hash(item["to"]))
            elif "chain" in item:
                chains[Chain(_hash(item["from"]))] = Chain(_hash(item["chain"]))
            elif "line" in item:
                lines[_hash(item["line"])] = tuple((count(start), _ascii(text)) for start, text in item["put"])
            elif "session" in item:
                imported = tuple(map(_hash, item.get("imported", ())))
                name = typed(item["session"], str, "a session's name")
                deleted = Deleted(GenerationId(_hash(item["step"])), name)
                sessions[deleted] = PurgedSession(name, imported)
        return PurgeRecord(first["time"], objects, chains, lines, sessions, first["purge"] == "session")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"the object is no purge record: {error!r}") from error


def import_hash(key: str, identity: Sequence[str]) -> str:
    """Return what tells whether a session was imported from something, to those alone who know from what.

    Args:
        key: 64 hexadecimal digits, which are of one store.
        identity: the values of its note of the import that tell what it was imported from.
    """
    return hmac.digest(key.encode(), orjson.dumps(list(identity)), "sha256").hex()


def change_of(before: bytes, after: bytes) -> Change:
    """Return where the second of two lines of one length is not as the first one, and what stands there."""
    runs: list[tuple[int, int]] = []
    for place, (one, other) in enumerate(zip(before, after, strict=True)):
        if one != other:
            if runs and runs[-1][1] == place:
                runs[-1] = (runs[-1][0], place + 1)
            else:
                runs.append((place, place + 1))
    return tuple((start, after[start:stop].decode("ascii")) for start, stop in runs)


def changed(line: bytes, change: Change) -> bytes:
    """Return a line with a change made; as it is where that is not of such a line."""
    made = bytearray(line)
    for start, text in change:
        made[start : start + len(text)] = text.encode()
    return bytes(made) if len(made) == len(line) else line


def _ascii(value: Any) -> str:
    if not typed(value, str, "what stands there").isascii():
        raise ValueError(f"{value!r} is no mask")
    return str(value)


def _hash(value: Any) -> str:
    if not is_hex64(value):
        raise ValueError(f"{value!r} is no hash")
    return str(value)
