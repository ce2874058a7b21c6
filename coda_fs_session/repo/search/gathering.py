"""Bringing the tables up to date: what is new is read, and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

from ...backends.base import NO_TOKEN
from ...errors import SessionError
from .results import SearchProgress
from .said import Said, said
from .sources import UNREADABLE, Content, Piece, Shown, Source
from .tables import Below, NewState, NewUnit, SessionRow, Tables

_BATCH = 4 * 1024 * 1024
"""Characters of text that are taken in at once: meanwhile no other process can."""
_ROUNDS = 3
_NOTHING = Said("", "", None)


def gather(
    tables: Tables, source: Source, shown: Sequence[Shown], progress: Callable[[SearchProgress], object] | None
) -> set[str]:
    """Take in what is new of some sessions, and return the keys of those of which not all could be read."""
    unread: set[str] = set()
    for _ in range(_ROUNDS):
        tables.look()
        known = tables.rows
        changed = [each for each in shown if each.key not in known or known[each.key].token != each.token]
        if not changed:
            break
        gathering = Gathering(tables, source)
        for number, each in enumerate(changed):
            gathering.add(each)
            if progress is not None:
                progress(SearchProgress(number + 1, len(changed)))
        gathering.flush()
        tables.compact()
        unread = gathering.unread
        if not gathering.behind:
            break
        # Another process has taken in another state of these.
        shown = [each for each in changed if each.key in gathering.behind]
    else:
        unread |= gathering.behind
    return unread


class Gathering:
    """What is new, until it is written.

    Attributes:
        unread: keys of sessions of which not all could be read.
        behind: keys of sessions of which another process has taken in another state meanwhile.
    """

    def __init__(self, tables: Tables, source: Source) -> None:
        self._tables = tables
        self._source = source
        self.unread: set[str] = set()
        self.behind: set[str] = set()
        self._start_batch()

    def _start_batch(self) -> None:
        self._units: dict[bytes, NewUnit] = {}
        self._states: list[NewState] = []
        self._size = 0

    def flush(self) -> None:
        if self._units or self._states:
            self.behind |= self._tables.write(list(self._units.values()), self._states)
        self._start_batch()

    def add(self, shown: Shown) -> None:
        """Take in what is new of a session."""
        before = self._tables.rows.get(shown.key)
        try:
            content = self._source.content(shown.key)
        except UNREADABLE:
            self.unread.add(shown.key)
            return
        inline = content.inline
        if before is not None and _goes_on(before, content):
            new = self._said(inline[before.messages :], shown.key)
            # One that changed a moment ago has another token each time.
            if new or (shown.token.settled and before.token != shown.token):
                self._put(shown, content, None, new, _hash(inline))
            return
        below: list[Below] = []
        missing = ""
        for piece in content.pieces:
            if self._walk(content, piece):
                below.append((piece.name, piece.first, piece.messages))
            else:
                missing += f" -{piece.name.hex()}"
                self.unread.add(shown.key)
        digest = _hash(inline)
        if missing and before is not None and (before.head, before.digest) == (content.head + missing, digest):
            # As little can be read as before.
            return
        self._put(shown, content, below, self._said(inline, shown.key), digest, missing)

    def _walk(self, content: Content, piece: Piece) -> bool:
        """Take in an object that is new, after what is in it; False where not all can be read."""
        if piece.name in self._units or self._tables.has(piece.name):
            return True
        try:
            if piece.entry is None or piece.height == 0:
                unit = NewUnit(piece.name, [said(line) for line in content.lines_of(piece)])
            else:
                inside = content.below(piece)
                if not all(self._walk(content, each) for each in inside):
                    return False
                unit = NewUnit(piece.name, (), [(each.name, each.first, each.messages) for each in inside])
        except (SessionError, ValueError):
            return False
        self._units[piece.name] = unit
        self._grow(unit.lines)
        return True

    def _said(self, lines: Iterable[bytes], key: str) -> list[Said]:
        found = []
        for line in lines:
            try:
                found.append(said(line))
            except ValueError:
                found.append(_NOTHING)
                self.unread.add(key)
        return found

    def _put(
        self,
        shown: Shown,
        content: Content,
        below: Sequence[Below] | None,
        lines: Sequence[Said],
        digest: bytes,
        missing: str = "",
    ) -> None:
        token = NO_TOKEN if shown.key in self.unread else shown.token
        before, head = self._tables.rows.get(shown.key), content.head + missing
        count = len(content.inline)
        self._states.append(
            NewState(shown.key, before, token, head, content.start, below, content.base, lines, count, digest)
        )
        self._grow(lines)

    def _grow(self, lines: Iterable[Said]) -> None:
        self._size += sum(len(each.text) for each in lines)
        if self._size > _BATCH:
            self.flush()


def _goes_on(before: SessionRow, content: Content) -> bool:
    """Tell whether messages were only added to those in no object."""
    return (
        (before.head, before.start) == (content.head, content.start)
        and before.messages <= len(content.inline)
        and before.digest == _hash(content.inline[: before.messages])
    )


def _hash(lines: Iterable[bytes]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for line in lines:
        digest.update(line + b"\n")
    return digest.digest()
