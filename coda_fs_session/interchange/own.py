"""This package's own JSON: a session, or a family of sessions with what each branched from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from ..errors import ExportError, InvalidNameError
from ..format.names import checked_name
from ..format.records import utc_time
from .fields import Keep
from .parsing import elements
from .skipping import Skips, nothing
from .sources import Head, SourceFile
from .tree import Branch, MessageTree, Tag, made_id

NAME = "coda"
_ONE = re.compile(rb'\{\s*"name"\s*:\s*"(?:[^"\\]|\\.)*"\s*,\s*"messages"\s*:\s*\[')
_FAMILY = re.compile(rb'\{\s*"coda_fs_session\.family"\s*:')
FAMILY = "coda_fs_session.family"


def picks(name: str) -> bool:
    """Tell whether a file in a folder may be one of this format."""
    return name.endswith(".json")


def fits(head: Head) -> bool:
    """Tell whether a file is of this format."""
    data = head.data.lstrip()
    return _ONE.match(data) is not None or _FAMILY.match(data) is not None


def links(file: SourceFile) -> set[str]:
    """Return what a file shares with those that it is read together with."""
    return {file.path}


def read(files: Sequence[SourceFile], keep: Keep, problems: list[str], skips: Skips = nothing) -> Iterator[MessageTree]:
    """Yield the sessions of a file, with messages and metadata as they were."""
    for file in files:
        with file.stream() as stream:
            for document, _ in elements(stream, file.place):
                sessions = [document]
                if isinstance(document, dict) and FAMILY in document:
                    sessions = document.get("sessions", [])
                yield _tree(sessions, file.place)


def _tree(sessions: Any, place: str) -> MessageTree:
    names: dict[str, int] = {}
    made: list[Branch] = []
    for session in sessions if isinstance(sessions, list) else [None]:
        branch = _branch(session, names, made, place)
        names[str(branch.title)] = len(made)
        made.append(branch)
    if not made:
        raise ExportError("is a family of no sessions", place)
    first = sessions[0]
    tree = MessageTree(NAME, f"{first.get('created_at')} {made[0].title}", made[0].title)
    tree.given = made
    return tree


def _branch(session: Any, names: dict[str, int], made: list[Branch], place: str) -> Branch:
    if not isinstance(session, dict) or not isinstance(session.get("messages"), list):
        raise ExportError("is no exported session: it must be a JSON object with a list of messages", place)
    name, metadata = session.get("name"), session.get("metadata") or {}
    if not isinstance(name, str) or not name or not isinstance(metadata, dict) or name in names:
        raise ExportError("is no exported session: each has a name of its own, and metadata that are an object", place)
    if not all(isinstance(message, dict) for message in session["messages"]):
        raise ExportError(f"is no exported session: a message of {name!r} is no object", place)
    try:
        checked_name(name)
    except InvalidNameError as error:
        raise ExportError(f"has a session whose name is none: {error}", place) from error
    origin, at = session.get("parent"), session.get("at", 0)
    parent = names.get(origin) if isinstance(origin, str) else None
    if origin is not None and (parent is None or type(at) is not int or not 0 <= at <= made[parent].length):
        raise ExportError(f"has {name!r} branch from {origin!r}, which does not come before it or is shorter", place)
    branch = Branch(name if made else "", parent, at if parent is not None else 0, session["messages"])
    above = ""
    for message in branch.messages:
        above = made_id(above, message)
        branch.ids.append(above)
    branch.title, branch.metadata = name, metadata
    tags = session.get("tags", [])
    branch.tags = [_tag(tag, branch, place) for tag in (tags if isinstance(tags, list) else [tags])]
    branch.created, branch.updated = _time(session.get("created_at")), _time(session.get("updated_at"))
    return branch


def _tag(value: Any, branch: Branch, place: str) -> Tag:
    if isinstance(value, dict):
        label, at, messages = value.get("label"), value.get("at"), value.get("messages", [])
        are = isinstance(messages, list) and all(isinstance(message, dict) for message in messages)
        if isinstance(label, str) and type(at) is int and 0 <= at <= branch.length and are:
            return Tag(label, at, messages)
    raise ExportError(f"has a tag of {branch.title!r} that is none: {value!r:.80}", place)


def _time(value: Any) -> datetime | None:
    """Return a time as this package wrote it: of any year."""
    try:
        return utc_time(datetime.fromisoformat(value))
    except (TypeError, ValueError):
        return None
