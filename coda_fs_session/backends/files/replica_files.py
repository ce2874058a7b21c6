"""The file in which each replica says of itself what others must know (FORMAT.md, "Replica files")."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection

from ..base import REPLICA_FILE_LIMIT, Backend
from ..disk.descriptors import scan
from ..disk.files import Files, make_folders, read_file, store_errors
from ..disk.new_files import write_file
from ..disk.paths import StorePaths, is_replica_id


class ReplicaFiles(Backend):
    """The part of the files backend that keeps replica files."""

    _paths: StorePaths
    _files: Files

    def replica_files(self) -> Collection[str]:
        found = []
        with (
            store_errors("list", self._paths.refs, reading=True),
            contextlib.suppress(FileNotFoundError),
            scan(self._paths.refs) as entries,
        ):
            for entry in entries:
                if is_replica_id(entry.name) and os.path.lexists(self._paths.replica_file(entry.name)):
                    found.append(entry.name)
        return found

    def read_replica_file(self, replica: str) -> bytes | None:
        path = self._paths.replica_file(replica)
        with store_errors("read", path, reading=True):
            try:
                return read_file(path, REPLICA_FILE_LIMIT)
            except (FileNotFoundError, NotADirectoryError):
                return None

    def write_replica_file(self, replica: str, data: bytes) -> None:
        path = self._paths.replica_file(replica)
        self.prepare()
        with store_errors("write", path):
            make_folders(self._files, os.path.dirname(path))
            write_file(self._files, path, data, replace=True)
