"""What was purged: which objects stand for those that are gone, as the purge records of all replicas say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from ...backends.base import OBJECT_LIMIT, Backend
from ...errors import StoreError
from ...format.ids import Chain, ObjectId, object_id
from ...format.purge_records import Change, Deleted, PurgedSession, PurgeRecord, changed, decode_purge_record
from ...format.replica_file import parse_replica_file


class Purged:
    """What purge records say that were read so far. In a store in which nothing was purged, nothing is ever read.

    Attributes:
        records: each by its id; said_by: the replica that names it, or one of several.
        objects: of each object that is gone, the one that stands for it.
        chains: chain hashes that are computed of lines as they are now, and what they stand for.
        lines: what was changed in message lines and in values of metadata, by their hashes.
        sessions: those that were taken out whole, by what ended each.
        of_sessions: of `objects` what went with these alone, so that somebody may say the same again.
    """

    def __init__(self) -> None:
        self.objects: dict[ObjectId, ObjectId] = {}
        self.chains: dict[Chain, Chain] = {}
        self.lines: dict[str, Change] = {}
        self.sessions: dict[Deleted, PurgedSession] = {}
        self.of_sessions: set[ObjectId] = set()
        self.records: dict[ObjectId, PurgeRecord] = {}
        self.said_by: dict[ObjectId, str] = {}
        self._has_looked = False

    def look_once(self, backend: Backend) -> None:
        """Read the records that there are when the first object is read: what is purged stands in objects alone."""
        if not self._has_looked:
            self.look(backend)

    def look(self, backend: Backend) -> None:
        """Read the records that have come since.

        One that has not arrived, or is damaged, is asked for again the next time: what it tells of is not there, or not
        as it should be, until then.
        """
        self._has_looked = True
        with suppress(StoreError):
            for replica in sorted(backend.replica_files()):
                with suppress(StoreError):
                    data = backend.read_replica_file(replica)
                    if data is not None:
                        for identity in parse_replica_file(data, replica, replica).purged:
                            self._read(backend, identity, replica)

    def has_read(self, record: ObjectId) -> bool:
        """Tell whether what a record says is known, by its id."""
        return record in self.records

    def knows(self, record: PurgeRecord) -> bool:
        """Tell whether all that a record says was read in others."""
        return all(
            said.items() <= known.items()
            for said, known in (
                (record.objects, self.objects),
                (record.chains, self.chains),
                (record.lines, self.lines),
                (record.sessions, self.sessions),
            )
        )

    def learn(self, other: Purged) -> None:
        """Know all that is known of another store."""
        self.lines.update(other.lines)
        self.chains.update(other.chains)
        self.objects.update(other.objects)
        self.sessions.update(other.sessions)
        self.of_sessions |= other.of_sessions

    def stand_in(self, identity: ObjectId) -> ObjectId | None:
        """Return the object that stands for one that is gone; None where none is known to."""
        return next(reversed([*self.stand_ins(identity)]), None)

    def stand_ins(self, identity: ObjectId) -> Iterator[ObjectId]:
        """Yield what has stood for an object that is gone, the one that stands for it now last."""
        while (after := self.objects.get(identity)) is not None:
            yield after
            identity = after

    def masked(self, lines: list[bytes]) -> list[bytes]:
        """Return message lines without what was purged in just these lines."""
        if not self.lines:
            return lines
        return [changed(line, self.lines.get(object_id(line), ())) for line in lines]

    def _read(self, backend: Backend, identity: ObjectId, replica: str) -> None:
        if identity in self.records:
            return
        with suppress(StoreError, ValueError):
            record = decode_purge_record(backend.get_object(identity, size=None, limit=OBJECT_LIMIT))
            # Last, what is asked for first: who finds it finds the rest too.
            self.lines.update(record.lines)
            self.sessions.update(record.sessions)
            self.chains.update(record.chains)
            objects = record.objects
            if record.is_of_session:
                # Who took only a text out needs the rest: another session's purge did not know of that.
                of_texts = self.objects.keys() - self.of_sessions
                objects = {gone: after for gone, after in objects.items() if gone not in of_texts}
                self.of_sessions |= objects.keys()
            else:
                self.of_sessions -= objects.keys()
            self.objects.update(objects)
            self.records[identity] = record
            self.said_by[identity] = replica
