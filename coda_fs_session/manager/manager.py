"""The manager: opens, saves, branches, renames and deletes sessions in one store.

The verbs that reach beyond the store are in `carrying`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from ..config import Config, read_config, read_toml, with_read_only
from ..errors import (
    ConfigError,
    SessionExistsError,
    SessionNotFoundError,
    add_notes,
)
from ..format.names import checked_name, normalise_name
from ..process.loading import loading
from ..process.operations import operation
from ..process.weakly import Weakly
from . import late
from .carrying import Carrying
from .core import STARTED
from .listing import Telling
from .open_store import OpenedStore
from .saving import Saving
from .searching import Searching


class SessionManager(Carrying, Saving, Searching, Telling):
    """Sessions in one store.

    May be used from many threads, beside other processes, and after `os.fork`. Use it in a ``with`` statement, or call
    `close`, to have everything saved at the end. Leaving the block saves also where its body raises: to drop what that
    left half-made, call `Session.reload` in the body.

    Args:
        config: a mapping with the options under ``"session"``, where missing ones have their defaults; or the path of a
            store, which is the option `storage_path`.
        storage: keep sessions there instead of in the configured backend.
        token_counter: returns the number of tokens of one message's text, for `Session.get_token_count`.
        message_counter: in place of that, returns the number of tokens of one message, of which it gets a copy.
        read_only: change nothing in the store, not even to put back what an older copy lacks (`SessionInfo.reverted`);
            what would write raises StoreReadOnlyError, and `close` warns of what is unsaved. None: as the option says.

    Raises:
        ConfigError: an option has a type or value that it does not accept, or is at a place that is not read.
        StoreFormatError: `storage_path` is a folder of something else, or a store of a newer version.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | str | os.PathLike[str] | None = None,
        *,
        storage: late.SessionStorage | None = None,
        token_counter: Callable[[str], int] | None = None,
        message_counter: Callable[[dict[str, Any]], int] | None = None,
        read_only: bool | None = None,
    ) -> None:
        if storage is not None and isinstance(config, (str, os.PathLike)):
            raise ConfigError(f"storage= keeps sessions in place of a store at {str(config)!r}: give one of the two")
        self._open(with_read_only(read_config(config), read_only), storage, (token_counter, message_counter))

    @classmethod
    def from_toml(
        cls,
        path: str | os.PathLike[str],
        *,
        storage: late.SessionStorage | None = None,
        token_counter: Callable[[str], int] | None = None,
        message_counter: Callable[[dict[str, Any]], int] | None = None,
        read_only: bool | None = None,
    ) -> Self:
        """Make a manager with the options in the ``[session]`` table of a TOML file.

        Raises:
            ConfigError: the file cannot be read or is no TOML, or an option is not accepted.
        """
        manager = cls.__new__(cls)
        manager._open(with_read_only(read_toml(path), read_only), storage, (token_counter, message_counter))
        return manager

    def _open(self, config: Config, storage: late.SessionStorage | None, counters: late.Counters) -> None:
        if None not in counters:
            raise ConfigError("token_counter= and message_counter= both count tokens: give one of the two")
        self._config, self._counters = config, counters
        if storage is None:
            # What is wrong with the store is told now. What reads and writes it takes longer to load than this.
            self._store = OpenedStore(config)
            storage = self._store.storage() if self._store.has_moved else None
        if storage is not None:
            self._start(storage)
        self._templates: late.Templates | None = None
        self._bulk: late.Bulk | None = None
        self._search: late.Search | None = None
        self._collecting: Weakly[late.Transaction] = Weakly()
        self._watches: Weakly[late.Watch] = Weakly()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            """Load what verbs work with when the first of them asks for a part of it."""
            if name not in STARTED:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            return self._start(self._store.storage())[name]

    def _start(self, storage: late.SessionStorage) -> dict[str, Any]:
        """Make what verbs work with, as attributes, and return it by their names."""
        autosave = late.Autosave(self._config.autosave_interval, self._save_in_time, timed=not self._config.read_only)
        sessions = late.OpenSessions(storage, autosave, limit=self._config.max_session_bytes, counters=self._counters)
        if self._config.redact:
            sessions.redact(self._config.redact)
        parts = (storage, late.engine_of(storage), autosave, sessions, sessions.operations)
        # Several threads may come here at once: the parts of one of them are everybody's.
        started: dict[str, Any] = vars(self).setdefault("_parts", dict(zip(STARTED, parts, strict=True)))
        vars(self).update(started)
        return started

    @operation
    def create_session(
        self,
        name: str,
        branch_from: str | None = None,
        *,
        at: int | str | late.datetime | None = None,
        created_at: late.datetime | None = None,
        updated_at: late.datetime | None = None,
    ) -> late.Session:
        """Create a session, or load the one that has the name.

        A new session is stored at once, empty. Opened twice, a session is the same object.

        Args:
            name: 1 to 255 characters of any text without control characters.
            branch_from: make the new session a branch of this one, with what its open object holds, saved or not.
            at: take over only the parent's first `at` messages; or what it was at an entry of its history, a tag or a
                time, as `History` says. Then `branch_from` may be deleted.
            created_at, updated_at: the times of a new session, as for `Session`: now where not given, and `created_at`
                for both. One that is there keeps its own.

        Raises:
            SessionNotFoundError: there is no `branch_from`.
            SessionExistsError: the name is taken by a session that is no branch of `branch_from` at `at`.
            HistoryError: the parent was never at the state `at`.
            InvalidNameError, ValueError: a name, `at` or a time is not possible.
            StoreError: the session is there and cannot be read, or the store cannot be written.
        """
        name = checked_name(name)
        if created_at is not None or updated_at is not None:
            created_at = late.given_time(created_at, "created_at")
            updated_at = late.given_time(updated_at, "updated_at")
        if branch_from is not None:
            # Late, as all that a verb alone needs.
            with loading():
                from .branching import branch

            return branch(self, name, checked_name(branch_from), at, created_at=created_at, updated_at=updated_at)
        if at is not None:
            raise ValueError("at= says where to branch, and needs branch_from=")
        with self._looked_ahead(name), self._sessions.lock:
            session = self._sessions.find(name) if self._may_exist(name) else None
            if session is not None:
                return session
            self._refuse_if_read_only("create a session")
            if created_at is None and self._engine is not None:
                created_at = self._engine.now()
            session = late.Session(name, created_at=created_at, updated_at=updated_at)
            try:
                self._storage.create(session)
            except SessionExistsError:
                # Another process was faster.
                return self._load(name)
            return self._sessions.add(session)

    @operation
    def load_session(self, name: str, *, partial: bool = False) -> late.Session:
        """Return the session of this name.

        Args:
            partial: where messages cannot be read, since a part of a synced folder has not arrived or is damaged,
                return a copy without them, in memory only: `Session.missing` tells how many they are, and it cannot be
                saved. Reads every message once; where none is missing, the session is the same as without.

        Raises:
            SessionNotFoundError: there is none.
            StoreError: it is there and cannot be read. Messages are read when they are asked for, and then raise
                `ObjectNotYetHereError` where they have not arrived.
        """
        name = checked_name(name)
        if partial:
            found = self._storage.load_partial(name)
            if found is not None and found.missing:
                found._counters = self._counters
                return found
        return self._load(name)

    @operation
    def delete_session(self, name: str, *, missing_ok: bool = False) -> None:
        """Delete a session. Its branches stay as they are.

        Raises:
            SessionNotFoundError: there is none of this name, and `missing_ok` is false.
            SessionConflictError: the name is another machine's conversation now, while this machine's side of it, or
                what is open under the name, goes by another; the error names both, and nothing was deleted.
        """

        self._refuse_if_read_only("delete a session")

        def delete(name: str, live: late.Session | None) -> None:
            exists = self._storage.exists(name)
            if exists:
                self._storage.delete(name)
            # Only now, or a delete that failed would take unsaved messages with it.
            if live is not None:
                self._sessions.let_go(live)
            if not exists and not missing_ok:
                raise SessionNotFoundError(name)

        self._sessions.around(checked_name(name), delete)

    @operation
    def rename_session(self, old: str, new: str) -> None:
        """Give a session another name; open objects of it follow.

        Raises:
            SessionNotFoundError: there is no `old`.
            SessionExistsError: `new` is taken.
            SessionConflictError: as in `delete_session`; nothing was renamed.
        """
        self._refuse_if_read_only("rename a session")
        old, new = checked_name(old), checked_name(new)
        if old == new:
            self._load(old)
            return

        def rename(old: str, _: late.Session | None) -> None:
            if old == new:
                self._load(old)
                return
            if self._storage.meant(new) not in (old, new):
                raise late.name_taken(new)
            self._storage.rename(old, normalise_name(new))
            self._sessions.renamed(old, new)

        self._sessions.around(old, rename)

    def history(self, name: str) -> late.History:
        """Return the history of a session, or of a deleted one: what it was, undo, restore and tags.

        Raises:
            InvalidNameError: the name is not possible. Whether there is such a session tells what is asked of it.
        """
        return late.History(self, checked_name(name))

    @property
    def templates(self) -> late.Templates:
        """The templates of this manager: register them, and create sessions that begin as they say."""
        with self._sessions.lock:
            if self._templates is None:
                from ..templates import Templates

                self._templates = Templates(self)
            return self._templates

    @property
    def branches(self) -> late.Branches:
        """Sessions beside each other: the branches of one, what tells two apart, and merging one into another."""
        return late.Branches(self)

    @property
    def maintenance(self) -> late.Maintenance:
        """Keeping the store in order: what is wrong with it, and mending that."""
        return late.Maintenance(self)

    def close(self) -> None:
        """Save every open session that has unsaved changes, stop autosave and watches, release what is held open.

        Raises:
            SessionError: a session could not be saved (see `save_all`); everything else was done. What is not saved is
                held on to, so that `close` may be called again. In a signal handler that came into an operation of this
                manager: nothing was done.

        Where it is interrupted, by Ctrl-C, call it again, too. With `read_only` a warning names what is not saved.
        """
        unsaved: list[late.Session] = []
        try:
            self._save_at_close()
        except BaseException:
            unsaved = self._unsaved()
            raise
        finally:
            self._release(unsaved)

    @operation
    def _release(self, unsaved: Sequence[late.Session] = ()) -> None:
        for watch in self._watches:
            watch.stop()
        self._autosave.stop(unsaved)
        self._bulk = None
        if self._search is not None:
            self._search.close()
        self._storage.close()

    def __enter__(self) -> Self:
        self._autosave.hold_in_block()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Do as `close`, also where the block was left by an error.

        That error goes on. What else fails, such as saving a session, is added to its notes. Only an interrupt of
        that saving, such as a second Ctrl-C, is raised in its place.
        """
        try:
            self.close()
        except Exception as failure:
            if error is None:
                raise
            add_notes(error, failure)

    def __repr__(self) -> str:
        if self._engine is None:
            return f"<SessionManager: {type(self._storage).__name__}>"
        where = f" at {str(self._config.storage_path)!r}" if self._config.backend != "memory" else ""
        return f"<SessionManager: {self._config.backend}{where}>"
