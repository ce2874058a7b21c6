"""Where the refs of this replica may have changed since this machine last held its records against them."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from ...backends.base import Backend, MachineState, Marker
from ..notes import decode_note


class Look(NamedTuple):
    """Where refs may have come, gone or been replaced since all records were last found to agree.

    Attributes:
        marker: what the backend tells now; None where it was not asked.
        moved: the folders in question; None for all. None of them where nothing is recorded.
    """

    marker: Marker | None
    moved: list[str] | None


def look(backend: Backend, machine: MachineState, *, changed: Collection[str] | None = None) -> Look:
    """Compare the store with what it was when it had all that is recorded.

    Args:
        changed: look only at these folders, and at those that could not tell then; None for all. What happened in
            others shows whenever they are looked at.

    Raises:
        StoreError: the store cannot be read.
    """
    seen, record = _look(backend, machine, changed), machine.record
    return seen if seen.moved == [] or record.replicas() or record.aside() else Look(seen.marker, [])


def _look(backend: Backend, machine: MachineState, changed: Collection[str] | None) -> Look:
    try:
        replica, known = decode_note(machine.record.load_marker() or b"[null,{}]")
    except (ValueError, TypeError):
        return Look(None, None)
    if not known or not isinstance(known, dict):
        return Look(None, None)
    only = None if changed is None else {*changed, *(folder for folder, part in known.items() if not part)}
    marker = backend.replica_marker(replica, known, only=only)
    if not marker or marker[""] != known.get(""):
        return Look(marker, None)
    if marker == known and all(known.values()):
        return Look(marker, [])
    folders = {**known, **marker}
    moved = [each for each in folders if not known.get(each) or known[each] != marker.get(each)]
    if replica in moved:
        # A folder that came since and is gone again is known by its records alone.
        moved += [each for each in machine.record.folders(replica) if each not in folders]
    return Look(marker, moved)
