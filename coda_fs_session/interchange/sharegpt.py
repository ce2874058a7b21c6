"""ShareGPT: lists of ``{"from": …, "value": …}``, in a document or in lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .fields import Fields, Keep, message
from .parsing import elements
from .parsing import lines as read_lines
from .skipping import Skips, nothing
from .sources import Head, SourceFile
from .tree import MessageTree, Node, made_id

NAME = "sharegpt"
ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "system": "system",
    "function_call": "assistant",
    "observation": "tool",
    "tool": "tool",
    "function_response": "tool",
}
_ALIKE = 2


def picks(name: str) -> bool:
    """Tell whether a file in a folder may be one of this format."""
    return name.endswith((".json", ".jsonl"))


def fits(head: Head) -> bool:
    """Tell whether a file is of this format."""
    return head.has("conversations", "from", "value")


def links(file: SourceFile) -> set[str]:
    """Return what a file shares with those that it is read together with."""
    return {file.path}


def read(files: Sequence[SourceFile], keep: Keep, problems: list[str], skips: Skips = nothing) -> Iterator[MessageTree]:
    """Yield the conversations of files; those with one id, or with the same beginning, are branches of one."""
    for file in files:
        trees: dict[str, MessageTree] = {}
        with file.stream() as stream:
            first = stream.read(1)
            stream.seek(0)
            document = first == b"[" or not file.name.endswith(".jsonl")
            records = (value for value, _ in elements(stream, file.place)) if document else read_lines(stream, problems)
            for record in records:
                given = record.get("conversations") if isinstance(record, dict) else None
                if isinstance(given, list) and all(isinstance(each, dict) for each in given):
                    name = record.get("id")
                    name = str(name) if isinstance(name, (str, int)) and name != "" else made_id(None, given[:_ALIKE])
                    _add(trees.setdefault(name, MessageTree(NAME, name)), record, given, keep)
                else:
                    problems.append(f"{file.name}: an element is no conversation, and was left out")
        yield from trees.values()


def _add(tree: MessageTree, record: dict[str, Any], given: list[dict[str, Any]], keep: Keep) -> None:
    fields = Fields(record)
    for key in ("id", "conversations"):
        fields.take(key)
    above: str | None = None
    system = fields.text("system")
    for said in [*([{"from": "system", "value": system}] if system else []), *given]:
        name = made_id(above, said)
        if name not in tree.nodes:
            inner = Fields(said)
            speaker = str(inner.look("from"))
            if speaker in ("human", "gpt", "system", "tool"):
                # Of any other the role does not tell what it was.
                inner.take("from")
            content = inner.take("value")
            tree.add(Node(name, above, [message(ROLES.get(speaker, "assistant"), content, inner, keep=keep, id=name)]))
        above = name
    if keep != "none" and not tree.rest:
        tree.rest = fields.rest()
