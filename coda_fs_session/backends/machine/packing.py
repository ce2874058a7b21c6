"""Packing records: when, and in which steps, so that none is lost whatever comes between.

A pack is complete and lasts before the first of the files goes that are in it. A file stays that a program has open, or
that has changed since it was read; it goes before what the pack says.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Iterator
from itertools import groupby
from zlib import compress, crc32

from ...errors import StoreError
from ...process.system import LOCK_EX, LOCK_NB, RENAMES_OPEN_FILES, flock
from ..base import END_BYTES, Token
from ..disk import locks
from ..disk.descriptors import names_in, scan
from ..disk.files import (
    Files,
    discard,
    open_or_create,
    open_regular,
    publish,
    read_bytes,
    read_file,
    write_all,
)
from ..disk.new_files import NewFile
from ..disk.parallel import in_parallel
from ..disk.paths import is_hidden, temporary
from ..disk.tokens import end_of, token_of
from .packs import FIRST_LINE_BYTES, PACK, Block, Entry, Pack, Packs, first_line

_MOST_LOOSE = 16
"""So many files may be left unpacked; and in each folder, an eighth of what is packed there."""
_SHARE = 8
_LEVEL = 3
_BLOCK_BYTES = 2**16
_LARGEST = 2**26
"""A record of more bytes stays a file: a block is held in memory."""
_MOST_OF_OTHERS = 2**26
"""Bytes that a program packs at the most, once it has packed what is in the folders that it wrote to."""
_LOOSE, _LOCK = ".loose", ".packing"
_LOG_LIMIT = 2**26


@contextlib.contextmanager
def alone(files: Files, root: str, *, wait: bool = True) -> Iterator[None]:
    """Keep others from packing records, and from taking them out of packs.

    Args:
        root: the folder of all records.

    Raises:
        BlockingIOError: another one is at it, and `wait` is false.
        OSError, StoreError: that is not possible.
    """
    descriptor = open_or_create(files, f"{root}/{_LOCK}")
    try:
        if not wait:
            flock(descriptor, LOCK_EX | LOCK_NB)
        locks.lock(descriptor)
        yield
    finally:
        # Not left to close(): a child forked meanwhile has the same open file, and would keep the lock.
        locks.unlock_if_possible(descriptor)
        os.close(descriptor)


def pack(files: Files, packs: Packs, root: str, replica: str, written: Collection[str]) -> None:
    """Pack the records of a replica, if many are not; failing to is not an error.

    Args:
        root: the folder of all records; written: the folders below it of files that were made since, one for each.
    """
    if not RENAMES_OPEN_FILES:
        # There a file that was replaced cannot be told from the one that was packed.
        return
    with contextlib.suppress(OSError, StoreError):
        log = f"{root}/{replica}/{_LOOSE}"
        noted = _noted(log)
        # None: from before there were packs, or of a new replica.
        new = (
            written
            if noted is not None
            else [folder for folder in folders(root, replica) for _ in _loose(f"{root}/{folder}")]
        )
        loose = [*(noted or ()), *new]
        if len(loose) < _MOST_LOOSE:
            return _note(files, log, new)
        try:
            with alone(files, root, wait=False):
                left = _pack_folders(files, packs, root, dict.fromkeys([*written, *loose]), set(written))
                discard(files, log)
                _note(files, log, left)
        except BlockingIOError:
            _note(files, log, new)


def folders(root: str, folder: str) -> Iterator[str]:
    """Yield a folder of records and all within it, by their paths below the root."""
    yield folder
    with contextlib.suppress(OSError, StoreError):
        with scan(f"{root}/{folder}") as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        for name in names:
            if not is_hidden(name):
                yield from folders(root, f"{folder}/{name}")


def remove_all(files: Files, root: str, replica: str, *, whole: bool) -> None:
    """Remove the records of a replica, packed or not; the lock of `alone` must be held.

    Args:
        whole: with whatever else is in their folder.
    """
    for folder in reversed([f"{root}/{each}" for each in folders(root, replica)]):
        with contextlib.suppress(OSError):
            for name in names_in(folder):
                if not is_hidden(name) or name == PACK or whole:
                    discard(files, f"{folder}/{name}")
        if whole:
            with contextlib.suppress(OSError):
                files.remove_folder(folder)


def _noted(log: str) -> list[str] | None:
    try:
        return os.fsdecode(read_file(log, _LOG_LIMIT)).splitlines()
    except (OSError, StoreError):
        return None


def _note(files: Files, log: str, places: Iterable[str]) -> None:
    descriptor = open_or_create(files, log)
    try:
        write_all(files, descriptor, b"".join(os.fsencode(place) + b"\n" for place in places))
    finally:
        os.close(descriptor)


def _pack_folders(files: Files, packs: Packs, root: str, places: Iterable[str], ours: Collection[str]) -> list[str]:
    """Pack what is in these folders; return those that are left for another time."""
    left: list[str] = []
    packed: list[int] = []

    def pack_one(place: str) -> None:
        if place not in ours and sum(packed) >= _MOST_OF_OTHERS:
            left.append(place)
            return
        try:
            size = _pack_folder(files, packs, f"{root}/{place}")
        except (OSError, StoreError):
            left.append(place)
        else:
            packed.append(0 if place in ours else size)

    in_parallel(pack_one, list(places))
    return left


def _loose(folder: str) -> dict[str, int]:
    """Return the files of records in a folder that may be packed, with their sizes."""
    found = {}
    with contextlib.suppress(FileNotFoundError), scan(folder) as entries:
        for entry in entries:
            if not is_hidden(entry.name) and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(FileNotFoundError):
                    size = entry.stat(follow_symlinks=False).st_size
                    if size <= _LARGEST:
                        found[entry.name] = size
    return found


def _pack_folder(files: Files, packs: Packs, folder: str) -> int:
    """Pack the files in a folder, if they outweigh a share of what is packed; return how many bytes of them were."""
    loose = _loose(folder)
    with packs.opened(folder) as old:
        if not loose or (old is not None and sum(loose.values()) * _SHARE < old.content):
            return 0
        with NewFile(files, f"{folder}/{PACK}") as new:
            target, names = _NewPack(new), set[str]()
            for name in sorted(loose):
                read = None
                with contextlib.suppress(OSError, StoreError), _unused(files, f"{folder}/{name}") as descriptor:
                    token = token_of(os.fstat(descriptor))
                    read = read_bytes(descriptor, token.size), token
                if read is not None:
                    target.add(name, *read)
                    names.add(name)
            if not names:
                return 0
            if old is not None:
                _carry(old, [entry for entry in old.entries() if entry.name not in names], target)
            taken = [entry for entry in target.finish() if entry.name in names]
            # What it holds was durable long ago, most of it: it must not be lost to a crash now.
            Files().sync_data(new.descriptor)
            new.take_name(replace=True)
    Files().sync_folder(folder)
    for entry in taken:
        with contextlib.suppress(OSError, StoreError):
            _remove(files, f"{folder}/{entry.name}", entry)
    return sum(entry.size for entry in taken)


@contextlib.contextmanager
def _unused(files: Files, path: str) -> Iterator[int]:
    """Open a record's file, which nobody opens meanwhile to append to it.

    Raises:
        OSError: it is open already.
    """
    descriptor = open_regular(path, append=files)
    try:
        flock(descriptor, LOCK_EX | LOCK_NB)
        yield descriptor
    finally:
        locks.unlock_if_possible(descriptor)
        os.close(descriptor)


def _remove(files: Files, path: str, entry: Entry) -> None:
    """Remove a file that was packed, unless it has changed since."""
    with _unused(files, path) as descriptor:
        status = os.fstat(descriptor)
        if token_of(status) != entry.token or end_of(descriptor, entry.size) != entry.ref_end:
            return
        # Another one may have come to stand there right now, which nothing but a look at what was removed tells.
        scratch, is_ours = temporary(os.path.dirname(path)), False
        files.rename(path, scratch)
        try:
            is_ours = os.path.samestat(os.stat(scratch, follow_symlinks=False), status)
            if not is_ours:
                publish(files, scratch, path)
        finally:
            if is_ours or os.path.lexists(path):
                discard(files, scratch)


class _NewPack:
    """A pack that is being written, block after block."""

    def __init__(self, file: NewFile) -> None:
        self._file = file
        self._offset = FIRST_LINE_BYTES
        self._entries: list[Entry] = []
        self._waiting: list[tuple[str, bytes, Token]] = []
        self._size = 0
        file.write(bytes(FIRST_LINE_BYTES))

    def add(self, name: str, data: bytes, token: Token) -> None:
        """Add a record."""
        if self._waiting and self._size + len(data) > _BLOCK_BYTES:
            self._end_block()
        self._waiting.append((name, data, token))
        self._size += len(data)

    def add_block(self, data: bytes, content: int, entries: Iterable[Entry]) -> None:
        """Add a block as it is in another pack."""
        block = Block(self._offset, len(data), content)
        self._file.write(data)
        self._offset += len(data)
        self._entries += [entry._replace(block=block) for entry in entries]

    def finish(self) -> list[Entry]:
        """Complete it; return the entries of all that is in it."""
        self._end_block()
        self._entries.sort(key=lambda entry: os.fsencode(entry.name))
        index = b"".join(entry.line() for entry in self._entries)
        self._file.write(index)
        os.lseek(self._file.descriptor, 0, os.SEEK_SET)
        self._file.write(first_line(self._offset, len(index), sum(entry.size for entry in self._entries)))
        return self._entries

    def _end_block(self) -> None:
        if not self._waiting:
            return
        entries, start = [], 0
        for name, data, token in self._waiting:
            end = data[-END_BYTES:]
            place = Block(0, 0, 0)
            entries.append(Entry(name, place, start, len(data), crc32(data), end, token.identity, token.stamp))
            start += len(data)
        content = b"".join(data for _, data, _ in self._waiting)
        self._waiting, self._size = [], 0
        self.add_block(compress(content, _LEVEL), len(content), entries)


def _carry(old: Pack, entries: Iterable[Entry], target: _NewPack) -> None:
    """Take what is left of a pack over into a new one: blocks as they are, but for small ones and emptied ones."""
    for block, group in groupby(sorted(entries, key=lambda entry: (entry.block, entry.start)), lambda each: each.block):
        records = list(group)
        is_full = block.content * 2 >= _BLOCK_BYTES and sum(entry.size for entry in records) * 4 >= block.content * 3
        if is_full:
            target.add_block(read_bytes(old.descriptor, block.length, block.offset), block.content, records)
            continue
        for entry in records:
            data = old.read(entry)
            if data is not None:
                target.add(entry.name, data, entry.token)
