"""The folders of refs and objects that this process writes into."""

from __future__ import annotations

import contextlib
import os
import stat

from .files import Files, wrong_kind


class OwnFolders:
    """Makes folders, and knows those whose names surely last."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._secured: set[str] = set()

    def make(self, folder: str, touched: set[str]) -> None:
        """Make a folder; what is to be synced for its name to last is added to `touched`.

        Also one that is there already, once: the process that made it may have been killed before its sync.

        Raises:
            CorruptionError: something else stands there, such as a link planted in a synced folder.
        """
        missing = not os.path.lexists(folder)
        if missing:
            # Another process may be making it at the same time.
            with contextlib.suppress(FileExistsError):
                self._files.make_folder(folder)
        if not stat.S_ISDIR(os.lstat(folder).st_mode):
            raise wrong_kind(folder, "a folder")
        if missing or folder not in self._secured:
            touched.add(os.path.dirname(folder))

    def secured(self, *folders: str) -> None:
        """Note that the names of these folders are durable."""
        self._secured.update(folders)
