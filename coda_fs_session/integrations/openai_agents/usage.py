"""How many tokens each turn took: records in a hidden session beside the branch."""

from __future__ import annotations

import hashlib
import json
from itertools import chain
from typing import Any

from ... import Session
from ..escapes import restored
from .conversation import MAIN, Conversation, Item
from .tools import tool_of, type_of, used_tools

_COUNTS = ("requests", "input_tokens", "output_tokens", "total_tokens")
_DETAILS = ("input_tokens_details", "output_tokens_details")


class Usage(Conversation):
    """What `AdvancedSQLiteSession` tells of tokens, by the same names; see `CodaSession`."""

    async def store_run_usage(self, result: Any) -> None:
        """Store the usage of a run for the last turn of the current branch; nothing where there is no turn.

        Args:
            result: what `Runner.run` returned.

        Raises:
            SessionError: it was not stored.
        """
        self._refuse_if_closed()
        usage = result.context_wrapper.usage
        if usage is None:
            return
        record: dict[str, Any] = {key: getattr(usage, key) or 0 for key in _COUNTS}
        for key in _DETAILS:
            details = getattr(usage, key, None)
            record[key] = json.loads(json.dumps(vars(details), default=str)) if details else None
        branch = self._branch

        def store() -> None:
            ours = self._sessions
            session = self._find(branch)
            turns = [] if session is None else self._turns(session)
            if session is None or not turns:
                return
            record.update(user_turn_number=len(turns), at=turns[-1], item=_print_of(session[turns[-1]]))
            ours.change(*self._log(branch), step=lambda log: log.add_message(record), hidden=True)

        await self._sessions.call(store)

    async def get_turn_usage(
        self, user_turn_number: int | None = None, branch_id: str | None = None
    ) -> list[dict[str, Any]] | dict[str, Any]:
        """Return the usage of a turn, {} where none is known; or of all turns with a known one, each with its number.

        Args:
            branch_id: of this branch, not of the current one.
        """
        self._refuse_if_closed()
        found = await self._sessions.call(self._usage, branch_id or self._branch)
        if user_turn_number is None:
            return [{"user_turn_number": turn, **usage} for turn, usage in sorted(found.items())]
        return found.get(user_turn_number, {})

    async def get_session_usage(self, branch_id: str | None = None) -> dict[str, int] | None:
        """Return the sums over the turns of a branch, or of all branches; None where nothing is known."""
        self._refuse_if_closed()

        def read() -> list[dict[str, Any]]:
            branches = [branch_id] if branch_id else self._branches()
            return [usage for branch in branches for usage in self._usage(branch).values()]

        turns = await self._sessions.call(read)
        if not turns:
            return None
        return {**{key: sum(usage[key] for usage in turns) for key in _COUNTS}, "total_turns": len(turns)}

    async def get_tool_usage(self, branch_id: str | None = None) -> list[tuple[str, int, int]]:
        """Return how often each turn called each tool: its name, how often, and the number of the turn.

        Args:
            branch_id: of this branch, not of the current one.
        """
        return used_tools(await self._items(branch_id))

    async def get_conversation_by_turns(self, branch_id: str | None = None) -> dict[int, list[dict[str, str | None]]]:
        """Return of each turn, by its number, the ``type`` of each item and the ``tool_name`` that it calls."""
        turn, turns = 0, dict[int, list[dict[str, str | None]]]()
        for item in await self._items(branch_id):
            kind = type_of(item)
            turn += kind == "user"
            turns.setdefault(turn, []).append({"type": kind, "tool_name": tool_of(item)})
        return turns

    async def _items(self, branch: str | None) -> list[Item]:
        self._refuse_if_closed()

        def read() -> list[Item]:
            session = self._find(branch)
            return [] if session is None else list(map(restored, session.get_messages()))

        return await self._sessions.call(read)

    def _usage(self, branch: str) -> dict[int, dict[str, Any]]:
        """Return what is known of the turns of a branch, but of those that are not there any more."""
        session, name = self._find(branch), self._sessions.name(*self._log(branch))
        log = self._sessions.find(name)
        found: dict[int, dict[str, Any]] = {}
        if session is None or log is None:
            return found
        turns = self._turns(session)
        prints = [_print_of(session[at]) for at in turns]
        # Of the machines that the conversation went on on, another one may have the name of the log.
        for record in chain(*(each.get_messages() for each in (*self._sessions.sides(name), log))):
            turn, told = record["user_turn_number"], record["item"]
            if turns[turn - 1 : turn] != [record["at"]] or prints[turn - 1] != told:
                # A merge or a compaction has moved it.
                turn = prints.index(told) + 1 if prints.count(told) == 1 else 0
            if turn:
                found[turn] = {key: record[key] for key in (*_COUNTS, *_DETAILS)}
        return found

    def _log(self, branch: str) -> tuple[str, str, str]:
        return self.session_id, branch, "usage"

    def _branches(self) -> list[str]:
        """Return the ids of the branches, the oldest first."""
        keys = [self._sessions.key(info) or () for info in self._sessions.infos(self.session_id, order="-created")]
        return [MAIN if len(key) == 1 else key[1] for key in keys if len(key) < 3]

    def _turns(self, session: Session) -> list[int]:
        """Return where the items of the user are in a session."""
        return [place for place, message in enumerate(session) if message.get("role") == "user"]


def _print_of(message: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(message, sort_keys=True).encode()).hexdigest()[:16]
