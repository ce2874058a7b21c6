"""Messages of a tree in a form that a session takes: without what JSON refuses, and without large files in them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from typing import Any

from ..errors import InvalidMessageError
from ..format.jsonable import jsonable
from ..format.jsonl import encode_message
from .tree import Branch, Message, MessageTree

LARGE = 256_000
"""Characters of base64 from which on a file leaves its message."""
_DATA = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w=.+-]+)*;base64,", re.ASCII)

Store = Callable[[str, bytes], None]


def make_storable(tree: MessageTree, branches: list[Branch], store: Store | None) -> None:
    """Change what is in the messages of branches to what can be stored, and write their lines.

    The notes of the tree tell what was changed.

    Args:
        store: is given the name and the bytes of a file that leaves a message; None to keep its hash alone.
    """
    for branch in branches:
        branch.lines = []
        for place, message in enumerate(branch.messages):
            try:
                line = encode_message(message, "")
                # Most messages are as they should be: they are looked at once.
                if len(line) <= LARGE or branch.title:
                    branch.lines.append(line)
                    continue
            except InvalidMessageError:
                pass
            branch.messages[place], changes = jsonable(
                message if branch.title else _without_files(message, store), "message"
            )
            branch.lines.append(encode_message(branch.messages[place], ""))
            for change in changes:
                name = branch.ids[place]
                tree.notes.append(f"{tree.id}, {name}: {change.path} was {change.was}, and is {change.became} now")
        for tag in branch.tags:
            tag.label, tag.messages = _text(tag.label), jsonable(tag.messages)[0]
        branch.metadata = jsonable(branch.metadata)[0]
        # Metadata of sessions say what they were imported from.
        branch.id, branch.ids = _text(branch.id), [_text(name) for name in branch.ids]
    tree.rest = jsonable(tree.rest)[0]
    tree.id, tree.account = _text(tree.id), _text(tree.account)
    tree.title = None if tree.title is None else _text(tree.title)


def _text(text: str) -> str:
    return text if text.isascii() else str(jsonable(text)[0])


def _without_files(message: Message, store: Store | None) -> Message:
    """Return a message with the hash of a large file in place of the file."""
    found: list[dict[str, Any]] = []

    def slim(value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return _file(value, found, store) if len(value) > LARGE else value
        if depth > 50:
            return value
        if isinstance(value, dict):
            return {key: slim(each, depth + 1) for key, each in value.items()}
        if isinstance(value, list):
            return [slim(each, depth + 1) for each in value]
        return value

    made: Message = slim(message, 0)
    if found:
        known = made.get("attachments")
        made["attachments"] = [*(known if isinstance(known, list) else []), *found]
    return made


def _file(text: str, found: list[dict[str, Any]], store: Store | None) -> str:
    match = _DATA.match(text)
    try:
        data = base64.b64decode(text[match.end() :] if match else text, validate=True)
    except (binascii.Error, ValueError):
        # A long text.
        return text
    digest = hashlib.sha256(data).hexdigest()
    if store is not None:
        store(digest, data)
    found.append({"mime": match[1] or "" if match else "", "size": len(data), "sha256": digest})
    return f"sha256:{digest}"
