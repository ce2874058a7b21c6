"""The engine as a `SessionStorage`: sessions in front, refs and objects behind."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, TypeVar

from ..errors import CorruptionError, SessionNotFoundError, StoreError, warn
from ..format.names import origins
from ..format.records import Stamped, decode_time, encode_time
from ..process.uncopied import Uncopied
from ..session import Session, SessionInfo
from ..session.metadata import WorkingMetadata
from ..session.splice import MessageSource
from ..session.state import SessionState
from ..session.working_copy import WorkingCopy
from ..storage import SessionStorage, StoreStats
from . import late
from .ancestry.shown import Shown
from .content.messages import Draft
from .content.state import Cursor
from .cursors import Cursors, go_by_label
from .lookup.names import Resolved, follow, related, resolve
from .repository import Repository
from .reverts import marker, verdict
from .source import refuse_too_large
from .transacting import Transacting

if TYPE_CHECKING:
    from .bulk import Bulk

_T = TypeVar("_T")


class RepoStorage(Uncopied, Transacting):
    """Keeps sessions in a repository.

    A save is durable when it returns, and safe beside other processes and machines.

    Args:
        repo: the opened store.
        seen: whether the store is as this machine left it; None: not looked yet. What was reverted is put back.
    """

    lists_newest_first = True
    tracks_changes = True

    def __init__(self, repo: Repository, *, seen: marker.Look | None = None) -> None:
        self.repo = repo
        self._cursors = Cursors(repo.settings.max_session_bytes)
        self.outlives_process = repo.backend.capabilities.persistent
        self._bulk: Bulk | None = None  # the last one
        self._told: set[str] = set()  # names of which it was said that they mean another conversation now
        self._branches = weakref.WeakKeyDictionary()
        self._copies = weakref.WeakKeyDictionary()
        self._was_moved = seen is not None and seen.moved != []
        if seen is None or seen.moved != []:
            late.put_back.at_open(repo, seen)
        if not repo.settings.read_only and repo.machine.record.is_planned():
            late.plans.at_open(repo)

    def engine(self) -> RepoStorage:
        return self

    def now(self) -> datetime:
        """Return the time by the clock of the store; raises as `Repository.now`."""
        return decode_time(self.repo.now())

    def meant(self, name: str) -> str:
        own = late.own_side.find_own_side(self.repo, name) if self.repo.settings.diverged == "own" else None
        return name if own is None else own.label

    def load(self, name: str) -> Session | None:
        return self._load(name, self._resolve(name))

    def load_meant(self, name: str) -> Session | None:
        name = self.meant(name)
        resolved = self._resolve(name)
        self._warn_if_apart(name, resolved)
        return self._load(name, resolved)

    def _resolve(self, name: str) -> Resolved:
        """Find what a name stands for; where a ref of ours is damaged, what is recorded of it goes on in its place."""
        resolved = self._mended(name, act=lambda: resolve(self.repo, name))
        if resolved.doubt is not None and late.put_back.mend(self.repo, name):
            return resolve(self.repo, name)
        return resolved

    def deleted_names(self) -> set[str]:
        """Return the names of sessions that were deleted, here or on another machine, also where others have them."""
        return {row.name for row in self.repo.index.rows() if row.deleted}

    def _load(self, name: str, resolved: Resolved) -> Session | None:
        if resolved.shown is None:
            return None
        if resolved.doubt is not None:
            warn(f"session {name!r} may lack what only a damaged file held: {resolved.doubt}")
        self._warn_if_reverted(name, resolved)
        return self._open(resolved.shown)

    def _warn_if_apart(self, name: str, resolved: Resolved) -> None:
        """Warn where a name means another conversation than the one that this machine last saved under it."""
        sides = resolved.sides
        if name in self._told or all(shown.label == name for shown in sides):
            return
        own = late.own_side.own_side(self.repo.replica, sides, name)
        # What is undecided may turn out to go on from the other one: that is no reason to leave it.
        if own is None or own.label == name or any(shown.undecided for shown in (own, resolved.shown) if shown):
            return
        self._told.add(name)
        warn(
            f"session {name!r} is not the conversation that this machine last saved under that name: that one goes by "
            f'{own.label!r} now. load_session({own.label!r}) goes on with it, and with diverged = "own" in [session] '
            f"so does {name!r}. get_session_info({own.label!r}).sides names the other sides, and "
            f"branches.merge({own.label!r}, {name!r}) makes them one session again"
        )

    def _mended(self, *names: str, act: Callable[[], _T]) -> _T:
        """Do something with sessions; where a ref of ours is damaged, what is recorded of it goes on in its place."""
        try:
            return act()
        except CorruptionError:
            if not any(list(map(partial(late.put_back.mend, self.repo), names))):
                raise
            return act()

    def _warn_if_reverted(self, name: str, resolved: Resolved) -> None:
        shown, record = resolved.shown, self.repo.machine.record
        # Which ref is our own takes a longer look than whether one of them differs from what we recorded.
        if shown is None or not any(verdict.differs(record, head) for head in (shown.head, *shown.covered)):
            return
        own = resolved.own
        if own is not None and verdict.is_reverted(self.repo, own):
            warn(
                f"session {name!r}: {self.repo.backend.locate(own.key)} lacks some of what this machine has saved; "
                + ("a manager that is not read_only puts" if self.repo.settings.read_only else "the next save puts")
                + " that back"
            )

    def may_exist(self, name: str) -> bool:
        # Only where that is quicker than loading, which looks as well.
        if not self.repo.index.freshness.is_recent:
            return True
        with self.repo.index.making(self.repo.replica):
            return bool(related(self.repo.index, name))

    def load_partial(self, name: str) -> Session | None:
        # Imported late: hardly any program comes here.
        from .content.partial import PartialSource

        name = self.meant(name)
        resolved = self._resolve(name)
        self._warn_if_apart(name, resolved)
        shown = resolved.shown
        if shown is None:
            return None
        head = shown.head
        refuse_too_large(head, head.start, head.count, self.repo.settings.max_session_bytes)
        source = PartialSource.of(head)
        return self._stored(shown, source, missing=source.missing)

    def _open(self, shown: Shown) -> Session:
        cursor = Cursor(shown.head)
        session = self._stored(shown, self._cursors.source(cursor))
        self._cursors[session] = cursor
        return session

    def _stored(self, shown: Shown, source: MessageSource, missing: int = 0) -> Session:
        head = shown.head
        state = SessionState(
            shown.label,
            WorkingCopy(source),
            WorkingMetadata(dict(head.values())),
            created=decode_time(head.header.created),
            updated=decode_time(head.updated),
            parent=head.parent_name,
            diverged_from=shown.diverged_from,
            missing=missing,
        )
        return Session._holding(state)

    def delete(self, name: str) -> None:
        known = [head for _, head in self._cursors.showing(name)]
        if not self._mended(name, act=lambda: late.lifecycle.delete(self.repo, name, known=known)):
            raise SessionNotFoundError(name)

    def list_all(self) -> list[SessionInfo]:
        return late.listing.list_infos(self.repo)

    def list_named(self, prefix: str) -> list[SessionInfo]:
        found = late.listing.find_named(self.repo, prefix) if prefix else None
        return super().list_named(prefix) if found is None else found

    def look(self) -> list[SessionInfo]:
        """Return what `list_all` does, without writing the index down: for those who look all the time."""
        return late.listing.list_infos(self.repo, keep=False)

    def info(self, name: str) -> SessionInfo | None:
        return late.listing.find_info(self.repo, name)

    def create(self, session: Session) -> None:
        self.ready_to_save()
        draft, held = Draft(self.repo.objects, self.repo.sizes), session._state
        if session._hooks is None:
            draft.extend(held.splice_all())
            values = held.metadata.everything()
        else:
            lines, values = session._hooks.before_create(session)
            draft.extend(lines)
        found = held.found()
        now = self.repo.now()
        metadata = {key: Stamped(now, value) for key, value in values.items()}
        draft.finish()
        try:
            head = late.lifecycle.create(
                self.repo,
                session.name,
                late.refs.Content(*late.refs.hide(draft)),
                metadata,
                created=encode_time(held.created),
                updated=encode_time(held.updated),
                attempted=self._cursors.attempts_to_create(session),
            )
        except late.attempts.AttemptLandedError as landed:
            self._cursors.rebase(session, landed.head, landed.attempt.metadata)
            self.save(session)
        else:
            self._cursors.mark_saved(session, head, found)

    def branch(
        self,
        parent: Session,
        name: str,
        at: int | None,
        *,
        created_at: datetime | None = None,
        updated_at: datetime | None = None,
    ) -> Session:
        cursor = self._cursors.get(parent)
        if cursor is None:
            return super().branch(parent, name, at, created_at=created_at, updated_at=updated_at)
        splice, change = parent._state.splice(), parent._state.metadata.change()
        if parent._hooks is not None:
            splice, change = parent._hooks.before_save(parent, splice, change)
            # They may have left fewer messages.
            at = None if at is None else min(at, splice.result_count())
            cursor = self._cursors[parent]
        head = cursor.state
        if parent.has_unsaved_changes and not self.repo.has(head):
            # What it stands on may be gone from the store; otherwise it was read just now.
            head.messages.secure()
            head = head.without_purged()
        metadata = late.refs.merged(self.repo, head, change)
        # A side's name that was made up for a list is not written down; a rename that came meanwhile is.
        origin = head.name if head.name in origins(parent.name) else parent.name
        forked = late.lifecycle.fork(
            *(self.repo, head, splice, name),
            parent=origin,
            metadata=metadata,
            at=at,
            created=encode_time(created_at) if created_at else None,
            updated=encode_time(updated_at) if updated_at else None,
        )
        return self._open(Shown(name, forked))

    def rename(self, old: str, new: str) -> None:
        before = self._cursors.showing(old)
        known = [head for _, head in before]
        renamed = self._mended(old, new, act=lambda: late.lifecycle.rename(self.repo, old, new, known=known))
        if renamed is None:
            raise SessionNotFoundError(old)
        for session, head in self._cursors.states():
            # One without unsaved changes is refreshed by whoever opened it.
            if head.key == renamed.key and late.lifecycle.steps_from(renamed, head) and session.has_unsaved_changes:
                # What is not saved yet was changed against the same messages: it applies after the rename too. And an
                # object that is still called what the session was called before others renamed it gets its name now.
                self._cursors.stand_on(session, Cursor(renamed))
        for session, head in before:
            if head.key != renamed.key and late.lifecycle.steps_from(renamed, head):
                # What is in the ref that it was read from was not shown, and keeps the name.
                self._cursors.stand_on(session, Cursor(renamed))

    def is_branch_of(self, info: SessionInfo, parent: str) -> bool:
        # Recorded is the name that the parent is written under, not one that it went by beside others.
        if info.parent is None or info.parent in origins(parent):
            return info.parent is not None
        return any(info.parent in row.former_names and row.name == parent for row in related(self.repo.index, parent))

    def refresh(self, session: Session) -> bool:
        cursor, before = self._cursors.get(session), session.name
        head = cursor.state if cursor is not None else None
        shown = self._follow(session)
        if shown is None:
            return False
        if session.name != before:
            # That was said just now, to whoever opens the session by this name again.
            self._told.add(before)
        current = shown.head
        seen = (head.key, head.token, head.metadata, head.updated) if head is not None else None
        now = (current.key, current.token, current.metadata, current.updated)
        # A rename may have moved the session on to a head that it does not show yet.
        if seen != now or session._state.metadata.saved != current.values():
            self._cursors.take(session, current)
        return True

    def update_name(self, session: Session) -> None:
        self._follow(session)

    def reload(self, session: Session) -> bool:
        """Bring a session to the state that is kept, dropping unsaved changes; False where none is kept."""
        shown = self._follow(session)
        if shown is not None:
            self._cursors.take(session, shown.head)
        return shown is not None

    def catch_up(self, session: Session) -> None:
        cursor = self._cursors.get(session)
        held = session._state
        splice, metadata = held.splice(), held.metadata.change()
        if cursor is None or not splice.appends:
            return
        if session._hooks is not None:
            splice, metadata = session._hooks.before_save(session, splice, metadata)
        shown = self._follow(session)
        if shown is None or not shown.head.only_adds_to(cursor.state):
            return
        stored = self._cursors.source(Cursor(shown.head)).read(splice.saved, shown.head.live_count)
        there = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(stored, splice.lines, strict=False)))
        if there:
            self._cursors.take(session, shown.head)
            held.copy.extend(splice.lines[there:])
            held.metadata.apply(metadata)

    def _follow(self, session: Session) -> Shown | None:
        """Find where a session has got to, and give it the name that it goes by now."""
        cursor = self._cursors.get(session)
        shown = (resolve(self.repo, session.name) if cursor is None else follow(self.repo, cursor)).shown
        if shown is not None:
            go_by_label(session, shown)
        return shown

    def kept_aside(self) -> list[SessionInfo]:
        from .reverts.kept_aside import kept_aside

        return kept_aside(self.repo)

    def bring_back(self, name: str | None = None) -> list[SessionInfo]:
        from .reverts.kept_aside import bring_back

        return bring_back(self.repo, name)

    def stats(self) -> StoreStats:
        from .maintenance.stats import stats

        return stats(self.repo)

    def ready_to_save(self) -> None:
        _ = late.save, late.resolve

    def opened(self, session: Session) -> None:
        self._cursors.forget_attempts(session)

    def bulk(self, progress: Callable[[int], object] | None = None) -> AbstractContextManager[None]:
        from .bulk import Bulk

        self._bulk = Bulk(self.repo, progress)
        return self._bulk

    def recover(self) -> None:
        self.repo.recover()

    def close(self) -> None:
        if self._bulk is not None:
            self._bulk.finish()
        if not self.repo.settings.read_only:
            late.put_back.at_close(self.repo)
            # Of a store that is gone, whoever comes to it next is told.
            with suppress(StoreError):
                if self.repo.backend.replica_files():
                    late.obeying.obey(self.repo, self.repo.settings.purge_from, again=self._was_moved)
                    late.letting_go.at_close(self.repo)
        self.repo.index.keep()
        self.repo.backend.close()


def engine_of(storage: SessionStorage) -> RepoStorage | None:
    """Return the engine behind a storage, None where there is none."""
    engine = storage.engine()
    assert engine is None or isinstance(engine, RepoStorage), "what `SessionStorage.engine` promises"
    return engine
