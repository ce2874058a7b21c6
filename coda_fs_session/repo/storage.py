"""The engine as a `SessionStorage`: sessions in front, refs and objects behind."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, TypeVar

from ..errors import CorruptionError, SessionNotFoundError, StoreError, warn
from ..format.names import origins
from ..format.records import Stamped, decode_time, encode_time
from ..format.tree import Entry
from ..process.uncopied import Uncopied
from ..session.metadata import WorkingMetadata
from ..session.session import Session, SessionInfo
from ..session.state import Found, SessionState
from ..session.working_copy import MessageSource, WorkingCopy
from ..storage import SessionStorage, StoreStats
from .ancestry.resolve import Shown
from .content.messages import Draft
from .content.state import Attempt, Cursor, State
from .lookup.listing import find_info, list_infos
from .lookup.names import Resolved, follow, related, resolve
from .lookup.own_side import find_own_side, own_side
from .repository import Repository
from .reverts import put_back, verdict
from .source import CursorSource, refuse_too_large
from .writing import lifecycle, refs
from .writing import save as saving
from .writing.attempts import AttemptLandedError, check_attempts

if TYPE_CHECKING:
    from .bulk import Bulk

_T = TypeVar("_T")


def _goes_on_from(before: State, now: State) -> bool:
    """Tell whether messages were only added to a session since."""
    count = before.messages.count
    return (
        now.start == before.start
        and now.messages.count >= count
        and now.messages.chain_at(count) == before.messages.chain_at(count)
    )


class RepoStorage(Uncopied, SessionStorage):
    """Keeps sessions in a repository.

    A save is durable when it returns, and safe beside other processes and machines.
    """

    lists_newest_first = True
    tracks_changes = True

    def __init__(self, repo: Repository) -> None:
        self.repo = repo
        self._cursors: weakref.WeakKeyDictionary[Session, Cursor] = weakref.WeakKeyDictionary()
        self._attempts: weakref.WeakKeyDictionary[Session, dict[str, Attempt]] = weakref.WeakKeyDictionary()
        self.outlives_process = repo.backend.capabilities.persistent
        self._bulk: Bulk | None = None  # the last one
        self._told: set[str] = set()  # names of which it was said that they mean another conversation now
        put_back.at_open(repo)

    def engine(self) -> RepoStorage:
        return self

    def now(self) -> datetime:
        """Return the time by the clock of the store; raises as `Repository.now`."""
        return decode_time(self.repo.now())

    def save(self, session: Session) -> None:
        cursor = self._cursors.get(session)
        if cursor is None:
            self.create(session)
            return
        held = session._state
        while True:
            splice = held.splice()
            metadata = held.metadata.change()
            if session._hooks is not None:
                splice, metadata = session._hooks.before_save(session, splice, metadata)
                # They may have saved it themselves.
                cursor = self._cursors[session]
            # What comes into the session from now on is no part of this save.
            messages, values = held.copy.found, held.metadata.found
            saved: saving.Saved | None = None
            state: State | None = None
            try:
                if (splice.lines or metadata) or not splice.empty:
                    state = saving.append(self.repo, cursor, splice, metadata)
                    if state is None:
                        saved = saving.save(self.repo, cursor, splice, metadata)
                else:
                    # What was taken back after an error may be in the store all the same.
                    check_attempts(self.repo, cursor)
            except AttemptLandedError as landed:
                cursor = self._rebase(session, landed)
                continue
            source = held.copy.source
            if state is not None and not metadata and isinstance(source, CursorSource) and source.cursor is cursor:
                count, updated = splice.result_count(), state.updated
                # As `_complete`, spelled out for the common case.
                try:
                    cursor.state = state
                    held.advance(count, messages, updated)
                except BaseException:
                    cursor.state = state
                    held.advance(count, messages, updated)
                    raise
                cursor.attempted = {}
            else:
                self._mark_saved(session, saved or saving.Saved(state or cursor.state), Found(messages, values))
            return

    def meant(self, name: str) -> str:
        own = find_own_side(self.repo, name) if self.repo.settings.diverged == "own" else None
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
        if resolved.doubt is not None and put_back.mend(self.repo, name):
            return resolve(self.repo, name)
        return resolved

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
        own = own_side(self.repo.replica, sides, name)
        # What is undecided may turn out to go on from the other one: that is no reason to leave it.
        if own is None or own.label == name or any(shown.undecided for shown in (own, resolved.shown) if shown):
            return
        self._told.add(name)
        warn(
            f"session {name!r} is not the conversation that this machine last saved under that name: that one goes by "
            f'{own.label!r} now. load_session({own.label!r}) goes on with it, and with diverged = "own" in [session] '
            f"so does {name!r}. get_session_info({own.label!r}).sides names the other sides"
        )

    def _mended(self, *names: str, act: Callable[[], _T]) -> _T:
        """Do something with sessions; where a ref of ours is damaged, what is recorded of it goes on in its place."""
        try:
            return act()
        except CorruptionError:
            if not any(list(map(partial(put_back.mend, self.repo), names))):
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
                "that is put back by the next save"
            )

    def may_exist(self, name: str) -> bool:
        # Only where that is quicker than loading, which looks as well.
        if not self.repo.index.is_recent:
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
        session = self._stored(shown, source)
        session._state.missing = source.missing
        return session

    def _open(self, shown: Shown) -> Session:
        cursor = Cursor(shown.head)
        session = self._stored(shown, self._source(cursor))
        self._cursors[session] = cursor
        return session

    def _source(self, cursor: Cursor) -> CursorSource:
        return CursorSource(cursor, self.repo.settings.max_session_bytes)

    def _stored(self, shown: Shown, source: MessageSource) -> Session:
        head = shown.head
        parent = head.header.parent
        state = SessionState(
            shown.label,
            WorkingCopy(source),
            WorkingMetadata(dict(head.values())),
            created=decode_time(head.header.created),
            updated=decode_time(head.updated),
            parent=parent.name if parent else None,
            diverged_from=shown.diverged_from,
        )
        return Session._holding(state)

    def delete(self, name: str) -> None:
        known = [head for _, head in self._open_as(name)]
        if not self._mended(name, act=lambda: lifecycle.delete(self.repo, name, known=known)):
            raise SessionNotFoundError(name)

    def list_all(self) -> list[SessionInfo]:
        return list_infos(self.repo)

    def look(self) -> list[SessionInfo]:
        """Return what `list_all` does, without writing the index down: for those who look all the time."""
        return list_infos(self.repo, keep=False)

    def info(self, name: str) -> SessionInfo | None:
        return find_info(self.repo, name)

    def create(self, session: Session) -> None:
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
            head = lifecycle.create(
                self.repo,
                session.name,
                refs.Content(draft.base(), draft.loose),
                metadata,
                created=encode_time(held.created),
                updated=encode_time(held.updated),
                attempted=self._attempts.setdefault(session, {}),
            )
        except AttemptLandedError as landed:
            self._rebase(session, landed)
            self.save(session)
        else:
            self._mark_saved(session, saving.Saved(head), found)

    def branch(self, parent: Session, name: str, at: int | None) -> Session:
        cursor = self._cursors.get(parent)
        if cursor is None:
            return super().branch(parent, name, at)
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
        metadata = refs.merged(self.repo, head, change)
        # A side's name that was made up for a list is not written down; a rename that came meanwhile is.
        origin = head.name if head.name in origins(parent.name) else parent.name
        forked = lifecycle.fork(self.repo, head, splice, name, parent=origin, metadata=metadata, at=at)
        return self._open(Shown(name, forked))

    def rename(self, old: str, new: str) -> None:
        before = self._open_as(old)
        known = [head for _, head in before]
        renamed = self._mended(old, new, act=lambda: lifecycle.rename(self.repo, old, new, known=known))
        if renamed is None:
            raise SessionNotFoundError(old)
        for session, head in self._standing():
            # One without unsaved changes is refreshed by whoever opened it.
            if head.key == renamed.key and lifecycle.steps_from(renamed, head) and session.has_unsaved_changes:
                # What is not saved yet was changed against the same messages: it applies after the rename too. And an
                # object that is still called what the session was called before others renamed it gets its name now.
                self._stand_on(session, Cursor(renamed))
        for session, head in before:
            if head.key != renamed.key and lifecycle.steps_from(renamed, head):
                # What is in the ref that it was read from was not shown, and keeps the name.
                self._stand_on(session, Cursor(renamed))

    def _open_as(self, name: str) -> list[tuple[Session, State]]:
        """Return the open sessions of a name, with the states that they show."""
        return [(session, head) for session, head in self._standing() if session.name == name]

    def _standing(self) -> Iterator[tuple[Session, State]]:
        # Not items(), which fails where another thread stores a session meanwhile.
        for session in filter(None, [ref() for ref in self._cursors.keyrefs()]):
            yield session, self._cursors[session].state

    def is_branch_of(self, info: SessionInfo, parent: str) -> bool:
        # Recorded is the name that the parent is written under, not one that it went by beside others.
        if info.parent is None or info.parent in origins(parent):
            return info.parent is not None
        return any(info.parent in row.former_names and row.name == parent for row in self.repo.index.named(parent))

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
            self._take(session, current)
        return True

    def update_name(self, session: Session) -> None:
        self._follow(session)

    def reload(self, session: Session) -> bool:
        """Bring a session to the state that is kept, dropping unsaved changes; False where none is kept."""
        shown = self._follow(session)
        if shown is None:
            return False
        self._take(session, shown.head)
        return True

    def catch_up(self, session: Session) -> None:
        cursor = self._cursors.get(session)
        held = session._state
        splice, metadata = held.splice(), held.metadata.change()
        if cursor is None or not splice.appends:
            return
        if session._hooks is not None:
            splice, metadata = session._hooks.before_save(session, splice, metadata)
        shown = self._follow(session)
        if shown is None or not _goes_on_from(cursor.state, shown.head):
            return
        stored = self._source(Cursor(shown.head)).read(splice.saved, shown.head.live_count)
        there = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(stored, splice.lines, strict=False)))
        if there:
            self._take(session, shown.head)
            held.copy.extend(splice.lines[there:])
            held.metadata.apply(metadata)

    def _follow(self, session: Session) -> Shown | None:
        """Find where a session has got to, and give it the name that it goes by now."""
        cursor = self._cursors.get(session)
        shown = (resolve(self.repo, session.name) if cursor is None else follow(self.repo, cursor)).shown
        if shown is None:
            return None
        before, held = session.name, session._state
        held.name, held.diverged_from = shown.label, shown.diverged_from
        if shown.label != before and shown.diverged_from is not None:
            warn(
                f"session {before!r} was continued on another machine too; what you have open is now called "
                f"{shown.label!r}: get_session_info({shown.label!r}).sides names the other sides, and .diverged_at is "
                "where they part"
            )
        return shown

    def kept_aside(self) -> list[SessionInfo]:
        from .reverts.kept_aside import kept_aside

        return kept_aside(self.repo)

    def bring_back(self, name: str | None = None) -> list[SessionInfo]:
        from .reverts.kept_aside import bring_back

        return bring_back(self.repo, name)

    def stats(self) -> StoreStats:
        infos = [info for info in self.list_all() if info.error is None]
        heads = [head for info in infos if (head := resolve(self.repo, info.name).head) is not None]
        uses: Counter[tuple[str, int]] = Counter()
        for head in heads:
            # Totals do not need every list node; loading says what is wrong with a session.
            with suppress(StoreError):
                uses.update(self._message_objects(head))
        stored = [size for _, size in self.repo.backend.objects()]
        of_refs = sum(self.repo.backend.ref_sizes())
        return StoreStats(
            sessions=len(infos),
            messages=sum(info.message_count for info in infos),
            logical_bytes=sum(info.size_bytes for info in infos),
            stored_bytes=sum(stored) + of_refs,
            objects=len(stored),
            shared_bytes=sum((count - 1) * size for (_, size), count in uses.items()),
        )

    def opened(self, session: Session) -> None:
        self._attempts.pop(session, None)

    def bulk(self) -> AbstractContextManager[None]:
        from .bulk import Bulk

        self._bulk = Bulk(self.repo)
        return self._bulk

    def recover(self) -> None:
        self.repo.recover()

    def close(self) -> None:
        if self._bulk is not None:
            self._bulk.finish()
        put_back.at_close(self.repo)
        self.repo.index.keep()
        self.repo.backend.close()

    def _message_objects(self, head: State) -> Counter[tuple[str, int]]:
        """Count how often each object, with its size, is used for a session's messages."""
        # A level at a time, and a node once however often it is named: a small store can say that it has any number.
        nodes: Counter[Entry] = Counter()
        for level in reversed(head.header.base.spine.levels):
            below: Counter[Entry] = Counter()
            for node, count in nodes.items():
                for entry in self.repo.objects.node(node):
                    below[entry] += count
            below.update(level)
            nodes = below
        found: Counter[tuple[str, int]] = Counter({(entry.id, entry.bytes): count for entry, count in nodes.items()})
        tail = head.header.base.tail
        if tail is not None:
            found[tail.id, tail.bytes] += 1
        return found

    def _mark_saved(self, session: Session, saved: saving.Saved, found: Found) -> None:
        """Let a session stand on the state that its save led to."""
        head = saved.state
        cursor = self._moved(session, head)
        source = self._source(cursor)

        def mark() -> None:
            session._state.mark_saved(
                source, dict(head.values()), decode_time(head.updated), found, merged=saved.merged
            )
            session._state.parent = head.header.parent.name if head.header.parent else None
            self._stand_on(session, cursor)

        _complete(mark)

    def _rebase(self, session: Session, landed: AttemptLandedError) -> Cursor:
        """Let a session stand on a state that has part of its changes; what it holds stays."""
        head, sent = landed.head, landed.attempt.metadata
        cursor = self._moved(session, head)
        source = self._source(cursor)
        # It may have to be read, which may fail.
        session._state.copy.live()

        def rebase() -> None:
            session._state.rebase(source, dict(head.values()), sent)
            self._stand_on(session, cursor)

        _complete(rebase)
        return cursor

    def _moved(self, session: Session, head: State) -> Cursor:
        """Return the cursor of a session that is to stand on another state."""
        cursor = self._cursors.get(session)
        return cursor.moved(head) if cursor is not None else Cursor(head)

    def _stand_on(self, session: Session, cursor: Cursor) -> None:
        """Let a session be that of a state, which may have become a branch of its own."""
        before, name = self._cursors.get(session), cursor.state.name
        if before is None or before.state.name != name:
            held = session._state
            held.name, held.diverged_from = name, None
        self._cursors[session] = cursor

    def _take(self, session: Session, head: State) -> None:
        """Show a state in a session, with nothing of the session's own kept."""
        parent = head.header.parent
        cursor = self._moved(session, head)
        source = self._source(cursor)

        def take() -> None:
            session._state.show(
                source,
                dict(head.values()),
                created=decode_time(head.header.created),
                updated=decode_time(head.updated),
                parent=parent.name if parent else None,
            )
            self._cursors[session] = cursor

        _complete(take)


def engine_of(storage: SessionStorage) -> RepoStorage | None:
    """Return the engine behind a storage, None where there is none."""
    engine = storage.engine()
    assert engine is None or isinstance(engine, RepoStorage), "what `SessionStorage.engine` promises"
    return engine


def _complete(step: Callable[[], None]) -> None:
    """Do all of a step, also where somebody interrupts it: then once more before the interrupt goes on.

    A session and the head that it stands on must not part. What may fail in a step comes first in it.
    """
    try:
        step()
    except BaseException:
        step()
        raise
