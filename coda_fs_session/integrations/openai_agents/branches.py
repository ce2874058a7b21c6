"""Branches of a conversation, by the names of `AdvancedSQLiteSession`."""

from __future__ import annotations

import re
import time
from typing import Any

from ... import Session, SessionExistsError
from ..escapes import restored
from .conversation import MAIN
from .usage import Usage

_PREVIEW = 100


class Branches(Usage):
    """Branches as sessions that share what they have in common; see `CodaSession`.

    Which branch is the current one is known to this object alone: a new one begins at "main".
    """

    _known_turns: tuple[str, str, list[int]] | None = None

    async def create_branch_from_turn(self, turn_number: int, branch_name: str | None = None) -> str:
        """Make a branch with what comes before a user's item, switch to it, and return its id.

        Args:
            turn_number: of that item among those of the user in the current branch, from 1 on.
            branch_name: its id; one is made up where not given.

        Raises:
            ValueError: there is no such turn, or the id is blank or taken.
        """
        self._refuse_if_closed()
        if branch_name is not None and not branch_name.strip():
            raise ValueError("the name of a branch cannot be empty")
        source = self._branch

        def create() -> str:
            ours = self._sessions
            session = self._find(source)
            turns = [] if session is None else self._turns(session)
            if session is None or not 1 <= turn_number <= len(turns):
                raise ValueError(f"turn {turn_number} does not exist in branch {source!r}: it has {len(turns)} turns")
            branch = branch_name or self._free_name(f"branch_from_turn_{turn_number}_{int(time.time())}")
            key = self._key(branch)
            if ours.name(*key) in ours.manager:
                raise ValueError(f"branch {branch!r} exists already: give another name")
            try:
                ours.branch(session, *key, at=turns[turn_number - 1])
            except SessionExistsError as error:
                raise ValueError(f"branch {branch!r} exists already: give another name") from error
            return branch

        self._branch = await self._sessions.call(create)
        return self._branch

    async def create_branch_from_content(self, search_term: str, branch_name: str | None = None) -> str:
        """Make a branch as `create_branch_from_turn`, at the first item of the user that has a text in it.

        Raises:
            ValueError: none has, or the id is blank or taken.
        """
        found = await self.find_turns_by_content(search_term)
        if not found:
            raise ValueError(f"no item of the user has {search_term!r} in it")
        return await self.create_branch_from_turn(found[0]["turn"], branch_name)

    async def switch_to_branch(self, branch_id: str) -> None:
        """Make a branch the current one.

        Raises:
            ValueError: there is none of this id.
        """
        self._refuse_if_closed()
        if branch_id != MAIN and await self._sessions.call(self._find, branch_id) is None:
            raise ValueError(f"branch {branch_id!r} does not exist")
        self._branch = branch_id

    async def list_branches(self) -> list[dict[str, Any]]:
        """Return the branches, the oldest first.

        Returns:
            ``branch_id``, ``message_count``, ``user_turns``, ``is_current`` and ``created_at`` (UTC, as SQLite writes
            it) of each.
        """
        self._refuse_if_closed()

        def read() -> list[dict[str, Any]]:
            found = []
            for branch in self._branches():
                session = self._find(branch)
                if session is not None:
                    told = {"branch_id": branch, "message_count": len(session)}
                    told |= {"user_turns": len(self._turns(session)), "is_current": branch == self._branch}
                    found.append(told | {"created_at": session.created.strftime("%Y-%m-%d %H:%M:%S")})
            return found

        return await self._sessions.call(read)

    async def delete_branch(self, branch_id: str, force: bool = False) -> None:
        """Delete a branch. The others stay as they are, and its history can restore it.

        Args:
            force: delete it although it is the current one; "main" is that then.

        Raises:
            ValueError: it does not exist, or is "main" or the current one.
        """
        self._refuse_if_closed()
        if branch_id == MAIN:
            raise ValueError("the branch 'main' cannot be deleted")
        if branch_id == self._branch and not force:
            raise ValueError(f"branch {branch_id!r} is the current one: switch to another one, or give force=True")

        def delete() -> None:
            ours = self._sessions
            if not branch_id.strip() or self._find(branch_id) is None:
                raise ValueError(f"branch {branch_id!r} does not exist")
            names = ours.name(*self._key(branch_id)), ours.name(*self._log(branch_id))
            with ours.locked(*names), ours.manager.transaction() as change:
                for name in names:
                    change.delete_session(name, missing_ok=True)

        await self._sessions.call(delete)
        if branch_id == self._branch:
            self._branch = MAIN

    async def get_conversation_turns(self, branch_id: str | None = None) -> list[dict[str, Any]]:
        """Return the items of the user, in order.

        Returns:
            ``turn``, ``content`` (its beginning), ``full_content``, ``timestamp`` (when the branch last changed) and
            ``can_branch`` of each.
        """
        self._refuse_if_closed()

        def read() -> list[dict[str, Any]]:
            session = self._find(branch_id)
            if session is None:
                return []
            changed = session.updated.strftime("%Y-%m-%d %H:%M:%S")
            items = [restored(session[place]) for place in self._turns(session)]
            return [
                {
                    "turn": number,
                    "content": _beginning(_text(item)),
                    "full_content": item.get("content", ""),
                    "timestamp": changed,
                    "can_branch": True,
                }
                for number, item in enumerate(items, 1)
            ]

        return await self._sessions.call(read)

    async def find_turns_by_content(self, search_term: str, branch_id: str | None = None) -> list[dict[str, Any]]:
        """Return the items of the user that have a text in them, as `get_conversation_turns` does.

        Upper and lower case of ASCII are the same.
        """
        pattern = re.compile(re.escape(search_term), re.IGNORECASE | re.ASCII)
        turns = await self.get_conversation_turns(branch_id)
        return [turn for turn in turns if pattern.search(_text({"content": turn["full_content"]}))]

    def _free_name(self, wanted: str) -> str:
        name, number = wanted, 1
        while self._sessions.name(*self._key(name)) in self._sessions.manager:
            number += 1
            name = f"{wanted}_{number}"
        return name

    def _turns(self, session: Session) -> list[int]:
        """Return where the items of the user are, as long as the branch is as it was without reading it."""
        name, revision = session.name, session.revision
        if self._known_turns is None or self._known_turns[:2] != (name, revision):
            self._known_turns = (name, revision, super()._turns(session))
        return self._known_turns[2]


def _text(item: dict[str, Any]) -> str:
    content = item.get("content", "")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))


def _beginning(text: str) -> str:
    return text if len(text) <= _PREVIEW else f"{text[:_PREVIEW]}..."
