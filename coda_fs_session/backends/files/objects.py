"""Object files: write-once, named by the hash of what they hold, plain or compressed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Container, Iterable, Iterator
from itertools import count

from ...errors import CorruptionError, ObjectNotYetHereError, StoreError
from ..base import NewObject
from ..disk.descriptors import names_in, scan
from ..disk.files import (
    Files,
    open_regular,
    store_errors,
    translate,
)
from ..disk.folders import OwnFolders
from ..disk.new_files import NewFile, NewFiles
from ..disk.parallel import sync_in_parallel
from ..disk.paths import COMPRESSED, StorePaths, is_hidden, object_name, object_of
from ..disk.presence import Presence
from .object_files import PIECE_BYTES, read_object, verified, verified_pieces, write_pieces

_OBJECTS_AT_ONCE = 64
_BYTES_AT_ONCE = 16 * 1024 * 1024


class ObjectFiles:
    """The objects of one store.

    Args:
        compress: keep them compressed where the engine hints that it pays.

    Attributes:
        avoided: returns the names, below the store, of files that objects must not be in.
    """

    def __init__(
        self, paths: StorePaths, files: Files, folders: OwnFolders, presence: Presence, *, compress: bool
    ) -> None:
        self._paths = paths
        self._files = files
        self._folders = folders
        self._presence = presence
        self._compress = compress
        self.avoided: Callable[[], Container[str]] = frozenset
        # Paths of files a sync of which failed, until new ones stand there.
        self._doubtful: set[str] = set()

    def get(self, identity: str, *, size: int | None, limit: int) -> bytes:
        """Return an object, verified; see `Backend.get_object`."""
        path = self._paths.object(identity)
        problem: CorruptionError | None = None
        for form in (path, path + COMPRESSED):
            try:
                return verified(identity, form, size=size, limit=limit)
            except FileNotFoundError:
                continue
            except CorruptionError as error:
                problem = problem or error
            except OSError as error:
                raise translate(error, "read", form, reading=True) from error
        for form in self._renamed(identity):
            # Nobody but a tool gave it this name: what does not hold the object is not the object damaged.
            with contextlib.suppress(OSError, CorruptionError):
                return verified(identity, form, size=size, limit=limit, renamed=True)
        if problem is None:
            self._presence.check()
        raise problem or ObjectNotYetHereError(identity, path)

    def pieces(self, identity: str) -> Iterator[bytes]:
        """Yield an object of any size; see `Backend.object_pieces`."""
        try:
            data = self.get(identity, size=None, limit=PIECE_BYTES)
        except (CorruptionError, ObjectNotYetHereError) as error:
            # Too large, or what the error says: that is found out without room for it.
            form = self._form_of_large(identity)
            if form is None:
                raise error
            yield from verified_pieces(identity, form)
        else:
            yield data

    def _form_of_large(self, identity: str) -> str | None:
        """Return the file to read an object from; what was yielded cannot be taken back, so of several a good one."""
        path = self._paths.object(identity)
        own = [form for form in (path, path + COMPRESSED) if os.path.lexists(form)]
        renamed = self._renamed(identity)
        if len(own) == 1 and not renamed:
            return own[0]
        for form in own + renamed:
            with contextlib.suppress(StoreError, OSError):
                for _ in verified_pieces(identity, form):
                    pass
                return form
        return own[0] if own else None

    def put_large(self, identity: str, size: int, pieces: Iterable[bytes], *, compress: bool) -> None:
        """Keep an object of any size, durably; see `Backend.put_large_object`."""
        path = self._free(identity, self.avoided())
        folder, touched = os.path.dirname(path), set[str]()
        form = path + COMPRESSED if compress and self._compress else path
        # What is there and bad is healed in the form that it has.
        form = next((each for each in (path, path + COMPRESSED) if os.path.lexists(each)), form)
        with store_errors("write objects into", self._paths.objects):
            self._folders.make(folder, touched)
            touched.add(folder)
            write_pieces(self._files, form, identity, size, pieces)
            self._doubtful.discard(form)
        self._secure(touched)

    def _renamed(self, identity: str) -> list[str]:
        """Return the files that may be an object under a name that a sync tool made of it, as of a conflict."""
        folder, file_name = os.path.split(self._paths.object(identity))
        with store_errors("list", folder, reading=True):
            try:
                names = os.listdir(folder)
            except FileNotFoundError:
                return []
        own = (file_name, file_name + COMPRESSED)
        return [f"{folder}/{name}" for name in sorted(names) if object_of(name) == identity and name not in own]

    def put(self, objects: Iterable[NewObject]) -> None:
        """Keep objects, durably; see `Backend.put_objects`."""
        touched: set[str] = set()
        for batch in _batches(objects):
            with store_errors("write objects into", self._paths.objects):
                self._put_batch(batch, touched)
        self._secure(touched)

    def _secure(self, touched: set[str]) -> None:
        """Make the names in folders durable."""
        root = self._paths.objects
        with store_errors("sync", root):
            # One sync of the folder above secures every folder that was in it before.
            beside = {f"{root}/{name}" for name in names_in(root)} if root in touched else set[str]()
            sync_in_parallel(self._files, self._files.sync_folder, sorted(touched))
        self._folders.secured(*touched, *beside)

    def _put_batch(self, batch: list[NewObject], touched: set[str]) -> None:
        with NewFiles(self._files) as files:
            made: list[NewFile] = []
            avoided = self.avoided()
            for new in batch:
                path = self._free(new.id, avoided)
                folder = os.path.dirname(path)
                touched.add(folder)
                self._folders.make(folder, touched)
                there = [form for form in (path, path + COMPRESSED) if os.path.lexists(form)]
                if self._secure_existing(new, there):
                    continue
                # What is there and bad is healed in the form that it has: text tools may look at that one.
                for form in there or [path + COMPRESSED if self._compress and new.compress else path]:
                    data = new.data
                    if form.endswith(COMPRESSED):
                        from ..disk.zstd import compress

                        data = compress(data)
                    made.append(files.add(form, data))
            files.sync()
            for file in made:
                file.rename()
                self._doubtful.discard(file.path)

    def _free(self, identity: str, avoided: Container[str]) -> str:
        """Return the path of the plain form under the first name of an object that may be used."""
        for number in count(1):
            name = object_name(identity, number)
            if name not in avoided and name + COMPRESSED not in avoided:
                return f"{self._paths.root}/{name}"
        raise AssertionError("numbers do not end")

    def remove(self, name: str) -> bool:
        """Remove a file; see `Backend.remove_object`."""
        path = f"{self._paths.root}/{name}"
        with store_errors("remove", path), contextlib.suppress(FileNotFoundError):
            self._files.unlink(path)
            self._files.sync_folder(os.path.dirname(path))
            return True
        return False

    def _secure_existing(self, new: NewObject, forms: list[str]) -> bool:
        """Tell whether the object is there and good, and if so make it durable: a sync tool may not have."""
        for form in forms:
            if form in self._doubtful:
                return False
            try:
                if read_object(form, size=len(new.data), limit=len(new.data)) != new.data:
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

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Yield each object's id and the size of its file."""
        with store_errors("list", self._paths.objects, reading=True):
            for folder in _folders(self._paths.objects):
                with scan(folder) as entries:
                    for entry in entries:
                        identity = object_of(entry.name)
                        if identity and entry.is_file(follow_symlinks=False):
                            yield identity, entry.stat(follow_symlinks=False).st_size


def _batches(objects: Iterable[NewObject]) -> Iterator[list[NewObject]]:
    """Yield objects in groups that are worth a round of syncs and fit in memory."""
    batch: list[NewObject] = []
    size = 0
    for new in objects:
        batch.append(new)
        size += len(new.data)
        if len(batch) == _OBJECTS_AT_ONCE or size >= _BYTES_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _folders(root: str) -> Iterator[str]:
    with contextlib.suppress(FileNotFoundError), scan(root) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and not is_hidden(entry.name):
                yield entry.path
