"""The pages of a store by their addresses; nothing here knows of sockets, and nothing changes anything."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import orjson

from .family import Family
from .messages import shown
from .rendering import in_address, name_of, render
from .text import code
from .views import HIDDEN, MOST_ENTRIES, PAGE, flags, marks_of, page_of, row_of, source_of, title_of

if TYPE_CHECKING:
    from .. import Difference, SessionManager

MOST_DIFFERENCES = 200
MOST_HITS = 50
_ALIKE = 0.4
"""How much of two messages must be the same for their words to be marked."""
_HTML = "text/html; charset=utf-8"


class Answer(NamedTuple):
    """What an address has."""

    status: int
    body: bytes
    kind: str = _HTML


class Links:
    """The addresses of a served store."""

    served = True

    def __init__(self, family: Family | None = None) -> None:
        self._family = family

    def session(self, name: str, number: int | None = None) -> str:
        if number is None:
            return f"/s/{in_address(name)}"
        return f"/s/{in_address(name)}/at/{max(number, 1)}#m{max(number, 1)}"

    def whole(self, name: str, number: int) -> str:
        return f"/s/{in_address(name)}/whole/{number}"

    def compare(self, one: str, other: str) -> str:
        return f"/compare/{in_address(one)}/{in_address(other)}"

    def anchor(self, name: str, number: int, sign: str = "m") -> str:
        return f"{sign}{number}"

    def known(self, name: str) -> bool:
        return self._family is not None and name in self._family.infos


class Site:
    """The pages of a store."""

    def __init__(self, manager: SessionManager) -> None:
        self._manager = manager
        told = manager.describe()
        self._places = [place for place in (told.state, told.path) if place]
        self._lock = threading.Lock()
        self._family: Family | None = None
        self._routes: dict[str, Callable[..., Answer]] = {
            "": self._list,
            "sessions.json": self._rows,
            "search": self._search,
            "s": self._session,
            "compare": self._compare,
        }

    def forget(self) -> None:
        """Read the list of sessions anew when it is asked for next: something has changed."""
        with self._lock:
            self._family = None

    def family(self) -> Family:
        with self._lock:
            found = self._family
        if found is None:
            found = Family(self._manager, self._manager.list_sessions(hidden=True))
            with self._lock:
                self._family = found
        return found

    def answer(self, target: str) -> Answer:
        """Return what an address has; what cannot be shown is a page that says why."""
        from .. import SessionError, SessionNotFoundError

        address = urlsplit(target)
        first, *rest = [unquote(part, errors="strict") for part in address.path.lstrip("/").split("/")]
        route = self._routes.get(first)
        try:
            if route is None:
                return problem(404, "There is no such page", "The list of sessions is the first page.")
            return route(*map(name_of, rest), **_asked(address.query, first))
        except SessionNotFoundError as error:
            return problem(404, "There is no such session", f"No session is called {error.name}.")
        except (LookupError, TypeError, ValueError):
            return problem(404, "There is no such page", "The address has something that no page has.")
        except SessionError as error:
            return problem(503, "This cannot be read", self._told(error))

    def _told(self, error: Exception) -> str:
        """Say what is wrong, without where on this machine things are: a page may be shown to others."""
        text = str(error)
        for place in self._places:
            text = text.replace(place, "…")
        return text

    def _list(self, start: str = "0") -> Answer:
        everything = [info for info in self.family().newest() if not info.metadata.get(HIDDEN)]
        first = _number(start)
        infos = everything[first : first + PAGE]
        rows = [row_of(info) | {"when": info.updated.astimezone().strftime("%Y-%m-%d %H:%M")} for info in infos]
        return _page(
            "list.html",
            to=Links(),
            rows=rows,
            total=len(everything),
            damaged=sum(info.error is not None for info in everything),
            after=first + PAGE if len(everything) > first + PAGE else 0,
        )

    def _rows(self) -> Answer:
        infos = self.family().newest()
        written: list[bytes] = []
        for start in range(0, len(infos), PAGE):
            # Some at a time: all of them as dicts take much room.
            rows = [row_of(info) for info in infos[start : start + PAGE]]
            written.append(_escaped(orjson.dumps(rows)[1:-1]))
        return Answer(200, b"[%b]" % b",".join(written), "application/json")

    def _search(self, q: str = "") -> Answer:
        result = self._manager.search(q[:500], limit=MOST_HITS)
        return _page("search.html", to=Links(), query=q, hits=result.hits, total=result.total, complete=result.complete)

    def _session(self, name: str, part: str = "", number: str = "1") -> Answer:
        if part not in _PARTS:
            raise LookupError
        wanted = _number(number)
        family = self.family()
        if name not in family.infos:
            # One that came a moment ago, or goes by a name that is written otherwise.
            self.forget()
            family, name = self.family(), self._name(name)
        head = self._head(family, name, part)
        if part == "history":
            return self._history(name, head)
        if part == "about":
            return self._about(family, name, head)
        if part == "whole":
            place = wanted
            (message,) = self._manager.load_session(name).get_messages(start=place - 1, stop=place)
            return _page("whole.html", to=Links(), shown=shown(place, message, most=None), name=name)
        return self._messages(family, name, wanted, head)

    def _name(self, name: str) -> str:
        from .. import SessionNotFoundError

        info = self._manager.get_session_info(name)
        if info is None:
            raise SessionNotFoundError(name)
        return info.name

    def _head(self, family: Family, name: str, part: str) -> dict[str, Any]:
        info, to = family.infos[name], Links(family)
        tabs = [(key, label, f"{to.session(name)}{way}") for key, label, way in _TABS]
        told = {"title": title_of(info), "source": source_of(info), "flags": flags(info)}
        return told | {"info": info, "tabs": tabs, "tab": part if part in ("history", "about") else "", "to": to}

    def _messages(self, family: Family, name: str, number: int, head: dict[str, Any]) -> Answer:
        count = family.infos[name].message_count
        start = (min(max(number, 1), max(count, 1)) - 1) // PAGE * PAGE
        marks = marks_of(self._manager, name)
        page = page_of(self._manager, family, name, start, marks=marks)
        lanes, left_out = family.lanes(name)
        by = lanes[0].stop / max(count, 1)
        return _page(
            "session.html",
            page=page,
            problem="" if page.problem is None else self._told(page.problem),
            lanes=lanes,
            left_out=left_out,
            strip_marks=[(place, round(by * place), told) for place, told in sorted(marks.items())],
            forks=sorted(family.ways(name).items()),
            **head,
        )

    def _history(self, name: str, head: dict[str, Any]) -> Answer:
        from .. import SessionError

        entries, tags, told = [], [], ""
        try:
            history = self._manager.history(name)
            tags = sorted(history.tags().items())
            for entry in islice(history, MOST_ENTRIES + 1):
                entries.append(entry)
        except SessionError as error:
            told = self._told(error)
        more = len(entries) > MOST_ENTRIES
        return _page("history.html", entries=entries[:MOST_ENTRIES], tags=tags, problem=told, more=more, **head)

    def _about(self, family: Family, name: str, head: dict[str, Any]) -> Answer:
        info = family.infos[name]
        facts = [
            ("name", info.name),
            ("messages", f"{info.message_count:,}"),
            ("created", info.created_at.isoformat(" ", "seconds")),
            ("changed", info.updated_at.isoformat(" ", "seconds")),
            ("written by", info.replica or ""),
            ("branch of", f"{info.parent} after {info.forked_at}" if info.parent else ""),
            ("sides", ", ".join(info.sides)),
        ]
        metadata = code(orjson.dumps(info.metadata, option=orjson.OPT_INDENT_2, default=str).decode(), "json")
        told = "" if info.error is None else self._told(info.error)
        return _page("about.html", facts=[fact for fact in facts if fact[1]], metadata=metadata, problem=told, **head)

    def _compare(self, one: str, other: str) -> Answer:
        one, other = self._name(one), self._name(other)
        found = self._manager.branches.diff(one, other)
        rows: list[tuple[str, str]] = []
        for difference in found.differences[:MOST_DIFFERENCES]:
            rows += _rows_of(difference, one, other)
        return _page(
            "compare.html",
            to=Links(self.family()),
            one=one,
            other=other,
            common=found.common,
            rows=rows[:MOST_DIFFERENCES],
            is_cut=max(len(rows), *(max(each.removed, each.added) for each in found.differences), 0) > MOST_DIFFERENCES
            or len(found.differences) > MOST_DIFFERENCES,
        )


_PARTS = ("", "at", "whole", "history", "about")
_TABS = (("", "Messages", ""), ("history", "History", "/history"), ("about", "About", "/about"))


def problem(status: int, what: str, why: str) -> Answer:
    """Return a page that says what is wrong."""
    return Answer(status, render("problem.html", to=Links(), what=what, why=why).encode())


def _page(template: str, **values: Any) -> Answer:
    return Answer(200, render(template, **values).encode())


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 12):
        raise LookupError
    return int(text)


def _asked(query: str, route: str) -> dict[str, str]:
    wanted = {"": ("start",), "search": ("q",)}.get(route, ())
    return {key: values[0] for key, values in parse_qs(query).items() if key in wanted}


def _escaped(data: bytes) -> bytes:
    """Return JSON in which no sign is one of HTML: where somebody takes it for a page, it is none."""
    for sign in ("<", ">", "&", "\u2028", "\u2029"):
        data = data.replace(sign.encode(), f"\\u{ord(sign):04x}".encode())
    return data


def _rows_of(difference: Difference, one: str, other: str) -> list[tuple[Any, Any]]:
    from markupsafe import Markup

    def cell(name: str, number: int, message: dict[str, Any], words: list[tuple[str, str]] | None = None) -> Markup:
        told = shown(number, message)
        return Markup(render("change.html", shown=told, name=name, words=words, to=Links()))

    at, there = difference.at + 1, difference.there + 1
    if difference.kind == "changed":
        words = difference.words()
        kept = sum(len(text) for sign, text in words if sign == "=")
        if kept < _ALIKE * sum(len(text) for sign, text in words):
            # Two messages that say something else are read better as they are.
            words = []
        before, after = [each for each in words if each[0] != "+"], [each for each in words if each[0] != "-"]
        return [(cell(one, at, difference.before[0], before), cell(other, there, difference.after[0], after))]
    if difference.kind == "replaced":
        return [(f"{difference.removed:,} messages", f"{difference.added:,} messages")]
    left = [cell(one, at + place, each) for place, each in enumerate(difference.before[:MOST_DIFFERENCES])]
    right = [cell(other, there + place, each) for place, each in enumerate(difference.after[:MOST_DIFFERENCES])]
    return [(each, "") for each in left] + [("", each) for each in right]
