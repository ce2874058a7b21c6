"""New ref files: none has its name before its content lasts, and nobody writes to it before its name does."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress

from ..base import RefKey, Token
from ..disk.files import Files, discard
from ..disk.folders import OwnFolders
from ..disk.new_files import NewFile, NewFiles
from ..disk.parallel import sync_in_parallel
from ..disk.paths import StorePaths
from ..disk.presence import Presence
from ..disk.tokens import token_of
from ..machine.own_refs import FileRecord
from ..machine.stand_ins import StandIns

FILES_AT_ONCE = 64

Naming = Callable[[Sequence[tuple[RefKey, bytes]]], AbstractContextManager[object]]
"""See `Backend.around_refs`."""


class NewRefs:
    """Makes the ref files of one store.

    Attributes:
        naming: what whole refs are written within.
    """

    def __init__(
        self,
        paths: StorePaths,
        files: Files,
        folders: OwnFolders,
        presence: Presence,
        stand_ins: StandIns,
        record: FileRecord,
    ) -> None:
        self._paths = paths
        self._files = files
        self._folders = folders
        self._presence = presence
        self._stand_ins = stand_ins
        self._record = record
        self.naming: Naming = nullcontext

    def create(self, refs: Sequence[tuple[RefKey, bytes]]) -> list[Token | None]:
        """Make some refs, at most `FILES_AT_ONCE`, durably; None for a key that is not free.

        Raises:
            OSError: none was made.
        """
        tokens: list[Token | None] = [None] * len(refs)
        with NewFiles(self._files) as new, ExitStack() as held:
            held.enter_context(self.naming(refs))
            files: list[NewFile] = []
            for key, data in refs:
                path = self._paths.ref(key.path)
                self._make_folder(os.path.dirname(path))
                files.append(new.add(path, data))
            new.sync()
            made: list[NewFile] = []
            try:
                # In one order for all: where the disk has no locks, others may have those that stand in for them.
                for place in sorted(range(len(refs)), key=lambda place: refs[place][0]):
                    file = files[place]
                    # Before it has its name: a program that finds it waits until the name lasts and the record is
                    # kept. And the token is that of these bytes, not of what others have appended.
                    held.enter_context(self._stand_ins.held(file.descriptor, file.path))
                    token = token_of(os.fstat(file.descriptor))
                    with suppress(FileExistsError):
                        file.publish()
                        made.append(file)
                        tokens[place] = token
                folders = sorted({os.path.dirname(file.path) for file in made})
                sync_in_parallel(self._files, self._files.sync_folder, folders)
            except OSError:
                # A file whose name may not last was not made: the caller tries again, and wants the name free.
                for file in made:
                    discard(self._files, file.path)
                raise
            if made:
                self._record.count_change()
            for (key, data), made_token in zip(refs, tokens, strict=True):
                if made_token is not None:
                    self._presence.met(key.replica)
                    if self._record.end(key) is None:
                        self._record.keep(key, data)
        return tokens

    def _make_folder(self, folder: str) -> None:
        """Make the folder that a ref is to stand in, durably."""
        refs = self._paths.refs
        if folder == refs:
            return
        if os.path.dirname(folder) != refs:
            self._make_folder(os.path.dirname(folder))
        above = set[str]()
        self._folders.make(folder, above)
        for parent in above:
            self._files.sync_folder(parent)
        self._folders.secured(folder)
