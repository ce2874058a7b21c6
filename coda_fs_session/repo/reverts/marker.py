"""Where the refs of this replica may have changed since this machine last held its records against them."""

from __future__ import annotations

from typing import NamedTuple

from ...backends.base import Backend, MachineState, Marker
from ..notes import decode_note


class Look(NamedTuple):
    """Where refs may have come, gone or been replaced since all records were last found to agree.

    Attributes:
        marker: what the backend tells now; None where it was not asked.
        moved: the folders in question; None for all.
    """

    marker: Marker | None
    moved: list[str] | None


def look(backend: Backend, machine: MachineState) -> Look:
    """Compare the store with what it was when it had all that is recorded.

    Raises:
        StoreError: the store cannot be read.
    """
    try:
        replica, known = decode_note(machine.record.load_marker() or b"[null,{}]")
    except (ValueError, TypeError):
        return Look(None, None)
    marker = backend.replica_marker(replica, known) if known and isinstance(known, dict) else None
    if not marker or marker[""] != known.get(""):
        return Look(marker, None)
    folders = {**known, **marker}
    moved = [each for each in folders if not known.get(each) or known[each] != marker.get(each)]
    if replica in moved:
        # A folder that came since and is gone again is known by its records alone.
        moved += [each for each in machine.record.folders(replica) if each not in folders]
    return Look(marker, moved)


def has_moved(backend: Backend, machine: MachineState) -> bool:
    """Tell whether something that is recorded may be missing from the store; raises as `look`."""
    record = machine.record
    return look(backend, machine).moved != [] and bool(record.replicas() or record.aside())
