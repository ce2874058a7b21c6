"""What a replica says of itself, in `refs/<replica>/replica.json` (FORMAT.md, "Replica files")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

import orjson

from ..errors import CorruptionError
from .ids import ObjectId, is_hex64, is_replica_id, line_id
from .records import FORMAT_NAME, FORMAT_VERSION, check_format, count, typed

T = TypeVar("T")

_ID_FIELD = b',"id":"'


@dataclass(frozen=True, slots=True)
class ReplicaFile:
    """What a replica says of itself. It never takes back anything but `condemned`.

    Attributes:
        writes: how often it was written; of two states of one file the later one has more.
        condemned: the list of what is to be deleted next.
        done: lists of what was deleted; acknowledged: lists with nothing that any ref there needs.
        retired: replicas that nobody waits for any more.
        purged: purge records that hold for every replica.
        extra: fields of a later version, kept as they are.
    """

    replica: str
    writes: int = 0
    condemned: ObjectId | None = None
    done: tuple[ObjectId, ...] = ()
    acknowledged: tuple[ObjectId, ...] = ()
    retired: tuple[str, ...] = ()
    purged: tuple[ObjectId, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def lists(self) -> tuple[ObjectId, ...]:
        """The lists that it names."""
        return (*((self.condemned,) if self.condemned else ()), *self.done, *self.acknowledged)

    @property
    def named(self) -> tuple[ObjectId, ...]:
        """The objects that it names: lists and purge records."""
        return (*self.lists, *self.purged)

    def united(self, other: ReplicaFile) -> ReplicaFile:
        """Return the later of two states, with all that the other one says and never takes back."""
        later, earlier = (other, self) if other.writes > self.writes else (self, other)
        return replace(
            later,
            done=_united(earlier.done, later.done),
            acknowledged=_united(earlier.acknowledged, later.acknowledged),
            retired=_united(earlier.retired, later.retired),
            purged=_united(earlier.purged, later.purged),
            extra={**earlier.extra, **later.extra},
        )

    def contains(self, other: ReplicaFile) -> bool:
        """Tell whether this says all that another state says, and is not earlier."""
        return self.writes >= other.writes and all(
            set(getattr(other, name)) <= set(getattr(self, name)) for name in _LISTS
        )


_LISTS = ("done", "acknowledged", "retired", "purged")
_FIELDS = {each.name for each in fields(ReplicaFile)} - {"extra"} | {FORMAT_NAME, "requires", "id"}


def encode_replica_file(said: ReplicaFile) -> bytes:
    """Return the bytes of a replica file: one line."""
    record: dict[str, Any] = {FORMAT_NAME: FORMAT_VERSION, "replica": said.replica, "writes": said.writes}
    if said.condemned is not None:
        record["condemned"] = said.condemned
    record |= {name: list(getattr(said, name)) for name in _LISTS if getattr(said, name)}
    before = orjson.dumps({**record, **said.extra})[:-1]
    return b'%b%b%b"}\n' % (before, _ID_FIELD, line_id(before).encode())


def parse_replica_file(data: bytes, replica: str, path: object) -> ReplicaFile:
    """Read a replica file, verifying its id.

    Args:
        replica: whose it is to be, by its folder.

    Raises:
        CorruptionError: it does not verify, or is another replica's.
        StoreFormatError: it is of a newer version.
    """
    try:
        record = orjson.loads(data)
        check_format(typed(record, dict, "a replica file"), "the replica file")
        before, _, _ = data.rpartition(_ID_FIELD)
        if data != b'%b%b%b"}\n' % (before, _ID_FIELD, line_id(before).encode()):
            raise ValueError("the line does not match its id")
        if record["replica"] != replica:
            raise ValueError("it is another replica's")
        condemned = record.get("condemned")
        return ReplicaFile(
            replica,
            count(record["writes"]),
            None if condemned is None else _ids([condemned])[0],
            _ids(record.get("done", [])),
            _ids(record.get("acknowledged", [])),
            _replicas(record.get("retired", [])),
            _ids(record.get("purged", [])),
            {name: value for name, value in record.items() if name not in _FIELDS},
        )
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptionError(f"what a replica says of itself is damaged ({error})", str(path), line=1) from error


def _united(first: Sequence[T], second: Sequence[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys((*first, *second)))


def _ids(value: Any) -> tuple[ObjectId, ...]:
    if not all(map(is_hex64, typed(value, list, "a list of objects"))):
        raise ValueError("an object id is none")
    return tuple(map(ObjectId, value))


def _replicas(value: Any) -> tuple[str, ...]:
    if not all(map(is_replica_id, typed(value, list, "a list of replicas"))):
        raise ValueError("a replica id is none")
    return tuple(value)
