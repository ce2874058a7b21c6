"""A disk on which one call fails, or every call from some moment on."""

from __future__ import annotations

import errno
import math
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from crash.recording import Recorder

When = Literal["before", "after", "short"]

ONCE, TWICE, FOR_GOOD = 1, 2, math.inf


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong.

    Attributes:
        at: the number of the changing call that fails, from 0.
        error: the errno. EINTR stands for a wrapper that reports it: Python itself repeats an interrupted call.
        when: "before" the call has done anything, "after" it has done everything, or "short": a write takes only
            half, and only the calls after it fail.
        lasting: how many calls are affected.
    """

    at: int
    error: int = errno.EIO
    when: When = "before"
    lasting: float = ONCE

    def __str__(self) -> str:
        return f"{errno.errorcode[self.error]} {self.when} call {self.at}, for {self.lasting} calls"


class FailingFiles(Recorder):
    """Does every call but for those that the fault is about.

    Attributes:
        made: how many calls were made, failed ones included; names: which.
        fault: None where nothing fails (any more).
        resynced: the files that were synced again although a sync of them had failed.
    """

    def __init__(self, disk: Path, fault: Fault | None = None) -> None:
        super().__init__(disk)
        self.fault = fault
        self.made = 0
        self.names: list[str] = []
        self.resynced: list[str] = []
        self._doubtful: set[int] = set()
        self._mutex = threading.Lock()

    def open_append(self, path: str) -> int:
        return int(self._make("open_append", super().open_append, path))

    def create(self, path: str) -> int:
        descriptor = int(self._make("create", super().create, path))
        # The number of a file that is gone can come back.
        self._doubtful.discard(os.fstat(descriptor).st_ino)
        return descriptor

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        return int(self._make("write", super().write, descriptor, data))

    def sync_data(self, descriptor: int) -> None:
        file = os.fstat(descriptor).st_ino
        if file in self._doubtful:
            self.resynced.append(self._path(descriptor))
        try:
            self._make("sync_data", super().sync_data, descriptor)
        except OSError:
            self._doubtful.add(file)
            raise

    def sync_folder(self, path: str) -> None:
        self._make("sync_folder", super().sync_folder, path)

    def truncate(self, descriptor: int, size: int) -> None:
        self._make("truncate", super().truncate, descriptor, size)

    def rename(self, source: str, target: str) -> None:
        self._make("rename", super().rename, source, target)

    def link(self, source: str, target: str) -> None:
        self._make("link", super().link, source, target)

    def unlink(self, path: str) -> None:
        self._make("unlink", super().unlink, path)

    def make_folder(self, path: str) -> None:
        self._make("make_folder", super().make_folder, path)

    def _path(self, descriptor: int) -> str:
        # Of a file that another process has made we were not told.
        return self._paths.get(self._file(descriptor), "")

    def _make(self, name: str, call: Callable[..., Any], *arguments: Any) -> Any:
        with self._mutex:
            number, fault = self.made, self.fault
            self.made += 1
            self.names.append(name)
        if fault is None or not fault.at <= number < fault.at + fault.lasting:
            return call(*arguments)
        if fault.when == "short" and number == fault.at and name == "write":
            descriptor, data = arguments
            return call(descriptor, memoryview(data)[: max(1, len(data) // 2)])
        # What an open would give back is lost with the error, so both times are the same.
        if fault.when == "after" and name not in ("open_append", "create"):
            call(*arguments)
        elif fault.when == "after" and name == "create":
            os.close(call(*arguments))
        raise OSError(fault.error, os.strerror(fault.error))


def faults(names: list[str], *, every: bool) -> Iterator[Fault]:
    """Yield what can go wrong in a run that makes these calls.

    Args:
        every: each error in each way at each call; else errors and ways take turns, but for writes, which are few.
    """
    errors = (errno.EIO, errno.ENOSPC, errno.EINTR)
    whens: tuple[When, ...] = ("before", "after")
    ways = [(when, lasting) for lasting in (ONCE, FOR_GOOD, TWICE) for when in whens]
    for at, name in enumerate(names):
        chosen = ways if every else [ways[at % 4]]
        if name == "write":
            chosen = [*chosen, ("short", ONCE), ("short", TWICE), ("short", FOR_GOOD)]
        for way, (when, lasting) in enumerate(chosen):
            for error in errors if every else (errors[(at + way) % len(errors)],):
                yield Fault(at, error, when, lasting)
