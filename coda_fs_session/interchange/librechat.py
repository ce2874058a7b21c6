"""LibreChat: a conversation that was exported as JSON, as a list of messages or as nested ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .documents import chats
from .fields import Fields, Keep, as_text, call, content_of, message, text_part
from .skipping import Skips, nothing
from .sources import Head, SourceFile
from .times import moment
from .tree import Message, MessageTree, Node, made_id

NAME = "librechat"
_ROOTS = (None, "", "00000000-0000-0000-0000-000000000000")


def picks(name: str) -> bool:
    """Tell whether a file in a folder may be one of this format."""
    return name.endswith(".json")


def fits(head: Head) -> bool:
    """Tell whether a file is of this format."""
    return head.kind in (b"{", b"[") and head.has("conversationId", "isCreatedByUser")


def links(file: SourceFile) -> set[str]:
    """Return what a file shares with those that it is read together with."""
    return {file.path}


def read(files: Sequence[SourceFile], keep: Keep, problems: list[str], skips: Skips = nothing) -> Iterator[MessageTree]:
    """Yield the conversations of files."""
    return chats(files, lambda chat: _tree(chat, keep), problems, skips)


def _tree(chat: Any, keep: Keep) -> MessageTree | None:
    fields = Fields(chat)
    given = fields.look("messages") or fields.look("messagesTree")
    return tree_of(chat, given, keep) if isinstance(given, list) else None


def tree_of(chat: dict[str, Any], given: list[Any], keep: Keep) -> MessageTree:
    """Return one conversation."""
    fields = Fields(chat)
    for key in ("messages", "messagesTree"):
        fields.take(key)
    title = fields.text("title")
    tree = MessageTree(NAME, fields.text("conversationId"), title or None)
    tree.created, tree.updated = moment(fields.take("createdAt")), moment(fields.take("updatedAt"))
    tree.rest = {} if keep == "none" else fields.rest()
    pending: list[tuple[Any, str | None]] = [(each, None) for each in reversed(given)]
    last = ""
    while pending:
        said, above = pending.pop()
        if not isinstance(said, dict):
            tree.notes.append("a message is no object: it was left out")
            continue
        parent = said.get("parentMessageId", above)
        parent = above if parent in _ROOTS or not isinstance(parent, str) else parent
        name = said.get("messageId")
        name = name if isinstance(name, str) and name else made_id(parent, said)
        last = tree.add(Node(name, parent, messages_of(name, said, keep))).id
        children = said.get("children")
        if isinstance(children, list):
            pending += [(child, name) for child in reversed(children)]
    tree.current = last
    tree.id = tree.id or next(iter(tree.nodes), "")
    return tree


def messages_of(name: str, said: dict[str, Any], keep: Keep) -> list[Message]:
    """Return the messages that a record became: the result of each tool is one of its own."""
    fields = Fields(said)
    for key in ("messageId", "parentMessageId", "children"):
        fields.take(key)
    role = "user" if fields.take("isCreatedByUser") is True else "assistant"
    given = fields.take("content")
    text = fields.text("text")
    parts, calls, reasoning = [], list[dict[str, Any]](), list[dict[str, Any]]()
    results: list[tuple[str, str, str]] = []
    for place, block in enumerate(given if isinstance(given, list) else ()):
        inner = Fields(block)
        kind = inner.look("type")
        value = inner.look(str(kind))
        if kind in ("text", "think"):
            words = value.get("value") if isinstance(value, dict) else value
            if kind == "think":
                reasoning.append({"text": str(words)})
            else:
                parts.append(text_part(str(words)))
        elif kind == "tool_call" and isinstance(value, dict):
            identity = str(value.get("id") or f"{name}:{place}")
            arguments = value.get("args", "")
            arguments = as_text(arguments)
            calls.append(call(identity, str(value.get("name") or ""), arguments))
            if value.get("output") is not None:
                output = value["output"]
                words = as_text(output)
                results.append((identity, str(value.get("name") or ""), words))
        elif isinstance(block, dict):
            parts.append(dict(block))
    if text and not any(part.get("text") for part in parts):
        parts.append(text_part(text))
    stamp = fields.stamp("createdAt")
    files = fields.take("files")
    made = [
        message(
            role,
            content_of(parts),
            fields,
            keep=keep,
            tool_calls=calls,
            reasoning=reasoning,
            id=name,
            timestamp=stamp,
            model=fields.text("model") if role == "assistant" else None,
            attachments=files if isinstance(files, list) else None,
        )
    ]
    for identity, tool, words in results:
        made.append(message("tool", words, tool_call_id=identity, name=tool, id=name, timestamp=stamp))
    return made
