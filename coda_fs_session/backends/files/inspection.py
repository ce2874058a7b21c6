"""What lies in the folder of a store and is none of its refs and objects, or not as it should be."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import time
from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence

from ...errors import CorruptionError, StoreError
from ...process.system import FolderEntry, permissions
from ..base import OBJECT_LIMIT, Oddity, StoredObject, Unfinished
from ..disk.descriptors import scan
from ..disk.files import publish, read_file, store_errors
from ..disk.paths import (
    COMPRESSED,
    CONSTANT_FILES,
    READMES,
    REPLICA_FILE,
    is_hidden,
    is_replica_file,
    object_of,
    temporary,
)
from .listing import DEPTH
from .new_refs import Naming, NewRefs
from .object_files import read_object, verified, verified_pieces
from .objects import ObjectFiles
from .replica_files import ReplicaFiles

_TEMPORARY = ".tmp-"
_OURS = re.compile(r"\.tmp-[0-9a-f]{16}\Z")
_ABANDONED = 3600
"""Seconds after which nobody writes to a temporary file any more."""
_PLAIN = ".jsonl"
_MOST_BYTES = 64 * 1024 * 1024
"""Of a second copy: larger ones are not read."""


class InspectedFiles(ReplicaFiles):
    """The part of the files backend that looks at files which no other verb asks for, and removes some."""

    _objects: ObjectFiles
    _new_refs: NewRefs

    def stored_objects(self) -> Iterator[StoredObject]:
        with store_errors("list", self._paths.objects, reading=True):
            for folder in _folders(self._paths.objects):
                for entry, identity in _object_files(folder):
                    if entry.is_file(follow_symlinks=False):
                        own = entry.name in _own_names(identity)
                        plain = entry.name.endswith(_PLAIN) if own else None
                        size = entry.stat(follow_symlinks=False).st_size
                        yield StoredObject(identity, entry.path, size, plain, f"objects/{identity[:2]}/{entry.name}")

    def spare_copies(self, places: Sequence[StoredObject]) -> Sequence[StoredObject]:
        if len(places) < 2:
            return ()
        # Under its own names first, as readers look for it.
        ordered = sorted(places, key=lambda each: (each.plain is None, each.plain is False, each.name))
        good = next(filter(_is_verified, ordered), None)
        return [] if good is None else [each for each in ordered if each is not good]

    def read_file(self, path: str) -> bytes:
        with store_errors("read", path, reading=True):
            if os.lstat(path).st_size > OBJECT_LIMIT:
                raise StoreError(f"{path} has more than {OBJECT_LIMIT} bytes: move it out of the store yourself", path)
            return read_file(path, OBJECT_LIMIT)

    def remove_file(self, path: str, data: bytes) -> None:
        folder = os.path.dirname(path)
        scratch = temporary(folder)
        with store_errors("remove", path):
            # Another one may have come to stand there right now, which nothing but a look at what was removed tells.
            self._files.rename(path, scratch)
            if read_file(scratch, OBJECT_LIMIT) != data:
                with contextlib.suppress(FileExistsError):
                    publish(self._files, scratch, path)
                raise StoreError("it was changed meanwhile, and stays: check the store again", path)
            self._files.unlink(scratch)
            self._files.sync_folder(folder)

    def avoid(self, names: Callable[[], Container[str]]) -> None:
        self._objects.avoided = names

    def around_refs(self, naming: Naming) -> None:
        self._new_refs.naming = naming

    def remove_object(self, stored: StoredObject) -> bool:
        return self._objects.remove(stored.name)

    def unfinished(self) -> Iterator[Unfinished]:
        paths = self._paths
        with store_errors("list", paths.root, reading=True):
            for folder in (paths.root, paths.objects, *_folders(paths.objects)):
                yield from _unfinished_in(folder)
            for folder, _ in _within(paths.refs):
                yield from _unfinished_in(folder)

    def remove_unfinished(self, path: str) -> None:
        with store_errors("remove", path), contextlib.suppress(FileNotFoundError):
            self._files.unlink(path)

    def oddities(self, *, full: bool) -> Iterator[Oddity]:
        root = self._paths.root
        with store_errors("list", root, reading=True), contextlib.suppress(FileNotFoundError):
            if permissions(os.stat(root)) & stat.S_IWOTH:
                yield Oddity("open-to-all", root, "every user of this machine may write into the store")
            yield from _constant_files(root)
            yield from _at_the_top(root)
            for folder in _folders(self._paths.objects):
                yield from _in_objects(folder, full=full)
            yield from _below_refs(self._paths.refs)

    def misplaced_objects(self, wanted: Container[str]) -> Iterator[tuple[str, str, bytes]]:
        strange = (path for rule, path, _ in self.oddities(full=False) if rule in ("object-place", "stray-file"))
        files = (file for path in strange for file in _files_at(path))
        # Two may have taken each other's names.
        for file in (*files, *(place.path for place in self.stored_objects() if place.id in wanted)):
            limit = OBJECT_LIMIT if object_of(os.path.basename(file).lower()) in wanted else _MOST_BYTES
            with contextlib.suppress(OSError, StoreError):
                data = read_object(file, size=None, limit=limit, renamed=True)
                # No line of an object has a carriage return in it: a tool for texts has put it there.
                for form in (data, data.replace(b"\r\n", b"\n")):
                    identity = hashlib.sha256(form).hexdigest()
                    if identity in wanted:
                        yield identity, file, form
                        break

    def discard_object(self, identity: str) -> None:
        folder = os.path.dirname(self._paths.object(identity))
        with store_errors("remove an object from", folder):
            gone = [entry.path for entry in _entries(folder) if object_of(entry.name) == identity]
            for path in gone:
                self._files.unlink(path)
            if gone:
                self._files.sync_folder(folder)

    def scrub(self, holds: Callable[[bytes], bool]) -> list[str]:
        left = []
        for rule, path, _ in self.oddities(full=False):
            with contextlib.suppress(OSError, StoreError):
                if rule not in ("temporary-file", "stray-file") or not holds(read_file(path, _MOST_BYTES)):
                    continue
                if rule == "temporary-file" and time.time() - os.stat(path).st_mtime > _ABANDONED:
                    self._files.unlink(path)
                else:
                    why = "a program may be writing it" if rule == "temporary-file" else "it is none of the store's"
                    left.append(f"{path} holds it, and {why}: remove it if nothing needs it")
        return left


def _constant_files(root: str) -> Iterator[Oddity]:
    for name, wanted in CONSTANT_FILES:
        path = f"{root}/{name}"
        try:
            content = read_file(path, 64 * 1024)
        except FileNotFoundError:
            yield Oddity("constant-file", path, "the file is missing")
        except CorruptionError as error:
            yield Oddity("constant-file", path, str(error))
        else:
            if content != wanted and content not in READMES:
                yield Oddity("constant-file", path, "the file has other content than in every store")


def _at_the_top(root: str) -> Iterator[Oddity]:
    known = {"refs", "objects", *(name for name, _ in CONSTANT_FILES)}
    for entry in _entries(root):
        if entry.name.startswith(_TEMPORARY):
            yield _temporary(entry)
        elif entry.name not in known and not is_hidden(entry.name):
            yield Oddity("stray-file", entry.path, "the store knows no such file")
    for entry in _entries(f"{root}/objects"):
        if entry.name.startswith(_TEMPORARY):
            yield _temporary(entry)
        elif not is_hidden(entry.name) and not entry.is_dir(follow_symlinks=False):
            yield Oddity("stray-file", entry.path, "it is no folder of objects")


def _in_objects(folder: str, *, full: bool) -> Iterator[Oddity]:
    group = os.path.basename(folder)
    places: Counter[str] = Counter()
    found: list[tuple[str, FolderEntry]] = []
    for entry in _entries(folder):
        identity = object_of(entry.name)
        if entry.name.startswith(_TEMPORARY):
            yield _temporary(entry)
        elif is_hidden(entry.name):
            continue
        elif identity is None or not entry.is_file(follow_symlinks=False):
            yield Oddity("stray-file", entry.path, "it is no file of an object")
        elif not identity.startswith(group):
            yield Oddity("object-place", entry.path, f"its place is {identity[:2]}, so no reader finds it")
        else:
            places[identity] += 1
            found.append((identity, entry))
    for identity, entry in found:
        if places[identity] > 1:
            yield from _copy(identity, entry, full=full)


def _copy(identity: str, entry: FolderEntry, *, full: bool) -> Iterator[Oddity]:
    """Tell of one of several files of an object."""
    own = _own_names(identity)
    if full and not _is_good(identity, entry, renamed=entry.name not in own):
        yield Oddity("object-copy", entry.path, "one of several copies of the object, and it is damaged")
    elif entry.name != own[0]:
        yield Oddity("object-copy", entry.path, "a further copy of an object")


def _is_verified(stored: StoredObject) -> bool:
    try:
        for _ in verified_pieces(stored.id, stored.path):
            pass
    except (OSError, StoreError):
        return False
    return True


def _is_good(identity: str, entry: FolderEntry, *, renamed: bool) -> bool:
    if entry.stat(follow_symlinks=False).st_size > _MOST_BYTES:
        return True
    try:
        verified(identity, entry.path, size=None, limit=16 * _MOST_BYTES, renamed=renamed)
    except (CorruptionError, OSError):
        return False
    return True


def _below_refs(refs: str) -> Iterator[Oddity]:
    for folder, depth in _within(refs):
        for entry in _entries(folder):
            if entry.name.startswith(_TEMPORARY):
                yield _temporary(entry)
            elif is_hidden(entry.name):
                continue
            elif is_replica_file(entry.name) and (entry.name, depth) != (REPLICA_FILE, 1):
                yield Oddity("stray-file", entry.path, "no reader takes it for the replica file that it is a copy of")
            elif depth == DEPTH and entry.is_dir(follow_symlinks=False):
                yield Oddity("stray-file", entry.path, f"it is more than {DEPTH} folders deep, where no reader looks")


def _files_at(path: str) -> Iterator[str]:
    """Yield a path, and those of what is in it if it is a folder."""
    yield path
    for folder, _ in _within(path):
        yield from (entry.path for entry in _entries(folder))


def _within(folder: str, depth: int = 0) -> Iterator[tuple[str, int]]:
    """Yield a folder and those within it, with how deep they are."""
    yield folder, depth
    for entry in _entries(folder) if depth < DEPTH else ():
        if not is_hidden(entry.name) and entry.is_dir(follow_symlinks=False):
            yield from _within(entry.path, depth + 1)


def _unfinished_in(folder: str) -> Iterator[Unfinished]:
    for entry in _entries(folder):
        # Of the very form that ours have: it may be another program's.
        if _OURS.match(entry.name) and entry.is_file(follow_symlinks=False):
            with contextlib.suppress(FileNotFoundError):
                yield Unfinished(entry.path, entry.stat(follow_symlinks=False).st_size)


def _temporary(entry: FolderEntry) -> Oddity:
    return Oddity("temporary-file", entry.path, "a file that was not finished, or is being written")


def _object_files(folder: str) -> Iterator[tuple[FolderEntry, str]]:
    group = os.path.basename(folder)
    for entry in _entries(folder):
        identity = object_of(entry.name)
        if identity and identity.startswith(group):
            yield entry, identity


def _own_names(identity: str) -> tuple[str, str]:
    return f"{identity}{_PLAIN}", f"{identity}{_PLAIN}{COMPRESSED}"


def _folders(root: str) -> Iterator[str]:
    for entry in _entries(root):
        if entry.is_dir(follow_symlinks=False) and not is_hidden(entry.name):
            yield entry.path


def _entries(folder: str) -> list[FolderEntry]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), scan(folder) as entries:
        return list(entries)
    return []
