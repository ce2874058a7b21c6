"""The manager: opens, saves, branches, renames and deletes sessions in one store."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, Self, TypeVar

from ..config import Config, local_path, read_config, read_toml
from ..errors import (
    ConfigError,
    InvalidNameError,
    PartialSessionError,
    SessionExistsError,
    SessionNotFoundError,
    StoreError,
    add_notes,
)
from ..format.names import checked_name, normalise_name
from ..process.operations import operation
from ..process.uncopied import Uncopied
from ..repo.storage import engine_of
from ..session.session import Session, SessionInfo
from ..storage import SessionStorage, StoreStats, name_taken, with_origin
from . import late
from .autosave import Autosave
from .open_sessions import OpenSessions
from .open_store import open_storage

_T = TypeVar("_T")


class SessionManager(Uncopied):
    """Sessions in one store.

    May be used from many threads, beside other processes, and after `os.fork`. Use it in a ``with`` statement, or call
    `close`, to have everything saved at the end. Leaving the block saves also where its body raises: to drop what that
    left half-made, call `Session.reload` in the body.

    Args:
        config: a mapping with the options under ``"session"``, where missing ones have their defaults; or the path of a
            store, which is the option `storage_path`.
        storage: keep sessions there instead of in the configured backend.
        token_counter: returns the number of tokens of one message's text, for `Session.get_token_count`.

    Raises:
        ConfigError: an option has a type or value that it does not accept, or is at a place that is not read.
        StoreFormatError: `storage_path` is a folder of something else, or a store of a newer version.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | str | os.PathLike[str] | None = None,
        *,
        storage: SessionStorage | None = None,
        token_counter: Callable[[str], int] | None = None,
    ) -> None:
        if storage is not None and isinstance(config, (str, os.PathLike)):
            raise ConfigError(f"storage= keeps sessions in place of a store at {str(config)!r}: give one of the two")
        self._open(read_config(config), storage, token_counter)

    @classmethod
    def from_toml(
        cls,
        path: str | os.PathLike[str],
        *,
        storage: SessionStorage | None = None,
        token_counter: Callable[[str], int] | None = None,
    ) -> Self:
        """Make a manager with the options in the ``[session]`` table of a TOML file.

        Raises:
            ConfigError: the file cannot be read or is no TOML, or an option is not accepted.
        """
        manager = cls.__new__(cls)
        manager._open(read_toml(path), storage, token_counter)
        return manager

    def _open(self, config: Config, storage: SessionStorage | None, counter: Callable[[str], int] | None) -> None:
        self._config = config
        self._storage = storage if storage is not None else open_storage(config)
        self._engine = engine_of(self._storage)
        self._count_tokens = counter
        self._autosave = Autosave(config.autosave_interval, self._save_unasked)
        self._sessions = OpenSessions(
            self._storage, self._autosave, limit=config.max_session_bytes, count_tokens=counter
        )
        self._operations = self._sessions.operations
        self._templates: late.Templates | None = None
        self._bulk: late.Bulk | None = None
        self._watches: weakref.WeakSet[late.Watch] = weakref.WeakSet()

    @operation
    def create_session(self, name: str, branch_from: str | None = None, *, at: int | None = None) -> Session:
        """Create a session, or load the one that has the name.

        A new session is stored at once, empty. Opened twice, a session is the same object.

        Args:
            name: 1 to 255 characters of any text without control characters.
            branch_from: make the new session a branch of this one, with what its open object holds, saved or not.
            at: take over only the parent's first `at` messages.

        Raises:
            SessionNotFoundError: there is no `branch_from`.
            SessionExistsError: the name is taken by a session that is no branch of `branch_from` at `at`.
            InvalidNameError, ValueError: a name or `at` is not possible.
            StoreError: the session is there and cannot be read, or the store cannot be written.
        """
        name = checked_name(name)
        if branch_from is not None:
            return self._branch(name, checked_name(branch_from), at)
        if at is not None:
            raise ValueError("at= says where to branch, and needs branch_from=")
        with self._sessions.lock:
            session = self._sessions.find(name) if self._may_exist(name) else None
            if session is not None:
                return session
            session = Session(name, created_at=self._engine.now() if self._engine is not None else None)
            try:
                self._storage.create(session)
            except SessionExistsError:
                # Another process was faster.
                return self._load(name)
            return self._sessions.add(session)

    @operation
    def load_session(self, name: str, *, partial: bool = False) -> Session:
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
                found._count_tokens = self._count_tokens
                return found
        return self._load(name)

    @operation
    def save_session(self, session: Session) -> None:
        """Store what the session holds now; durable when this returns, and cheap however long the session is.

        One that this manager did not open is created.

        Raises:
            SessionExistsError: this manager did not open the session, and its name is taken.
            SessionConflictError: it was changed elsewhere so that these changes do not apply; nothing was written.
            InvalidMessageError, SessionTooLargeError: it cannot be stored as it is; nothing was written.
            StoreReadOnlyError: the store cannot be written; as PartialSessionError, the session lacks messages
                (`Session.missing`).
            StoreError: nothing was saved. The session holds everything, and can be saved again.
        """
        if not isinstance(session, Session):
            raise TypeError(f"save_session takes a Session, not {type(session).__name__}")
        self._save(session)

    def _save(self, session: Session) -> None:
        if session._missing:
            raise PartialSessionError(session.name, session.missing)
        with session._lock:
            if session._owner is not self._sessions:
                self._sessions.create(session)
                return
            name = session._name
            if self._storage.tracks_changes:
                self._storage.save(session)
            else:
                self._sessions.save_whole(session)
            session._left_to = 0
            if session._name != name:
                self._sessions.saved_as(session, name)

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
                failure.add_note(f"session {session.name!r} was not saved ({session._unsaved()}): {error}")
        if failure is not None:
            raise failure

    @operation
    def delete_session(self, name: str, *, missing_ok: bool = False) -> None:
        """Delete a session. Its branches stay as they are.

        Raises:
            SessionNotFoundError: there is none of this name, and `missing_ok` is false.
            SessionConflictError: the name is another machine's conversation now, while this machine's side of it, or
                what is open under the name, goes by another; the error names both, and nothing was deleted.
        """
        name = checked_name(name)
        with self._sessions.lock:
            name = self._sessions.meant(name)
            live = self._sessions.get(name)
            with live._lock if live is not None else nullcontext():
                exists = self._storage.exists(name)
                if exists:
                    self._storage.delete(name)
                # Only now, or a delete that failed would take unsaved messages with it.
                if live is not None:
                    self._sessions.let_go(live)
            if not exists and not missing_ok:
                raise SessionNotFoundError(name)

    @operation
    def rename_session(self, old: str, new: str) -> None:
        """Give a session another name; open objects of it follow.

        Raises:
            SessionNotFoundError: there is no `old`.
            SessionExistsError: `new` is taken.
            SessionConflictError: as in `delete_session`; nothing was renamed.
        """
        old, new = checked_name(old), checked_name(new)
        with self._sessions.lock:
            if old != new:
                old = self._sessions.meant(old)
            if old == new:
                self._load(old)
                return
            if self._storage.meant(new) not in (old, new):
                raise name_taken(new)
            self._storage.rename(old, normalise_name(new))
            self._sessions.renamed(old, new)

    @operation
    def list_sessions(self) -> list[SessionInfo]:
        """Return what is known of every session, newest first, then by name.

        A session that cannot be loaded is listed with `error` set.
        """
        infos: list[SessionInfo] = self._storage.list_all() or []
        if self._storage.lists_newest_first:
            return infos
        infos = [with_origin(info) for info in infos]
        return sorted(sorted(infos, key=lambda info: info.name), key=lambda info: info.updated_at, reverse=True)

    @operation
    def get_session_info(self, name: str) -> SessionInfo | None:
        """Return what is known of a session without loading its messages, None where there is none."""
        return self._info(self._meant(checked_name(name)))

    @operation
    def export_session(self, name: str, path: str | os.PathLike[str], *, overwrite: bool = False) -> late.Path:
        """Write a session, with its unsaved changes, into one JSON file that only this user may read (mode 0600).

        Returns:
            The path of the file.

        Raises:
            SessionNotFoundError: there is no such session.
            FileExistsError: the file is there, and `overwrite` is false.
        """
        # Late, as in `sync`: a program that only keeps its sessions needs none of it.
        from ..interchange.export import write_export

        session = self._load(checked_name(name))
        with session._lock:
            return write_export(session, path, overwrite=overwrite)

    @operation
    def import_session(
        self,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        on_exists: Literal["raise", "replace", "skip"] = "raise",
    ) -> Session:
        """Read a session from a file that `export_session` wrote, and store it.

        Args:
            name: call it this instead of what the file says.
            on_exists: what to do when the name is taken; "replace" keeps the replaced messages in the history,
                "skip" returns the session that is there.

        Raises:
            SessionExistsError: the name is taken, and `on_exists` is "raise".
            ExportError: the file is no exported session.
            OSError: it cannot be read.
        """
        if on_exists not in ("raise", "replace", "skip"):
            raise ValueError(f'on_exists takes "raise", "replace" or "skip", not {on_exists!r}')
        from ..interchange.export import read_export

        imported = read_export(path, name)
        with self._sessions.lock:
            session = self._sessions.find(imported.name)
            if session is None:
                session = imported
            elif on_exists == "raise":
                raise name_taken(imported.name)
            elif on_exists == "skip":
                return session
            else:
                self._sessions.replace(session, imported)
            self._save(session)
            return session

    @operation
    def kept_aside(self) -> list[SessionInfo]:
        """Return what is known of every session that this machine had saved and that is kept outside the store.

        That is so where the store has nothing of what was saved in it: another store is at its place, or everything
        was taken out of it. A warning told of it. What is aside stays there until `bring_back`, or until the store is
        back at its place: then it is put back by itself.

        Returns:
            Newest first, then by name; a name may be there twice. One that cannot be read has `error` set. Always empty
            for sessions in memory and for a storage of your own.
        """
        return self._storage.kept_aside()

    @operation
    def bring_back(self, name: str | None = None) -> list[SessionInfo]:
        """Put sessions that are kept aside into the store; durable when this returns, and then aside no more.

        Interrupted anywhere, it can be called again. Where the store has another session of the name, both stay: one of
        them goes by a derived name (`SessionInfo.diverged_from`).

        Args:
            name: only those of this name; None for all that can be read.

        Returns:
            What was brought back, as it is in the store now.

        Raises:
            SessionNotFoundError: nothing of this name is kept aside.
            CorruptionError: what has this name is damaged; it stays aside.
            StoreError: the store cannot be written; what was not brought back stays aside.
        """
        name = None if name is None else checked_name(name)
        with self._sessions.lock:
            return self._storage.bring_back(name)

    @operation
    def stats(self) -> StoreStats:
        """Return totals over all sessions, and the real use of the disk."""
        return self._storage.stats()

    def bulk(self) -> AbstractContextManager[None]:
        """Return a block for many creates and saves in a row, as when importing: ``with manager.bulk():``.

        In the block a save of this thread is not yet durable; all are at its end, also after an exception. What the
        body saved before an interrupt such as Ctrl-C is saved. A crash may lose what was saved in the block, and
        nothing else. Other threads and processes may use the store meanwhile: a save of another thread is durable when
        it returns, and other processes see what is made in the block by its end.

        Raises:
            SessionError: a block of this manager is under way.
            StoreError: at the end, what was saved in the block cannot be written. It is kept in memory: make what the
                error says possible, and call `close`, or save anything, which writes it too.
        """
        # Late, as in `sync`.
        from .bulk import Bulk, refuse_nested

        with self._sessions.lock:
            refuse_nested(self._bulk)
            self._bulk = Bulk(self._storage, self._operations)
            return self._bulk

    @operation
    def sync(
        self,
        target: str | os.PathLike[str] | SessionManager,
        *,
        direction: late.Direction = "both",
        progress: late.ProgressCallback | None = None,
    ) -> late.SyncReport:
        """Bring this store and another one to hold the same sessions, with their whole history.

        What is saved travels; save first what is not. Nothing is ever removed, a sync may be interrupted anywhere
        and run again, and both stores may be in use meanwhile, here and on other machines. Of a session that was
        continued on both sides each side is kept, as after any other way of bringing the files together.

        Args:
            target: the folder of another store, such as one on a USB stick or a network disk, made if it is absent or
                empty; or another manager.
            direction: "push" writes only to the target, "pull" only here.
            progress: is called with a `SyncProgress` after every object and every few refs; an error in it ends the
                sync, which loses nothing.

        Returns:
            What went where, and what was damaged and left alone.

        Raises:
            ValueError: the target is this store, or one of them lies within the other; or it is a URL or a host, as
                ``s3://chats`` or ``host:chats``. A folder of such a name is ``./host:chats``.
            StoreFormatError: the target is a folder of something else, or a store of a newer version.
            StoreError: a side cannot be read or written; what had arrived by then stays. With "pull", also where
                there is no store.
            UnsupportedError: a storage that is not one of this package's cannot be synced.
        """
        if direction not in ("both", "push", "pull"):
            raise ValueError(f'direction takes "both", "push" or "pull", not {direction!r}')
        # Late, as in `watch`: a program that only keeps its sessions needs neither.
        from ..repo.sync.exchange import refuse_overlap, sync, syncable

        ours = syncable(self._storage)
        told = progress and self._operations.pausing(progress)
        if isinstance(target, SessionManager):
            theirs = syncable(target._storage)
            refuse_overlap(ours.repo.backend.place().path, theirs.repo.backend.place().path)
            told = told and target._operations.pausing(told)
            return target._within(lambda: sync(ours, theirs, direction=direction, progress=told))
        folder = local_path(target)
        refuse_overlap(ours.repo.backend.place().path, os.path.realpath(folder))
        theirs = open_storage(self._config._replace(backend="files", storage_path=folder, replica=None))
        try:
            return sync(ours, theirs, direction=direction, progress=told)
        finally:
            theirs.close()

    def watch(
        self, callback: Callable[[late.SessionEvent], object] | None = None, name: str | None = None
    ) -> late.Watch:
        """Tell what happens to sessions from now on: created, advanced, diverged, deleted, renamed.

        It does not matter who does it: this manager, another process, or a sync tool that carries files into the
        store. Without a callback, iterate over the result, or ask it for the `Watch.next` event; use it in a ``with``
        statement, or call `Watch.stop`. Several changes of a session within a moment may come as one event, and the
        last state always comes.

        Args:
            callback: is called with each event, in a thread of the watch; an error in it is logged.
            name: only what happens to the session of this name, and to those that diverge from it.

        Raises:
            StoreError: the store cannot be listed.
        """
        from ..repo.events.watch import Watch

        watch = Watch(self._storage, callback, None if name is None else checked_name(name))
        self._watches.add(watch)
        return watch

    @property
    def templates(self) -> late.Templates:
        """The templates of this manager: register them, and create sessions that begin as they say."""
        with self._sessions.lock:
            if self._templates is None:
                from ..templates import Templates

                self._templates = Templates(self)
            return self._templates

    def use(self, hook: object) -> Callable[[], None]:
        """Have a hook called from now on, after those that were registered before it.

        Args:
            hook: an object with any of the methods of `SessionHook`, which says what each is for. For redaction there
                is a ready one, `Redact`.

        Returns:
            A function that takes the hook out again.

        Raises:
            TypeError: the object has none of the methods.
        """
        with self._sessions.lock:
            hooks = self._hooks
            if hooks is None:
                # Late: who uses none pays for none, down to the import.
                from ..hooks.hooks import Hooks

                hooks = Hooks(self._operations)
            place = hooks.add(hook)
            if self._hooks is None:
                self._sessions.use(hooks)

        def remove() -> None:
            with self._sessions.lock:
                hooks.remove(place)

        return remove

    def close(self) -> None:
        """Save every open session that has unsaved changes, stop autosave and watches, release what is held open.

        Raises:
            SessionError: a session could not be saved (see `save_all`); everything else was done. What is not saved is
                held on to, so that `close` may be called again. In a signal handler that came into an operation of this
                manager: nothing was done.

        Where it is interrupted, by Ctrl-C, call it again, too.
        """
        unsaved: list[Session] = []
        try:
            self.save_all()
        except BaseException:
            unsaved = [session for session in self._held() if self._is_unsaved(session)]
            raise
        finally:
            self._release(unsaved)

    def _held(self) -> list[Session]:
        """Return every open session, and those that nobody else holds any more."""
        return list({id(session): session for session in [*self._autosave.held(), *self._sessions]}.values())

    def _is_unsaved(self, session: Session) -> bool:
        try:
            return session.has_unsaved_changes
        except Exception:
            # Whatever is wrong with it, saving it would tell, and has told.
            return True

    @operation
    def _release(self, unsaved: Sequence[Session] = ()) -> None:
        for watch in list(self._watches):
            watch.stop()
        self._autosave.stop(unsaved)
        self._bulk = None
        self._storage.close()

    def __enter__(self) -> Self:
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

    @operation
    def __contains__(self, name: object) -> bool:
        try:
            return self._storage.exists(self._meant(checked_name(name)))
        except InvalidNameError:
            return False

    def __repr__(self) -> str:
        if self._engine is None:
            return f"<SessionManager: {type(self._storage).__name__}>"
        where = f" at {str(self._config.storage_path)!r}" if self._config.backend != "memory" else ""
        return f"<SessionManager: {self._config.backend}{where}>"

    @property
    def _hooks(self) -> late.Hooks | None:
        return self._sessions.hooks

    def _meant(self, name: str) -> str:
        """Return the name of the session that a name means, to tell of it; the name itself where that is damaged."""
        try:
            return self._storage.meant(name)
        except StoreError:
            return name

    def _info(self, name: str) -> SessionInfo | None:
        info = self._storage.info(name)
        return info if info is None or self._storage.tracks_changes else with_origin(info)

    def _branch(self, name: str, parent_name: str, at: int | None) -> Session:
        with self._sessions.lock:
            if self._may_exist(name):
                there = self._branch_there(name, parent_name, at)
                if there is not None:
                    return there
            parent = self._sessions.find(parent_name)
            if parent is None:
                raise SessionNotFoundError(parent_name)
            try:
                with parent._lock:
                    if at is not None and (type(at) is not int or not 0 <= at <= len(parent)):
                        raise ValueError(f"at must be 0 to {len(parent)}, the length of {parent_name!r}, not {at!r}")
                    if not self._storage.tracks_changes and parent.has_unsaved_changes:
                        parent = self._sessions.frozen(parent)
                    return self._sessions.add(self._storage.branch(parent, normalise_name(name), at))
            except SessionExistsError:
                # Another process was faster, perhaps with the same branch.
                there = self._branch_there(name, parent_name, at)
                if there is None:
                    raise
                return there

    def _branch_there(self, name: str, parent_name: str, at: int | None) -> Session | None:
        """Return the session that has a name, if it is this very branch; None where the name is free."""
        info = self._info(self._storage.meant(name))
        if info is None:
            return None
        if info.error is not None:
            raise info.error
        if self._storage.is_branch_of(info, parent_name) and at in (None, info.forked_at):
            return self._load(name)
        raise name_taken(name)

    def _may_exist(self, name: str) -> bool:
        return self._sessions.get(name) is not None or self._storage.may_exist(name)

    @operation
    def _within(self, work: Callable[[], _T]) -> _T:
        return work()

    def _load(self, name: str) -> Session:
        with self._sessions.lock:
            session = self._sessions.find(name)
        if session is None:
            raise SessionNotFoundError(name)
        return session

    def _save_unasked(self, session: Session) -> None:
        """Save a session of this manager, unless that is left to the parent of this process."""
        if session._owner is self._sessions and not self._sessions.is_left_to_parent(session):
            self.save_session(session)
