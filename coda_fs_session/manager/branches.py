"""The verbs across sessions: what tells them apart, and what brings them together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Protocol

from ..errors import SessionError, SessionNotFoundError, StoreError, UnsupportedError
from ..format.names import checked_name
from ..process.operations import Operations, operation
from ..process.uncopied import Uncopied
from ..repo.branches.diff import Diff, Live, diff
from ..repo.branches.joints import joints_of
from ..repo.branches.report import MergeReport
from ..repo.branches.three_way import STRATEGIES, Strategy
from ..repo.branches.tree import Joint, Known, Tree, tree_of
from ..repo.dry_run import dry
from ..repo.lookup.names import resolve
from ..repo.repository import Repository
from ..repo.storage import RepoStorage
from ..repo.writing.merging import Joined, label_of, merge, pick
from ..session.info import SessionInfo
from ..session.session import Session
from ..storage import SessionStorage, with_origin
from .open_sessions import OpenSessions


class Core(Protocol):
    """What these verbs stand on: the manager's store, and what is open of it."""

    _storage: SessionStorage
    _sessions: OpenSessions
    _operations: Operations

    @property
    def _engine(self) -> RepoStorage | None: ...

    def _meant(self, name: str) -> str: ...

    def _refuse_if_read_only(self, what: str) -> None: ...

    def _refuse_in_transaction(self, what: str) -> None: ...

    def _save(self, session: Session) -> None: ...


class Branches(Uncopied):
    """What `SessionManager.branches` is: branches of a session, and two sessions side by side or brought together."""

    def __init__(self, manager: Core) -> None:
        self._manager = manager
        self._operations: Operations = manager._operations

    @operation
    def of(self, name: str) -> list[SessionInfo]:
        """Return what is known of the sessions that were branched from one, the newest first.

        Raises:
            SessionNotFoundError: there is none of this name.
        """
        core = self._manager
        name = core._meant(checked_name(name))
        if not core._storage.exists(name):
            raise SessionNotFoundError(name)
        infos: list[SessionInfo] = core._storage.list_all() or []
        found = [info for info in infos if core._storage.is_branch_of(info, name)]
        return sorted(found, key=lambda info: (info.updated, info.name), reverse=True)

    @operation
    def tree(self) -> Tree:
        """Return all sessions by which came from which; `str` draws that.

        What was merged and picked is told as well by the storages of this package, which read every session for it.

        Raises:
            StoreError: the store cannot be listed.
        """
        return tree_of_all(self._manager._storage, self._manager._engine)

    @operation
    def diff(self, a: str, b: str) -> Diff:
        """Return what tells two sessions apart as they are stored, down to the word; only what differs is read.

        Raises:
            SessionNotFoundError: there is no `a`, or no `b`.
            UnsupportedError: a storage that is not one of this package's cannot tell.
            StoreError: a message that differs cannot be read.
        """
        engine = self._engine("compare two sessions")
        return diff(*(self._live(engine, self._manager._meant(checked_name(name))) for name in (a, b)))

    @operation
    def merge(self, source: str, into: str, *, strategy: Strategy = "append", dry_run: bool = False) -> MergeReport:
        """Bring what `source` has into another session, as one step forward of that; this is how a divergence ends.

        Messages that either side took away since they parted are gone, and what either added is there once. What
        `source` added comes after the message that it came after there. Both are saved before, and what is open of them
        shows the result. The source stays as it is. But a side of the same session is taken in: its derived name is
        gone on every machine that the files reach, unless somebody has gone on with it. To merge twice adds nothing,
        also where two machines do so at the same time.

        Args:
            strategy: for the places where both added messages. "append" puts those of `source` after the others.
                "interleave" puts them in the order of their own ``timestamp``, ``created_at`` or ``time``, and as
                "append" where one of them has none. "ours" keeps those of `into` there, "theirs" those of `source`.
                Of metadata set on both sides the later value counts; with "ours" and "theirs", that of the side.
            dry_run: save and change nothing. The report is of what would be done with what is saved; its `entry` is "".

        Raises:
            SessionNotFoundError: one of the two is not there.
            SessionConflictError: a name is another machine's session now, as in `SessionManager.delete_session`.
            SessionTooLargeError: the result would be larger than a session may be.
            ValueError: both are one session, or there is no such strategy.
            UnsupportedError: a storage that is not one of this package's cannot merge; nor can the block of a
                transaction.
            StoreError: a message that it takes has not arrived or is damaged, or the store cannot be written; nothing
                was changed, or it cannot be told. To merge again never merges twice.
        """
        if strategy not in STRATEGIES:
            raise ValueError(f"strategy must be one of {', '.join(map(repr, STRATEGIES))}, not {strategy!r}")

        def act(engine: RepoStorage, one: str, other: str) -> Joined:
            return merge(engine.repo, one, other, strategy)

        return self._join(source, into, "merge", act, dry_run=dry_run)

    @operation
    def cherry_pick(self, source: str, messages: Iterable[int], into: str, *, dry_run: bool = False) -> MergeReport:
        """Add messages of one session at the end of another one; a later merge does not bring them again.

        Args:
            messages: their places in `source`, from 0, in the order in which they are added.
            dry_run: as in `merge`.

        Raises:
            IndexError: `source` has no message at one of the places.
            SessionNotFoundError, SessionConflictError, SessionTooLargeError, ValueError, UnsupportedError,
            StoreError: as in `merge`.
        """
        places = list(messages)
        if not all(type(place) is int for place in places):
            raise TypeError("messages must be the places of messages, as whole numbers from 0")

        def act(engine: RepoStorage, one: str, other: str) -> Joined:
            return pick(engine.repo, one, places, other)

        return self._join(source, into, "pick", act, dry_run=dry_run)

    def _join(
        self, source: str, into: str, what: str, act: Callable[[RepoStorage, str, str], Joined], *, dry_run: bool
    ) -> MergeReport:
        source, into = checked_name(source), checked_name(into)
        if source == into:
            raise ValueError(f"{source!r} cannot be joined with itself: give the names of two sessions")
        core = self._manager
        if dry_run:
            engine = dry(self._engine(f"{what} sessions"))
            return _report(engine, act(engine, core._meant(source), core._meant(into)), "")
        core._refuse_if_read_only(f"{what} sessions")
        core._refuse_in_transaction(f"{what} sessions")
        engine = self._engine(f"{what} sessions")

        def join(source: str, into: str) -> MergeReport:
            joined = act(engine, source, into)
            state = joined.state
            return _report(engine, joined, f"{state.generation_id[:12]}:{state.count}")

        def around_both(source: str, open_source: Session | None) -> MergeReport:
            self._save(open_source)

            def around_into(into: str, open_into: Session | None) -> MergeReport:
                self._save(open_into)
                opened = [name for name, session in ((source, open_source), (into, open_into)) if session is not None]
                try:
                    report = join(source, into)
                except BaseException:
                    # It may be in the store all the same, and what is saved next comes after it then.
                    with suppress(SessionError):
                        self._show(opened)
                    raise
                self._show(opened)
                return report

            return core._sessions.around(into, around_into)

        return core._sessions.around(source, around_both)

    def _show(self, opened: list[str]) -> None:
        """Let what is open of sessions show what is stored, and go by the name that it has now."""
        for name in opened:
            self._manager._sessions.find(name)

    def _save(self, session: Session | None) -> None:
        if session is not None and session.has_unsaved_changes:
            self._manager._save(session)

    def _engine(self, what: str) -> RepoStorage:
        engine = self._manager._engine
        if engine is None:
            storage = type(self._manager._storage).__name__
            raise UnsupportedError(f"{storage} keeps no history, so it cannot {what}: use one of the backends")
        return engine

    def _live(self, engine: RepoStorage, name: str) -> Live:
        head = resolve(engine.repo, name).head
        if head is None:
            raise SessionNotFoundError(name)
        return Live(head.messages, head.start)


def tree_of_all(storage: SessionStorage, engine: RepoStorage | None) -> Tree:
    """Return all sessions of a store by which came from which."""
    infos: list[SessionInfo] = storage.list_all() or []
    if engine is None:
        return tree_of(_known(with_origin(info)) for info in infos)
    return tree_of(_known(info, *_joints(engine.repo, info)) for info in infos)


def _report(engine: RepoStorage, joined: Joined, entry: str) -> MergeReport:
    return MergeReport(label_of(engine.repo, joined.state), joined.added, joined.removed, entry, joined.interleaved)


def _known(info: SessionInfo, aliases: tuple[str, ...] = (), joints: tuple[Joint, ...] = ()) -> Known:
    return Known(info.name, info.message_count, info.parent, info.forked_at, aliases, joints)


def _joints(repo: Repository, info: SessionInfo) -> tuple[tuple[str, ...], tuple[Joint, ...]]:
    """Return what a session was called before, and what it took in; nothing of one that cannot be read."""
    try:
        head = resolve(repo, info.name).head
        if head is None:
            return (), ()
        names = {head.name, *head.header.former_names} - {info.name}
        return tuple(sorted(names)), tuple(joints_of(head))
    except StoreError:
        return (), ()
