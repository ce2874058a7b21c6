"""opencode: sessions, messages and parts in a file each, below ``~/.local/share/opencode/storage``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from .fields import Fields, Keep, base_name, call, content_of, left_out, message, text_part
from .parsing import parsed
from .skipping import Skips, nothing
from .sources import Head, SourceFile
from .times import moment
from .tree import Message, MessageTree, Node

NAME = "opencode"
_MOST = 64 * 1024 * 1024

Record = dict[str, Any]


def picks(name: str) -> bool:
    """Tell whether a file in a folder may be one of this format."""
    return name.endswith(".json")


def fits(head: Head) -> bool:
    """Tell whether a file is of this format."""
    if head.kind != b"{" or head.has("parentUuid") or head.has("projectHash") or head.has("mapping"):
        return False
    return (head.has("sessionID", "id") and (head.has("role") or head.has("messageID", "type"))) or (
        head.has("id", "directory", "time", "version") and not head.has("messageId")
    )


def links(file: SourceFile) -> set[str]:
    """Return what a file shares with those that it is read together with: all of a session."""
    record = _record(file)
    found = record and (_text(record, "sessionID") or _text(record, "id"))
    return {found or file.path}


def read(files: Sequence[SourceFile], keep: Keep, problems: list[str], skips: Skips = nothing) -> Iterator[MessageTree]:
    """Yield the session that files are of; it has no branches."""
    session: Record = {}
    messages: dict[str, Record] = {}
    parts: dict[str, dict[str, Record]] = {}
    tree = MessageTree(NAME, "")
    for file in sorted(files, key=lambda each: each.name):
        record = _record(file)
        if record is None:
            # Written by parts: this one is not whole yet.
            problems.append(f"{file.name} is no JSON object: it was left out")
        elif _text(record, "messageID"):
            parts.setdefault(record["messageID"], {})[_text(record, "id")] = record
        elif _text(record, "sessionID"):
            messages[_text(record, "id")] = record
        else:
            session = record
    for orphan in parts.keys() - messages.keys():
        tree.notes.append(f"parts of message {orphan} were left out: its own file is not there")
    _describe(tree, session, messages, keep)
    left = Counter[str]()
    above: str | None = None
    for name in _ordered(messages, session.get("messages")):
        its = parts.get(name, {})
        said = [its[part] for part in _ordered(its, messages[name].get("parts"))]
        above = tree.add(Node(name, above, messages_of(name, messages[name], said, left, keep))).id
    tree.current = above or ""
    tree.notes += left_out(left)
    if tree.nodes:
        yield tree


def _describe(tree: MessageTree, session: Record, messages: dict[str, Record], keep: Keep) -> None:
    fields = Fields(session)
    other = next(iter(messages.values()), {})
    tree.id = fields.text("id") or _text(other, "sessionID")
    tree.title = fields.text("title") or None
    tree.project = base_name(_text(session, "directory"))
    tree.created, tree.updated = moment(fields.look("time", "created")), moment(fields.look("time", "updated"))
    fields.take("messages")
    tree.rest = {} if keep == "none" else fields.rest()


def _ordered(records: dict[str, Record], listed: Any) -> list[str]:
    """Return the ids of records: those that are listed first, all others by their times and ids."""
    first = [name for name in listed if name in records] if isinstance(listed, list) else []
    known = set(first)
    others = [name for name in records if name not in known]
    return [*dict.fromkeys(first), *sorted(others, key=lambda name: (_time(records[name]), name))]


def _time(record: Record) -> float:
    time = Fields(record)
    found = time.look("time", "created") or time.look("time", "start") or 0
    return found if isinstance(found, (int, float)) else 0


def messages_of(name: str, said: Record, parts: list[Record], left: Counter[str], keep: Keep) -> list[Message]:
    """Return the messages that a record became: the result of each tool is one of its own."""
    fields = Fields(said)
    for key in ("id", "sessionID", "parts"):
        fields.take(key)
    content, calls, reasoning, results = [], list[Record](), list[Record](), list[Message]()
    usage = fields.take("tokens")
    for part in parts:
        kind = part.get("type")
        if kind == "text" and isinstance(part.get("text"), str):
            content.append(text_part(part["text"]))
        elif kind == "reasoning":
            reasoning.append({"text": _text(part, "text")})
        elif kind == "file":
            url = _text(part, "url")
            content.append({"type": "file", "file": {"filename": _text(part, "filename"), "file_data": url}})
        elif kind == "tool":
            made, result = _tool(name, part, keep)
            calls.append(made)
            results += result
        elif kind == "step-finish":
            usage = usage or part.get("tokens")
        else:
            left[str(kind)] += 1
    model = fields.text("modelID")
    answer = message(
        fields.text("role") or "assistant",
        content_of(content),
        fields,
        keep=keep,
        tool_calls=calls,
        reasoning=reasoning,
        id=name,
        timestamp=fields.stamp("time", "created"),
        model=model,
        usage=usage,
    )
    return [answer, *results]


def _tool(name: str, part: Record, keep: Keep) -> tuple[Record, list[Message]]:
    fields = Fields(part)
    for key in ("type", "sessionID", "messageID"):
        fields.take(key)
    tool = fields.text("tool")
    identity = fields.text("callID") or _text(part, "id")
    made = call(identity, tool, json.dumps(fields.take("state", "input"), ensure_ascii=False))
    error = fields.take("state", "error")
    output = fields.take("state", "output")
    said = output if output is not None else error
    if said is None:
        return made, []
    text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
    failed = True if output is None else None
    result = message(*("tool", text, fields), keep=keep, tool_call_id=identity, name=tool, is_error=failed, id=name)
    return made, [result]


def _record(file: SourceFile) -> Record | None:
    with file.stream() as stream:
        data = stream.read(_MOST)
    try:
        value = parsed(data)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _text(record: Record, key: str) -> str:
    value = record.get(key)
    return value if isinstance(value, str) else ""
