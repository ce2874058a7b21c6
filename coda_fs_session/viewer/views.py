"""What pages tell of a store: values for the templates, read by the public package."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from ..session.imported import import_note
from .family import Family, Way
from .messages import LONGEST, Shown, shown, words_of

if TYPE_CHECKING:
    from .. import HistoryEntry, Session, SessionError, SessionInfo, SessionManager

PAGE = 200
"""Messages of a page."""
MOST_ENTRIES = 300
MOST_WORDED = 12
"""Ways of a fork that are told with their first words."""
HIDDEN = "coda_fs_session.hidden"


class Card(NamedTuple):
    """A way on from a message: a session, what it says first after it, and what is to be known of its state."""

    way: Way
    words: str
    flags: list[tuple[str, str]]


class Item(NamedTuple):
    """A message in a page, and the cards of the fork behind it."""

    message: Shown
    cards: list[Card]


class Page(NamedTuple):
    """A run of messages of a session.

    Attributes:
        start, stop: which ones, from 0; total: how many the session has; missing: how many could not be read.
        problem: why these could not.
    """

    items: list[Item]
    cards_before: list[Card]
    start: int
    stop: int
    total: int
    missing: int
    problem: SessionError | None


def title_of(info: SessionInfo) -> str:
    """Return what a program calls a session, "" for one that has only its name."""
    title = info.metadata.get("title")
    return title if isinstance(title, str) else ""


def source_of(info: SessionInfo) -> str:
    """Return the program that a session was imported from, "" for none."""
    source = import_note(info.metadata).get("format")
    return source if isinstance(source, str) else ""


def flags(info: SessionInfo) -> list[tuple[str, str]]:
    """Return what is to be known of the state of a session: a word, and a sentence on what it means."""
    found = []
    if info.error is not None:
        waits = type(info.error).__name__ in ("ObjectNotYetHereError", "PartialSessionError")
        found.append(
            ("not here yet", "Parts of it have not arrived. If a sync tool carries the store, wait until it is done.")
            if waits
            else ("damaged", "It cannot be read, or not whole. coda-session check tells what is wrong.")
        )
    if info.sides or info.diverged_from is not None:
        others = f" The others are: {', '.join(info.sides)}." if info.sides else ""
        found.append(("diverged", f"It was continued apart, on several machines.{others}"))
    if info.undecided:
        found.append(("undecided", "Something has not arrived that would tell whether it continues another one."))
    if info.reverted:
        found.append(("older copy", "This machine had saved more than this older copy; what is missing comes back."))
    if info.survived_delete:
        found.append(("survived", "It was deleted on one machine, and continued on another one."))
    if info.metadata.get(HIDDEN):
        found.append(("hidden", "Its program hides it: a list leaves it out, unless it is asked for all."))
    return found


def page_of(
    manager: SessionManager,
    family: Family,
    name: str,
    start: int,
    *,
    marks: dict[int, list[str]],
    most: int | None = LONGEST,
) -> Page:
    """Return a page of a session, from a message on; of one that cannot be read whole, what can."""
    session, messages, problem = _read(manager, name, start)
    ways = family.ways(name)
    items = []
    for number, message in enumerate(messages, start + 1):
        message_shown = shown(number, message, marks=tuple(marks.get(number, ())), most=most)
        items.append(Item(message_shown, cards_of(manager, family, name, number, ways)))
    before = cards_of(manager, family, name, 0, ways) if start == 0 else []
    total, missing = (len(session), session.missing) if session is not None else (0, 0)
    return Page(items, before, start, start + len(messages), total, missing, problem)


def _read(
    manager: SessionManager, name: str, start: int
) -> tuple[Session | None, list[dict[str, Any]], SessionError | None]:
    """Return a session with a page of it, None where nothing of it can be read, and what is wrong."""
    from .. import SessionNotFoundError, StoreError

    problem: SessionError | None = None
    for partial in (False, True):
        try:
            session = manager.load_session(name, partial=partial)
            return session, session.get_messages(start=start, stop=start + PAGE), problem
        except SessionNotFoundError:
            raise
        except StoreError as error:
            problem = problem or error
    return None, [], problem


def cards_of(manager: SessionManager, family: Family, name: str, place: int, ways: dict[int, list[Way]]) -> list[Card]:
    """Return the cards of a fork, the session itself among them, in an order that is the same for each; [] for none."""
    others = ways.get(place, [])
    if not others:
        return []
    info = family.infos[name]
    here = Way(info, place, max(info.message_count - place, 0), "here")
    told = sorted((here, *others), key=lambda way: (way.info.created, way.info.name))
    return [_card(manager, way, worded=number < MOST_WORDED) for number, way in enumerate(told)]


def _card(manager: SessionManager, way: Way, *, worded: bool) -> Card:
    return Card(way, _first_words(manager, way) if worded else "", flags(way.info) if way.kind != "here" else [])


def _first_words(manager: SessionManager, way: Way) -> str:
    from .. import SessionError

    if not way.own:
        return ""
    try:
        found = manager.load_session(way.info.name).get_messages(start=way.at, stop=way.at + 1)
    except SessionError:
        return "cannot be read"
    return words_of(found[0]) if found else ""


def marks_of(manager: SessionManager, name: str) -> dict[int, list[str]]:
    """Return what happened at messages, by how many there were then: tags, merges, edits."""
    from .. import SessionError

    found: dict[int, list[str]] = {}
    try:
        for label, entry in manager.history(name).tags().items():
            found.setdefault(entry.messages, []).append(f"tagged {label}")
        for entry in islice(manager.history(name), MOST_ENTRIES):
            told = _MARKS.get(entry.kind)
            if told is not None:
                found.setdefault(max(entry.messages, 1), []).append(told(entry))
    except SessionError:
        # A storage that keeps none, or one that cannot be read on: the page of the history tells that.
        pass
    return found


_MARKS: dict[str, Callable[[HistoryEntry], str]] = {
    "merge": lambda entry: f"merged{f' {entry.side}' if entry.side else ''}",
    "pick": lambda entry: f"picked messages{f' of {entry.side}' if entry.side else ''}",
    "edit": lambda entry: "edited when this was the last message",
}


def row_of(info: SessionInfo) -> dict[str, Any]:
    """Return what the list knows of a session, in the words that its script knows."""
    metadata, preview = info.metadata, info.preview
    # What branches begin with is that of the session they came from.
    words = (preview.last if info.parent else preview.first) or preview.last or ""
    row = {"name": info.name, "count": info.message_count, "updated": info.updated_at, "words": words}
    told = flags(info)
    if metadata or told:
        row |= {"title": title_of(info), "source": source_of(info), "more": _searched(metadata)}
        row |= {"flags": [flag for flag, _ in told], "hidden": bool(metadata.get(HIDDEN))}
    return row


def _searched(metadata: dict[str, Any]) -> str:
    """Return what a filter looks through besides: short texts of the metadata."""
    words: list[str] = []
    for key, value in metadata.items():
        if isinstance(value, (str, int, float)) and not key.startswith("coda_fs_session."):
            words.append(f"{key}={value}"[:120])
        elif isinstance(value, list):
            words += [str(each)[:60] for each in value[:20] if isinstance(each, (str, int))]
    return " ".join(words)[:600]
