"""The files backend: a store in a folder of a local disk.

A durable append is one `write` and one `fdatasync` on a descriptor that stays open between saves.
Everything else is written under a temporary name, synced, given its name, and the folder synced.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar

from ..base import (
    END_BYTES,
    Capabilities,
    Marker,
    NewObject,
    Place,
    RecordAheadError,
    RefChangedError,
    RefEnd,
    RefFolders,
    RefKey,
    RefRefusedError,
    RefTakenError,
    Sign,
    Snapshot,
    Token,
)
from ..disk.files import (
    Files,
    make_folders,
    open_regular,
    open_with_status,
    read_bytes,
    store_errors,
    translate,
    write_all,
)
from ..disk.folders import OwnFolders
from ..disk.new_files import NewFile, write_file
from ..disk.paths import COMPRESSED, CONSTANT_FILES, StorePaths
from ..disk.presence import Presence
from ..disk.ref_files import read_ref
from ..disk.store_check import check_store, warn_if_open_to_all
from ..disk.tokens import end_of, listed_token, read_end
from ..machine.own_refs import FileRecord
from ..machine.stand_ins import StandIns
from ..spread import Spread
from .inspection import InspectedFiles
from .listing import ids_in, list_folders, list_tokens, refs_at, tokens_in, walk_groups
from .locked_refs import Hold, OpenRefs
from .new_refs import FILES_AT_ONCE, NewRefs
from .objects import ObjectFiles
from .open_ref import OpenRef
from .replica_folders import count_refs, has_refs, replica_marker

T = TypeVar("T")


class LocalBackend(InspectedFiles):
    """Bytes under keys in a folder.

    Args:
        root: the store; it need not exist before the first write.
        files: the system calls to use (tests put others here).
        compress: keep objects compressed where the engine hints that it pays.
        record: what this machine has acknowledged; shared with its state.
        begin: what every ref begins with; a large file that does not is damage, and is not read to tell.
        flat_refs: how many refs a replica has in one folder before new ones go into folders within it.

    Raises:
        StoreFormatError: `root` is something else than a store, or a store of a newer version.
    """

    capabilities = Capabilities(persistent=True, shared=True)

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        files: Files | None = None,
        compress: bool = True,
        record: FileRecord | None = None,
        begin: bytes = b"",
        flat_refs: int | None = None,
    ) -> None:
        self._paths = StorePaths(os.fspath(root))
        self._record = record or FileRecord(lambda: "")
        self._begin = begin
        self._files = files or Files()
        self._record.plan_with(self._files)
        self._folders = OwnFolders(self._files)
        self._presence = Presence(self._paths)
        self._objects = ObjectFiles(self._paths, self._files, self._folders, self._presence, compress=compress)
        self._stand_ins = StandIns(self._paths.root, self._record.state)
        self._new_refs = NewRefs(self._paths, self._files, self._folders, self._presence, self._stand_ins, self._record)
        self._spread = Spread(partial(count_refs, self._paths.refs), flat_refs)
        self._open_refs = OpenRefs(self._files, self._stand_ins)
        # Paths of files a sync of which failed, until new ones stand there.
        self._doubtful: set[str] = set()
        self._prepared = False
        check_store(self._paths)
        with store_errors("open", self._paths.root, reading=True):
            self._presence.note()
        warn_if_open_to_all(self._paths.root)

    def prepare(self) -> None:
        if self._prepared and self._presence.is_sure and os.path.isdir(self._paths.objects):
            return
        self._presence.check()
        check_store(self._paths)
        root = self._paths.root
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
            make_folders(self._files, self._paths.refs)
            make_folders(self._files, self._paths.objects)
            if not missing:
                self._files.sync_folder(root)
            self._presence.note()
        self._prepared = True

    def place(self) -> Place:
        try:
            status = os.stat(self._paths.format, follow_symlinks=False)
        except OSError:
            store = None
        else:
            store = Sign((status.st_ino, status.st_mtime_ns))
        return Place(os.path.realpath(self._paths.root), store)

    def watched_folder(self) -> str:
        return os.path.realpath(self._paths.root)

    def refs_at(self, path: str) -> Collection[RefKey] | None:
        return refs_at(path)

    def locate(self, key: RefKey | str) -> str:
        if isinstance(key, RefKey):
            return self._paths.ref(key.path)
        path = self._paths.object(key)
        return path + COMPRESSED if os.path.exists(path + COMPRESSED) and not os.path.exists(path) else path

    # Objects

    def get_object(self, identity: str, *, size: int | None, limit: int) -> bytes:
        return self._objects.get(identity, size=size, limit=limit)

    def put_objects(self, objects: Iterable[NewObject]) -> None:
        self._objects.put(objects)

    def object_pieces(self, identity: str) -> Iterator[bytes]:
        return self._objects.pieces(identity)

    def put_large_object(self, identity: str, size: int, pieces: Iterable[bytes], *, compress: bool) -> None:
        self._objects.put_large(identity, size, pieces, compress=compress)

    def objects(self) -> Iterator[tuple[str, int]]:
        return self._objects.sizes()

    def object_groups(self) -> Iterator[tuple[str, Sign]]:
        with store_errors("list", self._paths.objects, reading=True):
            yield from walk_groups(self._paths.objects)

    def object_ids(self, group: str) -> Iterator[str]:
        with store_errors("list", self._paths.objects, reading=True):
            yield from ids_in(self._paths.objects, group)

    # Refs

    def ref_tokens(self) -> dict[str, Token]:
        root = self._paths.refs
        with store_errors("list", root, reading=True):
            tokens = list_tokens(root)
            # Only now: what was listed before a disk was pulled is as good as an answer of that moment.
            self._presence.check()
            return tokens

    def ref_token(self, key: RefKey) -> Token | None:
        path = self._paths.ref(key.path)
        with store_errors("read", path, reading=True), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return listed_token(os.stat(path, follow_symlinks=False), time.time_ns())
        return None

    def ref_tokens_in(self, folders: Collection[str]) -> dict[str, Token]:
        with store_errors("list", self._paths.refs, reading=True):
            tokens = tokens_in(self._paths.refs, folders)
            self._presence.check()
            return tokens

    def ref_folders(self, known: Mapping[str, object], *, but: str | None = None) -> RefFolders:
        with store_errors("list", self._paths.refs, reading=True):
            # Without a state folder nobody counts what other processes do to this replica's refs.
            found = list_folders(self._paths.refs, known, but if self._record.changes() else None)
            if found.contents:
                self._presence.check()
            return found

    def read_ref(self, key: RefKey) -> Snapshot:
        path = self._paths.ref(key.path)

        def read(descriptor: int, status: os.stat_result) -> Snapshot:
            return read_ref(descriptor, status, path, self._begin)

        try:
            held = self._open_refs.read_held(path, self._begin)
        except OSError as error:
            raise translate(error, "read", path, reading=True) from error
        return self._read(key, read) if held is None else held

    def ref_end(self, key: RefKey) -> RefEnd:
        return self._read(key, lambda descriptor, status: end_of(descriptor, status.st_size))

    def _read(self, key: RefKey, read: Callable[[int, os.stat_result], T]) -> T:
        # No context managers: a first listing opens every ref.
        path, descriptor = self._paths.ref(key.path), -1
        try:
            descriptor, status = open_with_status(path)
            return read(descriptor, status)
        except (FileNotFoundError, NotADirectoryError) as error:
            self._presence.check()
            raise KeyError(key) from error
        except OSError as error:
            raise translate(error, "read", path, reading=True) from error
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def key_folders(self, folders: Sequence[str]) -> Sequence[str]:
        return self._spread.order(folders)

    def begins_with(self, key: RefKey, front: bytes | bytearray) -> bool:
        path = self._paths.ref(key.path)
        with store_errors("read", path, reading=True):
            return self._open_refs.begins_with(path, front)

    def ref_after(self, key: RefKey, known: Token, front: bytes | bytearray) -> Snapshot | None:
        path = self._paths.ref(key.path)
        with store_errors("read", path, reading=True):
            return self._open_refs.read_after(path, known, bytes(front[-END_BYTES:]))

    def has_refs(self, replica: str) -> bool:
        with store_errors("list", self._paths.refs, reading=True):
            return has_refs(self._paths.ref(replica))

    def replica_marker(
        self, replica: str, known: Marker | None = None, *, only: Collection[str] | None = None
    ) -> Marker | None:
        with store_errors("list", self._paths.refs, reading=True):
            return replica_marker(self._paths, replica, known or {}, only)

    def create_ref(self, key: RefKey, data: bytes) -> Token:
        path = self._paths.ref(key.path)
        if not os.path.lexists(path) and self._record.read(key) not in (None, data):
            raise RecordAheadError(key)
        with store_errors("create", path):
            (token,) = self._new_refs.create([(key, data)])
        if token is None:
            raise RefTakenError(key)
        return token

    def create_refs(self, refs: Sequence[tuple[RefKey, bytes]]) -> list[Token | None]:
        tokens: list[Token | None] = [None] * len(refs)
        # Those of one folder together: it is synced once for all.
        order = sorted(range(len(refs)), key=lambda place: refs[place][0])
        with store_errors("create refs in", self._paths.refs):
            for start in range(0, len(refs), FILES_AT_ONCE):
                places = order[start : start + FILES_AT_ONCE]
                for place, token in zip(places, self._new_refs.create([refs[each] for each in places]), strict=True):
                    tokens[place] = token
        return tokens

    def append_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
        path = self._paths.ref(key.path)
        ref = self._acquire(path)
        try:
            ref.expect(expected)
            if not self._record.is_even(key, expected, partial(read_end, ref.descriptor, expected.size)):
                raise RecordAheadError(key)
            if path in self._doubtful:
                return self._rescue(ref, key, expected, data)
            try:
                write_all(self._files, ref.descriptor, data)
            except OSError as error:
                # Nothing after the last good line was acknowledged; what cannot be cut off counts as torn.
                with contextlib.suppress(OSError):
                    self._files.truncate(ref.descriptor, expected.size)
                raise translate(error, "append to", path) from error
            self._record.append(key, data, partial(read_bytes, ref.descriptor, expected.size + len(data)))
            # From here on others may append: whichever of us syncs the file makes both lines durable, and the disk
            # can do so for all who wait at once.
            ref.unlock()
            try:
                self._files.sync_data(ref.descriptor)
            except OSError:
                return self._rescue(ref, key, expected, data)
            token = ref.appended(expected, data)
            self._record.appended(key, token)
            return token
        finally:
            self._open_refs.release(ref)

    def replace_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
        path = self._paths.ref(key.path)
        ref = self._acquire(path)
        try:
            ref.expect(expected)
            even = self._record.is_even(key, expected, partial(read_end, ref.descriptor, expected.size))
            if not even and self._record.read(key) != data:
                raise RecordAheadError(key)
            with store_errors("replace", path), self._new_refs.naming([(key, data)]):
                token = self._swap(ref, data)
            self._record.keep(key, data)
            self._doubtful.discard(path)
            return token
        finally:
            self._open_refs.release(ref)

    def renew_token(self, key: RefKey, expected: Token) -> Token:
        with self.hold(key), store_errors("write to", self.locate(key)):
            return self._open_refs.renew(self._paths.ref(key.path), expected)

    def hold(self, key: RefKey) -> Hold:
        return Hold(self._acquire, self._open_refs.release, self._paths.ref(key.path))

    def _acquire(self, path: str) -> OpenRef:
        try:
            return self._open_refs.acquire(path)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise RefRefusedError(path) from error
        except OSError as error:
            raise translate(error, "open", path) from error

    def _rescue(self, ref: OpenRef, key: RefKey, expected: Token, data: bytes) -> Token:
        """Save by way of a new file after a sync of the file failed, be it with `data` in it already or not yet.

        A second sync of the same file would report success for pages that the kernel has already given up
        on (Rebello et al., "Can applications recover from fsync failures?", USENIX ATC 2020).
        """
        self._doubtful.add(ref.path)
        if not ref.locked:
            ref.lock()
        end = expected.size + len(data)
        with store_errors("sync", ref.path):
            size = ref.size_at_path()
            # What others have appended to our line stays; it follows from ours, which comes from memory.
            others = read_bytes(ref.descriptor, size - end, end)
            if size not in (expected.size, end) and not (others and ref.has(data, expected.size)):
                raise RefChangedError(ref.path)
            whole = read_bytes(ref.descriptor, expected.size) + data + others
            try:
                token = self._swap(ref, whole)
            except OSError:
                if not others:
                    with contextlib.suppress(OSError):
                        self._files.truncate(ref.descriptor, expected.size)
                    self._record.cut(key, expected.size)
                raise
        self._record.keep(key, whole)
        self._doubtful.discard(ref.path)
        return ref.outdated(end) if others else token

    def _swap(self, ref: OpenRef, data: bytes) -> Token:
        """Put a complete new file in the place of the one that is open and locked."""
        folder = os.path.dirname(ref.path)
        with NewFile(self._files, ref.path, data) as new:
            new.sync()
            try:
                # The ref has it from the start: an interrupt must not leave a file behind that is locked for good.
                ref.incoming = open_regular(new.scratch, append=self._files)
                # Locked before it has its name, so that nobody appends between rename and folder sync.
                ref.lock_incoming()
                new.rename()
            except BaseException:
                ref.drop_incoming()
                raise
        self._record.count_change()
        ref.take_over(data)
        self._files.sync_folder(folder)
        return ref.token

    def recover(self) -> None:
        self._open_refs.recover()
        self._record.recover()

    def close(self) -> None:
        self._open_refs.close()
        self._record.close()
