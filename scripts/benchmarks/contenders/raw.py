"""The least that a durable save can cost: one file per session, one JSON line per message."""

import os
import sys
from collections import deque
from pathlib import Path

import orjson

from . import Message, bytes_in

LINE = orjson.OPT_APPEND_NEWLINE


class Raw:
    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self.folder = folder / "raw"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._durable = durable

    def fill(self, session: str, messages: list[Message]) -> None:
        with open(self._path(session), "ab") as file:
            file.writelines(orjson.dumps(message, option=LINE) for message in messages)

    def open(self, session: str) -> None:
        """Do nothing: every save opens the file, so that it costs what a save by a stranger costs."""

    def save(self, session: str, message: Message) -> None:
        line = orjson.dumps(message, option=LINE)
        descriptor = os.open(self._path(session), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(descriptor, line)
        if self._durable:
            sync_data(descriptor)
        os.close(descriptor)

    def save_all(self, session: str, messages: list[Message]) -> None:
        lines = b"".join([orjson.dumps(message, option=LINE) for message in messages])
        descriptor = os.open(self._path(session), os.O_WRONLY | os.O_EXCL | os.O_CREAT, 0o600)
        os.write(descriptor, lines)
        sync_data(descriptor)
        os.close(descriptor)

    def bulk(self, session: str, messages: list[Message]) -> None:
        lines = b"".join([orjson.dumps(message, option=LINE) for message in messages])
        with open(self._path(session), "xb", buffering=0) as file:
            file.write(lines)
            sync(file.fileno())

    def last(self, session: str, limit: int) -> object:
        with open(self._path(session), "rb") as file:
            return deque(map(orjson.loads, file), maxlen=limit)

    def load(self, session: str) -> object:
        with open(self._path(session), "rb") as file:
            return [orjson.loads(line) for line in file]

    def count(self, session: str) -> int:
        with open(self._path(session), "rb") as file:
            return sum(1 for _ in file)

    def stored_bytes(self) -> int:
        return bytes_in(self.folder)

    def _path(self, session: str) -> Path:
        return self.folder / f"{session}.jsonl"


def swap_in(path: Path, content: bytes) -> None:
    """Write a whole file so that a crash leaves the old one or the new one: what any safe replacement costs."""
    temp = path.with_suffix(".tmp")
    descriptor = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(descriptor, content)
    sync(descriptor)
    os.close(descriptor)
    os.rename(temp, path)
    folder = os.open(path.parent, os.O_RDONLY)
    sync(folder)
    os.close(folder)


if sys.platform == "darwin":  # where fsync leaves the data in the drive's cache
    import fcntl

    def sync(descriptor: int) -> None:
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)

    sync_data = sync
else:
    sync = os.fsync
    sync_data = os.fdatasync
