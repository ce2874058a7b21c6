"""Threads as a whole: copied, deleted, and rid of states that nobody needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ... import SessionConflictError, SessionExistsError, SessionInfo
from ..sessions import FrameworkSessions
from .log import REWRITTEN, Reader, Record, without
from .states import ATTEMPTS, Key, States, log_of
from .talks import TALK, Reference


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
                if info.diverged_from is not None:
                    continue
                parts = (target, *(sessions.key(info) or ())[1:])
                child = change.create_session(sessions.name(*parts), branch_from=self._meant(source, info))
                told = child.metadata.get(TALK)
                child.update_metadata(
                    {**sessions.notes(*parts), **({TALK: {**told, "thread": target}} if told else {})}
                )

    def _meant(self, thread: str, info: SessionInfo) -> str:
        """Return the side of a session that the states of its thread were put with."""
        told = info.metadata.get(TALK)
        log = self._logs.find(self._logs.name(*log_of(Key(thread, told["ns"])))) if told and info.sides else None
        if told is None or log is None:
            return info.name
        wanted = [
            each
            for channel, each in references(log.iter_messages())
            if (channel, each[0]) == (told["channel"], told["branch"])
        ]
        return self._talks.meant(info.name, wanted)

    def delete(self, thread: str) -> None:
        """Delete all sessions of a thread, if there are any, on all their sides."""
        with self._manager.transaction() as change:
            for _, info in self._family(thread):
                change.delete_session(info.name, missing_ok=True)

    def thin_out(self, key: Key, choose: Callable[[Reader], set[str]], *, sides: bool = False) -> None:
        """Take states out of a log, and delete the branches of messages that no state has any more.

        Args:
            choose: returns the states that stay.
            sides: of the other sides of the log too.
        """
        name = self._logs.name(*log_of(key))
        with self._logs.locked(name):
            for attempt in range(ATTEMPTS):
                session = self._logs.find(name)
                if session is None:
                    return
                log = Reader(self._follow(session), session)
                others = list(self._sides(key, log))
                kept = {each: choose(each) if sides or each is log else {*each.log.states} for each in (log, *others)}
                try:
                    if any(keep != each.log.states.keys() for each, keep in kept.items()):
                        self._thin_out(key, kept)
                    return
                except SessionConflictError:
                    if attempt == ATTEMPTS - 1:
                        raise

    def _thin_out(self, key: Key, kept: dict[Reader, set[str]]) -> None:
        records = {reader: without(reader, keep) for reader, keep in kept.items()}
        used = {(channel, each[0]) for side in records.values() for channel, each in references(side)}
        is_empty = not any(kept.values())
        logs = {
            reader.session: (made, reader.session.revision)
            for reader, made in records.items()
            if kept[reader] != reader.log.states.keys()
        }
        with self._logs.all_or_nothing(*logs), self._manager.transaction() as change:
            for session, (made, expected) in logs.items():
                session.messages = made
                session.update_metadata({REWRITTEN: session.metadata.get(REWRITTEN, 0) + 1})
                change.save_session(session, expected=expected)
            for sessions, info in self._family(key.thread):
                told = info.metadata.get(TALK) if sessions is self._talks.sessions else None
                if not told or told["ns"] != key.ns or (told["channel"], told["branch"]) in used:
                    continue
                if told["branch"] or is_empty:
                    change.delete_session(info.name, missing_ok=True)

    def _family(self, thread: str) -> list[tuple[FrameworkSessions, SessionInfo]]:
        """Return the sessions of a thread, and all their sides."""
        found = {info.name: (each, info) for each in (self._talks.sessions, self._logs) for info in each.infos(thread)}
        for each, info in list(found.values()):
            for side in info.sides:
                # The name of a side may be as a name of another thread.
                if side not in found and (other := self._manager.get_session_info(side)) is not None:
                    found[side] = each, other
        return list(found.values())


def references(records: Iterable[Record]) -> Iterator[tuple[str, Reference]]:
    """Yield the channel of every list of messages that records have, and what stands for the list."""
    for record in records:
        told = [*record.get("values", {}).items(), *((channel, value) for channel, _, value in record.get("kept", ()))]
        for channel, value in told:
            if type(value) is dict and "$snapshot" in value:
                value = value["$snapshot"]
            if type(value) is dict and "$of" in value:
                yield channel, value["$of"]
        yield from record.get("shown", {}).items()
