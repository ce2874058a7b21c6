"""The files backend: a store in a folder of a local disk.

A durable append is one `write` and one `fdatasync` on a descriptor that stays open between saves.
Everything else is written under a temporary name, synced, given its name, and the folder synced.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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
from ._listing import list_identities, list_tokens, replica_marker
from ._open_refs import OpenRef, OpenRefs, is_at, token_of
from ._paths import COMPRESSED, CONSTANT_FILES, StorePaths, is_hidden, object_of
from ._record import FileRecord, end_of
from ._store import check_store
from .base import (
    Backend,
    Capabilities,
    NewObject,
    RecordAheadError,
    RefChangedError,
    RefEnd,
    RefKey,
    RefTakenError,
    Snapshot,
    Token,
)

_OBJECTS_AT_ONCE = 64
_REF_LIMIT = 2**31


class LocalBackend(Backend):
    """Bytes under keys in a folder.

    Args:
        root: the store; it need not exist before the first write.
        files: the system calls to use (tests put others here).
        compress: keep objects compressed where the engine hints that it pays.
        record: what this machine has acknowledged; shared with its state.

    Raises:
        StoreFormatError: `root` is something else than a store, or a store of a newer version.
    """

    capabilities = Capabilities(persistent=True, shared=True)

    def __init__(
        self,
        root: Path,
        *,
        files: Files | None = None,
        compress: bool = True,
        record: FileRecord | None = None,
    ) -> None:
        self._paths = StorePaths(root)
        # One that no replica was told to keep does nothing.
        self._record = record or FileRecord(lambda: "")
        self._files = files or Files()
        self._compress = compress
        self._open_refs = OpenRefs(self._files)
        # Paths of files a sync of which failed, until new ones stand there.
        self._doubtful: set[str] = set()
        self._prepared = False
        self._secured: set[str] = set()
        check_store(self._paths)

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
                _, form = scratches.pop(0)
                self._doubtful.discard(form)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
            for scratch, _ in scratches:
                discard(self._files, scratch)

    def _secure_existing(self, new: NewObject, path: str) -> bool:
        """Tell whether the object is there and good, and if so make it durable: a sync tool may not have."""
        for form in (path, path + COMPRESSED):
            if form in self._doubtful:
                return False
            try:
                if _read_object(form, size=len(new.data), limit=len(new.data)) != new.data:
                    continue
                descriptor = open_regular(form)
            except (FileNotFoundError, CorruptionError):
                continue
            try:
                self._files.sync_data(descriptor)
            except OSError:
                # As with a ref: not to be synced again, but written anew from memory.
                self._doubtful.add(form)
                return False
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

    def ref_tokens(self) -> dict[str, Token]:
        root = str(self._paths.refs)
        with store_errors("list", root, reading=True):
            return list_tokens(root)

    def ref_identities(self, marker: object) -> tuple[object, dict[str, int] | None]:
        with store_errors("list", self._paths.refs, reading=True):
            return list_identities(str(self._paths.refs), marker)

    def ref_sizes(self) -> Iterator[int]:
        for token in self.ref_tokens().values():
            yield token[1]

    def read_ref(self, key: RefKey) -> Snapshot:
        with self._reading(key) as descriptor:
            return _read_ref(descriptor, self._paths.ref(key.path))

    @contextmanager
    def _reading(self, key: RefKey) -> Iterator[int]:
        path = self._paths.ref(key.path)
        try:
            descriptor = open_regular(path)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise KeyError(key) from error
        except OSError as error:
            raise translate(error, "read", path, reading=True) from error
        try:
            with store_errors("read", path, reading=True):
                yield descriptor
        finally:
            os.close(descriptor)

    def ref_end(self, key: RefKey) -> RefEnd:
        with self._reading(key) as descriptor:
            return end_of(descriptor)

    def replica_marker(self, replica: str) -> list[int] | None:
        with store_errors("list", self._paths.refs, reading=True):
            return replica_marker(str(self._paths.root), str(self._paths.format), self._paths.ref(replica))

    def create_ref(self, key: RefKey, data: bytes) -> Token:
        path = self._paths.ref(key.path)
        if not os.path.lexists(path) and self._record.read(key) not in (None, data):
            raise RecordAheadError(key)
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
            token = token_of(os.stat(path, follow_symlinks=False))
        self._record.keep(key, data)
        return token

    def append_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
        path = self._paths.ref(key.path)
        ref = self._acquire(key, path)
        try:
            _expect(ref, expected)
            if not self._record.is_even(key, expected[1], ref.descriptor):
                raise RecordAheadError(key)
            if path in self._doubtful:
                return self._rescue(ref, key, expected, data)
            try:
                write_all(self._files, ref.descriptor, data)
            except OSError as error:
                # Nothing after the last good line was acknowledged; what cannot be cut off counts as torn.
                with contextlib.suppress(OSError):
                    self._files.truncate(ref.descriptor, expected[1])
                raise translate(error, "append to", path) from error
            self._record.append(key, expected[1], data, ref.descriptor)
            try:
                self._files.sync_data(ref.descriptor)
            except OSError:
                return self._rescue(ref, key, expected, data)
            status = os.fstat(ref.descriptor)
            # A sync tool may have put another file in our file's place, or other bytes into it, while we wrote.
            if not is_at(status, path) or status.st_size != expected[1] + len(data):
                raise RefChangedError(key)
            ref.wrote(status, data)
            return ref.token
        finally:
            self._open_refs.release(ref)

    def replace_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
        path = self._paths.ref(key.path)
        ref = self._acquire(key, path)
        try:
            _expect(ref, expected)
            if not self._record.is_even(key, expected[1], ref.descriptor) and self._record.read(key) != data:
                raise RecordAheadError(key)
            with store_errors("replace", path):
                token = self._swap(ref, path, data)
            self._record.keep(key, data)
            self._doubtful.discard(path)
            return token
        finally:
            self._open_refs.release(ref)

    @contextmanager
    def hold(self, key: RefKey) -> Iterator[None]:
        ref = self._acquire(key, self._paths.ref(key.path))
        try:
            yield
        finally:
            self._open_refs.release(ref)

    def _acquire(self, key: RefKey, path: str) -> OpenRef:
        try:
            return self._open_refs.acquire(key, path)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise RefChangedError(key) from error
        except OSError as error:
            raise translate(error, "open", path) from error

    def _rescue(self, ref: OpenRef, key: RefKey, expected: Token, data: bytes) -> Token:
        """Save by way of a new file after a sync failed.

        A second sync of the same file would report success for pages that the kernel has already given up
        on (Rebello et al., "Can applications recover from fsync failures?", USENIX ATC 2020).
        """
        path = self._paths.ref(key.path)
        self._doubtful.add(path)
        with store_errors("sync", path):
            whole = read_bytes(ref.descriptor, expected[1]) + data
            try:
                token = self._swap(ref, path, whole)
            except OSError:
                with contextlib.suppress(OSError):
                    self._files.truncate(ref.descriptor, expected[1])
                self._record.cut(key, expected[1])
                raise
        self._record.keep(key, whole)
        self._doubtful.discard(path)
        return token

    def _swap(self, ref: OpenRef, path: str, data: bytes) -> Token:
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
        ref.take_over(descriptor, data)
        self._files.sync_folder(folder)
        return ref.token

    def close(self) -> None:
        self._open_refs.close()
        self._record.close()


def _expect(ref: OpenRef, expected: Token) -> None:
    """Raise RefChangedError unless the locked file is, byte for byte as far as one can tell, as expected."""
    if ref.now != expected:
        raise RefChangedError(expected)
    # The same inode, size and time can still be an older copy, written back in place.
    length = len(ref.suffix)
    if ref.token == expected and (end := read_bytes(ref.descriptor, length, expected[1] - length)) != ref.suffix:
        # The caller will read these bytes, and try again with the very same token.
        ref.suffix = end
        raise RefChangedError(expected)


def _read_ref(descriptor: int, path: str) -> Snapshot:
    while True:
        before = os.fstat(descriptor)
        if before.st_size > _REF_LIMIT:
            raise CorruptionError("the ref is impossibly large", path, expected="2 GiB at most", actual=before.st_size)
        data = read_bytes(descriptor, before.st_size)
        # Bytes and token must belong together: a saver may append while we read.
        if token_of(os.fstat(descriptor)) == token_of(before) and len(data) == before.st_size:
            return Snapshot(data, token_of(before))


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
