"""Threads as a whole: copied, deleted, and rid of states that nobody needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ... import Session, SessionConflictError, SessionExistsError, SessionInfo
from ..sessions import FrameworkSessions
from .log import REWRITTEN, Log, Reader, Record, without
from .states import ATTEMPTS, Key, States, log_of
from .talks import TALK


class Threads(States):
    """The states of all threads below a prefix, and what is done to threads. Each is done as a whole, or not at all."""

    def copy(self, source: str, target: str) -> None:
        """Copy all of a thread, as branches: what it has so far is shared.

        Raises:
            SessionExistsError: there is a target; nothing was changed.
        """
        found = self._family(source)
        if found and self._family(target):
            raise SessionExistsError(f"thread {target!r} has sessions already: copy to another one, or delete it first")
        with self._manager.transaction() as change:
            for sessions, info in found:
                parts = (target, *(sessions.key(info) or ())[1:])
                child = change.create_session(sessions.name(*parts), branch_from=info.name)
                told = child.metadata.get(TALK)
                child.update_metadata(
                    {**sessions.notes(*parts), **({TALK: {**told, "thread": target}} if told else {})}
                )

    def delete(self, thread: str) -> None:
        """Delete all sessions of a thread, if there are any."""
        with self._manager.transaction() as change:
            for _, info in self._family(thread):
                change.delete_session(info.name, missing_ok=True)

    def thin_out(self, key: Key, choose: Callable[[Log, Reader], set[str]]) -> None:
        """Take states out of a log, and delete the branches of messages that no state has any more.

        Args:
            choose: returns the states that stay.
        """
        parts = log_of(key)
        with self._logs.locked(self._logs.name(*parts)):
            for attempt in range(ATTEMPTS):
                session = self._logs.find(self._logs.name(*parts))
                if session is None:
                    return
                log = self._follow(key, session)
                keep = choose(log, Reader(log, session))
                if keep == log.states.keys():
                    return
                try:
                    self._thin_out(key, session, without(log, session, keep))
                    return
                except SessionConflictError:
                    if attempt == ATTEMPTS - 1:
                        raise

    def _thin_out(self, key: Key, session: Session, records: list[Record]) -> None:
        used = set(references(records))
        is_empty = not any("state" in record for record in records)
        expected = session.revision
        with self._logs.all_or_nothing(session), self._manager.transaction() as change:
            session.messages = records
            session.update_metadata({REWRITTEN: session.metadata.get(REWRITTEN, 0) + 1})
            change.save_session(session, expected=expected)
            for sessions, info in self._family(key.thread):
                told = info.metadata.get(TALK) if sessions is self._talks.sessions else None
                if not told or told["ns"] != key.ns or (told["channel"], told["branch"]) in used:
                    continue
                if told["branch"] or is_empty:
                    change.delete_session(info.name, missing_ok=True)

    def _family(self, thread: str) -> list[tuple[FrameworkSessions, SessionInfo]]:
        """Return the sessions of a thread."""
        return [(each, info) for each in (self._talks.sessions, self._logs) for info in each.infos(thread)]


def references(records: Iterable[Record]) -> Iterator[tuple[str, int]]:
    """Yield the channel and the branch of every list of messages that records have."""
    for record in records:
        told = [*record.get("values", {}).items(), *((channel, value) for channel, _, value in record.get("kept", ()))]
        for channel, value in told:
            if type(value) is dict and "$snapshot" in value:
                value = value["$snapshot"]
            if type(value) is dict and "$of" in value:
                yield channel, value["$of"][0]
        for channel, reference in record.get("shown", {}).items():
            yield channel, reference[0]
