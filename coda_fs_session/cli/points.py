"""Naming a session and a point in it: `NAME`, `NAME@40`, `NAME~3`, `NAME:7`, `NAME:3-9`, `@`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from ..session.imported import import_note
from .exits import NOT_FOUND, REFUSED, USAGE, CommandError
from .safe import quoted
from .telling import counted
from .times import moment

if TYPE_CHECKING:
    from .. import Session, SessionInfo, SessionManager

_PLACE = re.compile(r"(?P<rest>.+):(?P<first>-?\d+)(?:-(?P<last>\d+))?", re.DOTALL)
_BACK = re.compile(r"(?P<rest>.+)~(?P<back>\d+)", re.DOTALL)
_ENTRY = r"(?:[0-9a-f]{12}(?:\.\d+)?/)*[0-9a-f]{12}:\d+(?::[0-9a-f]{8})?"
_POINT = re.compile(rf"(?P<rest>.+)@(?P<point>\{{[^{{}}]+\}}|{_ENTRY}|[^@{{}}]+)", re.DOTALL)
_AT_ENTRY = re.compile(rf".+@{_ENTRY}", re.DOTALL)
_SHOWN = 10
_NEWEST = "@"
_MISSING = "SessionNotFoundError"


class Reading(NamedTuple):
    """One way to read what was given: a name, and what stands behind it.

    Attributes:
        point: what stands behind `@`; back: behind `~`; first, last: behind `:`, as they were written.
    """

    name: str
    point: str | None = None
    back: int | None = None
    first: int | None = None
    last: int | None = None

    @property
    def is_plain(self) -> bool:
        """True where nothing stands behind the name."""
        return self == Reading(self.name)


class Part(NamedTuple):
    """A session, or some messages of it.

    Attributes:
        start, stop: which messages, counted from 0; chosen: `:` named these.
    """

    session: Session
    start: int
    stop: int
    chosen: bool


def readings(text: str) -> Iterator[Reading]:
    """Yield the ways to read a text, the longest name first."""
    found = Reading(text)
    yield found
    # An entry of the history has a colon of its own.
    if place := None if _AT_ENTRY.fullmatch(text) else _PLACE.fullmatch(text):
        last = place["last"]
        found = found._replace(name=place["rest"], first=int(place["first"]), last=None if last is None else int(last))
        yield found
    if back := _BACK.fullmatch(found.name):
        found = found._replace(name=back["rest"], back=int(back["back"]))
        yield found
    if point := _POINT.fullmatch(found.name):
        yield found._replace(name=point["rest"], point=point["point"])


def whole_name(manager: SessionManager, name: str) -> str:
    """Return the name of a session that is to be changed: whole, or `@` for the one that changed last.

    Raises:
        CommandError: there is none.
    """
    if name in manager:
        return name
    if name == _NEWEST:
        return newest(manager)
    raise missing(manager, name)


def exact(manager: SessionManager, text: str) -> Reading:
    """Return how a text is read that names a session to be changed, or a point in it: by a whole name.

    Raises:
        CommandError: no session has such a name.
    """
    ways = list(readings(text))
    for way in ways:
        if way.name in manager:
            return way
        if way.name == _NEWEST:
            return way._replace(name=newest(manager))
    raise missing(manager, ways[-1].name)


def find(manager: SessionManager, text: str) -> tuple[Reading, Session]:
    """Return the session that a text names for reading, and how the text was read.

    A session that has the whole text as its name comes first. Then what stands at the end is taken off. Then the name
    may be the beginning of one name alone, or the id that the session's tool gave it.

    Raises:
        CommandError: it names none, or several.
    """
    from .. import SessionNotFoundError

    ways = list(readings(text))
    for way in ways:
        try:
            return way, manager.load_session(newest(manager) if _means_newest(manager, way) else way.name)
        except SessionNotFoundError:
            continue
    for way in ways:
        # Of a deleted session only what it was can be seen.
        if way.point is not None and was_deleted(manager, way.name):
            return _of_deleted(manager, way)
    for search in (_by_beginning, _by_tool):
        for way in ways:
            names = search(manager, way.name)
            if len(names) > 1:
                shown = ", ".join(quoted(name) for name in names[:_SHOWN])
                more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
                raise CommandError(f"{way.name!r} may be any of these: {shown}{more}", NOT_FOUND)
            if names:
                return way._replace(name=names[0]), manager.load_session(names[0])
    raise missing(manager, ways[-1].name)


def _of_deleted(manager: SessionManager, way: Reading) -> tuple[Reading, Session]:
    assert way.point is not None
    if way.point.isdecimal():
        return way, manager.history(way.name).at(before_delete(manager, way.name))
    return way._replace(point=None), manager.history(way.name).at(moment_of(manager, way.name, way.point))


def part_of(manager: SessionManager, session: Session, way: Reading) -> Part:
    """Return the messages of a session that were named.

    Raises:
        CommandError: it has no such messages.
        HistoryError: it was never so.
    """
    name, stop = session.name, len(session)
    if way.point is not None and way.point.isdecimal():
        stop = int(way.point)
        if stop > len(session):
            raise CommandError(f"{name!r} has {counted(len(session), 'message')}, and not {stop}", USAGE)
    elif way.point is not None:
        session = manager.history(name).at(moment_of(manager, name, way.point))
        stop = len(session)
    if way.back is not None:
        if way.back > stop:
            raise CommandError(f"{name!r} has {counted(stop, 'message')} there: ~{way.back} is before the first", USAGE)
        stop -= way.back
    if way.first is None:
        return Part(session, 0, stop, chosen=False)
    first = way.first if way.first > 0 else stop + way.first + 1
    last = first if way.last is None else way.last
    if not (way.first and 1 <= first <= last <= stop):
        has = f"messages 1 to {stop}" if stop > 1 else counted(stop, "message")
        raise CommandError(f"{name!r} has {has}: there is none at {_place(way)}", NOT_FOUND)
    return Part(session, first - 1, last, chosen=True)


def moment_of(manager: SessionManager, name: str, point: str) -> int | str | datetime:
    """Return what a history is asked for: a number of messages, a time, an entry, or a tag.

    Raises:
        CommandError: there were not so many changes, or it is no time.
    """
    if point.isdecimal():
        return int(point)
    if not (point.startswith("{") and point.endswith("}")):
        return point
    inner = point[1:-1].strip()
    if not inner.isdecimal():
        return moment(inner)
    for entry in islice(manager.history(name), int(inner), None):
        return entry.id
    raise CommandError(f"{name!r} has not changed {inner} times", NOT_FOUND)


def refuse_taken(manager: SessionManager, name: str) -> None:
    """Refuse a name for a new session that one has already.

    Raises:
        CommandError: one has it.
    """
    if name in manager:
        raise CommandError(
            f"a session called {name!r} exists already: take another name", REFUSED, "SessionExistsError"
        )


def was_deleted(manager: SessionManager, name: str) -> bool:
    """Tell whether a session of this name is gone, and its history is there."""
    return any(info.name == name for info in manager.deleted_sessions())


def before_delete(manager: SessionManager, name: str) -> str:
    """Return the id of the state that a deleted session had last.

    Raises:
        CommandError: nothing is known of it.
    """
    for entry in manager.history(name):
        if entry.kind != "delete":
            return entry.id
    raise CommandError(f"nothing is known of {name!r} before it was deleted", NOT_FOUND)


def past_name(manager: SessionManager, name: str) -> str:
    """Return the name of a session that is there, or was deleted.

    Raises:
        CommandError: there is none.
    """
    if name in manager or name == _NEWEST:
        return whole_name(manager, name)
    deleted = [info.name for info in manager.deleted_sessions()]
    if name in deleted:
        return name
    raise missing(manager, name, deleted)


def _place(way: Reading) -> str:
    return f":{way.first}" if way.last is None else f":{way.first}-{way.last}"


def _means_newest(manager: SessionManager, way: Reading) -> bool:
    return way.name == _NEWEST and _NEWEST not in manager


def newest(manager: SessionManager) -> str:
    """Return the name of the session that changed last.

    Raises:
        CommandError: there is none.
    """
    for info in manager.list_sessions(limit=1):
        return info.name
    raise CommandError("there is no session yet: `coda-session new NAME` makes one", NOT_FOUND)


def missing(manager: SessionManager, name: str, more: Sequence[str] = ()) -> CommandError:
    """Return the error for a name that no session has; `more`: names that could have been meant besides."""
    from difflib import get_close_matches

    if was_deleted(manager, name):
        again = f"{'-- ' if name.startswith('-') else ''}{quoted(name)}"
        return CommandError(
            f"{quoted(name)} was deleted: `coda-session restore {again}` brings it back, "
            f"and `coda-session show {quoted(f'{name}@{{1}}')}` shows it",
            NOT_FOUND,
            _MISSING,
        )

    names = [*(info.name for info in manager.list_sessions(hidden=True)), *more]
    near = get_close_matches(name, names, 1) or [each for each in names if name and each.startswith(name)]
    hint = f"did you mean {quoted(near[0])}?" if near else "`coda-session list` shows the names"
    return CommandError(f"there is no session {quoted(name)}; {hint}", NOT_FOUND, _MISSING)


def _by_beginning(manager: SessionManager, name: str) -> list[str]:
    return [info.name for info in manager.list_sessions(prefix=name, hidden=True, order="name")]


def _by_tool(manager: SessionManager, identity: str) -> list[str]:
    """Return the sessions whose id of an importer, or the beginning of it, this is."""
    if len(identity) < 6:
        return []
    return [
        info.name
        for info in manager.list_sessions(hidden=True, order="name")
        if any(each.startswith(identity) for each in _ids(info.metadata))
    ]


def _ids(metadata: dict[str, Any]) -> Iterator[str]:
    for holder in (metadata, import_note(metadata)):
        for key in ("id", "session_id", "conversation_id", "identity"):
            if isinstance(holder.get(key), str):
                yield holder[key]


def matching(infos: Iterable[SessionInfo], globs: Iterable[str]) -> list[SessionInfo]:
    """Return those whose name is, or matches, one of some globs; all where there are none."""
    tests = [_test(glob) for glob in globs]
    return [info for info in infos if not tests or any(test(info.name) for test in tests)]


def _test(glob: str) -> Callable[[str], bool]:
    if not is_glob(glob):
        return lambda name: name == glob
    from fnmatch import translate

    matches = re.compile(translate(glob)).match
    return lambda name: name == glob or bool(matches(name))


def is_glob(text: str) -> bool:
    return any(sign in text for sign in "*?[")
