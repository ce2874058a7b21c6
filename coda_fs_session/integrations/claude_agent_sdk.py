"""Transcripts of the Claude Agent SDK: pass a `CodaSessionStore` as ``ClaudeAgentOptions(session_store=...)``."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any
from uuid import uuid4

from .extras import not_installed

try:
    from claude_agent_sdk import (
        SessionKey,
        SessionListSubkeysKey,
        SessionStore,
        SessionStoreEntry,
        SessionStoreListEntry,
        SessionSummaryEntry,
        fold_session_summary,
    )
except ModuleNotFoundError as error:
    raise not_installed(error, "claude-agent-sdk", "claude_agent_sdk", "mcp") from error

from .. import Session, SessionInfo, SessionManager
from .escapes import add, escaped, restored
from .sessions import FrameworkSessions

SUMMARY = "coda_fs_session.claude_summary"
"""Metadata key of the SDK's summary of a session."""
CHANGED = "coda_fs_session.claude_mtime"
"""Metadata key with the time of the last append, in milliseconds since 1970."""
IMPORTED = "coda_fs_session.import"


class CodaSessionStore(SessionStore):
    """A `SessionStore` in a store of this package: each transcript is a session, and each entry a message.

    An entry whose `uuid` is there already is not added again, whichever process adds it. What was appended is durable
    when `append` returns. Transcripts of sub-agents are hidden from lists. It works in asyncio and in trio.

    An import of Claude Code's own files leaves out what is in here.

    Args:
        manager: whose store it is; the program closes it.
        prefix: what names of sessions begin with.
    """

    def __init__(self, manager: SessionManager, *, prefix: str = "claude-agent-sdk/") -> None:
        self._sessions = FrameworkSessions(manager, "claude-agent-sdk", prefix)
        # Of a session: how many messages there are up to the last one with a uuid, that uuid, and all of them.
        self._known: dict[str, tuple[int, str, set[str]]] = {}

    async def append(self, key: SessionKey, entries: list[SessionStoreEntry]) -> None:
        if not entries:
            return
        parts = _parts(key)

        def step(session: Session) -> None:
            there = set(self._uuids(session))
            new = []
            for entry in entries:
                name = entry.get("uuid")
                if not isinstance(name, str) or name not in there:
                    new.append(entry)
                    if isinstance(name, str):
                        there.add(name)
            if not new:
                return
            for entry in new:
                add(session, dict(entry))
            changed = max(int(time.time() * 1000), int(session.metadata.get(CHANGED, 0)) + 1)
            session.update_metadata({CHANGED: changed, **_import_note(session, key, new)})
            if len(parts) == 2:
                told = session.metadata.get(SUMMARY)
                before: Any = restored(dict(told)) if isinstance(told, dict) else None
                summary = fold_session_summary(before, key, new)
                summary["mtime"] = changed
                session.update_metadata({SUMMARY: escaped(dict(summary))})

        await self._sessions.call(lambda: self._sessions.change(*parts, step=step, hidden=len(parts) == 3))

    async def load(self, key: SessionKey) -> list[SessionStoreEntry] | None:
        def read() -> list[SessionStoreEntry] | None:
            session = self._sessions.find(self._sessions.name(*_parts(key)))
            return None if session is None else list(map(restored, session.get_messages()))

        return await self._sessions.call(read)

    async def list_sessions(self, project_key: str) -> list[SessionStoreListEntry]:
        found = await self._sessions.call(self._infos, project_key)
        return [{"session_id": parts[1], "mtime": _changed(info)} for parts, info in found if len(parts) == 2]

    async def list_session_summaries(self, project_key: str) -> list[SessionSummaryEntry]:
        found = await self._sessions.call(self._infos, project_key)
        told = [(parts[1], info.metadata.get(SUMMARY)) for parts, info in found if len(parts) == 2]
        # The side of another machine is a transcript of its own.
        summaries: Any = [{**restored(dict(each)), "session_id": name} for name, each in told if isinstance(each, dict)]
        return summaries

    async def delete(self, key: SessionKey) -> None:
        parts = _parts(key)

        def delete() -> None:
            ours = self._sessions
            names = [info.name for _, info in self._infos(*parts)]
            if names:
                with ours.locked(*names), ours.manager.transaction() as change:
                    for name in names:
                        change.delete_session(name, missing_ok=True)

        await self._sessions.call(delete)

    async def list_subkeys(self, key: SessionListSubkeysKey) -> list[str]:
        found = await self._sessions.call(self._infos, key["project_key"], key["session_id"])
        return [parts[2] for parts, _ in found if len(parts) == 3]

    async def fork(self, key: SessionKey, *, up_to: str | None = None, new_session_id: str | None = None) -> SessionKey:
        """Make a session with the entries of another one, which both share; return its key.

        The entries are the very same, with their `uuid` and `sessionId`: `fork_session_via_store` of the SDK writes
        each anew, under another.

        Args:
            up_to: the `uuid` of the last entry to take over; all where not given.
            new_session_id: a new one where not given.

        Raises:
            LookupError: there is no such session, or no such entry in it.
            SessionExistsError: `new_session_id` is taken.
        """
        made: SessionKey = {"project_key": key["project_key"], "session_id": new_session_id or str(uuid4())}

        def fork() -> None:
            session = self._sessions.find(self._sessions.name(*_parts(key)))
            if session is None:
                raise LookupError(f"there is no session {key['session_id']!r} in project {key['project_key']!r}")
            entries: list[Any] = list(map(restored, session.get_messages()))
            at = next((place for place, each in enumerate(entries, 1) if each.get("uuid") == up_to), None)
            if up_to is not None and at is None:
                raise LookupError(f"session {key['session_id']!r} has no entry {up_to!r}")
            summary = fold_session_summary(None, made, entries[:at])
            summary["mtime"] = int(time.time() * 1000)
            told = {SUMMARY: escaped(dict(summary)), CHANGED: summary["mtime"]}
            self._sessions.branch(session, *_parts(made), at=at if up_to is not None else None, metadata=told)

        await self._sessions.call(fork)
        return made

    def _infos(self, *parts: str) -> list[tuple[tuple[str, ...], SessionInfo]]:
        """Return the sessions whose key begins so, with their keys."""
        return [(self._sessions.key(info) or (), info) for info in self._sessions.infos(*parts)]

    def _uuids(self, session: Session) -> set[str]:
        """Return the uuids of all entries; only what others have added since the last time is read."""
        count, last, known = self._known.get(session.name, (0, "", set()))
        if count > len(session) or (count and session[count - 1].get("uuid") != last):
            count, known = 0, set()
        for place, message in enumerate(session.iter_messages(count), count + 1):
            name = message.get("uuid")
            if isinstance(name, str):
                count, last = place, name
                known.add(name)
        self._known[session.name] = count, last, known
        return known


def _parts(key: SessionKey) -> tuple[str, ...]:
    subpath = key.get("subpath")
    return (key["project_key"], key["session_id"], *([subpath] if subpath else []))


def _changed(info: SessionInfo) -> int:
    told = info.metadata.get(CHANGED)
    return told if isinstance(told, int) else int(info.updated.timestamp() * 1000)


def _import_note(session: Session, key: SessionKey, entries: Iterable[SessionStoreEntry]) -> dict[str, Any]:
    """Return what an import of Claude Code knows the session by, once that is known."""
    if IMPORTED in session.metadata:
        return {}
    for entry in entries:
        told: dict[str, Any] = dict(entry)
        if isinstance(told.get("uuid"), str):
            name = told["uuid"]
            if told.get("isSidechain") is True:
                agent = told.get("agentId")
                name = f"{told.get('sessionId') or key['session_id']}/{f'agent-{agent}' if agent else name}"
            return {IMPORTED: {"format": "claude-code", "id": name, "branch": "", "mirror": True}}
    return {}
