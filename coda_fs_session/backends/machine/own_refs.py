"""The record of this machine's own refs, in the state folder: a copy of each as this machine last wrote it.

Nothing syncs it, and of what was just written nothing is made durable: it is there to tell a ref that somebody put an
older copy of in place, which a crash of this machine does not do. Copies that nobody writes to are packed.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from typing import TypeVar

from ...errors import StoreError, warn
from ...process import forks
from ...process.interrupts import give_up
from ...process.system import RENAMES_OPEN_FILES, pread
from ..base import END_BYTES, PlannedError, RefEnd, RefKey, Token, replica_of
from ..disk.descriptors import note_keeper, scan
from ..disk.files import (
    Files,
    discard,
    make_folders,
    open_regular,
    open_with_status,
    read_bytes,
    store_errors,
    write_all,
)
from ..disk.new_files import write_file
from ..disk.paths import is_hidden, is_replica_id
from ..disk.tokens import end_of, token_of
from .aside import move_aside, move_back
from .newest import Newest
from .open_copy import OpenCopy
from .packing import alone, pack, remove_all
from .packing import folders as folders_within
from .packs import PACK, Packs
from .record_notes import RecordNotes

# Any process may have to replace a copy.
_OPEN_COPIES = 64 if RENAMES_OPEN_FILES else 0
_LIMIT = 2**31

_T = TypeVar("_T")


class FileRecord(RecordNotes):
    """Copies of refs below ``own/<replica>/`` in the state folder, under the same file names.

    Whoever writes a ref holds its lock, and so is alone with its copy. What is kept aside is in folders beside,
    ``own/<replica>.<8 hex>/``. Arguments are as for `RecordNotes`.
    """

    def __init__(self, folder: Callable[[], str], files: Files | None = None) -> None:
        super().__init__(folder, files)
        self._adopted: set[str] = set()
        self._open: OrderedDict[RefKey, OpenCopy] = OrderedDict()
        # Refs whose copy could not be written: they go without one until the process ends.
        self._given_up: set[RefKey] = set()
        self._warned = False
        self._newest = Newest(self._folder, self._files)
        self._packs = Packs()
        # Records that are files: to be packed.
        self._written: set[str] = set()
        self._mutex = threading.RLock()
        forks.renew(self, forks.Floor.BACKEND)
        note_keeper(self)

    # For the engine

    def adopt(self, replica: str) -> None:
        self._adopted.add(replica)

    def replicas(self) -> list[str]:
        return [name for name in self._names() if is_replica_id(name)]

    def is_empty(self, replica: str) -> bool:
        return next(self._tokens(replica, None), None) is None

    def tokens(self, replica: str, folders: Collection[str] | None = None) -> dict[RefKey, Token]:
        return dict(self._tokens(replica, folders))

    def _tokens(self, replica: str, folders: Collection[str] | None) -> Iterator[tuple[RefKey, Token]]:
        with contextlib.suppress(OSError, StoreError):
            root = self._folder()
            for folder in folders_within(root, replica) if folders is None else folders:
                with contextlib.suppress(OSError, StoreError):
                    yield from self._tokens_in(root, folder)

    def _tokens_in(self, root: str, folder: str) -> Iterator[tuple[RefKey, Token]]:
        # Files first: what is packed meanwhile is in the pack by then.
        names = set()
        with scan(f"{root}/{folder}") as entries:
            for entry in entries:
                if is_hidden(entry.name) or entry.is_dir(follow_symlinks=False):
                    continue
                with contextlib.suppress(FileNotFoundError):
                    yield RefKey(f"{folder}/{entry.name}"), token_of(entry.stat(follow_symlinks=False))
                    names.add(entry.name)
        for packed in self._packs.entries(f"{root}/{folder}"):
            if packed.name not in names:
                yield RefKey(f"{folder}/{packed.name}"), packed.token

    def folders(self, replica: str) -> list[str]:
        with contextlib.suppress(OSError, StoreError), scan(f"{self._folder()}/{replica}") as entries:
            return [f"{replica}/{entry.name}" for entry in entries if entry.is_dir(follow_symlinks=False)]
        return []

    def newest(self) -> RefKey | None:
        return self._newest.last()

    def end(self, key: RefKey) -> RefEnd | None:
        return self._read(key, end_of, self._packs.end)

    def read(self, key: RefKey) -> bytes | None:
        return self._read(key, lambda descriptor, size: read_bytes(descriptor, min(_LIMIT, size)), self._packs.read)

    def keep(self, key: RefKey, data: bytes) -> None:
        if not self._is_kept(key):
            return
        with self._mutex:
            try:
                self._write(key, data)
            except (OSError, StoreError) as error:
                self._give_up(key, error)

    def forget(self, key: RefKey) -> None:
        with self._mutex, contextlib.suppress(OSError, StoreError):
            self._close(key)
            with alone(self._files, self._folder()):
                # What is packed first: it would be the record once the file is gone.
                self._packs.forget(self._files, self._path(key))
                self._files.unlink(self._path(key))

    def forget_replica(self, replica: str) -> None:
        self._adopted.discard(replica)
        with self._mutex, contextlib.suppress(OSError, StoreError):
            self._close_all()
            with alone(self._files, self._folder()):
                remove_all(self._files, self._folder(), replica, whole="." in replica)

    def aside(self) -> list[str]:
        return [name for name in self._names() if "." in name and is_replica_id(replica_of(name))]

    def set_aside(self, replica: str, key: RefKey | None = None) -> None:
        with self._mutex, self._alone("keep aside what is in"):
            root = self._folder()
            if key is None:
                self._close_all()
                names = [each.path.partition("/")[2] for each, _ in self._tokens(replica, None)]
            else:
                self._close(key)
                self._take_out(key)
                names = [key.path.partition("/")[2]]
            move_aside(self._files, root, replica, names, whole=key is None)
            if key is not None:
                self._packs.forget(self._files, self._path(key))

    def take_back(self, key: RefKey) -> bool:
        own = f"{replica_of(key.replica)}/{key.path.partition('/')[2]}"
        with self._mutex, self._alone("take back what is in"):
            root = self._folder()
            if self._packs.find(f"{root}/{own}") is not None:
                return False
            self._take_out(key)
            if not move_back(self._files, self._path(key), f"{root}/{own}"):
                return False
            self._packs.forget(self._files, self._path(key))
            return True

    def unpack(self, holds: Callable[[bytes], bool]) -> None:
        """Let records be files again that are in a pack with what `holds` says must not stay; failing is no error."""
        with self._mutex, contextlib.suppress(OSError, StoreError), alone(self._files, self._folder()):
            for folder in [each for name in self._names() for each in folders_within(self._folder(), name)]:
                if not any(map(holds, self._packs.contents(f"{self._folder()}/{folder}"))):
                    continue
                for entry in self._packs.entries(f"{self._folder()}/{folder}"):
                    self._take_out(RefKey(f"{folder}/{entry.name}"))
                discard(self._files, f"{self._folder()}/{folder}/{PACK}")
            self._packs.last_block = None, b""

    @contextlib.contextmanager
    def _alone(self, action: str) -> Iterator[None]:
        with store_errors(action, self._folder()), alone(self._files, self._folder()):
            yield

    def _take_out(self, key: RefKey) -> None:
        """Let a record that is packed be a file of its own again."""
        path = self._path(key)
        if not os.path.lexists(path) and (data := self._packs.read(path)) is not None:
            self._write(key, data)

    # For the backend, which holds the ref's lock

    def is_even(self, key: RefKey, token: Token, read_end: Callable[[int], bytes]) -> bool:
        """Tell whether a ref is what the record has of it; True where there is no record.

        Args:
            token: that of the ref; read_end: returns the last bytes of the ref, as many as asked for.

        Raises:
            PlannedError: see `is_planned`.
        """
        known = self._open.get(key)
        if (known is not None and known.even == token) or not self._is_kept(key):
            return True
        if self.is_planned():
            raise PlannedError(key)
        with self._mutex:
            try:
                if self._is_at_hand_even(key, token.size, read_end):
                    return True
                # A packer may have the file in its hands right now: looked at once more with packers kept waiting.
                with contextlib.suppress(OSError, StoreError), alone(self._files, self._folder()):
                    return self._is_at_hand_even(key, token.size, read_end)
                return False
            except (OSError, StoreError) as error:
                self._give_up(key, error)
                return True

    def _is_at_hand_even(self, key: RefKey, size: int, read_end: Callable[[int], bytes]) -> bool:
        try:
            copy = self._copy(key)
        except FileNotFoundError:
            return self._is_packed_even(key, size, read_end)
        length = min(END_BYTES, size)
        # One more byte, to see that the record ends there.
        end = pread(copy.descriptor, length + 1, size - length)
        return len(end) == length and end == read_end(length)

    def append(self, key: RefKey, data: bytes, read: Callable[[], bytes]) -> None:
        """Note what was written at the end of a ref; `read` returns all of it, as it is since."""
        copy = self._open.get(key)
        if copy is None and not self._is_kept(key):
            return
        with self._mutex:
            try:
                if copy is None:
                    # There was none, or another thread has needed the place since `is_even`.
                    self._write(key, read())
                else:
                    write_all(self._files, copy.descriptor, data)
            except (OSError, StoreError) as error:
                self._give_up(key, error)

    def appended(self, key: RefKey, token: Token) -> None:
        """Note the token of a ref after what was noted last: who finds it so need not look at the record."""
        copy = self._open.get(key)
        if copy is not None:
            copy.even = token

    def note_newest(self, *keys: RefKey) -> None:
        """Note, before it goes into their records, that refs were written together, after all others."""
        own = [key for key in keys if self._is_kept(key)]
        try:
            for key in own[-1:]:
                self._newest.note(key)
        except (OSError, StoreError) as error:
            with self._mutex:
                for key in own:
                    self._give_up(key, error)

    def cut(self, key: RefKey, size: int) -> None:
        """Take back what was noted of a save that failed."""
        if not self._is_kept(key):
            return
        with self._mutex:
            try:
                copy = self._copy(key)
                if os.fstat(copy.descriptor).st_size > size:
                    self._files.truncate(copy.descriptor, size)
            except FileNotFoundError:
                return
            except (OSError, StoreError) as error:
                self._give_up(key, error)

    def close(self) -> None:
        with self._mutex:
            self._close_all()
            written, self._written = self._written, set()
        folders = [os.path.dirname(path) for path in written]
        for replica in {folder.partition("/")[0] for folder in folders} & self._adopted:
            with contextlib.suppress(StoreError):
                places = [folder for folder in folders if folder.partition("/")[0] == replica]
                pack(self._files, self._packs, self._folder(), replica, places)

    def give_back(self) -> None:
        if self._mutex.acquire(blocking=False):
            try:
                self._close_all()
            finally:
                self._mutex.release()

    def recover(self) -> None:
        """Give back what an interrupted operation of this thread holds."""
        self._plan.recover()
        give_up(self._mutex)

    def after_fork(self) -> None:
        """In a child of os.fork: another thread may have been at work here, and is gone."""
        self._plan.is_mine(begins=False)
        self._mutex = threading.RLock()

    def _is_kept(self, key: RefKey) -> bool:
        return key.replica in self._adopted and key not in self._given_up

    def _path(self, key: RefKey) -> str:
        return f"{self._folder()}/{key.path}"

    def _write(self, key: RefKey, data: bytes) -> None:
        self._close(key)
        path = self._path(key)
        make_folders(self._files, os.path.dirname(path))
        write_file(self._files, path, data, replace=True)
        self._written.add(key.path)

    def _is_packed_even(self, key: RefKey, size: int, read_end: Callable[[int], bytes]) -> bool:
        """Do as `is_even` where there is no file; what is packed is one again where it is even, as it will grow."""
        packed = self._packs.find(self._path(key))
        if packed is None:
            return True
        if packed.size != size:
            return False
        # What the ref holds is at hand; it need not be what was recorded, be its end the same.
        data: bytes | None = read_end(size)
        if data is not None and not packed.is_of(data):
            if not data.endswith(packed.end):
                return False
            data = self._packs.read(self._path(key))
        if data is not None:
            self._write(key, data)
            with contextlib.suppress(FileNotFoundError):
                self._copy(key)
        return True

    def _copy(self, key: RefKey) -> OpenCopy:
        """Open the record that is at its path now; another process may have put a new one there.

        Raises:
            OSError, StoreError: there is none, or it cannot be opened.
        """
        copy = self._open.get(key)
        if copy is not None:
            with contextlib.suppress(FileNotFoundError):
                if copy.is_at_its_path():
                    return copy
            self._close(key)
        path = self._path(key)
        while True:
            copy = OpenCopy(path, open_regular(path, append=self._files))
            # It may have been packed, and removed, right before.
            if copy.is_at_its_path():
                break
        self._open[key] = copy
        self._written.add(key.path)
        if len(self._open) > _OPEN_COPIES:
            self._close(next(iter(self._open)))
        return copy

    def _close(self, key: RefKey) -> None:
        self._open.pop(key, None)

    def _close_all(self) -> None:
        self._open.clear()

    def _give_up(self, key: RefKey, error: Exception) -> None:
        """Write no more to the record of a ref: what it holds stays true, and it is mended when it can be."""
        self._close(key)
        self._given_up.add(key)
        if not self._warned:
            self._warned = True
            warn(
                f"the record of what this machine saves cannot be kept ({error}). What you save is safe; but should an "
                f"older copy of {key.path} come to stand in the store, what is newer is not put back",
            )

    def _read(self, key: RefKey, read: Callable[[int, int], _T], unpack: Callable[[str], _T | None]) -> _T | None:
        if key in self._given_up:
            return None
        try:
            path = self._path(key)
            try:
                descriptor, status = open_with_status(path)
            except FileNotFoundError:
                return unpack(path)
            try:
                return read(descriptor, status.st_size)
            finally:
                os.close(descriptor)
        except (OSError, StoreError):
            return None
