"""The open sessions of a manager: one object for each name, as long as anybody holds it."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ..errors import SessionConflictError, SessionNotFoundError, StoreError, tell
from ..format.names import origin
from ..process import forks
from ..process.interrupts import give_up
from ..process.operations import Operations, operation
from ..process.uncopied import Uncopied
from ..session.session import Session
from ..storage import SessionStorage, carry_former_names, name_taken, note_origin
from .autosave import Autosave

if TYPE_CHECKING:
    from ..hooks.hooks import Hooks
    from ..session.counting import Counters

_T = TypeVar("_T")


class OpenSessions(Uncopied):
    """The session objects that a manager has handed out, held weakly.

    It is their owner: see `session.session.SessionOwner`.

    Args:
        storage: where they are kept.
        autosave: is told of what may have changed.
        limit: the largest size of a session in bytes.
        counters: the manager's token counters.

    Attributes:
        lock: excludes other threads from looking up a name, and from what follows from the answer. Not to be kept:
            a child of `os.fork` gets another one.
        operations: those of the manager.
        hooks: those of the manager, None as long as it has none.
        touched: notes that a session may have unsaved changes.
    """

    def __init__(
        self,
        storage: SessionStorage,
        autosave: Autosave,
        *,
        limit: int,
        counters: Counters,
    ) -> None:
        self.lock = threading.RLock()
        self._operations = self.operations = Operations(self._recover)
        self.hooks: Hooks | None = None
        self._storage = storage
        self._autosave = autosave
        self.touched: Callable[[Session], None] = self._first_touched
        self._limit = limit
        self._counters = counters
        self._by_name: weakref.WeakValueDictionary[str, Session] = weakref.WeakValueDictionary()
        # What was said of sessions that were left to the parent.
        self._told: weakref.WeakKeyDictionary[Session, str] = weakref.WeakKeyDictionary()
        forks.renew(self, forks.Floor.FRONT)

    def _first_touched(self, session: Session) -> None:
        # From now on without a step in between: every message that is added passes here, be it in a signal handler.
        self.touched = self._autosave.touched
        self.touched(session)
        with suppress(StoreError):
            # What is wrong now may be mended by the time it is saved.
            self._storage.ready_to_save()

    def __iter__(self) -> Iterator[Session]:
        # Not values(), which fails where another thread opens a session meanwhile.
        return filter(None, [ref() for ref in self._by_name.valuerefs()])

    def get(self, name: str) -> Session | None:
        """Return the open object of a session as it is, if there is one."""
        session = self._by_name.get(name)
        if session is None and (before := origin(name)):
            # One that is kept under the name it had may go by this one now, since others went on with it too.
            for ref in self._by_name.valuerefs():
                each = ref()
                if each is not None and before == (each.diverged_from or each.name):
                    # Whoever opens that one is told what is wrong with it.
                    with suppress(StoreError):
                        self._update_name(each)
            session = self._by_name.get(name)
        return session

    def meant(self, name: str) -> str:
        """Return the name of the session that a name means, for a verb that must not take another's for it.

        Raises:
            SessionConflictError: the name is another conversation's, while what this machine, or this manager, has
                under it goes by another one.
        """
        label = self._storage.meant(name)
        session = self._by_name.get(name)
        if session is not None:
            self._update_name(session)
            if session.name != name and session.diverged_from == name:
                label = session.name
        holder = self._storage.info(name) if label != name else None
        if holder is not None:
            again = self._storage.meant(name) == name
            raise SessionConflictError(
                f"session {name!r}: what you have under this name goes by {label!r}, and {name!r} is the conversation "
                f"that replica {holder.replica!r} wrote. Nothing was changed: give {label!r} for yours, and for the "
                + (f"other one {name!r} again" if again else 'other one use a manager with diverged = "shared"'),
                sides=(label, name),
            )
        self.get(label)
        return label

    def _update_name(self, session: Session) -> None:
        """Keep a session under the name that it goes by now."""
        with session._lock:
            before = session.name
            self._storage.update_name(session)
        if session.name != before and self._by_name.get(before) is session:
            self._move(before, session)

    def around(self, name: str, change: Callable[[str, Session | None], _T]) -> _T:
        """Change a stored session: call `change` with the name that is meant, and with the open object of it, locked.

        Other threads that look a name up wait until that is done. The open object is to follow, by `renamed` or
        `let_go`. No generator: one that an interrupt has thrown away would release the locks again, later.

        Raises:
            SessionConflictError: see `meant`.
        """
        with self.lock:
            name = self.meant(name)
            session = self.get(name)
            with session._lock if session is not None else nullcontext():
                return change(name, session)

    def find(self, name: str) -> Session | None:
        """Return the open object of a session in its newest state, or open it; None where there is no such session.

        An open object is what its name means as long as it goes by it.
        """
        session = self.get(name)
        if session is not None and session.name != name:
            self._move(name, session)
        elif session is not None:
            # Its own thread may be at work on it, while another one only looks at every session.
            with session._lock:
                if session.has_unsaved_changes:
                    return session
                session._left_to = 0
                before = session._state.copy.source, session._state.metadata.saved
                if self._storage.refresh(session):
                    self._mark_saved(session)
                    if session.name != name:
                        self._move(name, session)
                    if (session._state.copy.source, session._state.metadata.saved) != before or before[0] is None:
                        self._show(session)
                    if session.name == name:
                        return session
                else:
                    self.let_go(session)
        loaded = self._storage.load_meant(name)
        if loaded is None:
            return None
        if loaded.name != name and self.get(loaded.name) is not None:
            return self.find(loaded.name)
        return self._show(self.add(loaded))

    def add(self, session: Session) -> Session:
        """Become the owner of a session as it is stored."""
        if isinstance(session._owner, OpenSessions) and session._owner is not self:
            session._owner.let_go(session)
        session._owner = self
        session._state.limit = self._limit
        session._counters = self._counters
        self._by_name[session.name] = session
        # In this order: `use` sets its hooks, then looks who is there.
        session._hooks = self.hooks
        if not self._storage.tracks_changes:
            note_origin(session)
        self._mark_saved(session)
        self._storage.opened(session)
        return session

    def let_go(self, session: Session) -> None:
        """Own a session no more: an explicit save may store it again, autosave must not."""
        self._autosave.forget(session)
        session._owner = session._hooks = None
        if self._by_name.get(session.name) is session:
            del self._by_name[session.name]

    def create(self, session: Session) -> None:
        """Store a session that is not open here under its name, which must be free, and open it."""
        if self._storage.meant(session.name) != session.name:
            raise name_taken(session.name)
        before = session._state.limit, session._hooks
        session._state.limit, session._hooks = self._limit, self.hooks
        try:
            session._state.check()
            self._storage.create(session if self._storage.tracks_changes else self.as_stored(session))
        except BaseException:
            # It may still be another manager's, whose hooks and limit hold for it.
            session._state.limit, session._hooks = before
            raise
        self.add(session)

    def replace(self, session: Session, other: Session, save: Callable[[Session], object]) -> None:
        """Let an open session hold what one that is not open does.

        Args:
            save: saves the open one as it is; so what was not saved yet is in its history too.
        """
        # Checked before anything changes: what cannot be saved must not stand in an open session.
        other._state.limit, other._hooks = self._limit, self.hooks
        other._state.check()
        other = self.as_stored(other)
        if session.has_unsaved_changes:
            save(session)
        session.messages, session.metadata = other.messages, other.metadata

    def save_if(
        self, session: Session, on_conflict: str | None, expected: str | None, updated: datetime | None
    ) -> None:
        """Save an open session under conditions: see `SessionStorage.save_if`."""
        if self._storage.tracks_changes:
            # One that wraps another may not know of a time.
            dated = {} if updated is None else {"updated_at": updated}
            self._storage.save_if(session, on_conflict=on_conflict, expected=expected, **dated)
            return
        if on_conflict == "raise" and expected is None:
            expected = self._storage.revision(session)
        save: Callable[[Session], object] = partial(self._storage.save_if, on_conflict=on_conflict, expected=expected)
        if on_conflict is None and expected is None:
            save = self._storage.save
        with session._state.dated(updated):
            self.save_whole(session, save, is_dated=updated is not None)

    def save_whole(self, session: Session, save: Callable[[Session], object], *, is_dated: bool = False) -> None:
        """Save an open session to a storage that does not track changes.

        Args:
            is_dated: it has the time that is to be stored.
        """
        session._state.check()
        changed = session.has_unsaved_changes
        if changed and not is_dated:
            # What was changed in the live list or dict has moved no time yet.
            session._changed()
        stored = self.as_stored(session) if changed else session
        session._state.metadata.everything()
        found = session._state.found()
        save(stored)
        session._state.mark_all_saved(found)

    def is_left_to_parent(self, session: Session) -> bool:
        """Tell whether unsaved changes are left to the process that had them when it forked this one, and say so.

        That one saves them, if it has not ended; from here they would be stored a second time.
        """
        owner = session._left_to
        if not owner:
            return False
        with session._lock:
            if forks.is_gone(owner):
                # A daemon: whoever started it has perhaps saved at its end.
                self._storage.catch_up(session)
                session._left_to = 0
                return False
            text = (
                f"session {session.name!r} was not saved by process {os.getpid()} ({session._state.unsaved()}): it had "
                f"unsaved changes when this process was forked, and is left to process {owner} with all that is "
                "unsaved; save_session() would store that from here"
            )
        if self._told.get(session) != text:
            self._told[session] = text
            tell(text)
        return True

    def saved_as(self, session: Session, before: str) -> None:
        """Note that a save gave a session another name than it had before."""
        self._by_name.pop(before, None)
        self._by_name[session.name] = session

    def renamed(self, old: str, new: str) -> None:
        """Let the open object of a session follow a rename in the storage."""
        session = self._by_name.get(old)
        if session is None:
            # Others had renamed it before: here it is still kept under what it was called then.
            for each in self:
                if each.name == new:
                    self._by_name.setdefault(new, each)
            return
        # Kept under one of its names throughout: what an interrupt leaves locked is given back for those that are.
        changed = session.has_unsaved_changes
        self._by_name[new] = session
        session._state.name, session._state.diverged_from = new, None
        if old != new:
            self._by_name.pop(old, None)
        if changed:
            carry_former_names(self._storage.info(new), session)
        else:
            self._storage.refresh(session)
            self._mark_saved(session)

    def redact(self, option: str | list[str]) -> None:
        """Have what the option ``redact`` stands for taken out of everything that is kept, after all other hooks."""
        # Late, as the hooks of a program.
        from ..hooks.hooks import Hooks
        from ..hooks.redact import Redact
        from ..patterns import of_option

        hooks = Hooks(self._operations)
        hooks.add_last(Redact(of_option(option)))
        self.use(hooks)

    def use(self, hooks: Hooks) -> None:
        """Have these hooks called for all that is open, and for all that will be."""
        self.hooks = hooks
        for session in self:
            session._hooks = hooks

    def as_stored(self, session: Session) -> Session:
        """Return what a storage that reads sessions by itself is to store."""
        return session if self.hooks is None else self.hooks.as_stored(session)

    def revision(self, session: Session) -> str:
        """Return which stored state a session stands on; use `Session.revision`."""
        return self._storage.revision(session)

    @operation
    def reload(self, session: Session) -> None:
        """Bring a session to the state that is stored; use `Session.reload`."""
        self.show_stored(session)

    def show_stored(self, session: Session) -> None:
        """Do as `reload`, within an operation."""
        name = session.name
        if not self._storage.reload(session):
            raise SessionNotFoundError(name)
        if session.name != name and self._by_name.get(name) is session:
            self._move(name, session)
        session._left_to = 0
        self._mark_saved(session)
        self._show(session)

    def _move(self, name: str, session: Session) -> None:
        """Renamed elsewhere, or another side keeps the name: what has it now is another object."""
        del self._by_name[name]
        self._by_name.setdefault(session.name, session)

    def _show(self, session: Session) -> Session:
        """Let the hooks see a session whose state was read just now."""
        if self.hooks is not None:
            try:
                self.hooks.after_load(session)
            except BaseException:
                self.let_go(session)
                raise
        return session

    def _mark_saved(self, session: Session) -> None:
        """For a storage that does not track changes itself: what the session holds now is what is stored."""
        if not self._storage.tracks_changes:
            session._state.mark_all_saved()

    def _recover(self) -> None:
        """Give back what an interrupted operation of this thread holds; see `Operations`."""
        for session in self:
            give_up(session._lock)
        self._autosave.recover()
        self._storage.recover()
        give_up(self.lock)

    def after_fork(self) -> None:
        """In a child of os.fork: what is unsaved is left to the parent."""
        self.lock = threading.RLock()
        self._told.clear()
        self.operations.after_fork()
        sessions = {*self, *self._autosave.held()}
        for session in sessions:
            session._lock = threading.RLock()
        for session in sessions:
            # A storage that ends with the process is the child's own.
            if not self._storage.outlives_process or not session._state.seems_changed():
                session._left_to = 0
            elif not session._left_to:
                session._left_to = forks.parent()
