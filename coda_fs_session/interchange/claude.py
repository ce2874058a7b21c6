"""Claude.ai exports: the zip file, its folder, or ``conversations.json`` alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from .documents import chats
from .fields import Fields, Keep, call, content_of, message, strings, text_part
from .skipping import Skips, nothing
from .sources import Head, SourceFile
from .times import moment
from .tree import Message, MessageTree, Node, made_id

NAME = "claude"
_ROOTS = (None, "", "00000000-0000-4000-8000-000000000000")
_ROLES = {"human": "user", "assistant": "assistant"}


def picks(name: str) -> bool:
    """Tell whether a file in a folder may be one of this format."""
    return name == "conversations.json"


def fits(head: Head) -> bool:
    """Tell whether a file is of this format."""
    return head.is_document and head.has("chat_messages")


def links(file: SourceFile) -> set[str]:
    """Return what a file shares with those that it is read together with."""
    return {file.path}


def read(files: Sequence[SourceFile], keep: Keep, problems: list[str], skips: Skips = nothing) -> Iterator[MessageTree]:
    """Yield the chats of an export, each with all its branches."""
    return chats(files, lambda chat: _tree(chat, keep), problems, skips)


def _tree(chat: Any, keep: Keep) -> MessageTree | None:
    return tree_of(chat, keep) if isinstance(Fields(chat).look("chat_messages"), list) else None


def tree_of(chat: dict[str, Any], keep: Keep) -> MessageTree:
    """Return one chat of an export."""
    fields = Fields(chat)
    tree = MessageTree(NAME, fields.text("uuid"), fields.text("name") or None, fields.text("account", "uuid"))
    tree.created, tree.updated = moment(fields.take("created_at")), moment(fields.take("updated_at"))
    given: list[Any] = fields.take("chat_messages")
    tree.current = fields.text("current_leaf_message_uuid")
    tree.rest = {} if keep == "none" else fields.rest()
    before: str | None = None
    for position, said in enumerate(given):
        if not isinstance(said, dict):
            tree.notes.append(f"chat_messages[{position}] is no object: it was left out")
            continue
        # Old exports do not say what comes after what: the order does.
        parent = said.get("parent_message_uuid") if "parent_message_uuid" in said else before
        parent = None if parent in _ROOTS or not isinstance(parent, str) else parent
        name = said.get("uuid")
        if not isinstance(name, str) or not name:
            name = made_id(parent, said)
        before = tree.add(Node(name, parent, messages_of(name, said, keep))).id
    tree.id = tree.id or next(iter(tree.nodes), "")
    return tree


def messages_of(name: str, said: dict[str, Any], keep: Keep) -> list[Message]:
    """Return the messages that a record became: results of tools, which stand among what calls them, are their own."""
    fields = Fields(said)
    sender = fields.text("sender")
    role = _ROLES.get(sender, sender or "assistant")
    fields.take("uuid")
    fields.take("parent_message_uuid")
    blocks = fields.look("content")
    if isinstance(blocks, list) and blocks:
        fields.take("content")
        text = fields.look("text")
        said_already = "".join(block["text"] for block in blocks if _is_text(block))
        if text in ("", None) or text == said_already:
            fields.take("text")
        elif not said_already and isinstance(text, str):
            blocks = [*blocks, text_part(fields.text("text"))]
    else:
        fields.take("content")
        blocks = [text_part(fields.text("text"))] if fields.look("text") else []
    parts, attachments = _files(fields)
    runs = _runs(name, role, blocks)
    runs[0]["parts"] = [*parts, *runs[0]["parts"]]
    stamp, rest = fields.stamp("created_at"), fields
    made: list[Message] = []
    for run in runs:
        made.append(
            message(
                run["role"],
                content_of(run["parts"]),
                rest if not made else None,
                keep=keep,
                tool_calls=run.get("calls"),
                tool_call_id=run.get("call"),
                name=run.get("name"),
                is_error=run.get("error"),
                reasoning=run.get("reasoning"),
                id=name,
                timestamp=stamp,
                attachments=None if made else attachments,
            )
        )
        if "block" in run and keep != "none":
            made[-1]["source"] = made[-1].get("source", {}) | {"block": run["block"]}
    return made


def _is_text(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") == "text" and isinstance(block.get("text"), str)


def _runs(name: str, role: str, blocks: list[Any]) -> list[dict[str, Any]]:
    """Take the blocks of a record apart where a tool answers; a call without an id has its place as one."""
    runs: list[dict[str, Any]] = [{"role": role, "parts": []}]
    open_calls: list[str] = []
    for place, block in enumerate(blocks):
        if not isinstance(block, dict):
            block = {"type": "text", "text": block} if isinstance(block, str) else {"type": "other", "value": block}
        kind, fields = block.get("type"), Fields(block)
        if kind == "tool_result":
            known = block.get("tool_use_id")
            identity = known if isinstance(known, str) and known else None
            if identity in open_calls:
                open_calls.remove(str(identity))
            elif identity is None and open_calls:
                identity = open_calls.pop(0)
            inner = fields.take("content")
            parts = inner if isinstance(inner, list) else [text_part(inner)] if isinstance(inner, str) else []
            for key in ("type", "tool_use_id"):
                fields.take(key)
            error = True if fields.take("is_error") is True else None
            answer: dict[str, Any] = {"role": "tool", "parts": [_block(part) for part in parts], "call": identity}
            answer |= {"error": error, "name": fields.text("name")}
            runs.append(answer | ({"block": fields.rest()} if fields.rest() else {}))
            continue
        if runs[-1]["role"] == "tool":
            runs.append({"role": role, "parts": []})
        run = runs[-1]
        if kind == "tool_use":
            known = block.get("id")
            identity = known if isinstance(known, str) and known else f"{name}:{place}"
            open_calls.append(identity)
            arguments = json.dumps(fields.take("input"), ensure_ascii=False)
            for key in ("type", "id"):
                fields.take(key)
            made = call(identity, fields.text("name"), arguments)
            run.setdefault("calls", []).append({**made, **({"source": fields.rest()} if fields.rest() else {})})
        elif kind in ("thinking", "redacted_thinking"):
            fields.take("type")
            thought: dict[str, Any] = {"text": fields.text("thinking")}
            run.setdefault("reasoning", []).append(
                {key: value for key, value in (thought | fields.rest()).items() if value not in (None, "", [])}
            )
        else:
            run["parts"].append(_block(block))
    return runs


def _block(block: Any) -> dict[str, Any]:
    """Return a block as a part of a message: as it is, without what is empty."""
    if not isinstance(block, dict):
        return text_part("\n".join(strings(block)))
    if block.get("type") == "text":
        extra = {key: value for key, value in block.items() if value not in (None, [], "") and key not in ("type",)}
        return {"type": "text", "text": "", **extra} if _is_text(block) else dict(block)
    return dict(block)


def _files(fields: Fields) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the files of a record: as parts those whose text is there, and all of them by name."""
    parts, attachments = [], []
    given = fields.look("attachments")
    if isinstance(given, list) and all(isinstance(each, dict) for each in given):
        fields.take("attachments")
        for each in given:
            inner = Fields(each)
            text, file_name = inner.text("extracted_content"), inner.text("file_name")
            if text:
                parts.append({"type": "file", "file": {"filename": file_name}, "text": text})
            one = {"name": file_name, "mime": inner.text("file_type"), "size": inner.take("file_size"), **inner.rest()}
            attachments.append({key: value for key, value in one.items() if value not in (None, "")})
    given = fields.look("files")
    if isinstance(given, list) and all(isinstance(each, dict) for each in given):
        fields.take("files")
        for each in given:
            inner = Fields(each)
            one = {"name": inner.text("file_name"), "pointer": inner.text("file_uuid"), **inner.rest()}
            attachments.append({key: value for key, value in one.items() if value not in (None, "")})
    return parts, attachments
