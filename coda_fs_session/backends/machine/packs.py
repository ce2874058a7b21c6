"""Records that are packed: one file in each folder of records, which holds those that nobody writes to now.

It begins with a line of a fixed length, which says where the index is. Then come blocks: several records one after the
other, compressed. Then a line for each record, and one for each that was forgotten since. Every line has a checksum.
What a plain file beside it says of a record goes before what the pack says.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple
from zlib import crc32, decompressobj, error

import orjson

from ...errors import StoreError, warn
from ..base import RefEnd, Token
from ..disk.files import Files, open_regular, open_with_status, read_bytes, write_all

PACK = ".pack"

_FIRST_LINE = b"coda_fs_session records 1 %b %08x\n"
FIRST_LINE_BYTES = len(_FIRST_LINE % (bytes(50), 0))
_READ_BYTES = 2**12
"""More than a line has: a file name has up to 255 bytes, each of which may take six."""


class Block(NamedTuple):
    """Where some records are.

    Attributes:
        offset, length: in the pack; content: how many bytes they have in all.
    """

    offset: int
    length: int
    content: int


class Entry(NamedTuple):
    """What a pack says of a record.

    Attributes:
        name: of the file that it was in.
        start: where it begins in the content of its block.
        checksum: of its bytes; end: the last ones.
        identity, stamp: with the size, what was the token of the file.
    """

    name: str
    block: Block
    start: int
    size: int
    checksum: int
    end: bytes
    identity: int
    stamp: int

    @property
    def token(self) -> Token:
        return Token(self.identity, self.size, self.stamp)

    @property
    def ref_end(self) -> RefEnd:
        return RefEnd(self.size, self.end)

    def is_of(self, data: bytes) -> bool:
        """Tell whether a record holds these bytes."""
        return len(data) == self.size and crc32(data) == self.checksum

    def line(self) -> bytes:
        numbers = [*self.block, self.start, self.size, self.checksum, self.identity, self.stamp]
        return _line([_text(os.fsencode(self.name)), _text(self.end), *numbers])


class Pack:
    """A pack that is open.

    Attributes:
        descriptor: of its file; content: how many bytes the records in it had when it was written.
        damaged: a part of it was found to be no good.
    """

    def __init__(self, descriptor: int, status: os.stat_result, packs: Packs) -> None:
        self.descriptor = descriptor
        self.damaged = False
        self._packs = packs
        self._sign = status.st_ino, status.st_size, status.st_mtime_ns
        numbers = _numbers(read_bytes(descriptor, FIRST_LINE_BYTES))
        if numbers is None or status.st_size < numbers[0] + numbers[1]:
            self.damaged = True
        self._start, length, self.content = numbers or (0, 0, 0)
        self._end = min(self._start + length, status.st_size)
        self._gone = {_name(fields[0]) for fields in map(_fields, self._lines(self._end, status.st_size)) if fields}

    def find(self, name: str) -> Entry | None:
        """Return the entry of a record by the name of its file; most of the index is not read."""
        if name in self._gone:
            return None
        wanted, start, end = os.fsencode(name), self._start, self._end
        while end - start > _READ_BYTES:
            middle = (start + end) // 2
            # A line begins in here, or it is longer than any.
            window = read_bytes(self.descriptor, _READ_BYTES, middle)
            first = window.find(b"\n") + 1
            last = window.find(b"\n", first)
            entry = self._entry(window[first:last]) if 0 < first < last else None
            if entry is None:
                # The order is not known here: all lines are looked at.
                start, end = self._start, self._end
                break
            if os.fsencode(entry.name) <= wanted:
                start = middle + first
            else:
                end = middle + first
        # No other line can look like it: within a string there is a backslash before each quote.
        begin = b" [%b," % orjson.dumps(_text(wanted))
        found = (self._entry(line) for line in self._lines(start, end) if begin in line)
        return next((entry for entry in found if entry is not None), None)

    def entries(self) -> list[Entry]:
        """Return the entries of all records."""
        found = [entry for entry in map(self._entry, self._lines(self._start, self._end)) if entry is not None]
        return [entry for entry in found if entry.name not in self._gone]

    def contents(self) -> list[bytes]:
        """Return the content of every block, with that of records that were forgotten."""
        found = [entry for entry in map(self._entry, self._lines(self._start, self._end)) if entry is not None]
        blocks = dict.fromkeys(entry.block for entry in found)
        return [_unpacked(read_bytes(self.descriptor, each.length, each.offset), each.content) for each in blocks]

    def read(self, entry: Entry) -> bytes | None:
        """Return the bytes of a record; None where they are damaged."""
        block, known = entry.block, (self._sign, entry.block)
        # Who reads one record often reads the next.
        last, content = self._packs.last_block
        if last != known:
            content = _unpacked(read_bytes(self.descriptor, block.length, block.offset), block.content)
            self._packs.last_block = known, content
        data = content[entry.start : entry.start + entry.size]
        if entry.is_of(data):
            return data
        self.damaged = True
        return None

    def _lines(self, start: int, end: int) -> list[bytes]:
        return read_bytes(self.descriptor, end - start, start).splitlines()

    def _entry(self, line: bytes) -> Entry | None:
        try:
            name, end, offset, length, content, start, size, checksum, identity, stamp = _fields(line)
            block = Block(offset, length, content)
            return Entry(_name(name), block, start, size, checksum, _bytes(end), identity, stamp)
        except (TypeError, ValueError):
            self.damaged = True
            return None


class Packs:
    """The packs in folders of records, each as it is at the moment: another program may put a new one in its place.

    Attributes:
        last_block: the content that was unpacked last, and what tells of which block it is.
    """

    def __init__(self) -> None:
        self.last_block: tuple[object, bytes] = (None, b"")
        self._warned = False

    @contextmanager
    def opened(self, folder: str) -> Iterator[Pack | None]:
        """Open the pack that is in a folder, None where there is none; that it is damaged is warned of, once.

        Raises:
            OSError: it cannot be read.
        """
        descriptor = -1
        with suppress(OSError, StoreError):
            descriptor, status = open_with_status(f"{folder}/{PACK}")
        if descriptor < 0:
            yield None
            return
        try:
            pack = Pack(descriptor, status, self)
            yield pack
            if pack.damaged and not self._warned:
                self._warned = True
                warn(
                    f"{folder}/{PACK} is damaged: of some of what this machine saved there is no record any more. What "
                    "you saved is safe; but should an older copy come to stand in the store, what is newer is not put "
                    "back"
                )
        finally:
            os.close(descriptor)

    def find(self, path: str) -> Entry | None:
        """Return what is packed of a record, by the path of the file that it had; None where it is not.

        Raises:
            OSError: the pack cannot be read.
        """
        folder, _, name = path.rpartition("/")
        with self.opened(folder) as found:
            return found.find(name) if found is not None else None

    def end(self, path: str) -> RefEnd | None:
        """Return how a packed record ends, None where there is none; raises as `find`."""
        entry = self.find(path)
        return entry.ref_end if entry is not None else None

    def read(self, path: str) -> bytes | None:
        """Return a record that is packed, None where it is not, or is damaged; raises as `find`."""
        folder, _, name = path.rpartition("/")
        with self.opened(folder) as found:
            entry = found.find(name) if found is not None else None
            return found.read(entry) if found is not None and entry is not None else None

    def entries(self, folder: str) -> list[Entry]:
        """Return what is packed of the records right in a folder; raises as `find`."""
        with self.opened(folder) as found:
            return found.entries() if found is not None else []

    def contents(self, folder: str) -> list[bytes]:
        """Return the content of every block of the pack in a folder; raises as `find`."""
        with self.opened(folder) as found:
            return found.contents() if found is not None else []

    def forget(self, files: Files, path: str) -> None:
        """Keep a packed record no more; the lock of `packing.alone` must be held.

        Raises:
            OSError, StoreError: that is not possible.
        """
        folder, _, name = path.rpartition("/")
        if self.find(path) is None:
            return
        descriptor = open_regular(f"{folder}/{PACK}", append=files)
        try:
            write_all(files, descriptor, _line([_text(os.fsencode(name))]))
        finally:
            os.close(descriptor)


def first_line(index: int, length: int, content: int) -> bytes:
    """Return how a pack begins, the index of which is so many bytes at this place, for records of so many."""
    numbers = b"%016x %016x %016x" % (index, length, content)
    return _FIRST_LINE % (numbers, crc32(numbers))


def _unpacked(block: bytes, size: int) -> bytes:
    """Return the content of a block, b"" where it is damaged; never more than `size` bytes."""
    try:
        return decompressobj().decompress(block, size or 1)
    except error:
        return b""


def _numbers(line: bytes) -> tuple[int, int, int] | None:
    """Return where the index is, how long it is, and of how much; None where the first line does not tell."""
    try:
        index, length, content = (int(each, 16) for each in line.split()[3:6])
    except ValueError:
        return None
    return (index, length, content) if line == first_line(index, length, content) else None


def _line(fields: list[object]) -> bytes:
    text = orjson.dumps(fields)
    return b"%08x %s\n" % (crc32(text), text)


def _fields(line: bytes) -> list[Any]:
    """Return what a line says, nothing where its checksum tells that it is damaged."""
    text = line[9:]
    if line[:9] != b"%08x " % crc32(text):
        return []
    found = orjson.loads(text)
    return found if isinstance(found, list) else []


def _text(data: bytes) -> str:
    # A file name may be any bytes, and a record may end within a character.
    return data.decode("latin-1")


def _bytes(text: object) -> bytes:
    return str(text).encode("latin-1")


def _name(text: object) -> str:
    return os.fsdecode(_bytes(text))
