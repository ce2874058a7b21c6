"""Open WebUI: exported chats, with all branches of their history."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from typing import Any

from .documents import chats
from .fields import Fields, Keep, content_of, message, text_part
from .skipping import Skips, nothing
from .sources import Head, SourceFile
from .times import moment
from .tree import Message, MessageTree, Node, made_id

NAME = "openwebui"
_REASONING = re.compile(
    r'<details type="reasoning"[^>]*>\s*<summary>(?P<summary>.*?)</summary>(?P<text>.*?)</details>\s*', re.DOTALL
)


def picks(name: str) -> bool:
    """Tell whether a file in a folder may be one of this format."""
    return name.endswith(".json")


def fits(head: Head) -> bool:
    """Tell whether a file is of this format."""
    return head.kind == b"[" and head.has("chat", "history")


def links(file: SourceFile) -> set[str]:
    """Return what a file shares with those that it is read together with."""
    return {file.path}


def read(files: Sequence[SourceFile], keep: Keep, problems: list[str], skips: Skips = nothing) -> Iterator[MessageTree]:
    """Yield the chats of files."""
    return chats(files, lambda chat: tree_of(Fields(chat), keep), problems, skips)


def tree_of(fields: Fields, keep: Keep) -> MessageTree | None:
    """Return one chat; its history is what counts, and its list of messages only one way through that."""
    if not isinstance(fields.look("chat", "history", "messages"), dict):
        return None
    tree = MessageTree(NAME, fields.text("id"), fields.text("title") or None, fields.text("user_id"))
    tree.created, tree.updated = moment(fields.take("created_at")), moment(fields.take("updated_at"))
    tree.current = fields.text("chat", "history", "currentId")
    given: dict[str, Any] = fields.take("chat", "history", "messages")
    fields.take("chat", "messages")
    tree.rest = {} if keep == "none" else fields.rest()
    ranks = {
        child: place
        for said in given.values()
        if isinstance(said, dict) and isinstance(said.get("childrenIds"), list)
        for place, child in enumerate(said["childrenIds"])
        if isinstance(child, str)
    }
    for name, said in given.items():
        if not isinstance(said, dict):
            tree.notes.append(f"{name} is no object: it was left out")
            continue
        parent = said.get("parentId")
        parent = parent if isinstance(parent, str) else None
        tree.add(Node(name, parent, [message_of(name, said, keep)], ranks.get(name, 0)))
    tree.id = tree.id or next(iter(tree.nodes), made_id(None, tree.rest))
    return tree


def message_of(name: str, said: dict[str, Any], keep: Keep) -> Message:
    """Return the message that a record became; reasoning, which stands in its content, is taken out of that."""
    fields = Fields(said)
    for key in ("id", "parentId", "childrenIds"):
        fields.take(key)
    content = fields.look("content")
    reasoning: list[dict[str, Any]] = []
    if isinstance(content, str):
        for match in _REASONING.finditer(content):
            text = "\n".join(line.removeprefix("> ") for line in html.unescape(match["text"]).strip().split("\n"))
            reasoning.append({"summary": match["summary"], "text": text})
        if not reasoning:
            # Else what it was stays under `source`: the text is not the same any more.
            fields.take("content")
        content = _REASONING.sub("", content)
    else:
        fields.take("content")
        given = content if isinstance(content, list) else [] if content is None else [content]
        content = content_of([dict(part) if isinstance(part, dict) else text_part(str(part)) for part in given])
    files = fields.take("files")
    return message(
        fields.text("role") or "assistant",
        content,
        fields,
        keep=keep,
        reasoning=reasoning,
        id=name,
        timestamp=fields.stamp("timestamp"),
        model=fields.text("model"),
        usage=fields.take("usage"),
        attachments=files if isinstance(files, list) else None,
    )
