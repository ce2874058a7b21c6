"""What is kept beside the records of this machine's own refs: which store they are of, what was found to agree."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping

from ...errors import StoreError
from ..base import Record
from ..disk.descriptors import names_in
from ..disk.files import Files, discard, make_folders
from .changes import Changes
from .kept import keep, kept
from .plan import PlanFile

# Dotfiles, which are no copies of refs.
_MARKER, _CHECKED, NOTE, _REPLICA_FILE = ".marker", ".checked", ".store", ".replica.json"
_AGREEING = ".agreeing"  # a folder of its own: that of all records is listed by every program


class RecordNotes(Record):
    """The part of a record that is no copy of any ref, in ``own/`` in the state folder.

    Args:
        folder: returns the state folder; it need not exist. "" for a record of nothing.
        files: the system calls to use (tests put others here).

    Attributes:
        state: returns the state folder.
    """

    def __init__(self, folder: Callable[[], str], files: Files | None = None) -> None:
        self.state = folder
        self._files = files or Files(durable=False)
        self._changes = Changes(folder, self._files)
        self._plan = PlanFile(folder, self._files)

    def is_planned(self) -> bool:
        return self._plan.is_left()

    def plan(self) -> bytes | None:
        return self._plan.read()

    @contextlib.contextmanager
    def carry_out(self, plan: bytes | None) -> Iterator[None]:
        try:
            self._plan.is_mine(begins=True)
            if plan is not None:
                self._plan.keep(plan)
            yield
        finally:
            self._plan.is_mine(begins=False)

    def drop_plan(self) -> None:
        self._plan.drop()

    def set_plan_aside(self) -> str:
        return self._plan.set_aside()

    def plan_files(self) -> list[str]:
        return self._plan.paths()

    def plan_with(self, files: Files) -> None:
        """Write plans through these system calls, which are durable if the store is."""
        self._plan.use(files)

    def note(self, replica: str, data: bytes) -> None:
        with contextlib.suppress(OSError, StoreError):
            if self.state():
                make_folders(self._files, f"{self._folder()}/{replica}")
                keep(self._files, f"{self._folder()}/{replica}/{NOTE}", data)

    def noted(self, replica: str) -> bytes | None:
        return self._load(f"{replica}/{NOTE}")

    def keep_replica_file(self, replica: str, data: bytes) -> None:
        with contextlib.suppress(OSError, StoreError):
            if self.state():
                make_folders(self._files, f"{self._folder()}/{replica}")
                keep(self._files, f"{self._folder()}/{replica}/{_REPLICA_FILE}", data)

    def replica_file(self, replica: str) -> bytes | None:
        return self._load(f"{replica}/{_REPLICA_FILE}")

    def count_change(self) -> None:
        self._changes.count()
        self.counted = self._changes.counted

    def changes(self) -> int:
        return self._changes.now()

    def load_marker(self) -> bytes | None:
        return self._load(_MARKER)

    def load_checked(self, folder: str) -> bytes | None:
        return self._load(_checked(folder))

    def keep_checked(self, marker: bytes, checked: Mapping[str, bytes]) -> None:
        with contextlib.suppress(OSError, StoreError):
            # What an earlier version has kept of all folders.
            discard(self._files, f"{self._folder()}/{_CHECKED}")
            if checked:
                make_folders(self._files, f"{self._folder()}/{_AGREEING}")
            for folder, data in checked.items():
                keep(self._files, f"{self._folder()}/{_checked(folder)}", data)
            keep(self._files, f"{self._folder()}/{_MARKER}", marker)

    def _folder(self) -> str:
        return f"{self.state()}/own"

    def _names(self, folder: str | None = None) -> list[str]:
        """Return what is in the folder of all records, or in one of them."""
        try:
            return sorted(names_in(folder or self._folder()))
        except (OSError, StoreError):
            return []

    def _load(self, name: str) -> bytes | None:
        try:
            return kept(f"{self._folder()}/{name}")
        except StoreError:
            return None


def _checked(folder: str) -> str:
    """Return the name of the file that keeps what was found to agree in a folder of refs."""
    return f"{_AGREEING}/{folder.replace('/', '.')}"
