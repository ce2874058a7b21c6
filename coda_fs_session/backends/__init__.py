"""Drivers that keep bytes under keys and know nothing of sessions, and the registry of them."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..errors import ConfigError
from ..process.system import RENAMES_OPEN_FILES
from .base import Backend, MachineState
from .disk.files import Files
from .files.backend import LocalBackend
from .machine.state import LocalState

_KEPT = 32 * 1024 * 1024


class BackendOptions(NamedTuple):
    """What a backend may need to know to open a store.

    Attributes:
        root: the store; state: where machine state goes, None for the user's state folder.
        replica: the id to use, None to choose one.
        durable: sync what is written before a verb returns.
        compress: keep objects with large messages compressed.
        connections: how many to keep open at most, for a database.
        begin: what every ref begins with.
        read_only: change nothing in the store, nor what this machine keeps of its own writes.
        bucket: endpoint, credentials and timeouts of a bucket.
    """

    root: str
    state: str | None = None
    replica: str | None = None
    durable: bool = True
    compress: bool = True
    connections: int = 5
    begin: bytes = b""
    read_only: bool = False
    bucket: Mapping[str, Any] | None = None


def _files_of_system(durable: bool) -> Files:
    if RENAMES_OPEN_FILES:
        return Files(durable=durable)
    from .disk.unwritten import UnwrittenFiles

    return UnwrittenFiles(durable=durable)


def _files(options: BackendOptions) -> tuple[Backend, MachineState]:
    state = LocalState(options.root, folder=options.state, replica=options.replica)
    files = _files_of_system(options.durable)
    backend = LocalBackend(
        options.root, files=files, compress=options.compress, record=state.record, begin=options.begin
    )
    return backend, state


def _memory(options: BackendOptions) -> tuple[Backend, MachineState]:
    from .memory import MemoryBackend, MemoryState

    return MemoryBackend(), MemoryState(options.replica or "memory-00000000")


def _sqlite(options: BackendOptions) -> tuple[Backend, MachineState]:
    try:
        from .sqlite.backend import SqliteBackend
    except ModuleNotFoundError as error:
        if error.name not in ("sqlite3", "_sqlite3"):
            raise
        raise ConfigError(
            'session.backend = "sqlite" needs the module sqlite3, which this Python was built without'
        ) from error
    state = LocalState(options.root, folder=options.state, replica=options.replica)
    backend = SqliteBackend(
        options.root,
        files=Files(durable=options.durable),
        compress=options.compress,
        connections=options.connections,
        record=state.record,
        read_only=options.read_only,
    )
    return backend, state


def _bucket(options: BackendOptions) -> tuple[Backend, MachineState]:
    from .bucket.backend import BucketBackend
    from .bucket.state import FLEET, FleetState

    alone = (options.bucket or {}).get("alone", False)
    if alone not in (True, False):
        raise ConfigError(f"session.bucket: alone = {alone!r} is not accepted: it takes true or false")
    try:
        backend = BucketBackend(options.root, options.bucket, compress=options.compress, keep_bytes=_KEPT)
    except ValueError as error:
        raise ConfigError(f"session.storage_path: {error}") from error
    return backend, FleetState(options.replica or FLEET, alone=alone)


BACKENDS: dict[str, Callable[[BackendOptions], tuple[Backend, MachineState]]] = {
    "files": _files,
    "memory": _memory,
    "sqlite": _sqlite,
    "bucket": _bucket,
}


def open_backend(kind: str, options: BackendOptions) -> tuple[Backend, MachineState]:
    """Open a store, or the place where one is to be made.

    Raises:
        ConfigError: it needs a package that is not installed.
        StoreFormatError: the place holds something else, or a store of a newer version.
    """
    backend, machine = BACKENDS[kind](options)
    if not options.read_only:
        return backend, machine
    from .read_only import ReadOnlyBackend, ReadOnlyState

    return ReadOnlyBackend(backend), ReadOnlyState(machine, backend.place().path)


def open_bucket(url: str, options: Mapping[str, Any], *, compress: bool) -> Backend:
    """Open a store in a bucket, or the place where one is to be made; nothing is asked of it yet.

    Raises:
        ConfigError: the extra ``bucket`` is not installed, or an option is none.
        ValueError: the URL names no bucket, or has options in it.
    """
    from .bucket.backend import BucketBackend

    return BucketBackend(url, options, compress=compress)
