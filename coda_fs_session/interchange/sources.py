"""Files as readers get them: in a folder, in a zip file, or alone."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from io import BufferedReader, BytesIO, RawIOBase, UnsupportedOperation
from struct import Struct
from typing import IO, Any, Protocol

import zstandard

from ..errors import ExportError
from .databases import MAGIC, Connect, opened
from .parsing import parsed

MOST_IN_A_ZIP = 16 * 1024**3
"""Bytes that all files in a zip file may have."""
MOST_TO_ONE = 200
"""How often smaller than itself a file in a zip file may be stored."""
_FREE = 1024 * 1024
_HEAD = 256 * 1024
_RECORDS = 20
_PIECE = 2048
# At the beginning of a file in a zip file: the lengths of its name and of what follows on that.
_HEADER = Struct("<26xHH")
_LONGEST_FIRST = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to be read, once or more.

    Attributes:
        name: its path within the folder or zip file that was given, with slashes.
        size: in bytes.
        stream: opens it.
        place: where it is, for errors: that of the zip file for one in that.
        stamp: when that changed last, in ns.
        local: its path on this machine, for what only opens paths; "" for one in a zip file.
        connect: opens it as a database; None where it must be read into memory for that.
    """

    name: str
    size: int
    stream: Callable[[], IO[bytes]]
    place: str
    stamp: int = 0
    local: str = ""
    connect: Connect | None = None

    @property
    def path(self) -> str:
        """What it alone is called: `name` may be that of a file in another folder or zip file, too."""
        return self.local.replace(os.sep, "/") or f"{self.place}/{self.name}"

    @property
    def folder(self) -> str:
        return self.path.rpartition("/")[0]

    @property
    def base(self) -> str:
        return self.name.rpartition("/")[2]


def in_memory(name: str, data: bytes) -> SourceFile:
    """Return a file that is in memory."""
    return SourceFile(name, len(data), lambda: BytesIO(data), name)


class Head:
    """How a file begins, to tell its format by."""

    def __init__(self, file: SourceFile) -> None:
        self.file = file
        with plain(file) as stream:
            self.data = stream.read(_HEAD)
        self.is_database = self.data.startswith(MAGIC)
        if self.is_database:
            # What its pages have of JSON tells nothing.
            self.data = b""
        self.whole = len(self.data) < _HEAD
        self._records: list[dict[str, Any]] | None = None
        self.kind = self.data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]

    @property
    def records(self) -> list[dict[str, Any]]:
        """The objects on its first lines."""
        if self._records is None:
            self._records = []
            lines = self.data.split(b"\n")
            if not self.whole:
                lines = lines[:-1]
            if not lines and self.kind == b"{":
                # A first line that is long, as with an image in it.
                with plain(self.file) as stream:
                    line = stream.readline(_LONGEST_FIRST)
                lines = [line] if line.endswith(b"\n") else []
            for line in lines[:_RECORDS]:
                try:
                    value = parsed(line.removeprefix(b"\xef\xbb\xbf")) if line.strip() else None
                except ValueError:
                    continue
                if isinstance(value, dict):
                    self._records.append(value)
        return self._records

    @cached_property
    def tables(self) -> frozenset[str]:
        """The tables of a database; none of what is no database."""
        if not self.is_database:
            return frozenset()
        with opened(self.file) as database:
            return database.tables

    @property
    def is_document(self) -> bool:
        """Whether it is one JSON text rather than lines of them."""
        return self.kind in b"[{" and self.kind != b"" and (self.kind == b"[" or len(self.records) < 2)

    def has(self, *keys: str) -> bool:
        """Tell whether each of these is a key of some object in it."""
        # Within a text the quotes would stand behind a backslash.
        return all(re.search(rb'(?<!\\)"%b"\s*:' % re.escape(key.encode()), self.data) for key in keys)


def plain(file: SourceFile) -> IO[bytes]:
    """Open a file, and decompress one that is called ``.zst``."""
    if not file.name.endswith(".zst"):
        return file.stream()
    return _unpacked(file, _Zstandard)


def is_zip(file: SourceFile) -> bool:
    """Tell whether a file is a zip file, by its first bytes."""
    with file.stream() as stream:
        return stream.read(4) == b"PK\x03\x04"


def unzipped(file: SourceFile) -> Iterator[SourceFile]:
    """Yield the files in a zip file.

    Raises:
        ExportError: it is damaged or encrypted, a name leads out of it, or it would unpack to too much.
    """
    try:
        with file.stream() as stream, zipfile.ZipFile(stream) as zipped:
            members = zipped.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        # NotImplementedError is zipfile's for a file that a later version of the format is needed for.
        raise ExportError(f"is no zip file that can be read: {error}", file.place) from error
    total = 0
    for member in members:
        if member.is_dir():
            continue
        problem = _problem(member)
        total += member.file_size
        if total > MOST_IN_A_ZIP:
            problem = "it unpacks to more than 16 GiB"
        if problem:
            raise ExportError(f"was not read: {problem} ({member.filename!r})", file.place)
        yield SourceFile(member.filename, member.file_size, _opener(file, member), file.place, file.stamp)


def _problem(member: zipfile.ZipInfo) -> str:
    steps = member.filename.replace("\\", "/").split("/")
    if ".." in steps or steps[0] == "" or ":" in steps[0]:
        return "a name in it leads out of it"
    if (member.external_attr >> 16) & 0o170000 == 0o120000:
        return "it has a link in it"
    if member.flag_bits & 1:
        return "it is encrypted"
    if member.file_size > _FREE and member.file_size > MOST_TO_ONE * max(member.compress_size, 1):
        return "a file in it unpacks to more than 200 times its size"
    return ""


def _opener(file: SourceFile, member: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
    return lambda: _unpacked(file, lambda outer: _member(outer, member))


def _member(outer: IO[bytes], member: zipfile.ZipInfo) -> _Inner:
    """Open a file in a zip file whose directory is known: to read that for each file takes the square of its length."""
    outer.seek(member.header_offset)
    header = outer.read(_HEADER.size)
    if len(header) < _HEADER.size or not header.startswith(b"PK\x03\x04"):
        raise zipfile.BadZipFile(f"nothing is where {member.filename!r} should be")
    outer.seek(sum(_HEADER.unpack(header)), os.SEEK_CUR)
    return zipfile.ZipExtFile(outer, "r", member)


class _Inner(Protocol):
    """What reads a compressed file."""

    def read(self, size: int, /) -> bytes: ...

    def seek(self, offset: int, whence: int = 0, /) -> int: ...

    def seekable(self) -> bool: ...

    def close(self) -> None: ...


class _Zstandard:
    """A file that Zstandard compressed. zstandard's own reader takes one that is cut for a shorter one."""

    def __init__(self, outer: IO[bytes]) -> None:
        self._outer = outer
        self._rest, self._data = b"", BytesIO()
        self._frame: zstandard.ZstdDecompressionObj | None = None

    def read(self, size: int, /) -> bytes:
        while not (data := self._data.read(size)):
            # Little at a time: a byte may stand for 32 kB.
            piece = self._rest or self._outer.read(_PIECE)
            if not piece:
                if self._frame is not None:
                    raise EOFError("it is cut")
                break
            frame = self._frame or zstandard.ZstdDecompressor().decompressobj()
            self._data = BytesIO(frame.decompress(piece))
            self._rest = frame.unused_data
            self._frame = None if frame.eof else frame
        return data

    def seek(self, offset: int, whence: int = 0, /) -> int:
        raise UnsupportedOperation("seek")

    def seekable(self) -> bool:
        return False

    def close(self) -> None:
        self._rest, self._data = b"", BytesIO()


def _unpacked(file: SourceFile, unpack: Callable[[IO[bytes]], _Inner]) -> IO[bytes]:
    """Open what is in a compressed file; where that cannot be unpacked, opening and reading it are an ExportError.

    Each way to compress has errors of its own for damage. NotImplementedError is zipfile's for a way that is not known.
    """
    outer = file.stream()
    try:
        # As a buffered file: lines are read from it.
        return BufferedReader(_Unpacked(unpack(outer), outer, file.place))
    except Exception as error:
        outer.close()
        raise _not_unpacked(file.place, error) from error


class _Unpacked(RawIOBase):
    """What is in a compressed file, which is closed with it."""

    def __init__(self, inner: _Inner, outer: IO[bytes], place: str) -> None:
        self._inner, self._outer, self._place = inner, outer, place

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._inner.seekable()

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._inner.read(len(buffer))
        except Exception as error:
            raise _not_unpacked(self._place, error) from error
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._inner.seek(offset, whence)

    def close(self) -> None:
        super().close()
        self._inner.close()
        self._outer.close()


def _not_unpacked(place: str, error: Exception) -> ExportError:
    return ExportError(f"cannot be unpacked, get another copy of it: {error}", place)
