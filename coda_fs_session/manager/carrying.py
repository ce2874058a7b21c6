"""What carries sessions between a store and elsewhere: files, another store, what is kept aside, who watches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from ..config import bucket_url, local_path, remote_path
from ..errors import UnsupportedError
from ..format.names import checked_name
from ..process.operations import operation
from . import late
from .core import Manager
from .open_store import OpenedStore

Form = Literal["json", "jsonl", "md", "txt", "html", "native", "openai", "sharegpt"]
FormOfSeveral = Literal["json", "jsonl", "md", "txt", "html", "native", "openai", "sharegpt", "dpo", "trl", "family"]


class Carrying(Manager):
    """The verbs of a manager that reach beyond its store; see `SessionManager`."""

    @operation
    def export_session(
        self,
        name: str,
        path: str | os.PathLike[str],
        *,
        format: Form = "json",
        redact: str | list[str] | None = None,
        overwrite: bool = False,
    ) -> late.Path:
        """Write a session, with its unsaved changes, into one file that only this user may read (mode 0600).

        What matches the option ``redact`` is taken out, of what was stored before the option was set, too.

        Args:
            format: "json" is what `import_session` reads, and "jsonl" the messages as they are stored, a line each.
                "md", "txt" and "html" are for reading. "html" needs the extra ``view``; with more than 5 MB of messages
                it is an index of parts, which are in a folder beside it. "native" is what the program that the session
                was imported from had: Claude Code, gptme, pi. "openai" and "sharegpt" are lines for training.
            redact: patterns of what is to be taken out besides, as in that option. The names of sessions stay, and so
                do the ids of messages, of calls, and of what a session was imported from.

        Returns:
            The path of the file.

        Raises:
            SessionNotFoundError: there is no such session.
            FileExistsError: the file is there, and `overwrite` is false.
            UnsupportedError: the session has what the format does not take, or the extra of the format is missing.
            ValueError: there is no such format, or `redact` has no pattern or one that is none.
        """
        # Late, as in `sync`: a program that only keeps its sessions needs none of it.
        from ..interchange.writers import writer_of_one
        from .outgoing import redaction
        from .outside import write_outside
        from .pages import write_pages

        chosen, redacted = writer_of_one(format), redaction(self, redact)
        session = self._load(checked_name(name))
        with session._lock:
            if format == "html":
                return write_pages(path, [redacted(session)], overwrite=overwrite)[0]
            return write_outside(path, chosen.write([redacted(session)]), overwrite=overwrite)

    @operation
    def export_sessions(
        self,
        names: Iterable[str] | None,
        path: str | os.PathLike[str],
        *,
        format: FormOfSeveral = "json",
        branches: bool = False,
        prefer: str = "continued",
        redact: str | list[str] | None = None,
        overwrite: bool = False,
    ) -> list[late.Path]:
        """Write several sessions: lines for training and a family into one file, all others into a folder.

        What sessions share is in "family" once, and `import_sessions` reads it. An answer that is in a line of "openai"
        before, with all that led to it, has weight 0 in the next one.

        Args:
            names: which ones, in this order; None for all, by name.
            path: the file, or the folder, which is made if it is not there. File names follow from names of sessions.
            format: as in `export_session`, or "family"; "dpo" and "trl" are lines with two answers to one prompt each,
                in OpenAI's form and that of TRL. An answer is one of an assistant, with what tools said for it.
            branches: also all branches of these, and theirs, each after what it was branched from. As "html", all are
                one file then, in which each message is once.
            prefer: which of two answers is the better one: "continued" that which more messages follow, "current" that
                which its source shows last, "tag:NAME" that which is in a state with this tag. Two that are alike in
                that make no line.
            redact: as in `export_session`.

        Returns:
            The paths of the files.

        Raises:
            SessionNotFoundError, UnsupportedError, ValueError: as `export_session`.
            FileExistsError: a file is there, and `overwrite` is false. Of those for one folder none was written.
        """
        from ..interchange.writers import file_name, writer
        from .outgoing import outgoing, redaction, tagging
        from .outside import make_folder_outside, refuse_taken, write_outside
        from .pages import write_pages

        redacted = redaction(self, redact)
        chosen = writer(format, prefer, tagging(self, redacted))
        found = outgoing(self, names, branches=branches)
        if format == "html" and branches:
            return write_pages(path, [redacted(session) for session in found], overwrite=overwrite)
        if chosen.is_of_several:
            return [write_outside(path, chosen.write(map(redacted, found)), overwrite=overwrite)]
        folder = make_folder_outside(path)
        targets = [os.path.join(folder, file_name(session.name, format)) for session in found]
        if not overwrite:
            refuse_taken(targets)
        written = []
        for session, target in zip(found, targets, strict=True):
            with session._lock:
                if format == "html":
                    written += write_pages(target, [redacted(session)], overwrite=overwrite)
                    continue
                written.append(write_outside(target, chosen.write([redacted(session)]), overwrite=overwrite))
        return written

    @operation
    def import_session(
        self,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        on_exists: Literal["raise", "replace", "skip"] = "raise",
    ) -> late.Session:
        """Read a session from a file that `export_session` wrote, and store it.

        Args:
            name: call it this instead of what the file says.
            on_exists: what to do when the name is taken; "replace" keeps the replaced messages in the history, also
                what was not saved yet, and "skip" returns the session that is there.

        Raises:
            SessionExistsError: the name is taken, and `on_exists` is "raise".
            ExportError: the file is no exported session.
            OSError: it cannot be read.
        """
        if on_exists not in ("raise", "replace", "skip"):
            raise ValueError(f'on_exists takes "raise", "replace" or "skip", not {on_exists!r}')
        self._refuse_if_read_only("import a session")
        from pathlib import Path

        from ..interchange.export import exported_session
        from .outside import read_outside

        file = Path(path).expanduser()
        imported = exported_session(read_outside(file), file, name)
        with self._sessions.lock:
            session = self._sessions.find(imported.name)
            if session is None:
                session = imported
            elif on_exists == "raise":
                raise late.name_taken(imported.name)
            elif on_exists == "skip":
                return session
            else:
                self._sessions.replace(session, imported, self._save)
            self._save(session)
            return session

    def import_sessions(
        self,
        *paths: str | os.PathLike[str],
        format: str | None = None,
        names: str | None = None,
        keep: Literal["none", "rest", "all"] = "rest",
        assets: str | os.PathLike[str] | None = None,
        again: bool = False,
        dry_run: bool = False,
        progress: Callable[[late.ImportReport], object] | None = None,
    ) -> late.ImportReport:
        """Bring in what other programs keep: exports, and the files of agents; durable when this returns.

        Each way through a chat is a session: the first one of the chat, and a branch for every answer or prompt that
        the source has beside another. The files are only read. Run again, it adds what is new. A session that was
        changed here stays so, and what is new goes into a branch of it. What was deleted here is not brought back.

        It may be interrupted anywhere, and run again.

        Args:
            paths: files, folders and zip files.
            format: what the files are, where that cannot be told from what is in them.
            names: a pattern for names, with the fields format, project, title and id.
            keep: what to keep beside the messages, under ``source``: what they do not have of a record ("rest"), all
                of it, or nothing.
            assets: a folder for images and files of more than 250 kB that stand in messages, each called by its
                SHA-256. Without it the hash alone is kept.
            again: bring back what was deleted, and look at files that did not change.
            dry_run: tell what would be done, and change nothing.
            progress: is called with the report so far after each chat, and once for all chats of files that did not
                change. An error in it ends the import; what was stored by then stays.

        Raises:
            ValueError: no path is given, or an argument is not possible.
            FileNotFoundError: a path is not there.
            StoreReadOnlyError: this manager was opened read_only.
            StoreError: the store cannot be written; what the report had counted by then may be missing.
        """
        if not paths:
            raise ValueError("import_sessions needs the paths of files or folders")
        from .importing import Importer, opened_block

        importer = Importer(
            self,
            lambda: opened_block(self),
            format_name=format,
            names=names,
            keep=keep,
            assets=assets,
            again=again,
            dry_run=dry_run,
            progress=progress,
        )
        return importer.run(list(paths))

    @operation
    def kept_aside(self) -> list[late.SessionInfo]:
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
    def bring_back(self, name: str | None = None) -> list[late.SessionInfo]:
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
        self._refuse_if_read_only("bring back a session")
        name = None if name is None else checked_name(name)
        with self._sessions.lock:
            return self._storage.bring_back(name)

    @operation
    def sync(
        self,
        target: str | os.PathLike[str] | Manager,
        *,
        direction: late.Direction = "both",
        names: Iterable[str] | None = None,
        progress: late.ProgressCallback | None = None,
        dry_run: bool = False,
        hub_options: Mapping[str, Any] | None = None,
    ) -> late.SyncReport:
        """Bring this store and another one to hold the same sessions, with their whole history.

        What is saved travels; save first what is not. Nothing is ever removed, a sync may be interrupted anywhere
        and run again, and both stores may be in use meanwhile, here and on other machines. Of a session that was
        continued on both sides each side is kept, as after any other way of bringing the files together.

        Args:
            target: the folder of another store, such as one on a USB stick or a network disk, made if it is absent or
                empty; or ``host:path``, a folder that rsync reaches, usually by ssh; or another manager; or a place in
                a bucket: ``s3://bucket/prefix``, ``gs://…`` or ``az://…``, which needs the extra ``bucket``.
            direction: "push" writes only to the target, "pull" only here.
            names: bring only these sessions, None for all.
            progress: is called with a `SyncProgress` after every object and every few refs; an error in it ends the
                sync, which loses nothing.
            dry_run: write nothing on either side. The report is of what would be done; with another host it counts
                files alone.
            hub_options: endpoint, region, credentials and timeouts of a bucket, beside and before the option ``hub``.

        Returns:
            What went where, and what was damaged and left alone.

        Raises:
            ValueError: the target is this store, or one of them lies within the other; or it is a URL of another kind,
                or one with credentials in it. A folder whose name looks like a host is ``./host:chats``.
            SessionNotFoundError: one of `names` is on neither side; nothing was done.
            ConfigError: the extra ``bucket`` is not installed, or an option of the bucket is none.
            StoreFormatError: the target is a folder of something else, or a store of a newer version.
            StoreError: a side cannot be read or written; what had arrived by then stays. With "pull", also where
                there is no store.
            UnsupportedError: a storage that is not one of this package's cannot be synced; with another host only
                one of files can, as a whole, and rsync must be installed.
        """
        if direction not in ("both", "push", "pull"):
            raise ValueError(f'direction takes "both", "push" or "pull", not {direction!r}')
        if direction != "push" and not dry_run:
            self._refuse_if_read_only(f'sync with direction="{direction}"')
        # Late, as in `watch`: a program that only keeps its sessions needs neither.
        from ..repo.sync.exchange import refuse_overlap, sync, syncable

        ours = syncable(self._storage)
        told = progress and self._operations.pausing(progress)
        if isinstance(names, str):
            raise ValueError(f"names takes a list of names, not one: [{names!r}]")
        chosen = None if names is None else [checked_name(name) for name in names]
        hub = None if isinstance(target, Manager) else bucket_url(target)
        if hub is not None:
            from .hub import open_hub

            theirs = open_hub(hub, self._config, hub_options)
            try:
                return sync(ours, theirs, direction=direction, progress=told, dry_run=dry_run, names=chosen)
            finally:
                theirs.close()
        if hub_options is not None:
            raise ValueError(f"hub_options are for a bucket, and {target!r} is none")
        remote = None if isinstance(target, Manager) else remote_path(target)
        if remote is not None:
            if chosen is not None:
                raise UnsupportedError("rsync brings whole stores: a sync of a few sessions takes a folder or a bucket")
            from .remote import RemotePlace, RemoteSync

            return RemoteSync(ours, self._config, RemotePlace(*remote), progress=told, dry_run=dry_run).run(direction)
        if isinstance(target, Manager):
            if direction != "pull" and not dry_run:
                target._refuse_if_read_only(f'sync with direction="{direction}"')
            theirs = syncable(target._storage)
            refuse_overlap(ours.repo.backend.place().path, theirs.repo.backend.place().path)
            told = told and target._operations.pausing(told)
            return target._within(
                lambda: sync(ours, theirs, direction=direction, progress=told, dry_run=dry_run, names=chosen)
            )
        folder = local_path(target)
        refuse_overlap(ours.repo.backend.place().path, os.path.realpath(folder))
        options = self._config._replace(backend="files", storage_path=folder, replica=None, read_only=dry_run)
        theirs = OpenedStore(options, new=True).storage()
        try:
            return sync(ours, theirs, direction=direction, progress=told, dry_run=dry_run, names=chosen)
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
