"""The verbs that keep house: what is wrong with a store, and mending it."""

from __future__ import annotations

import os
import re
from contextlib import closing, nullcontext, suppress
from typing import Protocol

from ..config import Config, local_path
from ..errors import SessionNotFoundError, StoreError, UnsupportedError
from ..format.masks import Sieve, of_pattern, of_text
from ..format.names import checked_name
from ..process.operations import Operations, operation
from ..process.uncopied import Uncopied
from ..repo.maintenance.check import check
from ..repo.maintenance.discarding import discard
from ..repo.maintenance.findings import CheckReport
from ..repo.maintenance.forgetting import forget
from ..repo.maintenance.gc import gc
from ..repo.maintenance.gc_report import GcReport
from ..repo.maintenance.purge import purge
from ..repo.maintenance.repair import repair
from ..repo.maintenance.replicas import ReplicaInfo, replicas
from ..repo.maintenance.report import DiscardReport, ForgetReport, PurgeReport, RepairReport, RetireReport
from ..repo.maintenance.retiring import retire
from ..repo.maintenance.texts import ByText
from ..repo.maintenance.whole import purge_session
from ..repo.storage import RepoStorage
from ..repo.sync.exchange import refuse_overlap
from ..session import Session
from ..storage import SessionStorage
from .open_sessions import OpenSessions
from .open_store import OpenedStore


class Core(Protocol):
    """What these verbs stand on: the manager's store."""

    _config: Config
    _storage: SessionStorage
    _operations: Operations

    @property
    def _engine(self) -> RepoStorage | None: ...

    @property
    def _sessions(self) -> OpenSessions: ...

    def _refuse_if_read_only(self, what: str) -> None: ...

    def _refuse_in_transaction(self, what: str) -> None: ...

    def _forget_search(self) -> None: ...

    def _unsaved(self) -> list[Session]: ...

    def _save(self, session: Session) -> None: ...


class Maintenance(Uncopied):
    """What `SessionManager.maintenance` is: keeping a store in order. Nothing here runs by itself."""

    def __init__(self, manager: Core) -> None:
        self._manager = manager
        self._operations: Operations = manager._operations

    @operation
    def replicas(self) -> list[ReplicaInfo]:
        """Return which replicas have written into the store, by their ids: each a store folder on a machine for a user.

        Copies of the store on machines that have written nothing do not show. As a list does, it reads only refs that
        changed since the last one.

        Raises:
            UnsupportedError: a storage that is not one of this package's has no replicas.
            StoreError: the store cannot be listed.
        """
        return replicas(self._repo("tell the replicas").repo)

    @operation
    def check(self, *, full: bool = False) -> CheckReport:
        """Find what is wrong with the store, and say of each finding what to do; nothing below the store changes.

        One bad file hides no other. It works with `read_only` too, and beside programs that write: what they are about
        to write may show as a note. What is not saved yet is not looked at.

        Args:
            full: read every object, verify its hash, and see that it holds messages. Otherwise every ref, list node and
                commit is read and verified, and of the other objects it is told whether they are there, with their
                size.

        Raises:
            UnsupportedError: a storage that is not one of this package's cannot be checked.
            StoreGoneError: the store is not at its path any more.
        """
        return check(self._repo("check a store").repo, full=full)

    @operation
    def repair(
        self,
        *,
        dry_run: bool = True,
        from_store: str | os.PathLike[str] | None = None,
        without_lost: bool = False,
    ) -> RepairReport:
        """Bring back what is intact of damaged files, and name by their places the messages that are lost.

        Lost objects are looked for in other copies, in refs, in what this machine recorded, and in `from_store`. What
        is intact of a damaged ref goes into a new file, also lines behind the damage. Nothing that is good is
        overwritten, and damaged refs stay as they are. Interrupted anywhere, it can be called again.

        Args:
            dry_run: only say what would be done; the report is the same.
            from_store: the folder of another store, such as a backup or another machine's; it is only read.
            without_lost: let sessions go on without messages that are lost, as an edit of them. Do this only when
                nothing can bring them: what arrives later is in the history alone.

        Raises:
            StoreReadOnlyError: the manager is `read_only`, and `dry_run` is false.
            UnsupportedError: a storage that is not one of this package's cannot be repaired.
            StoreFormatError: `from_store` is no store.
            ValueError: it is this store, or one of the two lies within the other.
            StoreError: the store cannot be written, or another process of this machine keeps house in it.
        """
        if not dry_run:
            self._manager._refuse_if_read_only("repair the store")
        repo = self._repo("repair a store").repo
        other = None if from_store is None else self._open(from_store, repo.backend.place().path)
        alone = nullcontext() if dry_run else repo.machine.keeping_house("repair")
        with closing(other) if other else nullcontext(), alone:
            theirs = other.repo if other else None
            return repair(repo, dry_run=dry_run, other=theirs, without_lost=without_lost)

    @operation
    def purge_text(self, pattern: str | re.Pattern[str], *, dry_run: bool = False) -> PurgeReport:
        """Take a text out of every message and all metadata, in all states of all sessions, at once and for good.

        Each byte of it becomes `*`, and each digit of a number 1, so that nothing else about a session changes: its
        name, its messages, its history, its branches. It is found however JSON escapes it, also where JSON stands in
        a text, as arguments of calls do. Names of sessions and tags stay; the report tells of them.

        What this machine keeps beside the store goes too: the index of searches, and copies of older states. Refs that
        other replicas write are told of, and stay until it is called there. Backups, the history of a version control
        and what other programs hold in memory are beyond it. Interrupted anywhere, it can be called again.

        Unsaved changes are saved first, and open sessions show what is stored then.

        Args:
            pattern: the text as it is read, or a compiled pattern of it.
            dry_run: only say what would be done.

        Raises:
            ValueError: the text is empty, or the pattern matches empty text.
            TypeError: it is neither a text nor a compiled pattern of text.
            StoreReadOnlyError: the manager is `read_only`, and `dry_run` is false.
            UnsupportedError: a storage that is not one of this package's cannot be purged, nor can a backend that
                keeps no replica files; nor can it be done in the block of a transaction.
            StoreError: the store cannot be read or written, or another process of this machine keeps house in it.
        """
        wanted = _wanted(pattern)
        if not dry_run:
            self._manager._refuse_if_read_only("purge")
            self._manager._refuse_in_transaction("purge")
        repo = self._repo("purge").repo
        if dry_run:
            return purge(repo, wanted, dry_run=True)
        sessions = self._manager._sessions
        with repo.machine.keeping_house("purge"), sessions.lock:
            for session in self._manager._unsaved():
                self._manager._save(session)
            self._manager._forget_search()
            try:
                return purge(repo, wanted)
            finally:
                # Also of what failed half way: it shows what is stored, and saves nothing back that was taken out.
                for session in list(sessions):
                    with suppress(SessionNotFoundError):
                        sessions.show_stored(session)

    @operation
    def purge(self, name: str, *, dry_run: bool = False) -> PurgeReport:
        """Take a session out of the store whole, at once and for good: all its states, metadata and tags.

        It may be deleted already. What other sessions show too, such as branches of it, stays, and the report names
        them. The session's name stays, and how long its messages were, so that other replicas take it out too.
        Unsaved changes of it go with it, and it is open here no more. Backups, the history of a version control and
        what other programs hold in memory are beyond it. Interrupted anywhere, it can be called again.

        Args:
            name: what the session goes by, or went by.
            dry_run: only say what would be done.

        Raises:
            SessionNotFoundError: there is none of this name, and none was deleted.
            SessionConflictError: as in `SessionManager.delete_session`; nothing was changed.
            StoreReadOnlyError: the manager is `read_only`, and `dry_run` is false.
            UnsupportedError: as for `purge_text`.
            StoreError: the store cannot be written, or another process of this machine keeps house in it; or something
                cannot be read, so that nobody can tell what other sessions share with this one: nothing was changed.
        """
        manager = self._manager
        if not dry_run:
            manager._refuse_if_read_only("purge")
            manager._refuse_in_transaction("purge")
        repo, label = self._repo("purge").repo, checked_name(name)
        if dry_run:
            return purge_session(repo, label, dry_run=True)

        def take_out(label: str, live: Session | None) -> PurgeReport:
            report = purge_session(repo, label)
            if live is not None:
                manager._sessions.let_go(live)
            return report

        with repo.machine.keeping_house("purge"):
            manager._forget_search()
            return manager._sessions.around(label, take_out)

    @operation
    def gc(self, *, dry_run: bool = True) -> GcReport:
        """Delete objects that nothing in the store leads to any more, not even history.

        History is kept for `retention_days`: what only earlier states of sessions have needed for that long counts as
        unneeded, unless a tag names the state. An entry whose messages are gone is listed as `expired`.

        An object must have been unneeded for `gc_grace_days` before it is condemned, and again as long before its file
        is deleted; then it is kept in the state folder as long once more, from where this and `repair` bring it back if
        anything needs it. One run counts a third of the grace at most, and a third of the retention, however much time
        has passed by the clock. So a run does one step of this. Where anything is damaged or missing, nothing is
        condemned or deleted. In files each other replica must have answered that it needs nothing of it, as it does
        whenever a manager that writes is closed there, and here. Interrupted anywhere, it can be called again.

        Args:
            dry_run: only say what would be done.

        Raises:
            StoreReadOnlyError: the manager is `read_only`, and `dry_run` is false.
            UnsupportedError: a storage that is not one of this package's; a store in memory, where `dry_run` is
                false.
            StoreError: the store cannot be written, or another process of this machine keeps house in it.
        """
        if not dry_run:
            self._manager._refuse_if_read_only("delete what nothing needs")
            if self._manager._config.backend == "memory":
                raise UnsupportedError("what is in memory goes with the process: it has no gc but a dry run")
        repo = self._repo("collect garbage").repo
        with nullcontext() if dry_run else repo.machine.keeping_house("gc"):
            config = self._manager._config
            return gc(repo, grace_days=config.gc_grace_days, retention_days=config.retention_days, dry_run=dry_run)

    @operation
    def discard(self, path: str | os.PathLike[str], *, dry_run: bool = True) -> DiscardReport:
        """Throw a file of the store away that a check has named: a damaged one, a stray one, or a spare copy.

        Only what a full check finds now can go, and no good object but where it has another copy. Call `repair` first:
        then the report tells of nothing that is lost. The bytes are kept in the state folder until gc has counted a
        grace. What this machine has recorded of a ref of its own is put into the store again.

        Args:
            path: the file, as `Finding.path` has it, or relative to the working directory.
            dry_run: only say what would be lost.

        Raises:
            ValueError: a full check does not name it, or it is to stay; the error tells what to do instead.
            StoreReadOnlyError: the manager is `read_only`, and `dry_run` is false.
            UnsupportedError: a storage that is not one of this package's, or one that keeps no files.
            CorruptionError: it is no regular file.
            StoreError: it cannot be read or removed, or another process of this machine keeps house in the store.
        """
        if not dry_run:
            self._manager._refuse_if_read_only("throw a file of the store away")
        repo = self._repo("throw files away").repo
        with nullcontext() if dry_run else repo.machine.keeping_house("discard"):
            return discard(repo, os.path.abspath(path), dry_run=dry_run)

    @operation
    def forget(self, path: str | os.PathLike[str], *, dry_run: bool = True) -> ForgetReport:
        """Forget what this machine has recorded of a store that is gone for good, and had its place at `path`.

        Of each ref that this machine writes it keeps a copy in the state folder, to put back what a sync tool or a
        backup takes away. An unplugged disk looks like a store that is gone, so that only this call forgets. Where
        another store stands at the place by now, its own records stay; what is kept aside there goes.

        Args:
            path: the folder that the store had.
            dry_run: only say which messages nothing else has: the store of this manager is looked at too.

        Raises:
            ValueError: `path` is no folder of this machine.
            StoreReadOnlyError: the manager is `read_only`, and `dry_run` is false.
            StoreFormatError: something else is at the place.
            StoreError: what is there cannot be read, or another process of this machine keeps house in it.
        """
        if not dry_run:
            self._manager._refuse_if_read_only("forget what is recorded")
        folder = local_path(path)
        options = self._manager._config._replace(
            backend=_kind_at(folder), storage_path=folder, replica=None, read_only=dry_run
        )
        gone = OpenedStore(options, new=True).repository()
        engine = self._manager._engine
        here = (
            engine.repo
            if engine is not None and engine.repo.backend.place().path != gone.backend.place().path
            else None
        )
        with closing(gone.backend), nullcontext() if dry_run else gone.machine.keeping_house("forget"):
            return forget(gone, here, dry_run=dry_run)

    @operation
    def retire(self, replica: str, *, force: bool = False, dry_run: bool = True) -> RetireReport:
        """Let nobody wait for a replica any more that is gone for good: a machine that was sold, a folder that is lost.

        Its refs and objects stay, and count as those of any other. It is only asked no longer whether it needs what is
        to be deleted. All replicas learn of it by a file in the store, and nobody takes it back. Should it write here
        after all, give it another id first, by the option `replica`.

        Args:
            replica: its id, as `replicas` tells it.
            force: also one that has written within 30 days, or of which nothing tells when it last wrote.
            dry_run: only tell of it.

        Raises:
            ValueError: no such replica has written here, it is this one, or it may be active.
            StoreReadOnlyError: the manager is `read_only`, and `dry_run` is false.
            UnsupportedError: a storage that is not one of this package's, or a backend that keeps no replica files.
            StoreError: the store cannot be read or written, or another process of this machine keeps house in it.
        """
        if not dry_run:
            self._manager._refuse_if_read_only("retire a replica")
        repo = self._repo("retire a replica").repo
        with nullcontext() if dry_run else repo.machine.keeping_house("retire"):
            return retire(repo, replica, force=force, dry_run=dry_run)

    def _open(self, path: str | os.PathLike[str], own: str) -> RepoStorage:
        folder = local_path(path)
        refuse_overlap(own, os.path.realpath(folder))
        options = self._manager._config._replace(
            backend=_kind_at(folder), storage_path=folder, replica=None, read_only=True
        )
        storage = OpenedStore(options).storage()
        if storage.repo.backend.place().store is None:
            storage.close()
            raise StoreError(f"there is no store at {folder} to repair from: is the disk there?", folder)
        return storage

    def _repo(self, what: str) -> RepoStorage:
        engine = self._manager._engine
        if engine is None:
            storage = type(self._manager._storage).__name__
            raise UnsupportedError(f"{storage} is not one of this package's, which cannot {what} of another one")
        return engine


def _kind_at(folder: str) -> str:
    return "sqlite" if os.path.exists(os.path.join(folder, "sessions.db")) else "files"


def _wanted(pattern: str | re.Pattern[str]) -> ByText:
    if isinstance(pattern, str):
        return ByText(of_text(pattern), Sieve(pattern))
    given: object = getattr(pattern, "pattern", None)
    if not isinstance(given, str):
        raise TypeError(f"what is to be purged must be a text or a compiled pattern of text, not {pattern!r}")
    return ByText(of_pattern(pattern), Sieve(None))
