"""A repository in which refs are written for a trial: what a transaction is about to do, before any of it is done.

Each verb runs in it as ever, and sees what those before it have written. Objects are written at once: nothing names
them yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import cast

from ...backends.base import (
    END_BYTES,
    Backend,
    RefEnd,
    RefKey,
    RefTakenError,
    RefWrite,
    Snapshot,
    Token,
)
from ...backends.wrapper import WrapperBackend
from ...backends.written_refs import WrittenRefs
from ..content.state import State
from ..index.index import Index
from ..index.rows import Row, ViewRow, row_of
from ..repository import Repository
from ..reverts.verdict import agrees


class MoreKeysError(Exception):
    """The trial has come to names whose locks are not held: it is to begin anew with these too.

    Attributes:
        keys: of the names.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        super().__init__(*keys)
        self.keys = frozenset(keys)


class RevertedError(Exception):
    """A ref is not as this machine has recorded it: see `repo.reverts.put_back` before the trial begins anew."""


class TrialBackend(WrittenRefs, WrapperBackend):
    """Passes on what reads, and keeps what is written to refs in memory.

    Args:
        holds: takes what keeps other writers of a ref waiting, until the transaction is over.
    """

    def __init__(self, repo: Repository, holds: ExitStack) -> None:
        super().__init__(repo.backend)
        self._record = repo.machine.record
        self._holds = holds
        self._held: dict[RefKey, Snapshot] = {}

    def writes(self) -> list[tuple[RefWrite, Snapshot | None]]:
        """See `Trial.writes`."""
        found: list[tuple[RefWrite, Snapshot | None]] = []
        for key, (data, _) in sorted(self._refs.items(), key=lambda item: item[0] in self._held):
            before = self._held.get(key)
            if before is None:
                found.append((RefWrite(key, None, data), None))
            else:
                kept = len(before.data) if data.startswith(before.data) else 0
                found.append((RefWrite(key, before.token, data, kept), before))
        return found

    def has_written(self, key: RefKey) -> bool:
        return key in self._refs

    def ref_end(self, key: RefKey) -> RefEnd:
        written = self._refs.get(key)
        return super().ref_end(key) if written is None else RefEnd(len(written.data), written.data[-END_BYTES:])

    def begins_with(self, key: RefKey, front: bytes | bytearray) -> bool:
        return Backend.begins_with(self, key, front)

    def ref_after(self, key: RefKey, known: Token, front: bytes | bytearray) -> Snapshot | None:
        return Backend.ref_after(self, key, known, front)

    def create_ref(self, key: RefKey, data: bytes) -> Token:
        if self.ref_token(key) is not None:
            raise RefTakenError(key)
        if self._record.end(key) is not None:
            raise RevertedError(key)
        return self._keep(key, data)

    def hold(self, key: RefKey) -> AbstractContextManager[None]:
        if key not in self._refs:
            self._before(key)
        return nullcontext()

    def together(self) -> AbstractContextManager[None]:
        return nullcontext()

    def _before(self, key: RefKey) -> Snapshot:
        """Keep other writers of a ref waiting, and return it as it is from now on."""
        if key not in self._held:
            if not self.capabilities.together:
                self._holds.enter_context(self.inner.hold(key))
            before = super()._before(key)
            if not agrees(self.inner, self._record, key):
                raise RevertedError(key)
            self._held[key] = before
        return self._held[key]


class TrialIndex:
    """The rows of an index, but for the refs that were written in the trial."""

    by_key = False

    def __init__(self, index: Index) -> None:
        self._index = index
        self._rows: dict[str, Row] = {}
        self.heads: dict[RefKey, State] = {}

    def note(self, head: State) -> None:
        self.heads[head.key] = head
        self._rows[head.key.path] = row_of(head)

    def named(self, *names: str) -> list[Row]:
        return self._with_trial(self._index.named(*names), names)

    def last_named(self, *names: str) -> list[Row]:
        return self._with_trial(self._index.last_named(*names), names)

    def _with_trial(self, rows: list[Row], names: tuple[str, ...]) -> list[Row]:
        others = [row for row in rows if row.path not in self._rows]
        return others + [row for row in self._rows.values() if {row.name, *row.former_names}.intersection(names)]

    def view(self, rows: Iterable[Row]) -> list[ViewRow] | None:
        rows = list(rows)
        return None if any(row.path in self._rows for row in rows) else self._index.view(rows)

    def making(self, maker: str | None) -> AbstractContextManager[None]:
        return self._index.making(maker)

    def has_come(self, key: RefKey) -> bool:
        return self._index.has_come(key)

    def replicas(self, *, look: bool = True) -> set[str]:
        return self._index.replicas(look=look)


class Trial(Repository):
    """A repository as it will be after what is done in it; nothing of that is in the store.

    Args:
        replica: whose refs are written.
        keys: of the names whose locks are held; None: of all, as nothing comes of this trial.
        holds: see `TrialBackend`.
    """

    def __init__(self, repo: Repository, replica: str, keys: frozenset[str] | None, holds: ExitStack) -> None:
        # Not that of a repository: it shares what one has, and is gone before anybody forks.
        self.backend = self._written = TrialBackend(repo, holds)
        self.machine, self.settings, self.sizes = repo.machine, repo.settings, repo.sizes
        self.objects, self.naming = repo.objects, repo.naming
        self._noted = TrialIndex(repo.index)
        self.index = cast("Index", self._noted)
        self._replica = replica
        self._keys = keys

    @property
    def heads(self) -> dict[RefKey, State]:
        """What the refs hold that were written."""
        return self._noted.heads

    def note(self, head: State) -> None:
        """Note what a ref holds to which a line was added."""
        if self._written.has_written(head.key):
            self._noted.note(head)

    def writes(self) -> list[tuple[RefWrite, Snapshot | None]]:
        """Return what was written, new refs first, so that no message is nowhere; and what each ref held before."""
        return self._written.writes()

    @contextmanager
    def lock(self, *keys: str) -> Iterator[None]:
        if self._keys is not None and not self._keys.issuperset(keys):
            raise MoreKeysError(keys)
        yield

    @contextmanager
    def writing(self) -> Iterator[str]:
        assert self._replica is not None
        yield self._replica
