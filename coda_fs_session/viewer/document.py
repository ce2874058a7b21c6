"""Sessions as HTML files to keep: the pages of the viewer, whole, in one file or in several with an index.

What sessions share is there once. A file contacts nobody, and nothing but our own script runs in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import orjson

from .family import Way
from .messages import shown, words_of
from .rendering import stream
from .views import Card, Item

if TYPE_CHECKING:
    from .. import Session

MOST = 5_000_000
"""Bytes of messages in a file."""


class _Info(NamedTuple):
    """What a card tells of a session."""

    name: str
    message_count: int
    updated: datetime
    created: datetime


class _Branch:
    """A session in the document: what it has of another one, and what is its own.

    Attributes:
        parent, at: the first messages, so many, are those of that session; "" and 0 where it has none of another one.
        sizes: of its own messages, as JSON.
    """

    def __init__(self, session: Session, number: int) -> None:
        self.session = session
        self.info = _Info(session.name, len(session), session.updated, session.created)
        self.prefix = "" if number == 0 else f"b{number}-"
        self.parent, self.at = "", 0
        self.sizes: list[int] = []

    @property
    def title(self) -> str:
        title = self.session.metadata.get("title")
        return title if isinstance(title, str) else ""


class _Run(NamedTuple):
    """Messages of one session in one file: those from `start` up to `stop`, counted from 0."""

    branch: _Branch
    start: int
    stop: int


class _Section(NamedTuple):
    """A run as the template gets it."""

    branch: _Branch
    anchor: str
    messages: Iterator[Item]
    before: list[Card]
    start: int


class Document:
    """Some sessions as files.

    Args:
        sessions: each after what it was branched from.
        stem: what the files are called, without the ending: the links between them have it.
    """

    def __init__(self, sessions: Iterable[Session], stem: str, *, most: int = MOST) -> None:
        self._branches = {each.name: _Branch(each, number) for number, each in enumerate(sessions)}
        self._stem = stem
        _share(list(self._branches.values()))
        self._files = _packed(list(self._branches.values()), most)
        self._below: dict[tuple[str, int], list[_Branch]] = {}
        for branch in self._branches.values():
            if branch.parent:
                self._below.setdefault((branch.parent, branch.at), []).append(branch)

    @property
    def folder(self) -> str:
        """The name of the folder of the parts, beside the index; "" where one file has all."""
        return f"{self._stem}_files" if len(self._files) > 1 else ""

    def parts(self) -> Iterator[tuple[str, Iterator[str]]]:
        """Yield the names of the files in the folder, and what is in each."""
        for number in range(len(self._files) if self.folder else 0):
            yield f"{number + 1}.html", self._page(number)

    def index(self) -> Iterator[str]:
        """Yield what is in the file itself: all, or the way to the parts."""
        return self._page(None if self.folder else 0)

    def _page(self, number: int | None) -> Iterator[str]:
        to = _Anchors(self, number)
        runs = [] if number is None else self._files[number]
        first = next(iter(self._branches.values()))
        return stream(
            "document.html",
            to=to,
            title=first.title or first.info.name,
            sections=[self._section(run, to) for run in runs],
            branches=list(self._branches.values()),
            index=quote(f"../{self._stem}.html") if self.folder and number is not None else "",
        )

    def _section(self, run: _Run, to: _Anchors) -> _Section:
        branch = run.branch
        before = self._cards(branch, 0) if run.start == 0 and not branch.parent else []
        anchor = to.anchor(branch.info.name, run.start, "b")
        return _Section(branch, anchor, self._items(run, to), before, run.start)

    def _items(self, run: _Run, to: _Anchors) -> Iterator[Item]:
        name = run.branch.info.name
        for number, message in enumerate(run.branch.session.iter_messages(run.start, run.stop), run.start + 1):
            told = shown(number, message, anchor=to.anchor(name, number), most=None)
            yield Item(told, self._cards(run.branch, number))

    def _cards(self, branch: _Branch, place: int) -> list[Card]:
        others = self._below.get((branch.info.name, place), [])
        if not others:
            return []
        here = _card(branch, place, "here")
        return sorted(
            (here, *(_card(each, place, "branch") for each in others)), key=lambda card: card.way.info.created
        )

    def find(self, name: str, number: int) -> tuple[int, _Branch, int] | None:
        """Return in which file a message is that is a session's own; the last one where there are fewer."""
        branch = self._branches.get(name)
        if branch is None:
            return None
        number = min(max(number, 1), max(branch.info.message_count, 1))
        for place, runs in enumerate(self._files):
            for run in runs:
                if run.branch is branch and (run.start < number <= run.stop or run.start == run.stop):
                    return place, branch, number
        return None


class _Anchors:
    """The addresses in the files of a document."""

    served = False

    def __init__(self, document: Document, file: int | None) -> None:
        self._document, self._file = document, file

    def session(self, name: str, number: int | None = None) -> str:
        found = self._document.find(name, number or 1)
        if found is None:
            return ""
        place, branch, at = found
        anchor = f"#{branch.prefix}m{at}" if branch.info.message_count > branch.at else f"#{branch.prefix}b{branch.at}"
        if place == self._file:
            return anchor
        folder = f"{quote(self._document.folder)}/" if self._file is None else ""
        return f"{folder}{place + 1}.html{anchor}"

    def compare(self, one: str, other: str) -> str:
        return ""

    def anchor(self, name: str, number: int, sign: str = "m") -> str:
        return f"{self._document._branches[name].prefix}{sign}{number}"

    def known(self, name: str) -> bool:
        return name in self._document._branches


def _share(branches: list[_Branch]) -> None:
    """Find out which messages sessions have of the ones before."""
    known: dict[bytes, tuple[str, int]] = {}
    for branch in branches:
        hashed, ends, sizes = hashlib.sha256(), list[bytes](), list[int]()
        for message in branch.session.iter_messages():
            line = orjson.dumps(message, default=str)
            hashed.update(line + b"\n")
            ends.append(hashed.digest())
            sizes.append(len(line))
        branch.parent, branch.at = next((known[end] for end in reversed(ends) if end in known), ("", 0))
        branch.sizes = sizes[branch.at :]
        for count, end in enumerate(ends, 1):
            known.setdefault(end, (branch.info.name, count))


def _packed(branches: list[_Branch], most: int) -> list[list[_Run]]:
    """Put sessions into files, a large one into several."""
    files: list[list[_Run]] = [[]]
    room = most
    for branch in branches:
        if sum(branch.sizes) > room and files[-1]:
            files.append([])
            room = most
        start = stop = branch.at
        for size in branch.sizes:
            if size > room and stop > start:
                files[-1].append(_Run(branch, start, stop))
                files.append([])
                start, room = stop, most
            stop += 1
            room -= size
        files[-1].append(_Run(branch, start, stop))
    return files


def _card(branch: _Branch, place: int, kind: str) -> Card:
    info: Any = branch.info
    own = max(info.message_count - place, 0)
    words = words_of(branch.session[place]) if own else ""
    return Card(Way(info, place, own, kind), words, [])
