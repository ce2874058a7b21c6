"""What this machine has acknowledged in its own refs, as the engine asks for it: the interface, which keeps nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext

from .keys import RefEnd, RefKey, Token


class Record:
    """What this machine has acknowledged in each of its own refs, kept where nothing syncs it. This one keeps nothing.

    A backend that shares one with its `MachineState` brings it up to date with every write of a ref, and refuses
    to write to one that differs from it (`RecordAheadError`). Failing to keep it is never an error.

    Records are kept in sets, one for each replica. A set that is kept aside goes by another name, which no replica can
    have; `tokens`, `read` and `forget` take the keys of it too.

    Attributes:
        counted: how often `count_change` has noted something.
    """

    counted = 0

    def adopt(self, replica: str) -> None:
        """Keep a record of this replica's refs from now on."""
        return

    def replicas(self) -> list[str]:
        """Return the replicas of whose refs there is a record."""
        return []

    def is_empty(self, replica: str) -> bool:
        """Tell whether there is a record of none of a replica's refs."""
        return not self.tokens(replica)

    def tokens(self, replica: str, folders: Collection[str] | None = None) -> dict[RefKey, Token]:
        """Return the refs that a record is kept of, each with what changes whenever its record does.

        Args:
            folders: of those right in these alone, which are the replica's own, or within that.
        """
        return {}

    def folders(self, replica: str) -> list[str]:
        """Return the folders within a replica's own one in which there are records of refs."""
        return []

    def newest(self) -> RefKey | None:
        """Return which ref this machine wrote last; None where that is not known, or the backend does not note it."""
        return None

    def end(self, key: RefKey) -> RefEnd | None:
        """Return how the record of a ref ends, None where there is none."""
        return None

    def read(self, key: RefKey) -> bytes | None:
        """Return the record of a ref, None where there is none."""
        return None

    def keep(self, key: RefKey, data: bytes) -> None:
        """Let the record of a ref of an adopted replica be these bytes."""
        return

    def forget(self, key: RefKey) -> None:
        """Keep no record of a ref any more."""
        return

    def forget_replica(self, replica: str) -> None:
        """Keep no record of any of these refs any more."""
        return

    def note(self, replica: str, data: bytes) -> None:
        """Keep, with the records of a replica, what tells the store that they are of from others."""
        return

    def noted(self, replica: str) -> bytes | None:
        """Return what `note` was last given, also for a set that is kept aside; None where there is nothing."""
        return None

    def keep_replica_file(self, replica: str, data: bytes) -> None:
        """Keep what this machine says as an adopted replica, before it is in the store."""
        return

    def replica_file(self, replica: str) -> bytes | None:
        """Return what `keep_replica_file` was last given; None where there is nothing."""
        return None

    def aside(self) -> list[str]:
        """Return the sets that are kept aside: the replica's id, a dot and something that no other set has."""
        return []

    def set_aside(self, replica: str, key: RefKey | None = None) -> None:
        """Keep the records of a replica, or one of them, aside: durably, and in one step.

        Raises:
            StoreError: that is not possible; nothing was changed.
        """
        return

    def take_back(self, key: RefKey) -> bool:
        """Let what is kept aside under a key be the record of its ref again; False where there is another record."""
        return False

    def count_change(self) -> None:
        """Note, for the processes of this machine, that a ref was created or replaced."""
        return

    def changes(self) -> int:
        """Return how often that was noted, by whatever process."""
        return 0

    def is_planned(self) -> bool:
        """Tell whether a transaction of another process or thread is under way, or was left unfinished.

        Whoever writes where this is true is to raise `PlannedError`.
        """
        return False

    def plan(self) -> bytes | None:
        """Return what a transaction is about to write; None where none is under way, and none was left unfinished.

        Raises:
            CorruptionError: that is damaged.
            StoreError: it cannot be read now.
        """
        return None

    def carry_out(self, plan: bytes | None) -> AbstractContextManager[None]:
        """Keep a plan, durably, and return a block in which this thread writes what it says.

        It is kept until `drop_plan`. The default keeps nothing, for backends that write all or none.

        Args:
            plan: None for the one that is kept.

        Raises:
            StoreError: it cannot be kept.
        """
        return nullcontext()

    def drop_plan(self) -> None:
        """Keep no plan any more, durably.

        Raises:
            StoreError: that is not possible.
        """
        return

    def set_plan_aside(self) -> str:
        """Keep the plan as something that is not carried out, and return where it is."""
        return ""

    def plan_files(self) -> list[str]:
        """Return the files that hold words of messages for the sake of a transaction."""
        return []

    def load_marker(self) -> bytes | None:
        """Return what was kept when the records were last held against the store."""
        return None

    def load_checked(self, folder: str) -> bytes | None:
        """Return the details of that, for the refs of a folder."""
        return None

    def keep_checked(self, marker: bytes, checked: Mapping[str, bytes]) -> None:
        """Keep both for the next process, the details of folders that are not named as they are; failing to is not an
        error.
        """
        return


def replica_of(name: str) -> str:
    """Return the replica that a set of records is of, be it kept aside or not."""
    return name.partition(".")[0]
