"""What belongs to a machine and is never synced, as the engine asks for it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager

from ..errors import UnsupportedError
from ..process.uncopied import Uncopied
from .record import Record

NAMING = ".naming"


class MachineState(Uncopied, ABC):
    """What belongs to this machine and is never synced: the replica's id, name locks, the index, the record.

    Losing any of it loses no message.

    Attributes:
        record: what this machine has acknowledged.
        shares_replica: other machines write as the same replica, which was chosen for them, and no lock here excludes
            them.
    """

    record: Record = Record()
    shares_replica = False

    @abstractmethod
    def replica(self, known: Iterable[str]) -> str | None:
        """Return this replica's id, or None where none was chosen that the store knows.

        Args:
            known: ids of the replicas that have refs in the store. A store that does not know our id is
                another store, which has come to stand at the same place.
        """

    @abstractmethod
    def choose_replica(self) -> str:
        """Choose an id that no other replica has, and keep it."""

    @abstractmethod
    def lock(self, *keys: str) -> AbstractContextManager[object]:
        """Exclude other threads and processes of this machine from creating or replacing under some file keys.

        All that an operation needs at once are asked for together, so that no two wait for each other.
        """

    def choosing(self) -> AbstractContextManager[object]:
        """Exclude other processes of this machine from choosing a replica id; may be held for long."""
        return self.lock(".replica")

    def naming(self) -> AbstractContextManager[object]:
        """Keep `wait_for_naming` waiting until what names objects is in the store, from before the lists are read."""
        return self.lock(NAMING)

    def wait_for_naming(self) -> None:
        """Wait until each block of `naming` has ended that began before: from now on each knows the lists of now."""
        with self.lock(NAMING):
            pass

    def keeping_house(self, what: str) -> AbstractContextManager[object]:
        """Exclude other processes of this machine from mending or removing anything in the store; may be held for long.

        Entering it does not wait. It raises StoreError where another one is at work.

        Args:
            what: the verb, to tell others who has it.
        """
        return self.lock(".house")

    def folder(self) -> str | None:
        """Return the folder in which all of this is, None for the default, which keeps nothing on a disk."""
        return None

    def recover(self) -> None:
        """Give back whatever this thread still holds, as `Backend.recover`."""

    @abstractmethod
    def set_aside(self, key: str, data: bytes) -> None:
        """Keep the bytes of a torn write for a person to look at; failing to is not an error."""

    def scrub(self, holds: Callable[[bytes], bool], *, index: bool) -> list[str]:
        """Remove what is kept of messages but for the record, and what is left behind of that; see `Backend.scrub`.

        The default keeps nothing.

        Args:
            index: remove all of the index; otherwise what cannot be kept up to date, and what holds it.
        """
        return []

    def recall(self, topic: str) -> bytes | None:
        """Return what `remember` was last given for a topic, or None; the default forgets everything.

        Args:
            topic: a word, or two with a slash between them.
        """
        return None

    def remember(self, topic: str, data: bytes) -> None:
        """Keep something that saves work next time, and that costs nothing to lose; failing to is not an error."""

    def keep_deleted(self, identity: str, data: bytes) -> str:
        """Keep the bytes of an object that is about to be deleted, durably, and return where.

        Raises:
            UnsupportedError: nothing can be kept, as the default says.
        """
        raise UnsupportedError("this store has no folder in which to keep what is deleted")

    def deleted(self) -> Collection[str]:
        """Return the ids of the objects that are kept so."""
        return ()

    def read_deleted(self, identity: str) -> bytes | None:
        """Return what was kept of an object, verified; None where there is nothing, or something else."""
        return None

    def drop_deleted(self, identity: str) -> None:
        """Keep an object no longer."""
        return

    def database(self, name: str) -> str | None:
        """Return the path of a SQLite database that costs nothing to lose, made empty if there is none.

        None where none can be kept, as the default says.
        """
        return None

    def discard_database(self, name: str) -> None:
        """Remove such a database, with the files that SQLite makes beside it; failing to is not an error."""
