"""Machine state in the user's state folder, never synced. Losing it costs time, and copies of the newest messages."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import UTC, datetime
from functools import cache

from ...errors import StoreError, warn
from ...process import system
from ..base import MachineState, replica_of
from ..disk.descriptors import names_in
from ..disk.files import FOLDER_MODE, Files, discard, make_folders, read_file, store_errors
from ..disk.long_locks import LongLock
from ..disk.new_files import write_file
from ..disk.paths import is_replica_id
from ..machine_state import NAMING
from .house_lock import HouseLock
from .kept import keep, kept
from .name_locks import ChoiceLock, NameLock
from .own_refs import FileRecord
from .trash import Trash

_MOST_BYTES = 2**31
_POLL_SECONDS = 0.002
_SLUG = re.compile(r"[^a-z0-9]+")


class LocalState(MachineState):
    """Replica id, locks and index of one store on this machine.

    Args:
        root: the store.
        folder: where state is kept; None for the user's state folder.
        replica: the id to use instead of a chosen one.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        folder: str | os.PathLike[str] | None = None,
        replica: str | None = None,
    ) -> None:
        self._root = root
        self._base = folder
        self._fixed_replica = replica
        self._files = Files(durable=False)
        self._folder: str | None = None
        self._held: set[NameLock | LongLock] = set()
        self._trash = Trash(self._known_folder)
        self.record: FileRecord = FileRecord(self._known_folder, self._files)

    def replica(self, known: Iterable[str]) -> str | None:
        if self._fixed_replica:
            return self._fixed_replica
        chosen = self._chosen_replica()
        # Another store may have stood here meanwhile, as with disks that are plugged in by turns.
        there = set(known)
        if is_replica_id(chosen) and chosen in there:
            return chosen
        candidates = [*self.record.replicas(), *map(replica_of, self.record.aside())]
        return next((each for each in candidates if is_replica_id(each) and each in there), None)

    def choose_replica(self) -> str:
        if self._fixed_replica:
            return self._fixed_replica
        path = f"{self.folder()}/replica"
        chosen = f"{_host()}-{os.urandom(4).hex()}"
        with store_errors("keep the replica id in", path):
            write_file(Files(), path, chosen.encode() + b"\n", replace=True)
        return chosen

    def lock(self, *keys: str) -> NameLock:
        return NameLock(self._files, f"{self.folder()}/locks", keys, self._held)

    def choosing(self) -> ChoiceLock:
        return ChoiceLock(self._files, f"{self.folder()}/locks", self._held)

    def naming(self) -> NameLock:
        return NameLock(self._files, f"{self.folder()}/locks", [NAMING], self._held, shared=True)

    def keeping_house(self, what: str) -> HouseLock:
        return HouseLock(self._files, self.folder(), what, self._held)

    def recover(self) -> None:
        thread = threading.get_ident()
        for lock in [lock for lock in list(self._held) if lock.thread == thread]:
            lock.release()

    def set_aside(self, key: str, data: bytes) -> None:
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        with contextlib.suppress(OSError, StoreError):
            make_folders(self._files, f"{self.folder()}/torn")
            write_file(self._files, f"{self.folder()}/torn/{key}.{moment}", data, replace=False)

    def recall(self, topic: str) -> bytes | None:
        try:
            return kept(f"{self._known_folder()}/{topic}.json")
        except StoreError:
            # No place for state at all: reading must work on, and needs none of it.
            return None

    def remember(self, topic: str, data: bytes) -> None:
        with contextlib.suppress(OSError, StoreError):
            path = f"{self.folder()}/{topic}.json"
            if "/" in topic:
                make_folders(self._files, os.path.dirname(path))
            keep(self._files, path, data)

    def keep_deleted(self, identity: str, data: bytes) -> str:
        return self._trash.keep(identity, data)

    def deleted(self) -> Collection[str]:
        return self._trash.ids()

    def read_deleted(self, identity: str) -> bytes | None:
        return self._trash.read(identity)

    def drop_deleted(self, identity: str) -> None:
        self._trash.drop(identity)

    def database(self, name: str) -> str | None:
        with contextlib.suppress(OSError, StoreError):
            path = f"{self.folder()}/{name}"
            # Not left to SQLite, which takes the mode from the umask.
            with contextlib.suppress(FileExistsError):
                os.close(self._files.create(path))
            return path
        return None

    def discard_database(self, name: str) -> None:
        with contextlib.suppress(StoreError):
            # The log before what it is of: what is in it must not come into another database.
            for each in (f"{name}-wal", f"{name}-shm", name):
                discard(self._files, f"{self._known_folder()}/{each}")

    def scrub(self, holds: Callable[[bytes], bool], *, index: bool) -> list[str]:
        folder = self._known_folder()
        gone = [f"{folder}/{name}" for name in _names(folder) if ".db" in name]
        gone += [f"{folder}/torn/{name}" for name in _names(f"{folder}/torn")]
        gone += [f"{folder}/index/{name}" for name in _names(f"{folder}/index") if index or name == "listing.json"]
        gone += [f"{folder}/index.json"] if index else []
        for path in gone:
            discard(self._files, path)
        for identity in self._trash.ids():
            data = self._trash.read(identity)
            if data is None or holds(data):
                self._trash.drop(identity)
        self.record.unpack(holds)
        self._scrub_others(folder, holds, index=index)
        left = []
        live = tuple(f"{folder}/own/{each}/" for each in self.record.replicas())
        for path in _files_below(folder):
            if path.startswith(live):
                # What is in a ref is in its record too.
                continue
            with contextlib.suppress(OSError, StoreError):
                if not holds(read_file(path, _MOST_BYTES)):
                    continue
                if path.startswith(f"{folder}/index"):
                    self._files.unlink(path)
                else:
                    left.append(f"{path} holds it: this machine keeps it of what was not put back into the store")
        return left

    def _scrub_others(self, own: str, holds: Callable[[bytes], bool], *, index: bool) -> None:
        """Remove lists of other stores that this machine keeps: some may be of stores that this one is synced with."""
        root = os.path.dirname(own)
        for other in _names(root):
            for path in _files_below(f"{root}/{other}/index") if f"{root}/{other}" != own else ():
                with contextlib.suppress(OSError, StoreError):
                    if index or holds(read_file(path, _MOST_BYTES)):
                        self._files.unlink(path)

    def folder(self) -> str:
        """Return this store's own state folder, made on first use.

        Where the user's state folder cannot be written, or is a stranger's, a private one below the system's temporary
        folder stands in, with a warning.
        """
        if self._folder is None or not os.path.isdir(self._folder):
            own = _state_name(os.path.realpath(self._root))
            try:
                self._folder = self._make(f"{self._base or _user_state_folder()}/{own}")
            except OSError as error:
                import tempfile

                with store_errors("make a state folder, for lack of", error.filename):
                    stand_in = f"{tempfile.gettempdir()}/coda_fs_session-{system.user()}"
                    self._folder = self._make_private(stand_in, own)
                reason = f"{error.strerror}{_owner_of(error.filename)}"
                warn(
                    f"the state folder {error.filename} cannot be used ({reason}); using {self._folder} instead. "
                    "Set state_path, or CODA_FS_STATE, to a folder that only you may write.",
                )
        return self._folder

    def _known_folder(self) -> str:
        """Return the state folder without a look whether it is still there."""
        return self._folder or self.folder()

    def _chosen_replica(self) -> str:
        try:
            return (_read(f"{self._known_folder()}/replica", 128) or b"").decode("ascii", "replace").strip()
        except StoreError:
            # As in `recall`.
            return ""

    def _make(self, folder: str) -> str:
        make_folders(self._files, folder)
        # Root may once have made a part of it for us, as under sudo.
        for each in (folder, f"{folder}/locks", f"{folder}/own"):
            if not os.access(each, os.W_OK | os.X_OK) and os.path.lexists(each):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), each)
        status = os.stat(folder)
        # Made by another user, where everybody may make folders, and left open for us to step in.
        if status.st_uid not in (system.user(), 0) and system.permissions(status) & stat.S_IWOTH:
            raise PermissionError(errno.EPERM, "every user may write into it", folder)
        return folder

    def _make_private(self, stand_in: str, own: str) -> str:
        with contextlib.suppress(FileExistsError):
            os.mkdir(stand_in, FOLDER_MODE)
        status = os.lstat(stand_in)
        # Anyone may make a folder of this name in a shared temporary folder, before we do.
        if (
            status.st_uid != system.user()
            or not os.path.isdir(stand_in)
            or os.path.islink(stand_in)
            or system.permissions(status) & 0o77
        ):
            import tempfile

            stand_in = tempfile.mkdtemp(prefix="coda_fs_session-")
        return self._make(f"{stand_in}/{own}")


def _state_name(root: str) -> str:
    """Name the state of a store on a machine: a home folder shared by two machines holds that of both."""
    slug = _SLUG.sub("-", os.path.basename(root).lower()).strip("-")[:40] or "store"
    identity = f"{root}\n{_machine_id()}\n{system.host()}"
    # A path is bytes, whatever encoding the disk was written in.
    return f"{slug}-{hashlib.sha256(os.fsencode(identity)).hexdigest()[:16]}"


def _names(folder: str) -> list[str]:
    with contextlib.suppress(OSError, StoreError):
        return sorted(names_in(folder))
    return []


def _files_below(folder: str) -> Iterator[str]:
    for name in _names(folder):
        path = f"{folder}/{name}"
        if os.path.isdir(path) and not os.path.islink(path):
            yield from _files_below(path)
        elif os.path.isfile(path):
            yield path


def _owner_of(path: str) -> str:
    """Say whose a file is, where it is not ours."""
    with contextlib.suppress(OSError, TypeError):
        owner = os.lstat(path).st_uid
        if owner != system.user():
            return f"; it belongs to the user {owner}"
    return ""


@cache
def _machine_id() -> str:
    return (_read("/etc/machine-id", 64) or b"").decode("ascii", "replace").strip()


def _host() -> str:
    return _SLUG.sub("-", system.host().lower()).strip("-")[:40] or "host"


def _user_state_folder() -> str:
    """Raises FileNotFoundError where the user has no home folder, as some machine users."""
    import platformdirs

    try:
        path = platformdirs.user_state_dir("coda_fs_session")
    except RuntimeError:
        path = "~"
    if not os.path.isabs(path):
        raise FileNotFoundError(errno.ENOENT, "there is no home folder", path)
    return path


def _read(path: str, limit: int) -> bytes | None:
    try:
        return read_file(path, limit)
    except (OSError, StoreError):
        return None
