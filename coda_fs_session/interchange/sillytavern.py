"""SillyTavern: a chat in lines, in which each answer has its swipes, and chats that were branched from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .fields import Fields, Keep, message
from .parsing import lines as read_lines
from .skipping import Skips, nothing
from .sources import Head, SourceFile
from .times import moment, stamp
from .tree import MessageTree, Node, made_id

NAME = "sillytavern"


def picks(name: str) -> bool:
    """Tell whether a file in a folder may be one of this format."""
    return name.endswith(".jsonl")


def fits(head: Head) -> bool:
    """Tell whether a file is of this format."""
    return bool(head.records) and "character_name" in head.records[0] and "chat_metadata" in head.records[0]


def links(file: SourceFile) -> set[str]:
    """Return what a file shares with those that it is read together with: a branch names the chat that it is of."""
    own = file.base.removesuffix(".jsonl")
    return {f"{file.folder}/{name}" for name in (own, _origin(_header(file))) if name}


def read(files: Sequence[SourceFile], keep: Keep, problems: list[str], skips: Skips = nothing) -> Iterator[MessageTree]:
    """Yield the chat that files are of: each swipe that is not shown is a branch of one message."""
    tree = MessageTree(NAME, "")
    for file in sorted(files, key=lambda each: (_origin(_header(each)) != "", each.name)):
        above: str | None = None
        with file.stream() as stream:
            for number, line in enumerate(read_lines(stream, tree.notes)):
                if number:
                    above = _add(tree, above, line, keep)
                elif not tree.id:
                    name = _origin(line) or file.base.removesuffix(".jsonl")
                    tree.id = f"{line.get('character_name')}/{name}"
                    tree.title, tree.created = name, moment(line.get("create_date"))
                    tree.rest = {} if keep == "none" else line
        tree.current = tree.current or above or ""
    if tree.nodes or tree.notes:
        yield tree


def _add(tree: MessageTree, above: str | None, line: dict[str, Any], keep: Keep) -> str:
    """Add a line, with its swipes in their order; return the record that is shown."""
    swipes = line.get("swipes")
    texts = [text for text in swipes if isinstance(text, str)] if isinstance(swipes, list) else []
    said = line.get("mes")
    shown = str(said or "") if said is not None or not texts else texts[-1]
    if shown not in texts:
        # What is shown was edited, or there are no swipes.
        texts.append(shown)
    found = ""
    for text in dict.fromkeys(texts):
        # Times and counts of a line change when it is swiped.
        name = made_id(above, [line.get("name"), line.get("is_user"), text])
        if name not in tree.nodes:
            tree.add(Node(name, above, [_message(name, line, text, keep, is_shown=text == shown)]))
        found = name if text == shown or not found else found
    return found


def _message(name: str, line: dict[str, Any], text: str, keep: Keep, *, is_shown: bool) -> dict[str, Any]:
    fields = Fields(line)
    for key in ("mes", "swipes", "swipe_id", "swipe_info", "is_user"):
        fields.take(key)
    reasoning = fields.text("extra", "reasoning") if is_shown else ""
    fields.take("extra", "reasoning")
    role = "user" if line.get("is_user") is True else "system" if line.get("is_system") is True else "assistant"
    return message(
        role,
        text,
        fields if is_shown else None,
        keep=keep,
        name=fields.text("name"),
        reasoning=[{"text": reasoning}] if reasoning else None,
        id=name,
        timestamp=stamp(line.get("send_date")) if is_shown else None,
    )


def _header(file: SourceFile) -> dict[str, Any]:
    with file.stream() as stream:
        return next(read_lines(stream, []), {})


def _origin(header: dict[str, Any]) -> str:
    metadata = header.get("chat_metadata")
    name = metadata.get("main_chat") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else ""
