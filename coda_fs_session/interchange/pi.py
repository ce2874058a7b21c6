"""pi: ``~/.pi/agent/sessions/…/<time>_<id>.jsonl``, a tree in one file, and its forks."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from .fields import Fields, Keep, base_name, call, content_of, left_out, message, strings, text_part
from .parsing import lines as read_lines
from .restoring import arguments_of, data_of, keep_whole, merged, rest_of, restored
from .skipping import Skips, nothing
from .sources import Head, SourceFile
from .times import moment
from .tree import Message, MessageTree, Node, made_id

NAME = "pi"
_ROLES = {"toolResult": "tool", "bashExecution": "tool"}
_SUMMARIES = ("compaction", "branch_summary")
_TALK = ("user", "assistant")
_RAN = "bashExecution"
_IS_TEXT = "content_is_text"
"""What `source` says of a message whose content was no list of blocks."""


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
        said = isinstance(line.get("message"), dict) if kind == "message" else kind in _SUMMARIES and "summary" in line
        if said:
            messages = message_of(name, line, keep)
        else:
            left[str(kind)] += 1
        tree.add(Node(name, parent, messages))
        tree.current = name


def message_of(name: str, line: dict[str, Any], keep: Keep) -> list[Message]:
    """Return the message that an entry became."""
    fields = Fields(line)
    fields.take("id")
    if line.get("type") in _SUMMARIES:
        summary, stamp = fields.text("summary"), fields.stamp("timestamp")
        made = message("system", summary, fields, keep=keep, id=name, timestamp=stamp, hidden=True)
    else:
        made = _said(name, fields, keep)
    return keep_whole([made], line, _restore, keep)


def _said(name: str, fields: Fields, keep: Keep) -> Message:
    fields.take("type")
    role = str(fields.look("message", "role") or "")
    known = role in (*_TALK, *_ROLES)
    if known and role != _RAN:
        # Of any other the role does not tell what it was.
        fields.take("message", "role")
    content = fields.take("message", "content")
    if isinstance(content, str) and keep == "rest":
        fields.record = {**fields.record, _IS_TEXT: True}
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
    if role == _RAN:
        output = fields.text("message", "output")
        parts = [text_part(f"$ {fields.look('message', 'command') or ''}\n{output}")]
    error = fields.take("message", "isError")
    return message(
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


def lines_of(messages: Iterable[Message], about: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a header, and the entries of messages that were imported, as they were.

    An entry that was no message is not there, also where another one comes after it.
    """
    headers = about.get("sessions")
    known = headers[0] if isinstance(headers, list) and headers and isinstance(headers[0], dict) else {}
    yield {"type": "session", "version": 3, "id": str(about.get("id") or "")} | known
    given, above = list(messages), None
    is_tree = any("parentId" in rest_of(each) for each in given)
    for each in given:
        name = str(each.get("id") or made_id(above, each))
        line = restored([each], _restore, partial(message_of, name))
        # One that was added here comes after the one before it.
        yield line | {"id": name, "parentId": above} if is_tree and "source" not in each else line
        above = name


def _restore(messages: list[Message]) -> dict[str, Any]:
    (said,) = messages
    rest = rest_of(said)
    is_text = rest.pop(_IS_TEXT, isinstance(Fields(rest).look("message", "content"), str))
    kind = rest.get("type", "message")
    made: dict[str, Any] = {"type": kind}
    if "parentId" in rest:
        made["id"] = said.get("id")
    if "timestamp" in said and "timestamp" not in rest:
        made["timestamp"] = said["timestamp"]
    if kind in _SUMMARIES:
        return merged(made | {"summary": said.get("content")}, rest)
    content, role = said.get("content"), Fields(rest).look("message", "role")
    if not isinstance(role, str) or _ROLES.get(role, role if role in _TALK else "system") != said.get("role"):
        role = {"tool": "toolResult"}.get(str(said.get("role")), said.get("role"))
    inner: dict[str, Any] = {"role": role}
    if role == _RAN:
        inner["output"] = str(content).removeprefix(f"$ {Fields(rest).look('message', 'command') or ''}\n")
    else:
        inner["content"] = content if is_text and isinstance(content, str) else _blocks(said)
    for key, name in (("tool_call_id", "toolCallId"), ("name", "toolName"), ("model", "model"), ("usage", "usage")):
        if key in said:
            inner[name] = said[key]
    if role == "toolResult":
        inner["isError"] = said.get("is_error") is True
    return merged(made | {"message": inner}, rest)


def _blocks(said: Message) -> list[Any]:
    """Return the blocks of a message in the order in which models give them."""
    made: list[Any] = []
    for thought in said.get("reasoning") or ():
        rest = {key: value for key, value in thought.items() if key not in ("text", "signature")}
        signature = {"thinkingSignature": thought["signature"]} if "signature" in thought else {}
        made.append({"type": "thinking", "thinking": thought.get("text", ""), **signature, **rest})
    content = said.get("content")
    for part in [text_part(content)] if isinstance(content, str) else content or ():
        own = data_of(Fields(part).look("image_url", "url"))
        made.append({"type": "image", "data": own[1], "mimeType": own[0]} if own else part)
    for each in said.get("tool_calls") or ():
        fields = Fields(each)
        about = fields.look("source")
        named = {"id": fields.look("id"), "name": fields.look("function", "name"), "arguments": arguments_of(each)}
        made.append({"type": "toolCall", **named, **(about if isinstance(about, dict) else {})})
    return made


def _origin(header: dict[str, Any]) -> str:
    """Return the id of the session that a file was forked from, out of its path."""
    path = _text(header, "branchedFrom") or _text(header, "parentSession")
    return path.replace("\\", "/").rpartition("/")[2].rpartition("_")[2].removesuffix(".jsonl")


def _text(record: dict[str, Any], key: str) -> str:
    value = record.get(key)
    return value if isinstance(value, str) else ""
