"""Putting objects without something in the place of those that have it, and recording which stands for which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial

from ...backends.base import OBJECT_LIMIT, NewObject
from ...errors import StoreError
from ...format.commits import decode_commit
from ...format.ids import Chain, ObjectId, chain_message, object_id
from ...format.purge_records import Change, Deleted, PurgedSession, PurgeRecord, change_of, encode_purge_record
from ...format.records import Metadata
from ...format.replica_file import ReplicaFile
from ..replica_files import say
from ..repository import Repository
from .texts import Contexts, Wanted, is_commit, without


class Replacing:
    """The objects that a purge replaces, and what it records of them.

    Args:
        lines: record what is changed in each line, too: other replicas take it out of whatever session has that line.
    """

    def __init__(self, repo: Repository, wanted: Wanted, *, lines: bool = True) -> None:
        self._repo, self._wanted, self._notes_lines = repo, wanted, lines
        # What was changed in message lines and in values of metadata, by their hashes: other replicas go by that.
        self._lines: dict[str, Change] = {}

    def note_line(self, before: bytes, after: bytes) -> None:
        """Take note of what is changed in a line."""
        if self._notes_lines and before != after:
            self._lines[object_id(before)] = change_of(before, after)

    def note_values(self, metadata: Metadata) -> None:
        """Take note of what is changed in values of metadata."""
        if not self._notes_lines:
            return
        masked = self._wanted.in_metadata(metadata)
        for before, after in zip(metadata.values(), masked.values(), strict=True):
            if before.value is not None and after.value is not None:
                self.note_line(before.value, after.value)

    def replace(self, objects: Iterable[ObjectId], reach: Contexts) -> dict[ObjectId, bytes]:
        """Put objects without it in the place of these: they first, then the record that says so; then these go.

        Returns:
            what was removed, as it was.
        """
        repo, backend = self._repo, self._repo.backend
        purged = repo.objects.purged
        before = reach.before(objects)
        gone: dict[ObjectId, bytes] = {}
        stand_ins: dict[ObjectId, ObjectId] = {}
        chains: dict[Chain, Chain] = {}
        new: list[NewObject] = []
        for identity in objects:
            with suppress(StoreError):
                data = backend.get_object(identity, size=None, limit=OBJECT_LIMIT)
                masked = without(data, self._wanted)
                if masked == data:
                    continue
                made = repo.objects.copied(object_id(masked), masked)
                stand_ins[identity] = ObjectId(made.id)
                gone[identity] = data
                new.append(made)
                for chain in before[identity]:
                    chains.update(_chains(chain, data, masked, purged.chains))
                if is_commit(data):
                    self.note_values(decode_commit(data).base.metadata)
                else:
                    for pair in zip(data.split(b"\n"), masked.split(b"\n"), strict=True):
                        self.note_line(*pair)
        self.record(stand_ins, chains, new)
        for identity in stand_ins:
            backend.discard_object(identity)
        return gone

    def record(
        self,
        stand_ins: Mapping[ObjectId, ObjectId] | None = None,
        chains: Mapping[Chain, Chain] | None = None,
        objects: Iterable[NewObject] = (),
        sessions: Mapping[Deleted, PurgedSession] | None = None,
    ) -> None:
        """Write objects, and a record of what is not recorded yet."""
        repo, purged = self._repo, self._repo.objects.purged
        lines = {line: change for line, change in self._lines.items() if purged.lines.get(line) != change}
        of_session = not self._notes_lines
        record = PurgeRecord(repo.now(), stand_ins or {}, chains or {}, lines, sessions or {}, of_session)
        if purged.knows(record):
            repo.objects.put([*objects])
            return
        data = encode_purge_record(record)
        repo.objects.put([*objects, NewObject(object_id(data), data)])
        say(repo, partial(_with_record, object_id(data)))
        purged.look(repo.backend)


def _chains(chain: Chain, data: bytes, masked: bytes, known: dict[Chain, Chain]) -> dict[Chain, Chain]:
    """Return what is computed of masked lines, and what it stands for, of an object that has a chain hash before it."""
    found = {}
    for before, after in zip(data.split(b"\n")[:-1], masked.split(b"\n")[:-1], strict=True):
        computed, chain = chain_message(chain, after), chain_message(chain, before)
        chain = known.get(chain, chain)
        if before != after:
            found[computed] = chain
    return found


def _with_record(record: ObjectId, said: ReplicaFile) -> ReplicaFile:
    return said if record in said.purged else replace(said, purged=(*said.purged, record))
