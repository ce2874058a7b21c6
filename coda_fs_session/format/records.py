"""Values that refs and commits share: times, metadata with stamps, tags, bases (FORMAT.md, "Shared fields").

Fields at their default are left out, and what is left out has its default.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import orjson

from ..errors import StoreError, StoreFormatError
from .ids import CHAIN_START, Chain, ObjectId, is_hex64
from .tree import Spine

FORMAT_NAME = "coda_fs_session"
FORMAT_VERSION = 1

_YEARS_AHEAD = 10
"""A metadata stamp further ahead than this many years comes from a wrong clock, or from somebody who wants to win."""


def utc_time(moment: datetime) -> datetime:
    """Return a moment in UTC; naive datetimes are local time.

    Raises:
        ValueError: its year, in UTC, is not 2 to 9998. Some moments of the years 1 and 9999 have no local time.
    """
    try:
        utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    except (OverflowError, ValueError, OSError):  # at the very ends; and where a platform has no local time for it
        utc = None
    if utc is None or not 1 < utc.year < 9999:
        raise ValueError(f"{moment} cannot be stored: in UTC, a time must be in the years 2 to 9998")
    return utc


def given_time(moment: object, argument: str) -> datetime | None:
    """Return a time that a caller gave, in UTC; None where none was given.

    Raises:
        TypeError: it is no datetime.
        ValueError: as `utc_time`.
    """
    if moment is None:
        return None
    if not isinstance(moment, datetime):
        raise TypeError(f"{argument} must be a datetime, not {type(moment).__name__}")
    return utc_time(moment)


def local_time(moment: datetime) -> datetime:
    """Return a moment as naive local time; `fold` is 1 for the second of two moments with the same local time."""
    local = moment.astimezone().replace(tzinfo=None)
    return local if local.astimezone(UTC) == moment else local.replace(fold=1)


def encode_time(moment: datetime) -> str:
    """Return an aware datetime as UTC text of fixed width, so that text order is time order; raises as `utc_time`."""
    moment = utc_time(moment)
    # In a fifth of the time that isoformat needs; but orjson leaves the fraction out where it is zero.
    text = orjson.dumps(moment)[1:-1].decode() if moment.microsecond else moment.isoformat(timespec="microseconds")
    return text


def decode_time(text: Any) -> datetime:
    """Raises ValueError when `text` is not as `encode_time` writes it: other forms have another order as text."""
    return _decode_time(typed(text, str, "a time"))


@lru_cache(maxsize=1024)
def _decode_time(text: str) -> datetime:
    # Kept: one is checked when it is read, and decoded when it is asked for.
    moment = datetime.fromisoformat(text)
    # `fromisoformat` takes many forms; only of this one text order is time order.
    if moment.tzinfo is None or encode_time(moment) != text:
        raise ValueError(f"the time {text!r} is not written as 2026-01-02T03:04:05.000006+00:00")
    return moment


LARGEST_COUNT = 2**53 - 1
"""What any program reads as a whole number, and sums of which fit into 64 bits."""

LARGEST_WRITTEN = 2**52
"""The largest count in a header that is written: what is added to it later can be read too."""


def unwritable(name: str, messages: int, size: int) -> StoreError:
    """Return the error for what goes on from counts that nobody can have written in earnest."""
    return StoreError(
        f"session {name!r} goes on from one that claims to have {messages} messages of {size} bytes, which no program "
        "has written: go on in a session of another name"
    )


class Stamped(NamedTuple):
    """One metadata value and when it was set; `value` is JSON, or None where the key was removed."""

    stamp: str
    value: bytes | None

    @property
    def told_apart(self) -> bytes:
        """What tells it from another value of the same stamp."""
        return self.value or b""


Metadata = Mapping[str, Stamped]


def horizon(now: datetime) -> str:
    """Return the stamp from which on stamps are not believed: the end of the tenth year after the present one.

    It moves once a year, so that readers agree as long as their clocks tell the same year.
    """
    return f"{min(now.year + _YEARS_AHEAD + 1, 9999):04}"


def stamp_order(stamp: str, horizon: str) -> tuple[bool, str]:
    """Sort stamps: those that are not believed come before all others, so that no value is pinned by one."""
    return stamp < horizon, stamp


def next_stamp(stamp: str) -> str:
    """Return the first stamp after one; raises ValueError at the end of the years that can be stored."""
    return encode_time(decode_time(stamp) + timedelta(microseconds=1))


def encode_metadata(metadata: Metadata) -> dict[str, list[Any]]:
    return {
        key: [item.stamp] if item.value is None else [item.stamp, orjson.Fragment(item.value)]
        for key, item in metadata.items()
    }


def decode_metadata(value: Any) -> dict[str, Stamped]:
    """Raises ValueError when `value` is no metadata."""
    metadata = {}
    for key, item in typed(value, dict, "metadata").items():
        if not isinstance(item, list) or len(item) not in (1, 2):
            raise ValueError(f"metadata {key!r} is not [stamp] or [stamp, value]")
        decode_time(item[0])
        metadata[key] = Stamped(item[0], orjson.dumps(item[1]) if len(item) == 2 else None)
    return metadata


class Tag(NamedTuple):
    """What a label names, and when that was said; `commit` freezes the tagged state, and is None for a removed tag."""

    stamp: str
    commit: "CommitLink | None"

    @property
    def told_apart(self) -> bytes:
        """What tells it from another tag of the same stamp."""
        return self.commit.id.encode() if self.commit else b""


Tags = Mapping[str, Tag]
NO_TAGS: Tags = MappingProxyType({})


def encode_tags(tags: Tags) -> dict[str, list[object]]:
    return {
        label: [tag.stamp] if tag.commit is None else [tag.stamp, tag.commit.to_json()] for label, tag in tags.items()
    }


def decode_tags(value: Any) -> dict[str, Tag]:
    """Raises ValueError when `value` are no tags."""
    tags = {}
    for label, item in typed(value, dict, "tags").items():
        if not isinstance(item, list) or len(item) not in (1, 2):
            raise ValueError(f"tag {label!r} is not [stamp] or [stamp, commit]")
        decode_time(item[0])
        tags[label] = Tag(item[0], CommitLink.from_json(item[1]) if len(item) == 2 else None)
    return tags


class Tail(NamedTuple):
    """Messages after the last cut that stand in an object: the first `messages` lines of it.

    Attributes:
        size: bytes of the whole object, of which `bytes` are used.
    """

    id: ObjectId
    size: int
    messages: int
    bytes: int

    def to_json(self) -> list[object]:
        return [self.id, self.size, self.messages, self.bytes]

    @classmethod
    def from_json(cls, value: Any) -> "Tail":
        """Raises ValueError when `value` is no tail."""
        identity, size, messages, used = typed(value, list, "a tail")
        if not is_hex64(identity) or not 0 < count(messages) <= count(used) <= count(size):
            raise ValueError("a tail must be [id, size, messages, bytes]")
        return cls(ObjectId(identity), size, messages, used)


@dataclass(slots=True)
class Base:
    """A list of messages in objects, and the metadata with it.

    Attributes:
        messages, bytes: count and size of all messages in the list, hidden ones included.
        chain: the chain hash at its end.
        start: how many messages at the front a truncation hides.
        start_bytes: their size.
        metadata: every key ever set, with its stamp.
        spine: the list tree; tail: what comes after it.
        tags: every tag ever set, with its stamp.
    """

    messages: Final[int] = 0
    bytes: Final[int] = 0
    chain: Final[Chain] = CHAIN_START
    start: Final[int] = 0
    start_bytes: Final[int] = 0
    metadata: Final[Metadata] = field(default_factory=dict)
    spine: Final[Spine] = Spine()
    tail: Final[Tail | None] = None
    tags: Final[Tags] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        fields: dict[str, object] = {"messages": self.messages, "bytes": self.bytes, "chain": self.chain}
        if self.start:
            fields |= {"start": self.start, "start_bytes": self.start_bytes}
        if self.metadata:
            fields["metadata"] = encode_metadata(self.metadata)
        if self.tags:
            fields["tags"] = encode_tags(self.tags)
        if self.spine.levels:
            fields["spine"] = self.spine.to_json()
        if self.tail:
            fields["tail"] = self.tail.to_json()
        return fields

    @classmethod
    def from_json(cls, value: Any) -> "Base":
        """Raises ValueError when `value` is no base or does not add up."""
        if value == _EMPTY and type(value["messages"]) is type(value["bytes"]) is int:
            # Of most refs: opening one, or listing many for the first time, is mostly such checks.
            return cls()
        fields = typed(value, dict, "a base")
        base = cls(
            count(fields["messages"]),
            count(fields["bytes"]),
            chain_hash(fields["chain"]),
            count(fields.get("start", 0)),
            count(fields.get("start_bytes", 0)),
            decode_metadata(fields.get("metadata", {})),
            Spine.from_json(fields.get("spine", [])),
            Tail.from_json(fields["tail"]) if "tail" in fields else None,
            decode_tags(fields["tags"]) if "tags" in fields else NO_TAGS,
        )
        tail_messages, tail_bytes = (base.tail.messages, base.tail.bytes) if base.tail else (0, 0)
        if base.messages != base.spine.messages + tail_messages or base.bytes != base.spine.bytes + tail_bytes:
            raise ValueError("a base whose spine and tail do not add up to its counts")
        if base.start > base.messages or base.start_bytes > base.bytes:
            raise ValueError("a base that hides more messages than it has")
        if base.tail is None and base.chain != base.spine.end_chain():
            raise ValueError("a base whose chain hash is not that of its spine")
        return base


_EMPTY = Base().to_json()


class Parent(NamedTuple):
    """What a session was forked from: the parent's name and the state at the fork.

    Attributes:
        messages: live messages at the fork (`forked_at` of `SessionInfo`); start: hidden ones before them.
        chain: the parent's chain hash after `start + messages`.
    """

    name: str
    messages: int
    start: int
    chain: Chain

    def to_json(self) -> dict[str, object]:
        return {"name": self.name, "messages": self.messages, "start": self.start, "chain": self.chain}

    @classmethod
    def from_json(cls, value: Any) -> "Parent":
        """Raises ValueError when `value` is no parent."""
        fields = typed(value, dict, "a parent")
        name = typed(fields["name"], str, "a name")
        return cls(name, count(fields["messages"]), count(fields["start"]), chain_hash(fields["chain"]))


class CommitLink(NamedTuple):
    """Where a commit is, how large its object, and how many commits came before it."""

    id: ObjectId
    size: int
    depth: int

    def to_json(self) -> list[object]:
        return [self.id, self.size, self.depth]

    @classmethod
    def from_json(cls, value: Any) -> "CommitLink":
        """Raises ValueError when `value` is no link."""
        identity, size, depth = typed(value, list, "a commit link")
        if not is_hex64(identity):
            raise ValueError("a commit link must be [id, size, depth]")
        return cls(ObjectId(identity), count(size), count(depth))


def check_format(fields: Mapping[str, Any], what: str) -> None:
    """Refuse a record of another format, of a newer version, or one that requires what this version lacks.

    Raises:
        ValueError: it is no record of this format.
        StoreFormatError: it is, and needs a newer version.
    """
    version = fields.get(FORMAT_NAME)
    if type(version) is not int:
        raise ValueError(f"{what} does not begin with {{{FORMAT_NAME!r}: version}}")
    if version != FORMAT_VERSION:
        raise StoreFormatError(f"{what} has format version {version}; this version of the package knows 1: upgrade it")
    for needed in fields.get("requires", []):
        feature, since = (needed.get("feature"), needed.get("since")) if isinstance(needed, dict) else (needed, None)
        raise StoreFormatError(
            f"{what} requires {feature!r}: upgrade coda-fs-session to {since or 'a newer version'} or later"
        )


def count(value: Any) -> int:
    """Raises ValueError when `value` is no whole number from 0 to `LARGEST_COUNT`."""
    if type(value) is not int or not 0 <= value <= LARGEST_COUNT:
        raise ValueError(f"{value!r} is no count")
    return value


def chain_hash(value: Any) -> Chain:
    """Raises ValueError when `value` is no chain hash."""
    if not is_hex64(value):
        raise ValueError(f"{value!r} is no chain hash")
    return Chain(value)


def typed(value: Any, kind: type, what: str) -> Any:
    """Raises ValueError when `value` is of another type than `what` must be."""
    if not isinstance(value, kind):
        raise ValueError(f"{what} must be {kind.__name__}, not {type(value).__name__}")
    return value
