"""Lists of messages in a graph's state as sessions that anybody can read: a value names parts of one of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from langchain_core.messages import BaseMessage

from ... import CorruptionError, Session, SessionConflictError, SessionExistsError, SessionManager
from ..escapes import add
from ..langchain.messages import SHAPE
from ..sessions import FrameworkSessions
from .recent import keep
from .values import Values

MAIN = ("", "messages")
"""The namespace and the channel whose session has the name of the thread."""
TALK = "langgraph"
"""Metadata key of such a session: whose list it has, and which of the branches it is."""
_MOST_RUNS = 16
_ATTEMPTS = 1000

Place = tuple[str, str, str]
"""A thread, a namespace and a channel."""
Reference = list[Any]
"""The number of a branch, what tells its messages from those of another side, and where each part begins and ends."""


@dataclass(eq=False)
class _Talk:
    """What is known of one session: what each message is, as the graph gave it and as it is stored."""

    session: Session
    branch: int
    revision: str = ""
    prints: list[bytes] = field(default_factory=list)
    marks: list[bytes] = field(default_factory=list)
    stored: dict[int, bytes] = field(default_factory=dict)
    _places: dict[bytes, int] = field(default_factory=dict)
    _placed: int = 0

    def reference(self, bounds: Sequence[int]) -> Reference:
        """Return what stands for parts of this session."""
        parts = zip(bounds[::2], bounds[1::2], strict=True)
        return [self.branch, _mark(mark for start, stop in parts for mark in self.marks[start:stop]), *bounds]

    def is_at(self, mark: str, bounds: Sequence[int]) -> bool:
        """Tell whether these parts of this session are those that were meant, and its end is the end of the last."""
        return (bounds[-1:] or [0]) == [len(self.prints)] and self.reference(bounds)[1] == mark

    def has(self, position: int, print_: bytes) -> bool:
        return self.prints[position] == print_ or self.stored.get(position) == print_

    def common(self, prints: Sequence[bytes]) -> int:
        """Return how many messages a list has in common with the beginning of this session."""
        shared = min(len(prints), len(self.prints))
        if self.prints[:shared] == prints[:shared]:
            return shared
        return next(place for place in range(shared + 1) if place == shared or not self.has(place, prints[place]))

    def runs(self, prints: Sequence[bytes]) -> tuple[list[int], int]:
        """Return the parts of this session that a list begins with, and how many of its messages they are."""
        first = self.common(prints)
        found = [0, first] if first else []
        place = first
        while place < len(prints) and len(found) < 2 * _MOST_RUNS:
            begin = self._place(prints[place])
            if begin is None:
                break
            end = begin
            while place < len(prints) and end < len(self.prints) and self.has(end, prints[place]):
                end, place = end + 1, place + 1
            found += [begin, end]
        return found, place

    def _place(self, print_: bytes) -> int | None:
        for place in range(self._placed, len(self.prints)):
            self._places[self.prints[place]] = place
            if place in self.stored:
                self._places[self.stored[place]] = place
        self._placed = len(self.prints)
        return self._places.get(print_)


class Talks:
    """The lists of messages in the states of graphs.

    What a list has more than the session that it continues is added to that. One that goes on from an earlier message,
    or has another message in an earlier place, continues in a branch. What is only left out makes neither.
    """

    def __init__(self, manager: SessionManager, prefix: str) -> None:
        self.sessions = FrameworkSessions(manager, SHAPE, prefix)
        self._manager = manager
        self._known: dict[str, _Talk] = {}

    def key(self, place: Place, branch: int) -> tuple[str, ...]:
        """Return the key of the session of a list."""
        thread, ns, channel = place
        number = (str(branch),) if branch else ()
        return (thread, *number) if (ns, channel) == MAIN else (thread, "of", ns, channel, *number)

    def put(
        self, place: Place, messages: Sequence[BaseMessage], values: Values, *, before: Reference | None = None
    ) -> Reference:
        """Store a list, of which the messages are durable when this returns; return what stands for it.

        Args:
            before: the list that it comes from: the branch of that is looked at first.
        """
        first = before[0] if before else 0
        prints = [values.print_of(each) for each in messages]
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                # At first without a look at the store: where that has more, the save is refused.
                return self._put(place, messages, prints, values, first, look=attempt > 1)
            except (SessionConflictError, SessionExistsError):
                # Another process was faster: what it has stored is looked at anew.
                if attempt == _ATTEMPTS:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def extend(
        self, place: Place, reference: Reference | None, messages: Sequence[BaseMessage], values: Values
    ) -> Reference:
        """Store messages that follow a list, or begin one; return what stands for all."""
        branch, mark, *bounds = reference or [0, _mark(())]
        with self.sessions.locked(self.sessions.name(*self.key(place, branch))):
            talk = self._talk(place, branch, values)
            if talk is not None and talk.is_at(mark, bounds):
                try:
                    self._add(talk, messages, [values.print_of(each) for each in messages], values)
                    return talk.reference([*(bounds[:-1] or [0]), len(talk.prints)])
                except SessionConflictError:
                    pass
        before = self.get(place, reference, values) if reference else []
        return self.put(place, [*before, *messages], values, before=reference)

    def get(self, place: Place, reference: Reference, values: Values) -> list[BaseMessage]:
        """Return the list that was stored.

        Raises:
            CorruptionError: the session lacks some of the messages.
        """
        branch, mark, *bounds = reference
        name = self.sessions.name(*self.key(place, branch))
        session = self.sessions.find(name)
        items = _items(session, bounds)
        if items is None or _mark(map(_mark_of, items)) != mark:
            # Another machine's side may have the name now.
            sides = [_items(side, bounds) for side in self.sessions.sides(name)]
            meant = [each for each in sides if each is not None and _mark(map(_mark_of, each)) == mark]
            # Where there is one side alone, its messages were edited.
            items = meant[0] if meant else None if sides else items
        if items is None:
            count = "is not there" if session is None else f"has {len(session)} messages"
            raise CorruptionError(
                f"session {name!r} {count}, and none of its sides has the {max(bounds, default=0)} that a state of a "
                f"graph was put with: history({name!r}) can bring them back"
            )
        return [values.message_of(item) for item in items]

    def meant(self, name: str, wanted: Sequence[Reference]) -> str:
        """Return the side of a session that has most of the lists that were stored."""

        def fitting(session: Session) -> int:
            found = ((_items(session, bounds), mark) for _, mark, *bounds in wanted)
            return sum(items is not None and _mark(map(_mark_of, items)) == mark for items, mark in found)

        found = self.sessions.find(name)
        sides = [*([found] if found is not None else []), *self.sessions.sides(name)]
        return max(sides, key=fitting).name

    # Storing

    def _put(
        self,
        place: Place,
        messages: Sequence[BaseMessage],
        prints: list[bytes],
        values: Values,
        first: int,
        *,
        look: bool,
    ) -> Reference:
        best: tuple[int, _Talk] | None = None
        for branch in dict.fromkeys((first, 0)):
            with self.sessions.locked(self.sessions.name(*self.key(place, branch))):
                talk = self._talk(place, branch, values, look=look)
                if talk is None:
                    continue
                runs, found = talk.runs(prints)
                if found < len(prints) and (runs[-1:] or [0]) == [len(talk.prints)]:
                    self._add(talk, messages[found:], prints[found:], values)
                    runs, found = [*(runs[:-1] or [0]), len(talk.prints)], len(prints)
                if found == len(prints):
                    return talk.reference(runs)
                shared = talk.common(prints)
                if best is None or shared > best[0]:
                    best = shared, talk
        return self._branch(place, best, messages, prints, values).reference([0, len(prints)])

    def _talk(self, place: Place, branch: int, values: Values, *, look: bool = True) -> _Talk | None:
        """Return what is known of a session; None where there is none.

        Args:
            look: see first what the store has by now.
        """
        name = self.sessions.name(*self.key(place, branch))
        talk = self._known.get(name)
        if talk is None or look or not talk.session.is_stored or talk.session.name != name:
            session = self.sessions.find(name)
            if session is None:
                return None
            talk = talk if talk is not None and talk.session is session else _Talk(session, branch)
        if not talk.revision or talk.revision != talk.session.revision:
            talk = _Talk(talk.session, branch, talk.session.revision)
            for item in talk.session.iter_messages():
                talk.marks.append(_mark_of(item))
                talk.prints.append(values.print_of(values.message_of(item)))
        self._keep(talk)
        return talk

    def _branch(
        self,
        place: Place,
        best: tuple[int, _Talk] | None,
        messages: Sequence[BaseMessage],
        prints: list[bytes],
        values: Values,
    ) -> _Talk:
        """Make a session for a list, of what it has in common with another one and the rest.

        Args:
            best: the session that it has most in common with, and how much that is.
        """
        thread, ns, channel = place
        branch = 0 if best is None else 1
        while branch and self.sessions.name(*self.key(place, branch)) in self._manager:
            branch += 1
        if best is None and ns:
            # A sub-graph's list begins with that of the graph around it.
            outer = (thread, ns.rpartition("|")[0], channel)
            around = self._talk(outer, 0, values)
            best = None if around is None else (around.common(prints), around)
        key = self.key(place, branch)
        name = self.sessions.name(*key)
        told = {"thread": thread, "ns": ns, "channel": channel, "branch": branch}
        notes = {**self.sessions.notes(*key, hidden=ns != ""), TALK: told}
        shared, parent = best or (0, None)
        if parent is None or not shared:
            talk = _Talk(Session(name, metadata=notes), branch)
            self._add(talk, messages, prints, values)
        else:
            with self._manager.transaction() as change:
                session = change.create_session(name, branch_from=parent.session.name, at=shared)
                session.metadata = notes
                items = [values.item_of(message) for message in messages[shared:]]
                for item, _ in items:
                    add(session, item)
            stored = {at: print_ for at, print_ in parent.stored.items() if at < shared}
            talk = _Talk(session, branch, session.revision, list(prints), parent.marks[:shared], stored)
            self._look_back(talk, shared, items, values)
        self._keep(talk)
        return talk

    def _add(self, talk: _Talk, messages: Sequence[BaseMessage], prints: Sequence[bytes], values: Values) -> None:
        """Add messages to a session and save it."""
        session, start = talk.session, len(talk.prints)
        items = [values.item_of(message) for message in messages]
        with self.sessions.all_or_nothing(session):
            for item, _ in items:
                add(session, item)
            self._manager.save_session(session, on_conflict="raise")
        talk.prints += prints
        talk.revision = session.revision
        self._look_back(talk, start, items, values)

    def _look_back(self, talk: _Talk, start: int, items: list[tuple[dict[str, Any], bool]], values: Values) -> None:
        """Note what is stored: a hook may have changed it, and what is no JSON is not read as it was given."""
        found = talk.session.get_messages(start=start)
        for place, ((item, exact), stored) in enumerate(zip(items, found, strict=True), start):
            talk.marks.append(_mark_of(stored))
            if stored != item or not exact:
                print_ = values.print_of(values.message_of(stored))
                if print_ != talk.prints[place]:
                    talk.stored[place] = print_

    def _keep(self, talk: _Talk) -> None:
        keep(self._known, talk.session.name, talk)


def _items(session: Session | None, bounds: Sequence[int]) -> list[dict[str, Any]] | None:
    """Return the messages in these parts of a session; None where it is shorter."""
    if session is None or max(bounds, default=0) > len(session):
        return None
    parts = zip(bounds[::2], bounds[1::2], strict=True)
    return [item for start, stop in parts for item in session.get_messages(start=start, stop=stop)]


def _mark_of(item: dict[str, Any]) -> bytes:
    """Return what tells a stored message from others: its id, which an edit leaves, or all of it."""
    told = item.get("id")
    if not isinstance(told, str):
        return blake2b(json.dumps(item, sort_keys=True).encode(), digest_size=8).digest()
    return f"{item.get('role')}\0{told}".encode("utf-8", "surrogatepass")


def _mark(marks: Iterable[bytes]) -> str:
    return blake2b(b"\n".join(marks), digest_size=6).hexdigest()
