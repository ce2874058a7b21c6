"""gptme: a folder for each session, with ``conversation.jsonl`` and ``branches/…``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from .fields import Fields, Keep, message
from .parsing import lines as read_lines
from .restoring import keep_whole, merged, rest_of, restored
from .skipping import Skips, nothing
from .sources import Head, SourceFile
from .times import moment
from .tree import Message, MessageTree, Node, made_id

NAME = "gptme"
_MAIN = "conversation.jsonl"


def picks(name: str) -> bool:
    """Tell whether a file in a folder may be one of this format."""
    return name.endswith(".jsonl")


def fits(head: Head) -> bool:
    """Tell whether a file is of this format."""
    return bool(head.records) and all(
        "role" in each and "content" in each and "timestamp" in each and "type" not in each for each in head.records
    )


def links(file: SourceFile) -> set[str]:
    """Return what a file shares with those that it is read together with: all in one folder."""
    return {_folder(file)}


def read(files: Sequence[SourceFile], keep: Keep, problems: list[str], skips: Skips = nothing) -> Iterator[MessageTree]:
    """Yield the session of a folder; its branches are those of the program."""
    tree = MessageTree(NAME, _folder(files[0]))
    for file in sorted(files, key=lambda each: (each.base != _MAIN, each.name)):
        above: str | None = None
        with file.stream() as stream:
            for line in read_lines(stream, tree.notes):
                name = made_id(above, line)
                if name not in tree.nodes:
                    tree.add(Node(name, above, [message_of(name, line, keep)]))
                above = name
        tree.current = tree.current or above or ""
    times = [found for node in tree.nodes.values() if (found := moment(node.messages[0].get("timestamp")))]
    tree.created, tree.updated = (times[0], times[-1]) if times else (None, None)
    if tree.nodes or tree.notes:
        yield tree


def message_of(name: str, line: dict[str, Any], keep: Keep) -> dict[str, Any]:
    """Return the message of a line; times have no zone, and stay as they are."""
    fields = Fields(line)
    files = fields.look("files")
    named = isinstance(files, list) and files and all(isinstance(each, str) for each in files)
    made = message(
        fields.text("role"),
        fields.take("content"),
        fields,
        keep=keep,
        tool_call_id=fields.text("call_id"),
        id=name,
        timestamp=fields.stamp("timestamp"),
        model=fields.text("metadata", "model"),
        usage=fields.take("metadata", "usage"),
        attachments=[{"name": each} for each in fields.take("files")] if named else None,
        hidden=True if fields.look("hide") is True and fields.take("hide") else None,
    )
    return keep_whole([made], line, _restore, keep)[0]


def lines_of(messages: Iterable[Message], _about: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the lines of messages that were imported, as they were."""
    for each in messages:
        yield restored([each], _restore, partial(_again, str(each.get("id") or "")))


def _again(name: str, line: dict[str, Any], keep: Keep) -> list[Message]:
    return [message_of(name, line, keep)]


def _restore(messages: list[Message]) -> dict[str, Any]:
    (said,) = messages
    rest = rest_of(said)
    made: dict[str, Any] = {"role": said.get("role"), "content": said.get("content")}
    if "timestamp" in said and "timestamp" not in rest:
        made["timestamp"] = said["timestamp"]
    if "tool_call_id" in said:
        made["call_id"] = said["tool_call_id"]
    attachments = said.get("attachments")
    if isinstance(attachments, list):
        made["files"] = [each.get("name") for each in attachments if isinstance(each, dict)]
    if said.get("hidden") is True:
        made["hide"] = True
    about = {key: said[key] for key in ("model", "usage") if key in said}
    return merged(made | ({"metadata": about} if about else {}), rest)


def _folder(file: SourceFile) -> str:
    """Return what the folder of a session is called, also where its file was given alone."""
    steps = (file.local or file.name).replace("\\", "/").split("/")[:-1]
    if steps and steps[-1] == "branches":
        steps = steps[:-1]
    return steps[-1] if steps else file.base
