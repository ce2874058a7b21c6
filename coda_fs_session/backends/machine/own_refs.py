"""The record of this machine's own refs, in the state folder: a copy of each as this machine last wrote it.

Nothing syncs it, and it is not made durable: it is there to tell a ref that somebody put an older copy of in place,
which a crash of this machine does not do.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TypeVar

from ...errors import StoreError, warn
from ...process import forks
from ...process.interrupts import give_up
from ...process.system import RENAMES_OPEN_FILES, FolderEntry, pread
from ..base import END_BYTES, Record, RefEnd, RefKey, Token, replica_of
from ..disk.descriptors import names_in, note_keeper, scan
from ..disk.files import (
    Files,
    discard,
    make_folders,
    open_regular,
    open_with_status,
    read_bytes,
    write_all,
)
from ..disk.new_files import write_file
from ..disk.paths import is_hidden, is_replica_id
from ..disk.tokens import end_of, token_of
from .aside import move_aside, move_back
from .changes import Changes
from .kept import keep, kept
from .newest import Newest
from .open_copy import OpenCopy

# Any process may have to replace a copy.
_OPEN_COPIES = 64 if RENAMES_OPEN_FILES else 0
_LIMIT = 2**31
# Dotfiles, which are no copies of refs.
_MARKER, _CHECKED, _NOTE = ".marker", ".checked", ".store"

_T = TypeVar("_T")


class FileRecord(Record):
    """Copies of refs below ``own/<replica>/`` in the state folder, under the same file names.

    Whoever writes a ref holds its lock, and so is alone with its copy. What is kept aside is in folders beside,
    ``own/<replica>.<8 hex>/``.

    Args:
        folder: returns the state folder; it need not exist. "" for a record of nothing.
        files: the system calls to use (tests put others here).

    Attributes:
        state: returns the state folder.
    """

    def __init__(self, folder: Callable[[], str], files: Files | None = None) -> None:
        self.state = folder
        self._files = files or Files(durable=False)
        self._adopted: set[str] = set()
        self._open: OrderedDict[RefKey, OpenCopy] = OrderedDict()
        # Refs whose copy could not be written: they go without one until the process ends.
        self._given_up: set[RefKey] = set()
        self._warned = False
        self._newest = Newest(self._folder, self._files)
        self._changes = Changes(folder, self._files)
        self._mutex = threading.RLock()
        forks.renew(self, forks.Floor.BACKEND)
        note_keeper(self)

    # For the engine

    def adopt(self, replica: str) -> None:
        self._adopted.add(replica)

    def replicas(self) -> list[str]:
        return [name for name in self._names() if is_replica_id(name)]

    def is_empty(self, replica: str) -> bool:
        try:
            return next(self._entries(replica), None) is None
        except (OSError, StoreError):
            return True

    def tokens(self, replica: str, folders: Collection[str] | None = None) -> dict[RefKey, Token]:
        found = {}
        for folder in (replica,) if folders is None else folders:
            with contextlib.suppress(OSError, StoreError):
                for path, entry in self._entries(folder, deep=folders is None):
                    with contextlib.suppress(FileNotFoundError):
                        found[RefKey(path)] = token_of(entry.stat(follow_symlinks=False))
        return found

    def _entries(self, folder: str, *, deep: bool = True) -> Iterator[tuple[str, FolderEntry]]:
        """Yield each record in a folder, by its path, or anywhere below it."""
        with scan(f"{self._folder()}/{folder}") as entries:
            for entry in entries:
                path = f"{folder}/{entry.name}"
                if is_hidden(entry.name):
                    continue
                if not entry.is_dir(follow_symlinks=False):
                    yield path, entry
                elif deep:
                    yield from self._entries(path)

    def folders(self, replica: str) -> list[str]:
        with contextlib.suppress(OSError, StoreError), scan(f"{self._folder()}/{replica}") as entries:
            return [f"{replica}/{entry.name}" for entry in entries if entry.is_dir(follow_symlinks=False)]
        return []

    def newest(self) -> RefKey | None:
        return self._newest.last()

    def end(self, key: RefKey) -> RefEnd | None:
        return self._read(key, end_of)

    def read(self, key: RefKey) -> bytes | None:
        return self._read(key, lambda descriptor, size: read_bytes(descriptor, min(_LIMIT, size)))

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
            self._files.unlink(self._path(key))

    def forget_replica(self, replica: str) -> None:
        for key in self.tokens(replica):
            self.forget(key)
        self._adopted.discard(replica)
        if "." in replica:
            folder = f"{self._folder()}/{replica}"
            with contextlib.suppress(OSError, StoreError):
                self._files.unlink(f"{folder}/{_NOTE}")
            for name in [name for name in self._names(folder) if not is_hidden(name)]:
                with contextlib.suppress(OSError, StoreError):
                    self._files.remove_folder(f"{folder}/{name}")
            with contextlib.suppress(OSError, StoreError):
                self._files.remove_folder(folder)

    def note(self, replica: str, data: bytes) -> None:
        with contextlib.suppress(OSError, StoreError):
            if self.state():
                make_folders(self._files, f"{self._folder()}/{replica}")
                keep(self._files, f"{self._folder()}/{replica}/{_NOTE}", data)

    def noted(self, replica: str) -> bytes | None:
        return self._load(f"{replica}/{_NOTE}")

    def aside(self) -> list[str]:
        return [name for name in self._names() if "." in name and is_replica_id(replica_of(name))]

    def set_aside(self, replica: str, key: RefKey | None = None) -> None:
        keys = [key] if key is not None else list(self.tokens(replica))
        with self._mutex:
            for each in keys:
                self._close(each)
            names = [each.path.partition("/")[2] for each in keys]
            move_aside(self._files, self._folder(), replica, names, whole=key is None)

    def take_back(self, key: RefKey) -> bool:
        own = f"{replica_of(key.replica)}/{key.path.partition('/')[2]}"
        with self._mutex:
            return move_back(self._files, self._path(key), f"{self._folder()}/{own}")

    def count_change(self) -> None:
        self._changes.count()
        self.counted = self._changes.counted

    def changes(self) -> int:
        return self._changes.now()

    def load_marker(self) -> bytes | None:
        return self._load(_MARKER)

    def load_checked(self, folder: str) -> bytes | None:
        return self._load(_checked(folder))

    def keep_checked(self, marker: bytes, checked: Mapping[str, bytes]) -> None:
        with contextlib.suppress(OSError, StoreError):
            # What an earlier version has kept of all folders.
            discard(self._files, f"{self._folder()}/{_CHECKED}")
            for folder, data in checked.items():
                keep(self._files, f"{self._folder()}/{_checked(folder)}", data)
            keep(self._files, f"{self._folder()}/{_MARKER}", marker)

    # For the backend, which holds the ref's lock

    def is_even(self, key: RefKey, token: Token, read_end: Callable[[int], bytes]) -> bool:
        """Tell whether a ref is what the record has of it; True where there is no record.

        Args:
            token: that of the ref; read_end: returns the last bytes of the ref, as many as asked for.
        """
        known = self._open.get(key)
        if (known is not None and known.even == token) or not self._is_kept(key):
            return True
        size = token.size
        with self._mutex:
            try:
                copy = self._copy(key)
                length = min(END_BYTES, size)
                # One more byte, to see that the record ends there.
                end = pread(copy.descriptor, length + 1, size - length)
                return len(end) == length and end == read_end(length)
            except FileNotFoundError:
                return True
            except (OSError, StoreError) as error:
                self._give_up(key, error)
                return True

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
            for key in list(self._open):
                self._close(key)

    def give_back(self) -> None:
        if self._mutex.acquire(blocking=False):
            try:
                self.close()
            finally:
                self._mutex.release()

    def recover(self) -> None:
        """Give back what an interrupted operation of this thread holds."""
        give_up(self._mutex)

    def after_fork(self) -> None:
        """In a child of os.fork: another thread may have been at work here, and is gone."""
        self._mutex = threading.RLock()

    def _is_kept(self, key: RefKey) -> bool:
        return key.replica in self._adopted and key not in self._given_up

    def _folder(self) -> str:
        return f"{self.state()}/own"

    def _names(self, folder: str | None = None) -> list[str]:
        """Return what is in the folder of all records, or in one of them."""
        try:
            return sorted(names_in(folder or self._folder()))
        except (OSError, StoreError):
            return []

    def _path(self, key: RefKey) -> str:
        return f"{self._folder()}/{key.path}"

    def _write(self, key: RefKey, data: bytes) -> None:
        self._close(key)
        path = self._path(key)
        make_folders(self._files, os.path.dirname(path))
        write_file(self._files, path, data, replace=True)

    def _copy(self, key: RefKey) -> OpenCopy:
        """Open the record that is at its path now; another process may have put a new one there.

        Raises:
            OSError, StoreError: there is none, or it cannot be opened.
        """
        copy = self._open.get(key)
        if copy is not None:
            with contextlib.suppress(FileNotFoundError):
                if os.stat(copy.path, follow_symlinks=False).st_ino == copy.inode:
                    return copy
            self._close(key)
        path = self._path(key)
        copy = self._open[key] = OpenCopy(path, open_regular(path, append=self._files))
        if len(self._open) > _OPEN_COPIES:
            self._close(next(iter(self._open)))
        return copy

    def _close(self, key: RefKey) -> None:
        self._open.pop(key, None)

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

    def _read(self, key: RefKey, read: Callable[[int, int], _T]) -> _T | None:
        if key in self._given_up:
            return None
        try:
            descriptor, status = open_with_status(self._path(key))
        except (OSError, StoreError):
            return None
        try:
            return read(descriptor, status.st_size)
        except OSError:
            return None
        finally:
            os.close(descriptor)

    def _load(self, name: str) -> bytes | None:
        try:
            return kept(f"{self._folder()}/{name}")
        except StoreError:
            return None


def _checked(folder: str) -> str:
    """Return the name of the file that keeps what was found to agree in a folder of refs."""
    return f"{_CHECKED}.{folder.replace('/', '.')}"
