"""Importing what other programs keep: from files to trees, and from those to sessions that grow when they do."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ..errors import ExportError, SessionError, SessionTooLargeError, StoreError
from ..interchange.fields import Keep
from ..interchange.formats import Format, format_of, named
from ..interchange.naming import check_names
from ..interchange.report import ImportReport
from ..interchange.sources import SourceFile
from ..interchange.storable import make_storable
from ..interchange.tree import Branch, MessageTree, branches, identity
from .core import Manager
from .import_masks import Masks
from .import_notes import ImportNotes
from .import_tree import Imported, TreeImport, identities
from .outside import make_folder_outside, write_outside
from .sources import files_at

_AT_ONCE = 16 * 1024 * 1024
"""Bytes of messages after which what was imported is made durable."""

Progress = Callable[[ImportReport], object]
Member = tuple[SourceFile, set[str], int | None]
"""A file, what it shares with those that it is read together with, and its number of chats if it did not change."""


class Importer:
    """One import; see `SessionManager.import_sessions`."""

    def __init__(
        self,
        manager: Manager,
        block: Callable[[], AbstractContextManager[None] | None],
        *,
        format_name: str | None,
        names: str | None,
        keep: Keep,
        assets: str | os.PathLike[str] | None,
        again: bool,
        dry_run: bool,
        progress: Progress | None,
    ) -> None:
        if keep not in ("none", "rest", "all"):
            raise ValueError(f'keep takes "none", "rest" or "all", not {keep!r}')
        if format_name is not None:
            named(format_name)
        self._names = check_names(names)
        if not dry_run:
            manager._refuse_if_read_only("import sessions")
        self._manager, self._block = manager, block
        self._format, self._keep, self._assets = format_name, keep, assets
        self._again, self._dry_run, self._progress = again, dry_run, progress
        self.report = ImportReport()
        engine = manager._engine
        self._notes = ImportNotes(None if engine is None else engine.repo.machine)
        self._masks = Masks({}) if engine is None else Masks(engine.repo.purged_lines(), engine.repo.purged_sessions())
        # What makes the same files other sessions.
        self._options = f"{keep}{'' if assets is None else '+'}"
        # Looked up when the first chat is new or changed: mostly none is.
        self._known: Imported | None = None
        self._deleted: set[str] = set()
        # Of the block that is under way: what is to be noted once it has ended.
        self._noted: dict[str, str] = {}
        self._made: dict[str, int] = {}
        self._raw: dict[str, int] = {}
        # By `progress`: it ends the import, also where a reader was at work.
        self._raised: Exception | None = None
        self._finished: list[tuple[Format, list[Member], int]] = []

    def run(self, paths: list[str | os.PathLike[str]]) -> ImportReport:
        """Import what is at some paths; durable when this returns."""
        files = list(files_at(paths, self._format, self.report.notes, self.report.unreadable))
        steps, more = self._steps(files), True
        while more:
            # So much at a time: what is saved in a block is in memory until its end.
            size, more = 0, False
            block = None if self._dry_run else self._block()
            with block or nullcontext():
                for brought in steps:
                    size += brought
                    if size > _AT_ONCE:
                        more = True
                        break
            if block is not None:
                self._take_note()
        return self.report

    def _take_note(self) -> None:
        """Remember what is durable now: it is not looked at again, and what of it is gone was deleted."""
        self._notes.chats |= self._noted
        self._notes.sessions |= self._made
        self._notes.raw |= self._raw
        for kind, unit, chats in self._finished:
            for file, links, _ in unit:
                self._notes.note(file, self._options, kind.name, links, chats)
        if self._noted or self._made or self._raw or self._finished:
            self._notes.keep()
        self._noted, self._made, self._raw, self._finished = {}, {}, {}, []

    def _steps(self, files: list[SourceFile]) -> Iterator[int]:
        """Store one chat at a time, and yield the bytes of its messages."""
        for kind, unit in self._units(files):
            counts = {chats for _, _, chats in unit}
            told = counts.pop() if len(counts) == 1 else None
            if told is not None and not self._again:
                self.report.conversations += told
                self.report.unchanged += told
                self._tell()
                continue
            problems: list[str] = []
            failed, before = len(self.report.unreadable), self.report.conversations
            trees: Iterator[MessageTree] | None = None
            while True:
                try:
                    trees = trees or kind.read([file for file, _, _ in unit], self._keep, problems, self._skips)
                    tree = next(trees, None)
                    split = [] if tree is None else branches(tree)
                except Exception as error:
                    self._unread(_problem(unit[0][0], error))
                    break
                if tree is None:
                    break
                try:
                    yield self._bring(tree, split)
                except OSError as error:
                    # Of the folder for assets: those of the store are no OSError.
                    self._unread(str(error))
                    break
            self.report.notes += problems
            if len(self.report.unreadable) == failed:
                self._finished.append((kind, unit, self.report.conversations - before))

    def _units(self, files: list[SourceFile]) -> Iterator[tuple[Format, list[Member]]]:
        """Yield files that are read together."""
        found: dict[str, list[Member]] = {}
        unknown: list[str] = []
        for file in files:
            known = self._notes.known(file, self._options)
            if known is not None and self._format in (None, known[0]):
                kind, links, chats = known
                found.setdefault(kind, []).append((file, set(links), chats))
                continue
            try:
                fitting = format_of(file, self._format)
                if fitting is not None:
                    found.setdefault(fitting.name, []).append((file, fitting.links(file), None))
                else:
                    unknown.append(file.path)
            except Exception as error:
                self.report.unreadable.append(_problem(file, error))
        if unknown and len(files) == 1:
            self.report.unreadable.append(f"{files[0].place} is in no format that is known")
        elif unknown:
            self.report.notes.append(f"{len(unknown)} files are in no format that is known, such as {unknown[0]}")
        for kind, members in found.items():
            for unit in _linked(members):
                yield named(kind), unit

    def _skips(self, raw: str) -> bool:
        """Tell whether a chat need not be looked at: what its file has of it is as it was, to the byte."""
        if self._again or f"{self._options} {raw}" not in self._notes.raw:
            return False
        self.report.conversations += 1
        self.report.unchanged += 1
        self._tell()
        return True

    def _bring(self, tree: MessageTree, split: list[Branch]) -> int:
        """Store what is new of a chat; return the bytes of its messages."""
        report = self.report
        if not split:
            told = [*tree.notes, "it has no messages, and was left out"]
            report.notes += [f"{tree.format} {tree.title or tree.id}: {note}" for note in told]
            return 0
        make_storable(tree, split, self._store if self._assets is not None and not self._dry_run else None)
        self._masks.apply(tree, split)
        whole = identity(tree.format, tree.account, tree.id)
        hashed, size = hashlib.sha256(repr((tree.title, tree.current)).encode(errors="replace")), 0
        limit = self._manager._config.max_session_bytes
        for branch in split:
            length = sum(map(len, branch.lines)) + len(branch.lines)
            size += length
            if length > limit:
                report.unreadable.append(f"{tree.format} {tree.title or tree.id} is larger than max_session_size")
                return 0
            hashed.update(f"{branch.id}\0{branch.parent}\0{branch.at}\0".encode(errors="replace"))
            hashed.update(b"\n".join(branch.lines))
            if branch.tags:
                hashed.update(repr(branch.tags).encode(errors="replace"))
        report.conversations += 1
        report.notes += [f"{tree.format} {tree.title or tree.id}: {note}" for note in tree.notes]
        digest = hashed.hexdigest()[:32]
        if self._notes.chats.get(whole[:32]) == digest and not self._again:
            report.unchanged += 1
        else:
            known = self._imported()
            work = TreeImport(
                *(self._manager, tree, split, known, self._notes.sessions, self._deleted),
                masks=self._masks,
                again=self._again,
                dry_run=self._dry_run,
            )
            try:
                self._manager._within(lambda: work.run(self._names))
            except SessionTooLargeError as error:
                report.unreadable.append(str(error))
                return size
            report.new += work.is_new
            report.grew += not work.is_new and work.added > 0
            report.unchanged += not work.is_new and work.added == 0
            report.messages += work.added
            report.branches += work.branches
            report.notes += work.notes
            self._made |= work.made
            self._noted[whole[:32]] = digest
        if tree.raw:
            self._raw[f"{self._options} {tree.raw}"] = 1
        self._tell()
        return size

    def _imported(self) -> Imported:
        """Return what the store has of earlier imports; what this one makes is added."""
        if self._known is None:
            self._known = self._manager._within(lambda: identities(self._manager))
            engine = self._manager._engine
            self._deleted = set() if engine is None else self._manager._within(engine.deleted_names)
        return self._known

    def _store(self, digest: str, data: bytes) -> None:
        assert self._assets is not None
        path = os.path.join(make_folder_outside(self._assets), digest)
        if not os.path.lexists(path):
            write_outside(path, [data], overwrite=False)

    def _tell(self) -> None:
        if self._progress is None:
            return
        try:
            self._progress(self.report)
        except Exception as error:
            self._raised = error
            raise

    def _unread(self, told: str) -> None:
        """Tell of what was not read, unless it was `progress` that failed."""
        if self._raised is not None:
            raise self._raised
        self.report.unreadable.append(told)


def _problem(file: SourceFile, error: Exception) -> str:
    """Say why a file was not read. A reader that meets what it was not made for must cost no other file."""
    if isinstance(error, (ExportError, OSError)):
        return str(error)
    return f"{file.path} was not read, by a mistake in this package: {type(error).__name__}: {error}"


def _linked(members: list[Member]) -> list[list[Member]]:
    """Return files in groups: two that share a link, directly or over others, are in one."""
    leader: dict[str, int] = {}
    above = list(range(len(members)))

    def top(place: int) -> int:
        while above[place] != place:
            above[place] = place = above[above[place]]
        return place

    for place, (file, links, _) in enumerate(members):
        for link in links or {file.path}:
            other = top(leader.setdefault(link, place))
            mine = top(place)
            above[max(mine, other)] = min(mine, other)
    groups: dict[int, list[Member]] = {}
    for place, member in enumerate(members):
        groups.setdefault(top(place), []).append(member)
    return list(groups.values())


def opened_block(manager: Any) -> AbstractContextManager[None] | None:
    """Return the block that an import saves in; None where the program is in one: then the end of that saves."""
    try:
        block: AbstractContextManager[None] = manager.bulk()
    except StoreError:
        raise
    except SessionError:
        return None
    return block
