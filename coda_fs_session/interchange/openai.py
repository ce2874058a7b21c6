"""OpenAI's JSON lines for fine-tuning: each line is a chat, and lines that begin alike are branches of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO, Any

from .fields import Keep
from .parsing import lines
from .skipping import Skips, nothing
from .sources import Head, SourceFile
from .tree import MessageTree, Node, made_id

NAME = "openai"
_ALIKE = 2
"""So many messages at the beginning make lines without an id those of one chat."""


def picks(name: str) -> bool:
    """Tell whether a file in a folder may be one of this format."""
    return name.endswith(".jsonl")


def fits(head: Head) -> bool:
    """Tell whether a file is of this format."""
    # With a model it is a request to a service.
    are_chats = all(_is_chat(record) and "model" not in record for record in head.records)
    return bool(head.records) and are_chats and not head.has("created_at")


def links(file: SourceFile) -> set[str]:
    """Return what a file shares with those that it is read together with."""
    return {file.path}


def read(files: Sequence[SourceFile], keep: Keep, problems: list[str], skips: Skips = nothing) -> Iterator[MessageTree]:
    """Yield the chats of a file; their messages are as they were."""
    for file in files:
        with file.stream() as stream:
            odd: list[str] = []
            places = _places(stream, odd)
            problems += [f"{file.name}: {each}" for each in odd]
            for source_id, starts in places.items():
                tree = MessageTree(NAME, source_id)
                for start in starts:
                    stream.seek(start)
                    # As it was found: lines before it that are none are passed over here, too.
                    _add(tree, next(lines(stream, [])), keep)
                yield tree


def _places(stream: IO[bytes], odd: list[str]) -> dict[str, list[int]]:
    """Return where the lines of each chat are: only one chat is in memory at a time."""
    places: dict[str, list[int]] = {}
    start = 0

    def counted() -> Iterator[dict[str, Any]]:
        nonlocal start
        reader = lines(stream, odd)
        while True:
            start = stream.tell()
            record = next(reader, None)
            if record is None:
                return
            yield record

    for record in counted():
        if _is_chat(record):
            places.setdefault(_id(record), []).append(start)
        else:
            odd.append("a line has no list of messages: it was left out")
    return places


def _is_chat(record: dict[str, Any]) -> bool:
    messages = record.get("messages")
    return isinstance(messages, list) and all(isinstance(each, dict) and "role" in each for each in messages)


def _id(record: dict[str, Any]) -> str:
    metadata = record.get("metadata")
    for place in (metadata if isinstance(metadata, dict) else {}, record):
        if isinstance(place.get("id"), str) and place["id"]:
            return str(place["id"])
    return made_id(None, record["messages"][:_ALIKE])


def _add(tree: MessageTree, record: dict[str, Any], keep: Keep) -> None:
    above: str | None = None
    for message in record["messages"]:
        name = made_id(above, message)
        if name not in tree.nodes:
            tree.add(Node(name, above, [message]))
        above = name
    rest = {key: value for key, value in record.items() if key != "messages"}
    if rest and keep != "none" and not tree.rest:
        tree.rest = rest
