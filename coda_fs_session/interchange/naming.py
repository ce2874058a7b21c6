"""Names of what is imported: they follow from the chat alone, so that two machines choose the same ones."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from string import Formatter
from typing import Any

from ..session.shapes import preview
from . import own
from .tree import Message, MessageTree, identity

DEFAULT = "{format}/{project}/{title} #{id}"
_FIELDS = frozenset(("format", "project", "title", "id"))
_BAD = re.compile("[\0-\x1f\x7f-\x9f\ud800-\udfff]+")
_LONGEST = {"title": 120, "project": 60}
_LONGEST_NAME = 240


def check_names(names: str | None) -> str:
    """Return a pattern of names, the default one for None.

    Raises:
        ValueError: it has another field than format, project, title and id, or none that tells chats apart.
    """
    if names is None:
        return DEFAULT
    fields = {field for _, field, _, _ in Formatter().parse(names) if field is not None}
    if not fields & {"title", "id"} or not fields <= _FIELDS:
        raise ValueError(f"names= has the fields {{format}}, {{project}}, {{title}} and {{id}}, not {names!r}")
    return names


def short_id(tree: MessageTree) -> str:
    """Return six digits of a chat's identity."""
    return identity(tree.format, tree.account, tree.id)[:6]


def name_of(tree: MessageTree, title: str, names: str) -> str:
    """Return the name for the first session of a chat with this title."""
    title = _plain(title, "title")
    if tree.format == own.NAME and names == DEFAULT:
        return title
    made = names.format(format=tree.format, project=_plain(tree.project, "project"), title=title, id=short_id(tree))
    return re.sub("//+", "/", made).strip("/ ")[:_LONGEST_NAME] or short_id(tree)


def branch_name(name: str, branch: str) -> str:
    """Return the name for a branch, by the record that it begins with."""
    return f"{name[:_LONGEST_NAME]}-{hashlib.sha256(branch.encode(errors='replace')).hexdigest()[:8]}"


def title_of(tree: MessageTree, given: Any, messages: Iterable[Message]) -> str:
    """Return the title of a chat, and of one that was given none the first words that a user said in messages."""
    if isinstance(given, str) and given.strip():
        return given
    for message in messages:
        if message.get("role") == "user" and not message.get("hidden"):
            words = preview(message)
            if words:
                return words
    return f"{tree.created:%Y-%m-%d}" if tree.created else tree.id[:8]


def _plain(text: str, kind: str) -> str:
    return " ".join(_BAD.sub(" ", text).split())[: _LONGEST[kind]].strip()
