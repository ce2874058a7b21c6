"""How a store is used: totals, activity, growth and sharing from the index, and who said how much from the messages."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple, TypedDict

from .errors import StoreError
from .manager.manager import SessionManager
from .session.counting import amount_of, tokens
from .session.info import SessionInfo
from .session.session import Session
from .session.shapes import CHARACTERS_PER_TOKEN, model, role

_MEGABYTE = 1024 * 1024
_MOST_ACTIVE = 5


class Sharing(NamedTuple):
    """What branches have in common.

    Attributes:
        branches: sessions that were branched from another one.
        inherited_messages: messages that they took over.
        logical_bytes: all messages, as if each session had its own; stored_bytes: what the store takes.
        shared_bytes: message bytes that are stored once and used more than once, for each use but the first.
    """

    branches: int
    inherited_messages: int
    logical_bytes: int
    stored_bytes: int
    shared_bytes: int


class Breakdown(TypedDict):
    """Who said how much, over all sessions; a branch counts with what it took over, as its sessions show it.

    A plain dict, as that of `SessionAnalytics.get_statistics`.

    Attributes:
        messages_by_role, messages_by_model: how many messages are of each role and model, by whatever key a program
            keeps these; "ai" and "model" are "assistant", "human" is "user". Those without one are not counted there.
        tokens_by_role, tokens_by_model: about how many tokens their text takes up, as `Session.get_token_count`.
        messages, tokens: of all messages.
        unreadable: the names of sessions that could not be read, and are not in it.
    """

    messages: int
    tokens: int
    messages_by_role: dict[str, int]
    messages_by_model: dict[str, int]
    tokens_by_role: dict[str, int]
    tokens_by_model: dict[str, int]
    unreadable: list[str]


class _Counts:
    """Messages, and characters or counted tokens, of one session by what they are of; `None` stands for all."""

    def __init__(self) -> None:
        self.messages: Counter[tuple[str, str] | None] = Counter()
        self.amounts: Counter[tuple[str, str] | None] = Counter()

    def add(self, other: _Counts) -> None:
        self.messages.update(other.messages)
        self.amounts.update(other.amounts)


class SessionAnalytics:
    """Analyse how the sessions of a manager are used: what is stored, that is, with nothing opened or changed.

    Hidden sessions count only in the bytes of `get_sharing`; see `SessionManager.list_sessions`.
    All but `get_breakdown` load no message. Times are the manager's: naive and local.

    Args:
        manager: whose sessions.
    """

    def __init__(self, manager: SessionManager) -> None:
        self._manager = manager
        self._known: dict[str, tuple[SessionInfo, _Counts]] = {}

    def get_statistics(self) -> dict[str, Any]:
        """Return totals.

        Returns:
            ``total_sessions``, ``total_messages``, ``total_size_mb`` (MB of 1,048,576 bytes), ``active_sessions``
            (names of the five that changed last), ``longest_sessions`` (of the five with most messages),
            ``total_branches``, ``damaged_sessions`` (names), and ``token_estimate``: a quarter of all bytes, which
            counts what is around the content too. `get_breakdown` counts tokens.
        """
        sessions = self._manager.list_sessions()
        size = sum(info.size_bytes for info in sessions)
        longest = sorted(sessions, key=lambda info: info.message_count, reverse=True)
        return {
            "total_sessions": len(sessions),
            "total_messages": sum(info.message_count for info in sessions),
            "total_size_mb": size / _MEGABYTE,
            "active_sessions": [info.name for info in sessions[:_MOST_ACTIVE]],
            "longest_sessions": [info.name for info in longest[:_MOST_ACTIVE]],
            "total_branches": sum(info.parent is not None for info in sessions),
            "damaged_sessions": [info.name for info in sessions if info.error is not None],
            "token_estimate": -(-size // CHARACTERS_PER_TOKEN),
        }

    def get_activity_timeline(self, days: int = 7) -> dict[date, int]:
        """Return for each day how many messages the sessions have that changed last on it, newest day first.

        Args:
            days: how far to look back from now; days without activity are left out.
        """
        cutoff = datetime.now() - timedelta(days=_checked(days))
        activity: Counter[date] = Counter()
        for info in self._manager.list_sessions():
            if info.updated_at > cutoff:
                activity[info.updated_at.date()] += info.message_count
        return dict(activity)

    def get_growth(self, days: int = 30) -> dict[date, int]:
        """Return how many of today's sessions there were at the end of each of the last `days` days, oldest first."""
        today = datetime.now().date()
        created = Counter(info.created_at.date() for info in self._manager.list_sessions())
        first = today - timedelta(days=_checked(days) - 1) if days else today + timedelta(days=1)
        total = sum(count for day, count in created.items() if day < first)
        growth = {}
        for day in (first + timedelta(days=number) for number in range(days)):
            total += created[day]
            growth[day] = total
        return growth

    def get_sharing(self) -> Sharing:
        """Return what branches have in common, and what that saves; reads lists of objects, no messages."""
        branches = [info for info in self._manager.list_sessions() if info.parent is not None]
        stats = self._manager.stats()
        inherited = sum(info.forked_at or 0 for info in branches)
        return Sharing(len(branches), inherited, stats.logical_bytes, stats.stored_bytes, stats.shared_bytes)

    def get_breakdown(self) -> Breakdown:
        """Return messages and tokens by role and by model.

        Reads the messages of sessions that changed since this object was asked last, a chunk in memory at a time.
        """
        total, known = _Counts(), {}
        unreadable: list[str] = []
        for info in self._manager.list_sessions():
            before = self._known.get(info.name)
            if before is not None and before[0] == info and info.error is None:
                counts: _Counts | None = before[1]
            else:
                try:
                    counts = self._read(info)
                except StoreError:
                    unreadable.append(info.name)
                    continue
            if counts is not None:
                known[info.name] = (info, counts)
                total.add(counts)
        self._known = known
        return self._breakdown(total, unreadable)

    def _read(self, info: SessionInfo) -> _Counts | None:
        """Count one session; None where it has been deleted meanwhile."""
        if info.error is not None:
            raise info.error
        # Not by the manager: that would refresh what somebody has open, and call hooks.
        session: Session | None = self._manager._storage.load(info.name)
        if session is None:
            return None
        counts, counters = _Counts(), self._manager._counters
        for message in session:
            kinds = (("role", role(message)), ("model", model(message)))
            amount = amount_of(message, counters)
            for key in (None, *(each for each in kinds if each[1])):
                counts.messages[key] += 1
                counts.amounts[key] += amount
        return counts

    def _breakdown(self, total: _Counts, unreadable: list[str]) -> Breakdown:
        counters = self._manager._counters
        messages = {kind: _of(total.messages, kind) for kind in ("role", "model")}
        amounts = {kind: _of(total.amounts, kind) for kind in ("role", "model")}
        by = {kind: {each: tokens(amount, counters) for each, amount in amounts[kind].items()} for kind in amounts}
        return Breakdown(
            messages=total.messages[None],
            tokens=tokens(total.amounts[None], counters),
            messages_by_role=messages["role"],
            messages_by_model=messages["model"],
            tokens_by_role=by["role"],
            tokens_by_model=by["model"],
            unreadable=unreadable,
        )


def _of(counter: Counter[tuple[str, str] | None], kind: str) -> dict[str, int]:
    """Return the counts of one kind, largest first."""
    return {key[1]: amount for key, amount in counter.most_common() if key is not None and key[0] == kind}


def _checked(days: int) -> int:
    if type(days) is not int or days < 0:
        raise ValueError(f"days must be a whole number from 0, not {days!r}")
    return days
