"""The files backend: a store in a folder of a local disk.

A durable append is one `write` and one `fdatasync` on a descriptor that stays open between saves.
Everything else is written under a temporary name, synced, given its name, and the folder synced.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ..errors import CorruptionError, ObjectNotYetHereError
from . import _locks
from ._files import (
    Files,
    discard,
    in_parallel,
    make_folders,
    open_regular,
    read_bytes,
    start_temporary,
    store_errors,
    translate,
    write_all,
    write_file,
    write_temporary,
)
from ._paths import COMPRESSED, CONSTANT_FILES, REF_ENDING, StorePaths, is_hidden, is_ref_file, object_of
from ._store import check_store
from .base import Backend, Capabilities, NewObject, RefChangedError, RefKey, RefTakenError, Snapshot, Token

_OPEN_REFS = 64
_OBJECTS_AT_ONCE = 64
_SUFFIX_BYTES = 32
_REF_LIMIT = 2**31
_TICK_NS = 20_000_000
_COARSE_TICK_NS = 2_000_000_000


@dataclass(slots=True)
class _OpenRef:
    """A ref file held open for appending, and how it looked when this process last read or wrote it.

    Attributes:
        now: the token when its lock was last taken.
        holders: how many `hold` blocks are open on it; holder: the thread that they are in.
    """

    descriptor: int
    token: Token
    suffix: bytes
    now: Token | None = None
    holders: int = 0
    holder: int = 0


def _token(status: os.stat_result) -> Token:
    return Token((status.st_ino, status.st_size, status.st_mtime_ns))


class LocalBackend(Backend):
    """Bytes under keys in a folder.

    Args:
        root: the store; it need not exist before the first write.
        files: the system calls to use (tests put others here).
        compress: keep objects compressed where the engine hints that it pays.

    Raises:
        StoreFormatError: `root` is something else than a store, or a store of a newer version.
    """

    capabilities = Capabilities(persistent=True, shared=True)

    def __init__(self, root: Path, *, files: Files | None = None, compress: bool = True) -> None:
        self._paths = StorePaths(root)
        self._files = files or Files()
        self._compress = compress
        self._open_refs: OrderedDict[RefKey, _OpenRef] = OrderedDict()
        self._mutex = threading.Lock()
        self._prepared = False
        self._secured: set[str] = set()
        check_store(self._paths)
        _backends.add(self)
        # For callers that never call close: a descriptor has no finalizer of its own.
        weakref.finalize(self, _close_all, self._open_refs)

    def prepare(self) -> None:
        if self._prepared and os.path.isdir(self._paths.refs) and os.path.isdir(self._paths.objects):
            return
        check_store(self._paths)
        root = str(self._paths.root)
        with store_errors("make a store in", root):
            if os.path.isdir(root) and not os.path.lexists(self._paths.format):
                # Whoever made it may have been killed before the sync. A parent that we cannot open is not ours.
                with contextlib.suppress(PermissionError):
                    self._files.sync_folder(os.path.dirname(root))
            make_folders(self._files, root)
            missing = [(name, content) for name, content in CONSTANT_FILES if not os.path.lexists(f"{root}/{name}")]
            # FORMAT first: from then on a crash leaves a store that lacks only its comforts.
            for name, content in missing:
                with contextlib.suppress(FileExistsError):
                    write_file(self._files, f"{root}/{name}", content, replace=False)
            make_folders(self._files, str(self._paths.refs))
            make_folders(self._files, str(self._paths.objects))
            if not missing:
                self._files.sync_folder(root)
        self._prepared = True

    def _own_folder(self, folder: str, touched: set[str]) -> None:
        """Make a folder of refs or objects; what is to be synced for its name to last is added to `touched`.

        Also one that is there already, once: the process that made it may have been killed before its sync.

        Raises:
            CorruptionError: something else stands there, such as a link planted in a synced folder.
        """
        missing = not os.path.lexists(folder)
        if missing:
            # Another process may be making it at the same time.
            with contextlib.suppress(FileExistsError):
                self._files.make_folder(folder)
        if not stat.S_ISDIR(os.lstat(folder).st_mode):
            raise CorruptionError("move it out of the store", folder, expected="a folder", actual="something else")
        if missing or folder not in self._secured:
            touched.add(os.path.dirname(folder))

    def locate(self, key: RefKey | str) -> str:
        if isinstance(key, RefKey):
            return self._paths.ref(key.path)
        path = self._paths.object(key)
        return path + COMPRESSED if os.path.exists(path + COMPRESSED) and not os.path.exists(path) else path

    # Objects

    def get_object(self, identity: str, *, size: int | None, limit: int) -> bytes:
        path = self._paths.object(identity)
        problem: CorruptionError | None = None
        for form in (path, path + COMPRESSED):
            try:
                data = _read_object(form, size=size, limit=limit)
            except FileNotFoundError:
                continue
            except CorruptionError as error:
                problem = problem or error
                continue
            except OSError as error:
                raise translate(error, "read", form, reading=True) from error
            actual = hashlib.sha256(data).hexdigest()
            if actual == identity:
                return data
            problem = problem or _bad_object(form, f"sha256 {identity}", actual)
        raise problem or ObjectNotYetHereError(identity, path)

    def put_objects(self, objects: Iterable[NewObject]) -> None:
        remaining = iter(objects)
        touched: set[str] = set()
        while batch := list(islice(remaining, _OBJECTS_AT_ONCE)):
            with store_errors("write objects into", self._paths.objects):
                self._put_batch(batch, touched)
        with store_errors("sync", self._paths.objects):
            in_parallel(self._files.sync_folder, sorted(touched))
        self._secured |= touched

    def _put_batch(self, batch: list[NewObject], touched: set[str]) -> None:
        scratches: list[tuple[str, str]] = []
        descriptors: list[int] = []
        try:
            for new in batch:
                path = self._paths.object(new.id)
                folder = os.path.dirname(path)
                touched.add(folder)
                self._own_folder(folder, touched)
                if self._secure_existing(new, path):
                    continue
                # What is there and bad is healed in the form that it has: text tools may look at that one.
                there = [form for form in (path, path + COMPRESSED) if os.path.lexists(form)]
                for form in there or [path + COMPRESSED if self._compress and new.compress else path]:
                    data = new.data
                    if form.endswith(COMPRESSED):
                        from ._compression import compress

                        data = compress(data)
                    scratch, descriptor = start_temporary(self._files, folder, data)
                    scratches.append((scratch, form))
                    descriptors.append(descriptor)
            # Before the renames: a name must never become durable ahead of the bytes it stands for.
            in_parallel(self._files.sync_data, descriptors)
            while scratches:
                self._files.rename(*scratches[0])
                scratches.pop(0)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
            for scratch, _ in scratches:
                discard(self._files, scratch)

    def _secure_existing(self, new: NewObject, path: str) -> bool:
        """Tell whether the object is there and good, and if so make it durable: a sync tool may not have."""
        for form in (path, path + COMPRESSED):
            try:
                if _read_object(form, size=len(new.data), limit=len(new.data)) != new.data:
                    continue
                descriptor = open_regular(form)
            except (FileNotFoundError, CorruptionError):
                continue
            try:
                self._files.sync_data(descriptor)
            finally:
                os.close(descriptor)
            return True
        return False

    def objects(self) -> Iterator[tuple[str, int]]:
        with store_errors("list", self._paths.objects, reading=True):
            for folder in _folders(str(self._paths.objects)):
                for entry in os.scandir(folder):
                    identity = object_of(entry.name)
                    if identity and entry.is_file(follow_symlinks=False):
                        yield identity, entry.stat(follow_symlinks=False).st_size

    # Refs

    def refs(self) -> Iterator[tuple[RefKey, Token]]:
        root = str(self._paths.refs)
        with store_errors("list", root, reading=True):
            yield from _walk_refs(root, "")

    def ref_identities(self, marker: object) -> tuple[object, dict[str, int] | None]:
        with store_errors("list", self._paths.refs, reading=True):
            # A name comes, goes or changes hands only with the time of its folder; appending leaves that alone.
            if isinstance(marker, tuple) and all(_folder_state(folder) == state for folder, state in marker):
                return marker, None
            now = time.time_ns()
            found: dict[str, int] = {}
            folders: list[tuple[str, tuple[int, int] | None]] = []
            _collect_identities(str(self._paths.refs), "", found, folders)
            settled = all(state is None or not _is_recent(state[1], now) for _, state in folders)
            return (tuple(folders) if settled else None), found

    def ref_sizes(self) -> Iterator[int]:
        for _, token in self.refs():
            yield token[1]

    def read_ref(self, key: RefKey) -> Snapshot:
        path = self._paths.ref(key.path)
        try:
            descriptor = open_regular(path)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise KeyError(key) from error
        except OSError as error:
            raise translate(error, "read", path, reading=True) from error
        try:
            with store_errors("read", path, reading=True):
                return _read_ref(descriptor, path)
        finally:
            os.close(descriptor)

    def create_ref(self, key: RefKey, data: bytes) -> Token:
        path = self._paths.ref(key.path)
        with store_errors("create", path):
            folder, above = os.path.dirname(path), set[str]()
            self._own_folder(folder, above)
            for parent in above:
                self._files.sync_folder(parent)
            self._secured.add(folder)
            try:
                write_file(self._files, path, data, replace=False)
            except FileExistsError as error:
                raise RefTakenError(key) from error
            return _token(os.stat(path, follow_symlinks=False))

    def append_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
        path = self._paths.ref(key.path)
        with self._locked(key, path) as ref:
            self._expect(ref, expected)
            try:
                write_all(self._files, ref.descriptor, data)
            except OSError as error:
                # Nothing after the last good line was acknowledged; what cannot be cut off counts as torn.
                with contextlib.suppress(OSError):
                    self._files.truncate(ref.descriptor, expected[1])
                raise translate(error, "append to", path) from error
            try:
                self._files.sync_data(ref.descriptor)
            except OSError:
                return self._rescue(ref, key, expected, data)
            status = os.fstat(ref.descriptor)
            ref.token = _token(status)
            ref.suffix = data[-_SUFFIX_BYTES:] if len(data) >= _SUFFIX_BYTES else (ref.suffix + data)[-_SUFFIX_BYTES:]
            # A sync tool may have put another file in our file's place while we wrote into ours.
            if not _is_at(status, path) or status.st_size != expected[1] + len(data):
                raise RefChangedError(key)
            return ref.token

    def replace_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
        path = self._paths.ref(key.path)
        with self._locked(key, path) as ref:
            self._expect(ref, expected)
            with store_errors("replace", path):
                return self._swap(ref, path, data)

    @contextmanager
    def hold(self, key: RefKey) -> Iterator[None]:
        with self._locked(key, self._paths.ref(key.path)) as ref:
            ref.holders += 1
            ref.holder = threading.get_ident()
            self._give_back(key, ref)
            try:
                yield
            finally:
                ref.holders -= 1

    def _rescue(self, ref: _OpenRef, key: RefKey, expected: Token, data: bytes) -> Token:
        """Save by way of a new file after a sync failed.

        A second sync of the same descriptor would report success for pages that the kernel has already
        given up on (Rebello et al., "Can applications recover from fsync failures?", USENIX ATC 2020).
        """
        path = self._paths.ref(key.path)
        with store_errors("sync", path):
            try:
                before = read_bytes(ref.descriptor, expected[1])
                return self._swap(ref, path, before + data)
            except OSError:
                with contextlib.suppress(OSError):
                    self._files.truncate(ref.descriptor, expected[1])
                raise

    def _swap(self, ref: _OpenRef, path: str, data: bytes) -> Token:
        """Put a complete new file in the place of the one that is open and locked."""
        folder = os.path.dirname(path)
        scratch = write_temporary(self._files, folder, data)
        try:
            descriptor = open_regular(scratch, append=self._files)
            try:
                # Locked before it has its name, so that nobody appends between rename and folder sync.
                _locks.lock(descriptor)
                self._files.rename(scratch, path)
            except BaseException:
                os.close(descriptor)
                raise
        except BaseException:
            discard(self._files, scratch)
            raise
        _locks.unlock(ref.descriptor)
        os.close(ref.descriptor)
        ref.descriptor = descriptor
        ref.token = _token(os.fstat(descriptor))
        ref.suffix = data[-_SUFFIX_BYTES:]
        self._files.sync_folder(folder)
        return ref.token

    def _expect(self, ref: _OpenRef, expected: Token) -> None:
        """Raise RefChangedError unless the locked file is, byte for byte as far as one can tell, as expected."""
        if ref.now != expected:
            raise RefChangedError(expected)
        # The same inode, size and time can still be an older copy, written back in place.
        if (
            ref.token == expected
            and read_bytes(ref.descriptor, len(ref.suffix), expected[1] - len(ref.suffix)) != ref.suffix
        ):
            raise RefChangedError(expected)

    @contextmanager
    def _locked(self, key: RefKey, path: str) -> Iterator[_OpenRef]:
        """Hold the lock of the file that is at `path` right now; it stays open afterwards for the next save."""
        ref = self._take(key)
        try:
            if ref is None:
                ref = _OpenRef(*_open_ref(path, self._files))
            if not ref.holders:
                _locks.lock(ref.descriptor)
            while not _is_at(status := os.fstat(ref.descriptor), path):
                # Whoever held the lock before us has replaced the file: ours is an orphan's.
                _locks.unlock(ref.descriptor)
                os.close(ref.descriptor)
                ref.descriptor = -1
                ref.descriptor, ref.token, ref.suffix = _open_ref(path, self._files)
                _locks.lock(ref.descriptor)
            ref.now = _token(status)
            yield ref
        except FileNotFoundError as error:
            raise RefChangedError(key) from error
        except OSError as error:
            raise translate(error, "open", path) from error
        finally:
            if ref is not None and ref.descriptor >= 0:
                if not ref.holders:
                    _locks.unlock(ref.descriptor)
                self._give_back(key, ref)

    def _take(self, key: RefKey) -> _OpenRef | None:
        with self._mutex:
            ref = self._open_refs.get(key)
            if ref is None or (ref.holders and ref.holder != threading.get_ident()):
                # Held by another thread: a descriptor of our own waits for the lock as another process would.
                return None
            return self._open_refs.pop(key)

    def _give_back(self, key: RefKey, ref: _OpenRef) -> None:
        with self._mutex:
            other = self._open_refs.pop(key, ref)
            if other is not ref:
                # Two threads opened it side by side; one descriptor is enough to keep.
                ref, spare = (other, ref) if other.holders else (ref, other)
                os.close(spare.descriptor)
            self._open_refs[key] = ref
            idle = (old for old, other in self._open_refs.items() if not other.holders)
            for old in list(islice(idle, max(0, len(self._open_refs) - _OPEN_REFS))):
                os.close(self._open_refs.pop(old).descriptor)

    def close(self) -> None:
        with self._mutex:
            # One that a thread holds right now stays open: its number must not come to stand for another file.
            for key in [key for key, ref in self._open_refs.items() if not ref.holders]:
                os.close(self._open_refs.pop(key).descriptor)

    def _forget_open_refs(self) -> None:
        """In a child of os.fork: our descriptors are the parent's too, and so are the locks on them."""
        self._mutex = threading.Lock()
        _close_all(self._open_refs)


def _close_all(open_refs: OrderedDict[RefKey, _OpenRef]) -> None:
    while open_refs:
        os.close(open_refs.popitem()[1].descriptor)


_backends: weakref.WeakSet[LocalBackend] = weakref.WeakSet()


def _after_fork() -> None:
    for backend in list(_backends):
        backend._forget_open_refs()


os.register_at_fork(after_in_child=_after_fork)


def _open_ref(path: str, files: Files) -> tuple[int, Token, bytes]:
    descriptor = open_regular(path, append=files)
    status = os.fstat(descriptor)
    length = min(_SUFFIX_BYTES, status.st_size)
    return descriptor, _token(status), read_bytes(descriptor, length, status.st_size - length)


def _is_at(status: os.stat_result, path: str) -> bool:
    """Tell whether the file of `status` is the one at `path`."""
    try:
        there = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return (there.st_ino, there.st_dev) == (status.st_ino, status.st_dev)


def _read_ref(descriptor: int, path: str) -> Snapshot:
    while True:
        before = os.fstat(descriptor)
        if before.st_size > _REF_LIMIT:
            raise CorruptionError("the ref is impossibly large", path, expected="2 GiB at most", actual=before.st_size)
        data = read_bytes(descriptor, before.st_size)
        # Bytes and token must belong together: a saver may append while we read.
        if _token(os.fstat(descriptor)) == _token(before) and len(data) == before.st_size:
            return Snapshot(data, _token(before))


def _read_object(path: str, *, size: int | None, limit: int) -> bytes:
    """Read an object in the form that `path` names, without verifying its hash."""
    compressed = path.endswith(COMPRESSED)
    descriptor = open_regular(path)
    try:
        stored = os.fstat(descriptor).st_size
        if not compressed:
            if stored > limit or (size is not None and stored != size):
                raise _bad_object(path, f"{limit if size is None else size} bytes", f"{stored} bytes")
            return read_bytes(descriptor, stored)
        from ._compression import decompress, largest_frame

        if stored > largest_frame(limit):
            raise _bad_object(path, f"{largest_frame(limit)} bytes at most", f"{stored} bytes")
        try:
            return decompress(read_bytes(descriptor, stored), size=size, limit=limit)
        except ValueError as error:
            raise _bad_object(path, "one zstd frame of the right size", error) from error
    finally:
        os.close(descriptor)


def _bad_object(path: str, expected: object, actual: object) -> CorruptionError:
    return CorruptionError(
        "the object is damaged: restore the file from a backup or another machine",
        path,
        expected=expected,
        actual=actual,
    )


def _folders(root: str) -> Iterator[str]:
    with contextlib.suppress(FileNotFoundError), os.scandir(root) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and not is_hidden(entry.name):
                yield entry.path


def _walk_refs(folder: str, prefix: str) -> Iterator[tuple[RefKey, Token]]:
    now = time.time_ns()
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            path = f"{prefix}{entry.name}"
            try:
                if _may_be_ref(entry):
                    yield RefKey(path), _listed_token(entry.stat(follow_symlinks=False), now)
                elif not is_hidden(entry.name) and entry.is_dir(follow_symlinks=False):
                    yield from _walk_refs(entry.path, f"{path}/")
            except FileNotFoundError:
                continue


def _collect_identities(
    folder: str, prefix: str, found: dict[str, int], folders: list[tuple[str, tuple[int, int] | None]]
) -> None:
    # Before the listing: what comes into the folder while we list it must not pass for seen.
    folders.append((folder, _folder_state(folder)))
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            # Spelled out for the common case: looking a name up in a large store is this loop.
            name = entry.name
            if (name.endswith(REF_ENDING) and name[0] != ".") or _may_be_ref(entry):
                found[prefix + name] = entry.inode()
            elif not is_hidden(entry.name) and entry.is_dir(follow_symlinks=False):
                _collect_identities(entry.path, f"{prefix}{entry.name}/", found, folders)


def _may_be_ref(entry: os.DirEntry[str]) -> bool:
    """Tell whether an entry below the refs is to be read as one.

    What is no regular file but has a ref's name is: reading it raises the error to show.
    """
    name = entry.name
    return not is_hidden(name) and (is_ref_file(name) or entry.is_file(follow_symlinks=False))


def _folder_state(folder: str) -> tuple[int, int] | None:
    try:
        status = os.stat(folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def _listed_token(status: os.stat_result, now: int) -> Token:
    """Return a token that equals no earlier one while the file's time could hide another change.

    As with Git's "racily clean" index entries: two changes within one tick of the file system's clock
    leave the same time, and a replaced file can even get its predecessor's inode.
    """
    if _is_recent(status.st_mtime_ns, now):
        return Token((status.st_ino, status.st_size, status.st_mtime_ns, now))
    return _token(status)


def _is_recent(changed_ns: int, now_ns: int) -> bool:
    coarse = changed_ns % 1_000_000_000 == 0
    return now_ns - changed_ns < (_COARSE_TICK_NS if coarse else _TICK_NS)
