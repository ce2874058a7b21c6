"""pi: ``~/.pi/agent/sessions/…/<time>_<id>.jsonl``, a tree in one file, and its forks."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from .fields import Fields, Keep, base_name, call, content_of, left_out, message, strings, text_part
from .parsing import lines as read_lines
from .skipping import Skips, nothing
from .sources import Head, SourceFile
from .times import moment
from .tree import Message, MessageTree, Node, made_id

NAME = "pi"
_ROLES = {"toolResult": "tool", "bashExecution": "tool"}
_SUMMARIES = ("compaction", "branch_summary")


def picks(name: str) -> bool:
    """Tell whether a file in a folder may be one of this format."""
    return name.endswith(".jsonl")


def fits(head: Head) -> bool:
    """Tell whether a file is of this format."""
    return any(each.get("type") == "session" and "cwd" in each and "id" in each for each in head.records[:2])


def links(file: SourceFile) -> set[str]:
    """Return what a file shares with those that it is read together with: a fork names the file that it is of."""
    with file.stream() as stream:
        for _, line in zip(range(2), read_lines(stream, []), strict=False):
            if line.get("type") == "session":
                return {name for name in (_text(line, "id"), _origin(line)) if name} or {file.path}
    return {file.path}


def read(files: Sequence[SourceFile], keep: Keep, problems: list[str], skips: Skips = nothing) -> Iterator[MessageTree]:
    """Yield the session that files are of, with what was forked from it as branches."""
    given: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {}
    tree = MessageTree(NAME, "")
    for file in sorted(files, key=lambda each: each.base):
        odd: list[str] = []
        with file.stream() as stream:
            lines = list(read_lines(stream, odd))
        tree.notes += [f"{file.base}: {each}" for each in odd]
        header = next((line for line in lines if line.get("type") == "session"), {})
        given.setdefault(_text(header, "id") or file.name, (header, lines))
    ordered = _in_order(given)
    left = Counter[str]()
    for header, lines in ordered:
        _add(tree, [line for line in lines if line is not header], left, keep)
    first = ordered[0][0]
    tree.id = _origin(first) or _text(first, "id") or next(iter(tree.nodes), "")
    tree.project = base_name(_text(first, "cwd"))
    tree.created = moment(first.get("timestamp"))
    if keep != "none":
        tree.rest = {"sessions": [header for header, _ in ordered]}
    tree.notes += left_out(left)
    if any(node.messages for node in tree.nodes.values()):
        yield tree


def _in_order(
    given: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]],
) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Return files after those that they were forked from, the older ones first."""
    left = dict(sorted(given.items(), key=lambda pair: (str(pair[1][0].get("timestamp") or ""), pair[0])))
    ordered = []
    while left:
        free = [name for name, (header, _) in left.items() if _origin(header) not in left or _origin(header) == name]
        for name in free or [next(iter(left))]:
            ordered.append(left.pop(name))
    return ordered


def _add(tree: MessageTree, lines: list[dict[str, Any]], left: Counter[str], keep: Keep) -> None:
    before: str | None = None
    for line in lines:
        kind = line.get("type")
        name = line.get("id")
        # Files of the first version have an order only.
        parent = line.get("parentId") if "parentId" in line else before
        parent = parent if isinstance(parent, str) else None
        if kind == "session_info" and _text(line, "name"):
            tree.title = _text(line, "name")
        if kind == "title" and _text(line, "title"):
            tree.title = _text(line, "title")
        if not isinstance(name, str) or not name:
            if kind != "message":
                left[str(kind)] += 1
                continue
            name = made_id(before, line)
        before = name
        if name in tree.nodes:
            # A fork has what came before once more.
            continue
        messages: list[Message] = []
        if kind == "message" and isinstance(line.get("message"), dict):
            messages = message_of(name, line, keep)
        elif kind in _SUMMARIES and _text(line, "summary"):
            fields = _fields(line)
            summary = fields.text("summary")
            stamp = fields.stamp("timestamp")
            messages = [message("system", summary, fields, keep=keep, id=name, timestamp=stamp, hidden=True)]
        else:
            left[str(kind)] += 1
        tree.add(Node(name, parent, messages))
        tree.current = name


def message_of(name: str, line: dict[str, Any], keep: Keep) -> list[Message]:
    """Return the message that an entry became."""
    fields = _fields(line)
    fields.take("type")
    role = fields.text("message", "role")
    content = fields.take("message", "content")
    parts, calls, reasoning = [], [], []
    for block in content if isinstance(content, list) else [text_part(content)] if isinstance(content, str) else []:
        inner = Fields(block)
        kind = inner.look("type")
        if kind == "thinking":
            inner.take("type")
            thought = {"text": inner.text("thinking"), "signature": inner.text("thinkingSignature"), **inner.rest()}
            reasoning.append({key: value for key, value in thought.items() if value not in ("", None)})
        elif kind == "toolCall":
            inner.take("type")
            arguments = json.dumps(inner.take("arguments"), ensure_ascii=False)
            made = call(inner.text("id"), inner.text("name"), arguments)
            calls.append({**made, **({"source": inner.rest()} if inner.rest() else {})})
        elif kind == "image" and isinstance(inner.look("data"), str):
            url = f"data:{inner.look('mimeType') or ''};base64,{inner.look('data')}"
            parts.append({"type": "image_url", "image_url": {"url": url}})
        else:
            parts.append(dict(block) if isinstance(block, dict) else text_part("\n".join(strings(block))))
    if role == "bashExecution":
        ran, output = fields.text("message", "command"), fields.text("message", "output")
        parts = [text_part(f"$ {ran}\n{output}")]
    error = fields.take("message", "isError")
    known = role in ("user", "assistant", *_ROLES)
    return [
        message(
            _ROLES.get(role, role if known else "system"),
            content_of(parts),
            fields,
            keep=keep,
            tool_calls=calls,
            tool_call_id=fields.text("message", "toolCallId"),
            name=fields.text("message", "toolName"),
            is_error=True if error is True else None,
            reasoning=reasoning,
            id=name,
            timestamp=fields.stamp("timestamp"),
            model=fields.text("message", "model"),
            usage=fields.take("message", "usage"),
            hidden=None if known else True,
        )
    ]


def _fields(line: dict[str, Any]) -> Fields:
    fields = Fields(line)
    fields.take("id")
    fields.take("parentId")
    return fields


def _origin(header: dict[str, Any]) -> str:
    """Return the id of the session that a file was forked from, out of its path."""
    path = _text(header, "branchedFrom") or _text(header, "parentSession")
    return path.replace("\\", "/").rpartition("/")[2].rpartition("_")[2].removesuffix(".jsonl")


def _text(record: dict[str, Any], key: str) -> str:
    value = record.get(key)
    return value if isinstance(value, str) else ""
