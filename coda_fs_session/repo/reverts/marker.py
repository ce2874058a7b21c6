"""Whether the refs of this replica may have changed since this machine last held its records against them."""

from __future__ import annotations

from ...backends.base import Backend, MachineState
from ..notes import decode_note


def is_as_marked(backend: Backend, machine: MachineState) -> bool:
    """Tell whether the store is as it was when it had all that is recorded.

    Raises:
        StoreError: the store cannot be read.
    """
    try:
        replica, marker = decode_note(machine.record.load_marker() or b"[null,{}]")
    except (ValueError, TypeError):
        return False
    return bool(marker) and backend.replica_marker(replica, marker) == marker


def has_moved(backend: Backend, machine: MachineState) -> bool:
    """Tell whether something that is recorded may be missing from the store; raises as `is_as_marked`."""
    record = machine.record
    return not is_as_marked(backend, machine) and bool(record.replicas() or record.aside())
