"""What happened to sessions between two looks at them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from ...backends.base import RefKey
from ...errors import SessionConflictError
from ...session.info import SessionInfo
from ...storage import SessionStorage, with_origin
from ..lookup.listing import infos_of_refs
from ..lookup.names import related_to
from ..storage import engine_of

EventKind = Literal["created", "advanced", "diverged", "deleted", "renamed"]

Listing = Mapping[str, SessionInfo]
"""Every session that is listed, by name."""


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """Something that happened to a session, by whatever process, machine or sync tool.

    Attributes:
        kind: "created"; "advanced": its messages, metadata or condition (`SessionInfo.error`) are others;
            "diverged": it was continued in two places, and `name` is what the side that came to light goes by;
            "deleted": the name is no longer listed; "renamed".
        name: the session's name, of a renamed one the new name.
        info: what is known of it now, None when it is deleted.
        previous_name: what a renamed session was called before, else None.
    """

    kind: EventKind
    name: str
    info: SessionInfo | None
    previous_name: str | None = None


def listing_of(storage: SessionStorage) -> Listing:
    """Return what is listed now.

    Raises:
        StoreError: the store cannot be listed.
    """
    engine = engine_of(storage)
    if engine is not None:
        return {info.name: info for info in engine.look()}
    return {info.name: with_origin(info) for info in storage.list_all() or ()}


def listing_near(storage: SessionStorage, refs: Iterable[RefKey]) -> tuple[set[str], Listing] | None:
    """Return what is listed now of all names that some refs decide on, and those names; None where that is not enough.

    Raises:
        StoreError: something cannot be read.
    """
    engine = engine_of(storage)
    found = infos_of_refs(engine.repo, refs) if engine is not None else None
    return None if found is None else (found[0], {info.name: info for info in found[1]})


def changes_between(before: Listing, after: Listing, storage: SessionStorage) -> list[SessionEvent]:
    """Return what happened between two listings, the second of which is the storage's present one; by name."""
    gone, come = before.keys() - after.keys(), after.keys() - before.keys()
    renamed = dict(_renames(storage, {name: before[name] for name in gone}, come)) if gone and come else {}
    events = [SessionEvent("deleted", name, None) for name in gone - set(renamed.values())]
    for name in come:
        info = after[name]
        if name in renamed:
            events.append(SessionEvent("renamed", name, info, renamed[name]))
        else:
            events.append(SessionEvent("diverged" if _diverged(info) else "created", name, info))
    for name in after.keys() & before.keys():
        old, new = before[name], after[name]
        if old is not new and _content(old) != _content(new):
            diverged = _diverged(new) and not _diverged(old)
            events.append(SessionEvent("diverged" if diverged else "advanced", name, new))
    return sorted(events, key=lambda event: event.name)


def concerns(event: SessionEvent, name: str) -> bool:
    """Tell whether an event is about the session that has or had this name, or about one that diverged from it."""
    return name in (event.name, event.previous_name) or (event.info is not None and label_of(event.info) == name)


def label_of(info: SessionInfo) -> str:
    """Return the name that a session was saved under: not its own one where that was derived after it diverged."""
    label: str | None = getattr(info, "diverged_from", None)
    return info.name if label is None else label


def _diverged(info: SessionInfo) -> bool:
    return label_of(info) != info.name or isinstance(info.error, SessionConflictError)


def _content(info: SessionInfo) -> tuple[object, ...]:
    """Return what a change of is news: not which of two equal refs is shown, nor the identity of an error."""
    counts = (info.message_count, info.size_bytes, info.metadata)
    return (*counts, info.created_at, info.updated_at, info.parent, info.forked_at, str(info.error or ""))


def _renames(storage: SessionStorage, gone: Listing, come: set[str]) -> Iterator[tuple[str, str]]:
    """Yield the new and the old name of each session that is listed under another one now, where refs tell that."""
    engine = engine_of(storage)
    if engine is None:
        return
    names = {label_of(info): name for name, info in gone.items()} | {name: name for name in gone}
    for row in related_to(come, engine.repo.index.named):
        former = next((name for name in reversed(row.former_names) if name in names), None)
        if row.name in come and former is not None and not row.deleted:
            yield row.name, names.pop(former)
