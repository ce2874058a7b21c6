"""Conversations of pydantic-ai: a `CodaConversationStore` keeps each as a session, and each message as one of its."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from .extras import not_installed

try:
    import pydantic
    from pydantic_ai.conversation_store import (
        ConversationConflict,
        ConversationEntry,
        ConversationRecord,
        ConversationStore,
    )
    from pydantic_ai.messages import ModelMessage
except ModuleNotFoundError as error:
    raise not_installed(error, "pydantic-ai-slim", "pydantic_ai", "pydantic", extra="pydantic-ai") from error

from .. import CorruptionError, Session, SessionInfo, SessionManager
from .escapes import add, escaped, restored
from .sessions import FrameworkSessions

ENTRY = "coda_fs_session.entry"
"""Key of a message with the id of its entry and of the one before it."""
RECORD = "coda_fs_session.pydantic_ai"
"""Metadata key of the framework's record."""
TIP = "coda_fs_session.tip"
"""Metadata key with the id of the last entry."""

# As the framework's own adapter of messages, but that infinities are kept.
_CONFIG = pydantic.ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="constants")
_MESSAGES: pydantic.TypeAdapter[list[ModelMessage]] = pydantic.TypeAdapter(list[ModelMessage], config=_CONFIG)
_RECORDS: pydantic.TypeAdapter[ConversationRecord] = pydantic.TypeAdapter(ConversationRecord)


class CodaConversationStore(ConversationStore):
    """A `ConversationStore` in a store of this package.

    A message is stored as the framework writes it to JSON. A fork, and a history that is left, is a branch: it shares
    what it has in common. What `save`, `branch` and `fork` store is durable when they return, record and entries
    together. `delete` takes the histories that a conversation has left along; forks keep what they have.

    Args:
        manager: whose store it is; the program closes it.
        prefix: what names of sessions begin with.
    """

    def __init__(self, manager: SessionManager, *, prefix: str = "pydantic-ai/") -> None:
        self._sessions = FrameworkSessions(manager, "pydantic-ai", prefix)
        # Which session an entry was seen in at last, and where.
        self._seen: dict[str, tuple[str, int]] = {}

    async def read_record(self, conversation_id: str) -> ConversationRecord | None:
        return await self._sessions.call(self._stored_record, conversation_id)

    async def read_records(self, *, scope: str | None = None, limit: int | None = None) -> Sequence[ConversationRecord]:
        def read() -> list[ConversationRecord]:
            where: dict[str | tuple[str, ...], Any] = {} if scope is None else {(RECORD, "scope"): scope}
            infos = self._sessions.infos(where=where)
            records = [record for info in infos if (record := self._record(info)) is not None]
            records.sort(key=lambda record: record.updated_at, reverse=True)
            return records[:limit]

        return await self._sessions.call(read)

    async def write_record(
        self,
        record: ConversationRecord,
        *,
        new_entries: Sequence[ConversationEntry] = (),
        expected_revision: str | None,
    ) -> None:
        # Dumped here: what the caller holds may change while a thread is at work.
        told = escaped(_RECORDS.dump_python(record, mode="json"))
        messages = _MESSAGES.dump_python([entry.message for entry in new_entries], mode="json")
        items = [
            {**message, ENTRY: {"id": entry.id, "parent": entry.parent_id}}
            for entry, message in zip(new_entries, messages, strict=True)
        ]
        base = new_entries[0].parent_id if new_entries else record.head_id
        await self._sessions.call(self._write, record, told, items, base, expected_revision)

    async def delete_record(self, conversation_id: str, *, expected_revision: str) -> None:
        def delete() -> None:
            ours, name = self._sessions, self._sessions.name(conversation_id)
            names = [info.name for info in ours.infos(conversation_id)]
            with ours.locked(name, *names):
                session = ours.find(name)
                stored = None if session is None else self._record(session)
                if session is None or stored is None or stored.revision != expected_revision:
                    raise ConversationConflict(conversation_id)
                with ours.manager.transaction() as change:
                    change.save_session(session, expected=session.revision)
                    for each in {name, *names}:
                        change.delete_session(each, missing_ok=True)

        await self._sessions.call(delete)

    async def read_entry(self, entry_id: str) -> ConversationEntry:
        (entry,) = await self.read_history(entry_id, limit=1)
        return entry

    async def read_history(self, head_id: str | None, *, limit: int | None = None) -> list[ConversationEntry]:
        if head_id is None or limit == 0:
            return []
        return await self._sessions.call(self._history, head_id, limit)

    # In a worker thread

    def _stored_record(self, conversation_id: str) -> ConversationRecord | None:
        session = self._sessions.find(self._sessions.name(conversation_id))
        record = None if session is None else self._record(session)
        if session is not None and record is not None and record.head_id is not None:
            self._seen[record.head_id] = session.name, len(session) - 1
        return record

    def _record(self, session: Session | SessionInfo) -> ConversationRecord | None:
        """Return the record of a conversation, whose id the name of its session tells."""
        told, key = session.metadata.get(RECORD), self._sessions.key(session)
        if not isinstance(told, dict) or not key:
            return None
        # The side of another machine, or one that somebody has renamed, is a conversation of its own.
        return replace(_RECORDS.validate_python(restored(dict(told))), conversation_id=key[0])

    def _history(self, head: str, limit: int | None) -> list[ConversationEntry]:
        session, place = self._place(head)
        start = 0 if limit is None else max(place + 1 - limit, 0)
        rows = session.get_messages(start=start, stop=place + 1)
        if any(_parent(row) != _id(before) for before, row in pairwise(rows)):
            # A merge has put in what others said, which is not what this entry goes on from.
            rows = _line_to(head, session, place + 1)[-(limit or 0) :]
        rows = list(map(restored, rows))
        entries = [row.pop(ENTRY) for row in rows]
        messages = _MESSAGES.validate_python(rows)
        return [
            ConversationEntry(id=entry["id"], parent_id=entry["parent"], message=message)
            for entry, message in zip(entries, messages, strict=True)
        ]

    def _place(self, entry_id: str) -> tuple[Session, int]:
        """Return the session that an entry is in, and where.

        Raises:
            LookupError: it is in none.
        """
        known = self._seen.get(entry_id)
        if known is not None:
            session = self._sessions.find(known[0])
            if session is not None and known[1] < len(session) and _id(session[known[1]]) == entry_id:
                return session, known[1]
        for info in self._sessions.infos(where={TIP: entry_id}):
            session = self._sessions.find(info.name)
            if session is not None and len(session) and _id(session[-1]) == entry_id:
                return session, len(session) - 1
        for info in self._sessions.infos():
            session = self._sessions.find(info.name)
            for place, message in enumerate(session or ()):
                if session is not None and _id(message) == entry_id:
                    self._seen[entry_id] = session.name, place
                    return session, place
        raise LookupError(f"no conversation has the entry {entry_id!r}")

    def _write(
        self,
        record: ConversationRecord,
        told: dict[str, Any],
        items: list[dict[str, Any]],
        base: str | None,
        expected: str | None,
    ) -> None:
        ours, key = self._sessions, record.conversation_id
        source: Session | None = None
        count = 0
        if base is not None:
            try:
                source, place = self._place(base)
            except LookupError:
                raise ConversationConflict(key) from None
            count = place + 1
        if expected is None and source is not None and not items and self._fork(source, count, record, told):
            return

        def step(session: Session) -> str | None:
            stored = self._record(session)
            if (stored.revision if stored is not None else None) != expected:
                raise ConversationConflict(key)
            if source is not None and (count > len(source) or _id(source[count - 1]) != base):
                raise ConversationConflict(key)
            left = _tip(session)
            if source is None:
                session.clear_messages()
            elif source is not session:
                common = _common(session, source, count)
                session.keep_first(common)
                for message in source.get_messages(start=common, stop=count):
                    session.add_message(message)
            session.keep_first(count)
            for item in items:
                add(session, item)
            session.update_metadata({RECORD: told, TIP: _tip(session)})
            return left

        session = ours.find(ours.name(key))
        stored = None if session is None else self._record(session)
        if (stored.revision if stored is not None else None) != expected:
            raise ConversationConflict(key)
        if session is not None and len(session) and (source is not session or count < len(session)):
            self._leave(session)
        ours.change(key, step=step)
        if record.head_id is not None:
            self._seen[record.head_id] = ours.name(key), count + len(items) - 1

    def _fork(self, source: Session, count: int, record: ConversationRecord, told: dict[str, Any]) -> bool:
        """Begin a conversation as a branch; False where the name is taken, be it by one that was deleted in between."""
        ours, key = self._sessions, record.conversation_id
        if ours.name(key) in ours.manager:
            return False
        ours.branch(source, key, at=count, metadata={RECORD: told, TIP: record.head_id})
        assert record.head_id is not None
        self._seen[record.head_id] = ours.name(key), count - 1
        return True

    def _leave(self, session: Session) -> None:
        """Keep the history that a conversation is about to leave, as a branch of its own, hidden."""
        ours, tip = self._sessions, _tip(session)
        key = (*(ours.key(session) or ()), "left", str(tip))
        if ours.name(*key) not in ours.manager:
            ours.branch(session, *key, hidden=True, metadata={RECORD: None, TIP: tip})


def _id(message: dict[str, Any]) -> object:
    entry = message.get(ENTRY)
    return entry.get("id") if isinstance(entry, dict) else None


def _parent(message: dict[str, Any]) -> object:
    entry = message.get(ENTRY)
    return entry.get("parent") if isinstance(entry, dict) else None


def _line_to(head: str, session: Session, stop: int) -> list[dict[str, Any]]:
    """Return the messages that an entry goes on from, and its own, in order.

    Raises:
        CorruptionError: one is not there.
    """
    wanted: object = head
    found = []
    for row in reversed(session.get_messages(start=0, stop=stop)):
        if _id(row) == wanted:
            found.append(row)
            wanted = _parent(row)
    if wanted is not None:
        raise CorruptionError(
            f"session {session.name!r} lacks the entry {wanted!r}, which a later one goes on from: "
            f"history({session.name!r}) can bring it back"
        )
    return found[::-1]


def _tip(session: Session) -> Any:
    return _id(session[-1]) if len(session) else None


def _common(one: Session, other: Session, most: int) -> int:
    """Return how many messages at the front two sessions have in common, `most` of them at most."""
    low, high = 0, min(len(one), len(other), most)
    # An entry tells all that came before it.
    while low < high:
        middle = (low + high + 1) // 2
        if _id(one[middle - 1]) == _id(other[middle - 1]):
            low = middle
        else:
            high = middle - 1
    return low
