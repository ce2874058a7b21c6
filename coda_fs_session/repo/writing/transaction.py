"""Several changes in one go: all of them are there after a crash, or none.

They are tried out first, with the locks of their names and refs held. What comes of that is written down, and only then
into the refs. A backend that can write all or none needs nothing written down.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace

from ...backends.base import PlannedError, RecordAheadError, RefChangedError, RefKey, RefWrite, Snapshot, Token
from ...errors import SessionConflictError, SessionNotFoundError, StoreError, UnsupportedError
from ...format.names import origins, session_key
from ...format.records import Parent, Stamped
from ...session.splice import Splice
from ..content.messages import MessageList
from ..content.state import Attempt, Cursor, State
from ..repository import TRANSACTION, Repository
from ..reverts.plans import carry_out, decode_plan, encode_plan
from ..reverts.put_back import put_back
from . import lifecycle
from .refs import Content, MetadataValues
from .save import Saved, expect, save
from .trial import MoreKeysError, RevertedError, Trial

Writes = list[tuple[RefWrite, Snapshot | None]]


class Change(ABC):
    """One of the changes."""

    @property
    @abstractmethod
    def names(self) -> Sequence[str]:
        """The names whose locks it takes, as far as that is known before."""

    @abstractmethod
    def make(self, trial: Trial) -> None:
        """Make it in a trial; it may be made again in another one."""

    def begin(self) -> None:  # noqa: B027 - some change no open session
        """Note what is attempted, right before it is written: it may be in the store though an error is reported."""


@dataclass(slots=True)
class Changed:
    """The messages and metadata of a session as they differ from a state, and when they are of."""

    splice: Splice
    metadata: MetadataValues
    time: str | None = None

    def is_nothing(self, state: State) -> bool:
        return self.splice.empty and not self.metadata and self.time in (None, state.updated)


@dataclass(slots=True)
class Save(Change):
    """Saves what has changed since a cursor's state; `saved` is what came of it, None where there was nothing."""

    cursor: Cursor
    changed: Changed
    on_conflict: str
    expected: str | None
    saved: Saved | None = None
    _attempted: dict[str, Attempt] = field(default_factory=dict)

    @property
    def names(self) -> Sequence[str]:
        return [self.cursor.state.name]

    def make(self, trial: Trial) -> None:
        cursor, changed = Cursor(self.cursor.state), self.changed
        self.saved = None
        if changed.is_nothing(cursor.state):
            if self.expected is not None:
                expect(trial, cursor, self.expected)
            return
        self.saved = save(
            trial, cursor, changed.splice, changed.metadata, self.on_conflict, self.expected, changed.time
        )
        trial.note(self.saved.state)
        self._attempted = cursor.attempted

    def begin(self) -> None:
        self.cursor.attempted.update(self._attempted)


@dataclass(slots=True)
class Create(Change):
    """Makes a session under a free name; `made` is the state that it has then.

    Attributes:
        attempts: where what is attempted is noted.
        parent: with the number of messages that it has in common with that.
    """

    name: str
    content: Content
    metadata: dict[str, Stamped]
    created: str
    updated: str
    attempts: dict[str, Attempt]
    parent: tuple[str, int] | None = None
    made: State | None = None
    _attempted: dict[str, Attempt] = field(default_factory=dict)

    @property
    def names(self) -> Sequence[str]:
        return [self.name]

    def make(self, trial: Trial) -> None:
        self._attempted = {}
        self.made = lifecycle.create(
            trial,
            self.name,
            self.content,
            self.metadata,
            created=self.created,
            updated=self.updated,
            parent=self._parent(trial),
            attempted=self._attempted,
        )

    def _parent(self, trial: Trial) -> Parent | None:
        if self.parent is None:
            return None
        name, count = self.parent
        messages = MessageList(trial.objects, trial.sizes, *self.content)
        return Parent(name, count, 0, messages.chain_at(count))

    def begin(self) -> None:
        self.attempts.update(self._attempted)


@dataclass(slots=True)
class Fork(Change):
    """Makes a branch of what `head` has once `splice` is applied, and saves what has changed in it since.

    Attributes:
        parent, metadata, at, created, updated: as for `lifecycle.fork`.
        attempts: as in `Create`; made: as in `Create`.
    """

    name: str
    head: State
    splice: Splice
    parent: str
    metadata: dict[str, Stamped]
    at: int | None
    created: str
    updated: str
    attempts: dict[str, Attempt]
    changed: Changed | None = None
    made: State | None = None
    _attempted: dict[str, Attempt] = field(default_factory=dict)

    @property
    def names(self) -> Sequence[str]:
        return [self.name]

    def make(self, trial: Trial) -> None:
        self._attempted = {}
        made = self.forked(trial)
        if self.changed is not None and not self.changed.is_nothing(made):
            cursor, changed = Cursor(made), self.changed
            made = save(trial, cursor, changed.splice, changed.metadata, "raise", None, changed.time).state
            trial.note(made)
            self._attempted |= cursor.attempted
        self.made = made

    def forked(self, trial: Trial) -> State:
        return lifecycle.fork(
            *(trial, self.head, self.splice, self.name),
            parent=self.parent,
            metadata=self.metadata,
            at=self.at,
            created=self.created or None,
            updated=self.updated or None,
            attempted=self._attempted,
        )

    def begin(self) -> None:
        self.attempts.update(self._attempted)


@dataclass(slots=True)
class Rename(Change):
    """Gives a session another name; `renamed` is the state that it has then."""

    old: str
    new: str
    renamed: State | None = None

    @property
    def names(self) -> Sequence[str]:
        return [self.new, *origins(self.old)]

    def make(self, trial: Trial) -> None:
        self.renamed = lifecycle.rename(trial, self.old, self.new)
        if self.renamed is None:
            raise SessionNotFoundError(self.old)


@dataclass(slots=True)
class Delete(Change):
    """Deletes a session."""

    name: str
    missing_ok: bool = False

    @property
    def names(self) -> Sequence[str]:
        return list(origins(self.name))

    def make(self, trial: Trial) -> None:
        if not lifecycle.delete(trial, self.name) and not self.missing_ok:
            raise SessionNotFoundError(self.name)


def commit(repo: Repository, changes: Sequence[Change]) -> dict[RefKey, State]:
    """Make changes one after the other, all or none; return what the refs hold that were written.

    Raises:
        PlannedError: another one is under way, or was left unfinished; nothing was written.
        SessionConflictError, SessionExistsError, SessionNotFoundError: one is not possible; nothing was written.
        StoreError: nothing was written; or all of it is written down, as a note of the error says, and will be.
    """
    keys = frozenset(session_key(name) for change in changes for name in change.names)
    while True:
        try:
            return _commit(repo, changes, keys)
        except MoreKeysError as more:
            keys |= more.keys
        except PlannedError:
            raise
        except (RevertedError, RecordAheadError) as error:
            put_back(repo)
            if any(isinstance(change, Delete | Rename) for change in changes):
                # Nobody was shown what was put back.
                raise SessionConflictError(
                    "the store lacked what this machine had saved, and that was put back just now. Nothing of the "
                    "transaction was written: look at the sessions that it deletes or renames, and begin it again"
                ) from error
        except RefChangedError:
            continue


def _commit(repo: Repository, changes: Sequence[Change], keys: frozenset[str]) -> dict[RefKey, State]:
    with ExitStack() as stack:
        stack.enter_context(repo.lock(TRANSACTION, *keys))
        replica = stack.enter_context(repo.writing())
        trial = Trial(repo, replica, keys, stack)
        for change in changes:
            change.make(trial)
        writes = trial.writes()
        if len(writes) > 1 and repo.machine.shares_replica:
            raise UnsupportedError(
                "a store in a bucket changes one session at a time, and this transaction changes more: nothing was "
                "done. Make its changes one by one"
            )
        if len(writes) < 2 or repo.backend.capabilities.together:
            for change in changes:
                change.begin()
            states = _with_tokens(trial, writes, repo.backend.write_refs([write for write, _ in writes]))
        else:
            # Those who know the refs look again before they write, and then see what is written down.
            writes = [(_renewed(repo, write), before) for write, before in writes]
            for change in changes:
                change.begin()
            states = _write_planned(repo, trial, keys, writes)
        for state in states:
            repo.index.note(state)
        return {write.key: state for (write, _), state in zip(writes, states, strict=True)}


def _write_planned(repo: Repository, trial: Trial, keys: frozenset[str], writes: Writes) -> list[State]:
    """Write what came of a trial after it was written down; return what it led to."""
    record, plan = repo.machine.record, encode_plan(repo, keys, writes)
    is_planned = False
    try:
        with record.carry_out(plan):
            is_planned = True
            try:
                states = _with_tokens(trial, writes, repo.backend.write_refs([write for write, _ in writes]))
            except RefChangedError:
                # By a program that knows no locks; or a call has done what it reported an error for.
                return [repo.read(key) for key in carry_out(repo, decode_plan(plan))]
            # What is left of it is found to be written, whenever that is.
            with suppress(StoreError):
                record.drop_plan()
            return states
    except BaseException as error:
        if not is_planned:
            with suppress(StoreError):
                record.drop_plan()
        # It may be there although keeping it has failed, and so has dropping it.
        if is_planned or record.is_planned():
            error.add_note(
                "the transaction is written down, and the next write to this store ends it first, here or in another "
                "process: do not begin it again"
            )
        raise


def _with_tokens(trial: Trial, writes: Writes, tokens: Sequence[Token]) -> list[State]:
    return [replace(trial.heads[write.key], token=token) for (write, _), token in zip(writes, tokens, strict=True)]


def _renewed(repo: Repository, write: RefWrite) -> RefWrite:
    if write.expected is None:
        return write
    return write._replace(expected=repo.backend.renew_token(write.key, write.expected))
