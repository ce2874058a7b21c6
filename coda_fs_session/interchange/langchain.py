"""LangChain: lists of messages as its two ways to dump them have them, wherever they stand in a document."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from .fields import Fields, Keep, as_text, call, content_of, left_out, message, text_part
from .parsing import elements
from .parsing import lines as read_lines
from .skipping import Skips, nothing
from .sources import Head, SourceFile
from .tree import Message, MessageTree, Node, made_id

NAME = "langchain"
_ROLES = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool", "function": "tool"}
_NAMES = {
    f"{name}{ending}": kind
    for name, kind in (
        *(("HumanMessage", "human"), ("AIMessage", "ai"), ("SystemMessage", "system"), ("ToolMessage", "tool")),
        *(("FunctionMessage", "function"), ("ChatMessage", "chat"), ("RemoveMessage", "remove")),
    )
    for ending in ("", "Chunk")
}
_KINDS = frozenset((*_ROLES, "chat", "remove"))
_TYPED = re.compile(rb'(?<!\\)"type"\s*:\s*"(?:human|ai|HumanMessageChunk|AIMessageChunk)"')
_DUMPED = re.compile(rb'(?<!\\)"lc"\s*:\s*1\b')
_ALIKE = 2
"""So many messages at the beginning make lists those of one conversation: nothing else tells what they are."""
_DEEPEST = 20

Record = dict[str, Any]


def picks(name: str) -> bool:
    """Tell whether a file in a folder may be one of this format."""
    return name.endswith((".json", ".jsonl"))


def fits(head: Head) -> bool:
    """Tell whether a file is of this format."""
    dumped = _DUMPED.search(head.data) is not None and head.has("kwargs", "content")
    return head.kind in (b"[", b"{") and (dumped or (_TYPED.search(head.data) is not None and head.has("content")))


def links(file: SourceFile) -> set[str]:
    """Return what a file shares with those that it is read together with."""
    return {file.path}


def read(files: Sequence[SourceFile], keep: Keep, problems: list[str], skips: Skips = nothing) -> Iterator[MessageTree]:
    """Yield the conversations of files; lists that begin alike are branches of one."""
    for file in files:
        trees: dict[str, MessageTree] = {}
        left = Counter[str]()
        single: list[Record] = []
        document = Head(file).is_document
        with file.stream() as stream:
            found = (value for value, _ in elements(stream, file.place)) if document else read_lines(stream, problems)
            for value in found:
                if _kind(value):
                    single.append(value)
                    continue
                lists = list(_lists(value, 0))
                if not lists:
                    problems.append(f"{file.name}: an element has no messages, and was left out")
                for each in lists:
                    _add(trees, each, left, keep)
        if single:
            _add(trees, single, left, keep)
        problems += [f"{file.name}: {note}" for note in left_out(left)]
        yield from trees.values()


def _lists(value: Any, depth: int) -> Iterator[list[Record]]:
    """Yield the lists of messages in a value."""
    if isinstance(value, list) and value and all(_kind(each) for each in value):
        yield value
    elif depth < _DEEPEST and isinstance(value, (list, dict)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _lists(each, depth + 1)


def _kind(record: Any) -> str:
    """Return of which kind a message is, "" for what is no message."""
    if not isinstance(record, dict):
        return ""
    given: Any = record.get("type")
    if "lc" in record:
        path = record.get("id")
        given = path[-1] if isinstance(path, list) and path and isinstance(record.get("kwargs"), dict) else ""
    elif "content" not in record and not isinstance(record.get("data"), dict):
        return ""
    kind = _NAMES.get(given, given) if isinstance(given, str) else ""
    return kind if kind in _KINDS else ""


def _add(trees: dict[str, MessageTree], records: list[Record], left: Counter[str], keep: Keep) -> None:
    name = made_id(None, records[:_ALIKE])
    tree = trees.setdefault(name, MessageTree(NAME, name))
    above: str | None = None
    for record in records:
        kind = _kind(record)
        if kind == "remove":
            left["remove"] += 1
            continue
        name = made_id(above, record)
        if name not in tree.nodes:
            tree.add(Node(name, above, [message_of(name, kind, record, keep)]))
        above = name
    tree.current = above or tree.current


def message_of(name: str, kind: str, record: Record, keep: Keep) -> Message:
    """Return the message of a record."""
    inner = record.get("kwargs") if "lc" in record else record.get("data")
    fields = Fields(
        {key: value for key, value in (inner if isinstance(inner, dict) else record).items() if _says(value)}
    )
    fields.take("type")
    role = (fields.text("role") or "user") if kind == "chat" else _ROLES[kind]
    parts, reasoning = _content(fields)
    calls = _calls(fields, name)
    thought = fields.text("additional_kwargs", "reasoning_content")
    failed = fields.look("status") == "error"
    if fields.look("status") in ("success", "error"):
        fields.take("status")
    fields.take("example")
    return message(
        role,
        content_of(parts) if parts or calls or reasoning else "",
        fields,
        keep=keep,
        tool_calls=calls,
        tool_call_id=fields.text("tool_call_id"),
        name=fields.text("name"),
        is_error=True if failed else None,
        reasoning=[*reasoning, *([{"text": thought}] if thought else [])],
        id=fields.text("id") or name,
        model=fields.text("response_metadata", "model_name") or fields.text("response_metadata", "model"),
        usage=fields.take("usage_metadata"),
    )


def _says(value: Any) -> bool:
    return value is not None and value not in ("", [], {})


def _content(fields: Fields) -> tuple[list[Record], list[Record]]:
    """Return the parts of a message, and what the model thought; a call among them stands in the list of calls."""
    content = fields.take("content")
    given = fields.look("tool_calls")
    called = [each.get("id") for each in given if isinstance(each, dict)] if isinstance(given, list) else []
    parts, reasoning = list[Record](), list[Record]()
    for block in content if isinstance(content, list) else [] if content is None else [content]:
        kind = block.get("type") if isinstance(block, dict) else None
        if not isinstance(block, dict):
            parts.append(text_part(as_text(block)))
        elif kind in ("tool_use", "tool_call") and block.get("id") in called:
            continue
        elif kind in ("thinking", "reasoning"):
            inner = Fields(block)
            inner.take("type")
            text = inner.text("thinking") or inner.text("reasoning") or inner.text("text")
            reasoning.append(({"text": text} if text else {}) | inner.rest())
        else:
            parts.append(dict(block))
    return parts, reasoning


def _calls(fields: Fields, name: str) -> list[Record]:
    """Return the calls of a message; what a service said of them is another form of the same."""
    made: list[Record] = []
    for key in ("tool_calls", "invalid_tool_calls"):
        given = fields.take(key)
        for each in given if isinstance(given, list) else ():
            inner = Fields(each)
            inner.take("type")
            arguments = inner.take("args")
            text = as_text(arguments)
            made.append(call(inner.text("id"), inner.text("name"), text))
            rest = {part: value for part, value in inner.rest().items() if value is not None}
            made[-1] |= {"source": rest} if rest else {}
    raw = fields.look("additional_kwargs", "tool_calls")
    if isinstance(raw, list) and all(isinstance(each, dict) for each in raw):
        if not made:
            made = [dict(each) for each in fields.take("additional_kwargs", "tool_calls")]
        elif [each.get("id") for each in raw] == [each["id"] for each in made]:
            fields.take("additional_kwargs", "tool_calls")
    old = Fields(fields.look("additional_kwargs", "function_call"))
    if old.record and not made:
        fields.take("additional_kwargs", "function_call")
        made = [call(name, old.text("name"), old.text("arguments"))]
    return made
