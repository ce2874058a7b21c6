"""The verb that finds messages by what they say."""

from __future__ import annotations

from ..format.names import checked_name
from ..process.loading import loading
from ..process.operations import operation
from . import late
from .core import Manager


class Searching(Manager):
    """How a manager finds messages; see `SessionManager`."""

    _search: late.Search | None

    @operation
    def search(
        self,
        text: str,
        *,
        session: str | None = None,
        role: str | None = None,
        since: late.datetime | None = None,
        until: late.datetime | None = None,
        limit: int | None = 20,
        progress: late.SearchProgressCallback | None = None,
    ) -> late.SearchResult:
        """Find saved messages that have all words of a text, in every session, the best first.

        What any process has saved is found at once, and nothing that is not in a session now. Case, accents and width
        make no difference. Words are whole ones; the last one may also be the beginning of one, where else fewer than
        `limit` are found. Words in double quotes must follow each other. What has signs in it, such as ``snake_case``
        or ``a->b``, must be there as it is. Where nothing is found so, messages are looked through for it, for a few
        seconds at most.

        The first search reads every session, and keeps an index in the state folder; later ones read what is new.

        Args:
            text: any text; without a word or sign in it, nothing is found.
            session: only messages of this session.
            role: only messages of this role, as `SearchHit.role` has it.
            since, until: only messages of at or after the one, and before the other; of one that does not say when it
                was written, the session's last change counts. Naive datetimes are local.
            limit: at most so many; None for all.
            progress: is called with a `SearchProgress` after each session that was read; an error in it ends all.

        Raises:
            SessionNotFoundError: there is no such session.
            TypeError, ValueError: an argument other than the text is not possible.
            StoreError: the store cannot be read. What cannot be read in it only makes the result not `complete`.
        """
        with loading():
            from ..repo.search.search import asked

        name = None if session is None else self._meant(checked_name(session))
        wanted = asked(text, name, role, since, until, limit)
        told = progress and self._operations.pausing(progress)
        return self._searcher().search(wanted, told)

    def _searcher(self) -> late.Search:
        with self._sessions.lock:
            if self._search is None:
                from ..repo.search.sources import RefSource, StorageSource

                engine = self._engine
                source = StorageSource(self._storage) if engine is None else RefSource(engine.repo)
                self._search = late.Search(source, None if engine is None else engine.repo.machine)
                self._operations.also_recover(self._search.recover)
            return self._search

    def _forget_search(self) -> None:
        """Close the index of searches, which is about to be removed."""
        with self._sessions.lock:
            if self._search is not None:
                self._search.close()
