"""The verbs that save: one session, all of them, many in a row."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from ..errors import UnsupportedError, warn
from ..process.operations import operation
from ..process.weakly import Weakly
from . import late
from .checks import OnConflict, checked_save
from .core import Manager


class Saving(Manager):
    """What a manager does to store what sessions hold."""

    _bulk: late.Bulk | None
    _collecting: Weakly[late.Transaction]

    @operation
    def save_session(
        self,
        session: late.Session,
        *,
        on_conflict: OnConflict | None = None,
        expected: str | None = None,
        updated_at: late.datetime | None = None,
    ) -> None:
        """Store what the session holds now; durable when this returns, and cheap however long the session is.

        One that this manager did not open is created.

        Args:
            on_conflict: for this save in place of the option: where the session grew elsewhere since it was opened,
                "append" after that, "branch", or "raise". "raise" refuses any change elsewhere, also of metadata alone.
            expected: save only if what is stored is at this `Session.revision`; "" if nothing is stored. No other
                process of this machine saves in between. What another machine saved counts once its files are here.
            updated_at: the time that the session shows as its last change, for importers: now where not given. Naive
                datetimes are local time, and it may lie in the future. The next save without it shows now.

        Raises:
            SessionExistsError: this manager did not open the session, and its name is taken.
            SessionConflictError: it was changed elsewhere so that these changes do not apply, or it is not as expected;
                nothing was written. The session holds its changes: `Session.reload` drops them, and otherwise autosave
                and `close` save them.
            UnsupportedError: a storage of your own cannot do as `on_conflict` says.
            InvalidMessageError, SessionTooLargeError: it cannot be stored as it is; nothing was written.
            TypeError, ValueError: an argument is not possible, such as a time of the year 1; nothing was written.
            StoreReadOnlyError: the store cannot be written; as PartialSessionError, the session lacks messages
                (`Session.missing`).
            StoreError: nothing was saved. The session holds everything, and can be saved again.
        """
        updated = None
        # Nearly always there is nothing to check but this.
        if (on_conflict, expected, updated_at) != (None, None, None) or not isinstance(session, late.Session):
            updated = checked_save(session, on_conflict, expected, updated_at)
        self._save(session, on_conflict, expected, updated)

    def save_all(self) -> None:
        """Save every open session that has unsaved changes.

        In a child of `os.fork`, sessions that had some already when it was forked are left to the parent, as long as
        that has not ended, and stderr says which; `save_session` saves them.

        Raises:
            SessionError: one could not be saved (the first such error, of a hook or a storage of your own whatever that
                raises; its notes name every such session); the others were.
        """
        failure: Exception | None = None
        for session in self._held():
            try:
                if session.has_unsaved_changes:
                    self._save_unasked(session)
            except Exception as error:
                failure = failure or error
                failure.add_note(f"session {session.name!r} was not saved ({session._state.unsaved()}): {error}")
        if failure is not None:
            raise failure

    def bulk(self, *, progress: Callable[[int], object] | None = None) -> AbstractContextManager[None]:
        """Return a block for many creates and saves in a row, as when importing: ``with manager.bulk():``.

        In the block a save of this thread is not yet durable; all are at its end, also after an exception. What the
        body saved before an interrupt such as Ctrl-C is saved. A crash may lose what was saved in the block, and
        nothing else. Other threads and processes may use the store meanwhile: a save of another thread is durable when
        it returns, and other processes see what is made in the block by its end.

        Args:
            progress: is called with how many sessions made in the block are durable, after each thousand or so and at
                the end. It cannot use this manager, which is at work: an UnsupportedError says so. An error in it comes
                out of the call that wrote them, and undoes nothing of that.

        Raises:
            SessionError: a block of this manager is under way.
            StoreError: at the end, what was saved in the block cannot be written. It is kept in memory: make what the
                error says possible, and call `close`, or save anything, which writes it too.
        """
        self._refuse_if_read_only("save")
        with self._sessions.lock:
            if self._bulk is None:
                self._bulk = late.Bulk(self._storage, self._operations, self._sessions.lock)
            self._bulk.refuse_nested()
            return self._bulk if progress is None else late.Reporting(self._bulk, progress)

    def transaction(self) -> late.Transaction:
        """Return a block whose changes are made in one go: ``with manager.transaction() as change:``.

        What is done through `change` is collected, and made at the end of the block: all or nothing, also after a crash
        or a full disk, and durable when the block is left. An exception in the block drops it all; sessions keep what
        they hold, as after a save that failed. What is done through the manager itself is done at once; in the block
        `branches` and `history` change nothing, and raise UnsupportedError.

        On this machine nobody saves to these sessions in between, and what is asked of the store (`expected`, names
        that are free) is asked with their locks held. Programs that only read, sync tools and other machines may see
        some of the changes a moment before others. A storage of your own gets one change after the other; where one
        fails, those before it stay, and a note of the error counts them.

        Raises:
            SessionError: a transaction, or `bulk`, of this manager is under way here.
            SessionConflictError, SessionExistsError, SessionNotFoundError: at the end, something has changed in the
                store since it was asked of; nothing was done.
            StoreError: at the end, nothing was done; or it is written down, as a note of the error says. Then the next
                write to the store, of whatever process, does all of it first.
            StoreReadOnlyError: the manager is read_only.
        """
        self._refuse_if_read_only("begin a transaction")
        return late.Transaction(self)

    def _refuse_in_transaction(self, what: str) -> None:
        """Refuse a verb that a transaction cannot collect, before it does anything.

        Raises:
            UnsupportedError: this thread, or task, is in the block of a transaction of this manager.
        """
        if any(each.is_here() for each in self._collecting):
            raise UnsupportedError(
                f"cannot {what} in a transaction, which makes what it has collected at its end: nothing was done. Do "
                "it before the block, or after it"
            )

    def _save_in_time(self, session: late.Session) -> None:
        """Save a session by itself, unless that is left to the end of a transaction."""
        if not any(each.has(session) for each in self._collecting):
            self._save_unasked(session)

    def _save_at_close(self) -> None:
        if not self._config.read_only:
            self.save_all()
            return
        # What was unsaved when this process was forked is the parent's to tell of.
        unsaved = [session for session in self._unsaved() if not session._left_to]
        if unsaved:
            what = ", ".join(f"{session.name!r} ({session._state.unsaved()})" for session in unsaved)
            warn(f"not saved, since this manager was opened read_only: {what}")

    def _save_unasked(self, session: late.Session) -> None:
        """Save a session of this manager, unless that is left to the parent of this process."""
        if session._owner is self._sessions and not self._sessions.is_left_to_parent(session):
            self.save_session(session)
