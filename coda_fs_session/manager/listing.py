"""The verbs that tell what is stored, without loading a session."""

from __future__ import annotations

from typing import Literal

from ..errors import InvalidNameError, UnsupportedError
from ..format.names import checked_name
from ..process.loading import loading
from ..process.operations import operation
from . import late
from .core import Manager

Order = Literal["updated", "-updated", "created", "-created", "name", "-name", "size", "-size"]


class Telling(Manager):
    """What a manager tells of the sessions in its store; see `SessionManager`."""

    @operation
    def list_sessions(
        self,
        *,
        prefix: str | None = None,
        where: late.Where | None = None,
        since: late.datetime | None = None,
        until: late.datetime | None = None,
        order: Order = "updated",
        limit: int | None = None,
        after: str | None = None,
        hidden: bool = False,
    ) -> list[late.SessionInfo]:
        """Return what is known of every session, or of those that are asked for; newest first, then by name.

        A session that cannot be loaded is listed with `error` set.

        Args:
            prefix: only names that begin with this.
            where: only sessions whose metadata has all of these values; a key is one of the metadata, or a tuple of
                keys, each in the dict at the one before. Or a function that is called with each `SessionInfo`.
            since, until: only what last changed at or after the one, and before the other; naive datetimes are local.
            order: "updated" and "created" are newest first, "size" is largest first, "name" is by name. A - in front
                turns it round. Sessions that are alike in that are by name.
            limit: at most so many.
            after: only what comes after a session of an earlier list in the same order: its `SessionInfo.cursor`. A
                session that did not change between two such lists is in exactly one of them.
            hidden: also those whose metadata has a true value under ``coda_fs_session.hidden``.

        Raises:
            TypeError, ValueError: an argument is not possible.
        """
        query = late.Query(
            prefix=prefix,
            where=where,
            since=since,
            until=until,
            order=order,
            limit=limit,
            after=after,
            hidden=hidden,
        )
        infos: list[late.SessionInfo] = self._storage.list_named(query.prefix) or []
        if self._storage.lists_newest_first:
            return query.select(infos, ordered=True)
        return query.select(map(late.with_origin, infos))

    @operation
    def deleted_sessions(self) -> list[late.SessionInfo]:
        """Return what is known of the deleted sessions whose name nobody has since, the last deleted one first.

        Each is told as it was, with the time of its deletion as `updated`; ``history(name).restore()`` brings it back.

        Raises:
            UnsupportedError: the storage is one of your own, which keeps none.
        """
        if self._engine is None:
            raise UnsupportedError(
                f"{type(self._storage).__name__} keeps no deleted sessions: use a store of this package"
            )
        # Late, as all that a verb alone needs.
        with loading():
            from ..repo.going_back import GoingBack

        return GoingBack(self._engine).deleted()

    @operation
    def get_session_info(self, name: str) -> late.SessionInfo | None:
        """Return what is known of a session without loading its messages, None where there is none."""
        return self._info(self._meant(checked_name(name)))

    @operation
    def store_exists(self) -> bool:
        """Return False where the store is not made yet, which the first save does; True for a storage of your own.

        Raises:
            StoreError: what is at its place cannot be read.
        """
        if self._engine is None:
            return True
        backend = self._engine.repo.backend
        return backend.place().store is not None or bool(backend.ref_tokens())

    @operation
    def describe(self) -> late.StoreDescription:
        """Return where the store is, and what this machine keeps of it.

        Raises:
            StoreError: the store cannot be listed.
        """
        if self._engine is None:
            return late.StoreDescription(type(self._storage).__name__)
        repo = self._engine.repo
        path = repo.backend.place().path if self._config.backend != "memory" else None
        return late.StoreDescription(self._config.backend, path, repo.machine.folder(), repo.replica)

    @operation
    def stats(self) -> late.StoreStats:
        """Return totals over all sessions, and the real use of the disk."""
        return self._storage.stats()

    @operation
    def __contains__(self, name: object) -> bool:
        try:
            return self._storage.exists(self._meant(checked_name(name)))
        except InvalidNameError:
            return False
