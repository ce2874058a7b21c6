"""Files that appear whole or not at all: written under a temporary name, made durable, then given their own."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Self

from .files import Files, discard, publish, start_temporary, write_all
from .parallel import sync_in_parallel


class NewFile:
    """One such file; what has not got its name by the end of the block is removed.

    Args:
        path: its name, in a folder that is there.
        data: what it begins with.

    Attributes:
        scratch: the temporary name; descriptor: the open file.
    """

    def __init__(self, files: Files, path: str, data: bytes = b"") -> None:
        self._files = files
        self.path = path
        self._named = False
        # The folder of a bare name is the working directory, not the root of the disk.
        self.scratch, self.descriptor = start_temporary(files, os.path.dirname(path) or os.curdir, data)

    def write(self, data: bytes) -> None:
        write_all(self._files, self.descriptor, data)

    def sync(self) -> None:
        """Make the content durable: a name must never become durable ahead of the bytes it stands for."""
        self._files.sync_data(self.descriptor)

    def rename(self) -> None:
        """Put the file in the place of what has its name; the name lasts once the folder is synced."""
        self._files.rename(self.scratch, self.path)
        self._named = True

    def publish(self) -> None:
        """Give the file its name if that is free; otherwise as `rename`.

        Raises:
            FileExistsError: it is not free.
        """
        publish(self._files, self.scratch, self.path)
        self._named = True

    def take_name(self, *, replace: bool) -> None:
        """Close the file, which Windows renames only then; do as `rename` or, without `replace`, as `publish`."""
        self._close()
        if replace:
            self.rename()
        else:
            self.publish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        if not self._named:
            discard(self._files, self.scratch)

    def _close(self) -> None:
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class NewFiles:
    """Several such files, whose content is made durable together."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._new: list[NewFile] = []

    def add(self, path: str, data: bytes) -> NewFile:
        new = NewFile(self._files, path, data)
        self._new.append(new)
        return new

    def sync(self) -> None:
        """Make the content of all durable: before the first gets its name."""
        sync_in_parallel(self._files, NewFile.sync, self._new)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for new in self._new:
            new.__exit__(kind, error, trace)


def write_file(files: Files, path: str, data: bytes, *, replace: bool) -> None:
    """Write a whole file atomically and durably: the old content or the new one, never a part.

    Raises:
        FileExistsError: `replace` is false and the path is taken.
    """
    with NewFile(files, path, data) as new:
        new.sync()
        new.take_name(replace=replace)
    try:
        files.sync_folder(os.path.dirname(path))
    except OSError:
        # A new file whose name may not last was not made: the caller will try again, and wants the name free.
        if not replace:
            discard(files, path)
        raise
