"""Recording what the package does to a disk, call by call."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from coda_fs_session.backends.disk.files import Files


@dataclass(frozen=True, slots=True)
class Call:
    """One system call that went well.

    Attributes:
        name: the method of `Files`.
        path: where the file is, or where it was when it was last given a name; below the recorded folder.
        file: the inode number, for calls on a file; another file may get it once this one is gone.
        data: what was written; size: what was truncated to; target: the other path of a rename or link.
    """

    name: str
    path: str
    file: int = 0
    data: bytes = b""
    size: int = 0
    target: str = ""

    def __str__(self) -> str:
        detail = f" -> {self.target}" if self.target else f" {len(self.data)} bytes" if self.data else ""
        return f"{self.name} {self.path or '.'}{detail}"


class Recorder(Files):
    """Does and notes every call, except that a sync is only noted: no power fails while a test records.

    Args:
        disk: a folder; paths are noted as they are below it.
    """

    def __init__(self, disk: Path, *, durable: bool = True) -> None:
        super().__init__(durable=durable)
        self._disk = disk
        self.calls: list[Call] = []
        self._paths = {path.stat().st_ino: self._below(path) for path in disk.rglob("*") if path.is_file()}

    def open_append(self, path: str) -> int:
        descriptor = super().open_append(path)
        self._note(Call("open_append", self._below(path), self._file(descriptor)))
        return descriptor

    def create(self, path: str) -> int:
        descriptor = super().create(path)
        self._paths[self._file(descriptor)] = self._below(path)
        self._note(Call("create", self._below(path), self._file(descriptor)))
        return descriptor

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        written = super().write(descriptor, data)
        self._note(Call("write", self._path(descriptor), self._file(descriptor), data=bytes(data[:written])))
        return written

    def sync_data(self, descriptor: int) -> None:
        if self.durable:
            self._note(Call("sync_data", self._path(descriptor), self._file(descriptor)))

    def sync_folder(self, path: str) -> None:
        if self.durable:
            self._note(Call("sync_folder", self._below(path)))

    def truncate(self, descriptor: int, size: int) -> None:
        super().truncate(descriptor, size)
        self._note(Call("truncate", self._path(descriptor), self._file(descriptor), size=size))

    def rename(self, source: str, target: str) -> None:
        super().rename(source, target)
        self._paths[os.stat(target).st_ino] = self._below(target)
        self._note(Call("rename", self._below(source), target=self._below(target)))

    def link(self, source: str, target: str) -> None:
        super().link(source, target)
        self._paths[os.stat(target).st_ino] = self._below(target)
        self._note(Call("link", self._below(source), target=self._below(target)))

    def unlink(self, path: str) -> None:
        super().unlink(path)
        self._note(Call("unlink", self._below(path)))

    def make_folder(self, path: str) -> None:
        super().make_folder(path)
        self._note(Call("make_folder", self._below(path)))

    def _note(self, call: Call) -> None:
        self.calls.append(call)

    def _below(self, path: str | Path) -> str:
        below = os.path.relpath(path, self._disk)
        return "" if below == "." else below

    def _file(self, descriptor: int) -> int:
        return os.fstat(descriptor).st_ino

    def _path(self, descriptor: int) -> str:
        return self._paths[self._file(descriptor)]
