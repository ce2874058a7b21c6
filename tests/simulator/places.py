"""Where a replica of a simulated store is: on disk, or in memory for the sake of many histories."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from coda_fs_session.backends.base import Backend, MachineState, RefKey
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.files.backend import LocalBackend
from coda_fs_session.backends.machine.state import LocalState
from coda_fs_session.backends.memory import MemoryBackend, MemoryState
from coda_fs_session.format.chunks import Sizes
from coda_fs_session.manager.manager import SessionManager
from coda_fs_session.repo.repository import Repository, Settings
from coda_fs_session.repo.storage import RepoStorage

SMALL = Sizes(minimum=120, spread=300, large=400, full=600, fan_out=3)
"""A few messages make a chunk, and a few chunks a list node: every structure of the format in a small store."""


class Place(ABC):
    """One store and one machine's state. Its files are reached around the engine, as a sync tool reaches them.

    Attributes:
        ids: the replica ids that the machine has gone by, the present one last.
    """

    def __init__(self, replica: str, clock: Callable[[], datetime]) -> None:
        self.ids = [replica]
        self.clock = clock

    @property
    def replica(self) -> str:
        return self.ids[-1]

    def is_own(self, path: str) -> bool:
        """Tell whether a file is one of those that this machine alone creates and changes."""
        return path.startswith(tuple(f"refs/{each}/" for each in self.ids))

    def choose_ids(self) -> None:  # noqa: B027 - a place in memory takes what it is given
        """Let the machine choose its replica id, as it does where the configuration gives none."""

    def manager(self) -> SessionManager:
        """Open the store anew, as another process would."""
        backend, state = self._open()
        repository = Repository(backend, state, Settings(sizes=SMALL, clock=self.clock))
        return SessionManager({"session": {"autosave_interval": 0}}, storage=RepoStorage(repository))

    @abstractmethod
    def files(self) -> dict[str, bytes]:
        """Return every data file of the store by its path in it."""

    @abstractmethod
    def put(self, path: str, data: bytes, *, in_place: bool = False) -> None:
        """Write a file as a sync tool does: over the one that is there (in its inode or by a rename), or anew."""

    @abstractmethod
    def remove(self, path: str) -> None:
        """Take a ref away, and with the last one its folder."""

    @abstractmethod
    def copied(self, replica: str, clock: Callable[[], datetime], order: Iterable[str]) -> Place:
        """Return a place of another machine with the same files, which came in this order."""

    def close(self) -> None:  # noqa: B027 - a place in memory holds nothing
        """Give up what the place holds."""

    @abstractmethod
    def _open(self) -> tuple[Backend, MachineState]: ...


class MemoryPlace(Place):
    """A store in a dict: 20 times as fast as the fastest disk."""

    def __init__(self, replica: str, clock: Callable[[], datetime]) -> None:
        super().__init__(replica, clock)
        self._backend = MemoryBackend()
        self._state = MemoryState(replica)

    def files(self) -> dict[str, bytes]:
        refs = {f"refs/{key.path}": snapshot.data for key, snapshot in self._backend._refs.items()}
        return refs | {f"objects/{each[:2]}/{each}.jsonl": data for each, data in self._backend._objects.items()}

    def put(self, path: str, data: bytes, *, in_place: bool = False) -> None:
        kind, _, rest = path.partition("/")
        if kind == "refs":
            self._backend._place(RefKey(rest), data)
        else:
            self._backend._objects[rest.rpartition("/")[2].removesuffix(".jsonl")] = data

    def remove(self, path: str) -> None:
        del self._backend._refs[RefKey(path.partition("/")[2])]
        self._backend._placed += 1

    def copied(self, replica: str, clock: Callable[[], datetime], order: Iterable[str]) -> MemoryPlace:
        return _filled(MemoryPlace(replica, clock), self.files(), order)

    def _open(self) -> tuple[Backend, MachineState]:
        return self._backend, self._state


class DiskPlace(Place):
    """A store in a folder, with its state beside it.

    Args:
        flat_refs: see `LocalBackend`.
    """

    def __init__(
        self, replica: str, clock: Callable[[], datetime], folder: Path | None = None, flat_refs: int = 256
    ) -> None:
        super().__init__(replica, clock)
        self._flat_refs = flat_refs
        self._own = folder is None
        self._chooses = False
        self.folder = Path(tempfile.mkdtemp(prefix="coda-fs-", dir=_fast_folder())) if folder is None else folder
        self.store = self.folder / "store"

    def files(self) -> dict[str, bytes]:
        found = {}
        for top in ("refs", "objects"):
            for folder, _, names in os.walk(self.store / top):
                for name in names:
                    path = Path(folder, name)
                    if not name.startswith("."):
                        found[path.relative_to(self.store).as_posix()] = path.read_bytes()
        return found

    def put(self, path: str, data: bytes, *, in_place: bool = False) -> None:
        target = self.store / path
        target.parent.mkdir(parents=True, exist_ok=True)
        written = target if in_place else target.with_name(f".{target.name}.tmp")
        written.write_bytes(data)
        # Sync tools carry times along. This one, of the content, is old enough for an index to trust it at once.
        moment = int.from_bytes(hashlib.sha256(data).digest()[:3], "big")
        os.utime(written, (moment, moment))
        written.replace(target)

    def choose_ids(self) -> None:
        self._chooses = True

    def remove(self, path: str) -> None:
        (self.store / path).unlink()
        with suppress(OSError):
            os.removedirs((self.store / path).parent)

    def copied(self, replica: str, clock: Callable[[], datetime], order: Iterable[str]) -> DiskPlace:
        return _filled(DiskPlace(replica, clock, flat_refs=self._flat_refs), self.files(), order)

    def close(self) -> None:
        if self._own:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _open(self) -> tuple[Backend, MachineState]:
        state = self._state()
        backend = LocalBackend(self.store, files=Files(durable=False), record=state.record, flat_refs=self._flat_refs)
        return backend, state

    def _state(self) -> LocalState:
        if self._chooses:
            return _ChoosingState(self.store, folder=self.folder / "state", ids=self.ids)
        return LocalState(self.store, folder=self.folder / "state", replica=self.replica)


class _ChoosingState(LocalState):
    """Chooses ids as `LocalState` does, but the same ones whenever a history is run."""

    def __init__(self, root: Path, *, folder: Path, ids: list[str]) -> None:
        super().__init__(root, folder=folder)
        self._ids = ids

    def choose_replica(self) -> str:
        if self._chosen_replica():
            self._ids.append(f"{self._ids[0]}-{len(self._ids)}")
        Path(self.folder(), "replica").write_bytes(self._ids[-1].encode() + b"\n")
        return self._ids[-1]


_AnyPlace = TypeVar("_AnyPlace", bound=Place)


def _filled(place: _AnyPlace, files: Mapping[str, bytes], order: Iterable[str]) -> _AnyPlace:
    for path in order:
        place.put(path, files[path])
    return place


def _fast_folder() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
