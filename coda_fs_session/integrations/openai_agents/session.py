"""The session of the OpenAI Agents SDK: each item is a message."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from agents.memory.session import _CompactionSnapshot
from agents.memory.session_settings import resolve_session_limit

from ... import Session, SessionConflictError
from ..escapes import add, restored
from .branches import Branches
from .conversation import Item

_ATTEMPTS = 100


class CodaSession(Branches):
    """A conversation of the OpenAI Agents SDK in a store, with the branches and the usage of `AdvancedSQLiteSession`.

    It has the `Session` protocol of the SDK, and what `OpenAIResponsesCompactionSession` asks of a backend: a replaced
    end is one save, and the history of the session has the talk before it. `clear_session` can be undone there too.

    What is added is durable when the call returns, and a batch is there whole or not at all. A call that is cancelled
    once it has begun is waited for.

    Args:
        session_id: any text.
        manager: whose store it is in; the program closes it.
        session_settings: the limit of `get_items`, as elsewhere in the SDK.
        prefix: what the session's name begins with.
        partial: where messages cannot be read, leave them out of `get_items`; then nothing can be added.
    """

    async def get_items(self, limit: int | None = None, branch_id: str | None = None) -> list[Item]:
        """Return the items: all, or the last ones of a limit, in order.

        Args:
            limit: before that of the settings; a negative one is none.
            branch_id: of this branch, not of the current one.

        Raises:
            SessionError: they cannot be read.
        """
        self._refuse_if_closed()
        most = resolve_session_limit(limit, self.session_settings)
        if most is not None and most < 0:
            most = None

        def read() -> list[Item]:
            session = self._find(branch_id)
            return [] if session is None else list(map(restored, session.get_messages(most)))

        return await self._sessions.call(read)

    async def add_items(self, items: list[Item]) -> None:
        """Add items at the end of the current branch.

        Raises:
            TypeError, ValueError: one holds what `json.dumps` refuses; none was added.
            SessionError: none was added, as far as the store tells.
        """
        self._refuse_if_closed()
        if not items:
            return
        items = list(items)

        def step(session: Session) -> None:
            for item in items:
                add(session, item)

        await self._change(step, create=True)

    async def pop_item(self) -> Item | None:
        """Remove the last item of the current branch, and return it; None where there is none."""
        self._refuse_if_closed()

        def step(session: Session) -> Item | None:
            if not len(session):
                return None
            item = restored(session[-1])
            session.drop_last()
            return item

        return await self._change(step)

    async def clear_session(self) -> None:
        """Remove all items and branches; the history of the sessions still has them."""
        self._refuse_if_closed()

        def clear() -> None:
            ours, main = self._sessions, self._sessions.name(self.session_id)
            names = [info.name for info in ours.infos(self.session_id) if info.name != main]
            with ours.locked(main, *names):
                session = ours.find(main)
                held = [] if session is None else [session]
                with ours.all_or_nothing(*held), ours.manager.transaction() as change:
                    for each in held:
                        each.clear_messages()
                        change.save_session(each, on_conflict="raise")
                    for name in names:
                        change.delete_session(name, missing_ok=True)

        def clear_all() -> None:
            for _ in range(_ATTEMPTS):
                with suppress(SessionConflictError):
                    # Where somebody adds meanwhile, that is cleared too.
                    return clear()
            clear()

        await self._sessions.call(clear_all)
        self._branch = "main"

    def close(self) -> None:
        """Take no more calls. The manager and what is stored stay as they are."""
        self._is_closed = True

    async def _get_compaction_snapshot(
        self, limit: int, *, prune_prefix: Callable[[Item], bool] | None = None
    ) -> _CompactionSnapshot | None:
        """Return the last items, and what replaces the end of them as long as nobody has changed it."""
        mine = type(self)
        if mine.get_items is not CodaSession.get_items or mine.add_items is not CodaSession.add_items:
            # A class of one's own that has items in another form must not be passed by.
            return None

        def read() -> tuple[list[dict[str, Any]], bool]:
            session = self._find()
            return ([], True) if session is None else (session.get_messages(limit), len(session) <= limit)

        branch = self._branch
        rows, complete = await self._sessions.call(read)

        async def replace_suffix(start: int, output: list[Item]) -> bool:
            expected = rows[start:]
            if not expected:
                return False

            def step(session: Session) -> bool:
                keep = len(session) - len(expected)
                if keep < 0 or session.get_messages(len(expected)) != expected:
                    return False
                expired = 0
                if prune_prefix is not None:
                    for message in session.iter_messages(0, keep):
                        if not prune_prefix(restored(message)):
                            break
                        expired += 1
                session.keep_first(keep)
                session.truncate_messages(keep - expired)
                for item in output:
                    add(session, item)
                return True

            return bool(await self._change(step, branch=branch))

        return _CompactionSnapshot(list(map(restored, copy.deepcopy(rows))), complete, replace_suffix)
