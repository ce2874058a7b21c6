"""The rules of replica files, and of the lists and purge records that they name: each a function, as of refs."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping

from ...backends.base import OBJECT_LIMIT, Backend, StoredObject
from ...errors import ObjectNotYetHereError, StoreError, StoreFormatError
from ...format.ids import ObjectId
from ...format.lists import decode_list
from ...format.purge_records import decode_purge_record
from ...format.replica_file import ReplicaFile
from .. import replica_files
from ..content.purged import Purged
from ..repository import Repository
from .findings import Finding


def unread_file(repo: Repository, replica: str, why: StoreError) -> Iterator[Finding]:
    """A replica file can be read, and matches its id."""
    rule = "newer-version" if isinstance(why, StoreFormatError) else "replica-file"
    yield Finding.of(rule, replica_files.place_of(repo, replica), why)


def named_by(said: Mapping[str, ReplicaFile], *, lists: bool) -> dict[ObjectId, str]:
    """Return the lists that replicas name, or the purge records, each with one of these."""
    return {each: replica for replica, one in said.items() for each in (one.lists if lists else one.purged)}


class Named:
    """What replicas name.

    Attributes:
        lost: objects of it that are not here, or are damaged; names: the files on the lists that are here.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.lost: set[ObjectId] = set()
        self.names: dict[ObjectId, frozenset[str]] = {}

    def problem(self, identity: ObjectId, decode: Callable[[ObjectId, bytes], object]) -> str | None:
        """Return what is wrong with an object that replicas name; None where nothing is."""
        try:
            decode(identity, self._backend.get_object(identity, size=None, limit=OBJECT_LIMIT))
        except ObjectNotYetHereError:
            self.lost.add(identity)
            return "is not here"
        except StoreError:
            self.lost.add(identity)
            return "cannot be read"
        except ValueError:
            return "is none"
        return None

    def take_list(self, identity: ObjectId, data: bytes) -> None:
        self.names[identity] = decode_list(data)


def lost_list(backend: Backend, wanted: Mapping[ObjectId, str], found: Named) -> Iterator[Finding]:
    """Each list that a replica names is here, and is one."""
    for identity, replica in wanted.items():
        problem = found.problem(identity, found.take_list)
        if problem is not None:
            yield Finding.of("list", backend.locate(identity), f"the list {problem}: {replica} names it")


def lost_purge_record(backend: Backend, wanted: Mapping[ObjectId, str], found: Named) -> Iterator[Finding]:
    """Each purge record that a replica names is here, and is one."""
    for identity, replica in wanted.items():
        problem = found.problem(identity, lambda _, data: decode_purge_record(data))
        if problem is not None:
            yield Finding.of("purge-record", backend.locate(identity), f"the record {problem}: {replica} names it")


def listed_file(
    said: Mapping[str, ReplicaFile], found: Named, stored: Mapping[str, list[StoredObject]]
) -> Iterator[Finding]:
    """No file is here that is on a list of which a replica says that it is done."""
    done = {each for one in said.values() for each in one.done}
    names = frozenset[str]().union(*(found.names[each] for each in done if each in found.names))
    for places in stored.values() if names else ():
        for place in places:
            if place.name in names:
                yield Finding.of("list-file", place.path, "the file was deleted by a gc, and is here again")


def purged_object(
    purged: Purged, stored: Container[str], had_again: Container[str], backend: Backend
) -> Iterator[Finding]:
    """No object is here that a purge has removed, but for those that another session has."""
    for identity in purged.objects:
        if identity in stored and identity not in had_again:
            yield Finding.of(
                "purge-object", backend.locate(identity), "a purge has removed the object, and it is here again"
            )
