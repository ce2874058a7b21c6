"""The index of a store in which a name's refs are found by their paths: nobody looks at all refs to find one name.

Of this replica's own refs each has a path that one of its names gives it, or a ref beside it with such a path that has
its name from before. So following names from one to the next comes to all of them. Refs of other replicas may have any
path: those are all looked at.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from ...backends.base import RefKey, Token, folder_of
from ...errors import StoreError
from ...format.names import key_of_ref, key_starts, session_key
from ...process.parallel import in_parallel
from .index import Index
from .listed import Listing
from .parts import names_of
from .rows import Row

MOST_ROWS = 10_000
"""Rows of our own replica that are kept in memory; all that costs is reading a ref again."""

_A_MOMENT = 0.1
_AS_LISTED = 10.0
"""Seconds for which what was found will do: for making a new ref, whose key nobody else can take meanwhile; and for
what names have to do with each other."""
_REPLICAS = 60.0
"""Seconds after which to look whether other replicas have come."""
_MOST_LOOKS = 2_000


class _Look(NamedTuple):
    """What a look for a key has found, and until when that will do to make a ref."""

    tokens: Mapping[str, Token]
    began: float
    good_until: float


class KeyedIndex(Index):
    """Rows as of the last time that their names were asked for."""

    by_key = True

    def __init__(self, *args: Any) -> None:
        self._mine = threading.local()
        self._others: frozenset[str] = frozenset()
        self._others_due = 0.0
        super().__init__(*args)
        self.reader.as_told = True

    def listing(self) -> Listing | None:
        return None

    def named(self, *names: str) -> list[Row]:
        return self._looked_up(names, getattr(self._making, "maker", None) is not None)

    def last_named(self, *names: str) -> list[Row]:
        return self._looked_up(names, False, _AS_LISTED)

    def _looked_up(self, names: Iterable[str], for_making: bool, seconds: float = 0.0) -> list[Row]:
        names = list(names)
        keys = list(dict.fromkeys(map(session_key, names)))
        now, looks = time.monotonic(), self._looks()
        # Not within the section: other threads have names to look up too.
        found, others = vars(self._mine).pop("ahead", ({}, None))
        wanted = []
        for key in keys:
            known = looks.get(key)
            if key not in found and (
                known is None or now >= (known.good_until if for_making else known.began + seconds)
            ):
                wanted.append(key)
        if wanted:
            more, others = self._ask(wanted)
            found |= more
        for key in found:
            looks.pop(key, None)
        looks.update(found)
        own = [path for key in keys for path in looks[key].tokens]
        with self._section:
            self._open()
            if len(self._part(self._own())) > MOST_ROWS + len(own):
                self._forget_all()
                self._open()
            for key in keys:
                self._take(looks[key].tokens)
            if others is not None:
                self._take_others(others)
            rows = [row for path in own if (row := self._row(path)) is not None]
            return rows + [row for row in self._named(*names) if RefKey(row.path).replica in self._others]

    @contextmanager
    def looked_ahead(self, name: str) -> Iterator[None]:
        """Look for a name before a block, for the first look of this thread in it."""
        try:
            # What is wrong is told by that.
            with suppress(StoreError):
                self._mine.ahead = self._ask([session_key(name)])
            yield
        finally:
            vars(self._mine).pop("ahead", None)

    def _ask(self, keys: Sequence[str]) -> tuple[dict[str, _Look], dict[str, Token]]:
        """Look for keys, and at all refs of other replicas."""
        found: dict[str, _Look] = {}
        others: dict[str, Token] = {}

        def look(key: str | None) -> None:
            if key is None:
                others.update(self._tokens_of_others())
            else:
                found[key] = self._look(key)

        in_parallel(look, [*keys, None], worth=2)
        return found, others

    def starting(self, prefix: str) -> tuple[list[str], int]:
        tokens: dict[str, Token] = {}
        began, looks = time.monotonic(), self._looks()
        looks.clear()
        for start in key_starts(prefix):
            tokens |= self._backend.refs_below(f"{self._own()}/{start}")
        others = self._tokens_of_others()
        with self._section:
            self._open()
            self._take(tokens)
            self._take_others(others)
            rows = [row for path in tokens if (row := self._row(path)) is not None]
            rows += [row for folder, part in self._parts.items() if self._is_others(folder) for row in self._rows(part)]
            # Also those that begin otherwise: what has such a name now may be in a ref that had another one before.
            names = dict.fromkeys(name for row in rows for name in names_of(row))
        found: dict[str, dict[str, Token]] = {}
        for path, token in tokens.items():
            found.setdefault(key_of_ref(path) or "", {})[path] = token
        looks.update((key, _Look(each, began, began)) for key, each in found.items())
        return list(names), sys.maxsize

    def fresh(self, row: Row, *, as_listed: bool = False) -> Row:
        return row

    def has_come(self, key: RefKey) -> bool:
        looks, file_key = self._looks(), key_of_ref(key.path) or ""
        # What this thread has not found is new to it, whatever other threads have found since.
        if file_key in looks and key.path in looks[file_key].tokens:
            return False
        looks.pop(file_key, None)
        token = self._backend.ref_token(key)
        if token is None:
            return False
        with self._section:
            self._take({key.path: token})
            return self._row(key.path) is not None

    def replicas(self, *, look: bool = True) -> set[str]:
        return set(self._backend.ref_replicas())

    def keep(self, *, forget: bool = True) -> None:
        """Nothing is kept: the next process may be on another machine."""

    def _own(self) -> str:
        own = self._machine.replica(())
        assert own is not None
        return own

    def _looks(self) -> dict[str, _Look]:
        """Return what this thread has found of keys, oldest first."""
        looks: dict[str, _Look] = vars(self._mine).setdefault("looks", {})
        if len(looks) > _MOST_LOOKS:
            looks.clear()
        return looks

    def _look(self, key: str) -> _Look:
        began = time.monotonic()
        tokens = self._backend.refs_of(self._own(), key)
        return _Look(tokens, began, began + max(_A_MOMENT, 10 * (time.monotonic() - began)))

    def _tokens_of_others(self) -> dict[str, Token]:
        now = time.monotonic()
        if now >= self._others_due:
            self._others = frozenset(self._backend.ref_replicas()) - {self._own()}
            self._others_due = now + _REPLICAS
        found: dict[str, Token] = {}
        for replica in self._others:
            found |= self._backend.refs_below(f"{replica}/")
        return found

    def _take(self, tokens: Mapping[str, Token]) -> None:
        """Bring the rows of some refs up to date."""
        rows = {path: self._row(path) for path in tokens}
        changed = [path for path, row in rows.items() if row is None or row.token != tokens[path] or row.problem]
        for key in self._backend.ahead(map(RefKey, changed)) if len(changed) > 1 else map(RefKey, changed):
            self._read_row(key, tokens[key.path])

    def _take_others(self, tokens: Mapping[str, Token]) -> None:
        folders = set(map(folder_of, tokens))
        folders.update(folder for folder in self._parts if self._is_others(folder))
        if folders:
            self._compare(tokens, folders)

    def _is_others(self, folder: str) -> bool:
        return RefKey(folder).replica in self._others

    @staticmethod
    def _rows(part: Any) -> Iterable[Row]:
        return (part.rows or {}).values()
