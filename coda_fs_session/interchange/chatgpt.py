"""ChatGPT exports: the zip file, its folder, or ``conversations.json`` alone, in one file or in shards."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import ExportError
from .documents import chats
from .fields import Fields, Keep, content_of, free_call, message, strings, text_part
from .parsing import parsed
from .skipping import Skips, nothing
from .sources import Head, SourceFile
from .times import moment
from .tree import Message, MessageTree, Node

NAME = "chatgpt"
_FILE = re.compile(r"conversations(?:-(\d+))?\.json\Z")
_LISTED = "export_manifest.json"
_NO_TEXT = frozenset(("content_type", "id", "asset_pointer", "type", "url", "source_analysis_msg_id"))
_LONGEST_WAY = 64


def picks(name: str) -> bool:
    """Tell whether a file in a folder may be one of this format."""
    return _FILE.match(name) is not None or name == _LISTED


def fits(head: Head) -> bool:
    """Tell whether a file is of this format."""
    return head.is_document and (head.has("logical_files") or (head.has("mapping") and not head.has("chat_messages")))


def links(file: SourceFile) -> set[str]:
    """Return what a file shares with those that it is read together with."""
    return {file.folder}


def read(files: Sequence[SourceFile], keep: Keep, problems: list[str], skips: Skips = nothing) -> Iterator[MessageTree]:
    """Yield the chats of an export, each with all its branches."""
    yield from chats(_in_order(files, problems), lambda chat: _tree(chat, keep), problems, skips)


def _tree(chat: Any, keep: Keep) -> MessageTree | None:
    return tree_of(chat, keep) if isinstance(Fields(chat).look("mapping"), dict) else None


def _in_order(files: Sequence[SourceFile], problems: list[str]) -> list[SourceFile]:
    """Return the files that have chats, each once, by their numbers; one that is listed and absent is an error."""
    known = {file.base: file for file in files}
    if _LISTED in known:
        with known[_LISTED].stream() as stream:
            listed = _names(stream.read())
        missing = [name for name in listed if name.rpartition("/")[2] not in known]
        if missing:
            raise ExportError(
                f"lists {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not there: unpack "
                "all of the export, or ask for it again",
                known[_LISTED].place,
            )
    found = {name: file for name, file in known.items() if _FILE.match(name)} or known
    if "conversations.json" in found and len(found) > 1:
        problems.append("conversations.json is beside shards of it: what is in both counts once")
    return [found[name] for name in sorted(found, key=_number) if name != _LISTED]


def _names(data: bytes) -> list[str]:
    try:
        listed = parsed(data)["logical_files"]["conversations.json"]["files"]
        return [name if isinstance(name, str) else name["name"] for name in listed]
    except (ValueError, LookupError, TypeError):
        return []


def _number(name: str) -> tuple[int, str]:
    match = _FILE.match(name)
    return (int(match[1]) if match and match[1] else -1, name)


def tree_of(chat: dict[str, Any], keep: Keep) -> MessageTree:
    """Return one chat of an export."""
    fields = Fields(chat)
    source_id = fields.text("conversation_id") or fields.text("id")
    if fields.look("id") == source_id:
        fields.take("id")
    mapping: dict[str, Any] = fields.take("mapping")
    tree = MessageTree(NAME, source_id or next(iter(mapping), ""), fields.text("title") or None)
    tree.created, tree.updated = moment(fields.take("create_time")), moment(fields.take("update_time"))
    tree.current = fields.text("current_node")
    tree.project = fields.text("gizmo_id") if str(fields.look("gizmo_id")).startswith("g-p-") else ""
    tree.rest = {} if keep == "none" else fields.rest()
    ranks = _ranks(mapping)
    for name, node in mapping.items():
        if not isinstance(node, dict):
            tree.notes.append(f"{name} is no object: it was left out")
            continue
        parent = node.get("parent")
        parent = parent if isinstance(parent, str) else None
        said = node.get("message")
        messages = [message_of(name, said, mapping, keep)] if isinstance(said, dict) else []
        tree.add(Node(name, parent, messages, ranks.get(name, 0)))
    return tree


def _ranks(mapping: dict[str, Any]) -> dict[str, int]:
    """Return the place of each record among its siblings, where the source has them in an order."""
    ranks: dict[str, int] = {}
    for node in mapping.values():
        children = node.get("children") if isinstance(node, dict) else None
        for place, child in enumerate(children if isinstance(children, list) else ()):
            if isinstance(child, str):
                ranks.setdefault(child, place)
    return ranks


def message_of(name: str, said: dict[str, Any], mapping: dict[str, Any], keep: Keep) -> Message:
    """Return the message that a record of the mapping became."""
    fields = Fields(said)
    role = fields.text("author", "role") or "assistant"
    if fields.look("id") == name:
        fields.take("id")
    recipient = fields.look("recipient")
    is_call = role == "assistant" and isinstance(recipient, str) and recipient not in ("all", "")
    reasoning = _reasoning(fields)
    parts = [] if reasoning else _parts(fields)
    content, calls = content_of(parts), []
    if is_call:
        text = "\n".join(part["text"] for part in parts if part["type"] == "text")
        calls = [free_call(name, fields.text("recipient"), text)]
        media = [part for part in parts if part["type"] != "text"]
        content = media or None
    return message(
        role,
        content,
        fields,
        keep=keep,
        tool_calls=calls,
        tool_call_id=_call_above(name, mapping) if role == "tool" else None,
        name=fields.text("author", "name"),
        reasoning=reasoning,
        id=name,
        timestamp=fields.stamp("create_time"),
        model=fields.text("metadata", "model_slug"),
        attachments=_attachments(fields),
        hidden=fields.take("metadata", "is_visually_hidden_from_conversation") is True or None,
    )


def _parts(fields: Fields) -> list[dict[str, Any]]:
    """Return what a message says: every text of it, whatever its type."""
    kind = fields.look("content", "content_type")
    given = fields.look("content", "parts")
    if kind in ("text", "multimodal_text") and isinstance(given, list):
        if kind == "text" and len(given) == 1 and isinstance(given[0], str):
            fields.take("content", "content_type")
        fields.take("content", "parts")
        if all(isinstance(part, str) for part in given) and len(given) == 1:
            return [text_part(given[0])]
        return [text_part(part) if isinstance(part, str) else _part(part) for part in given]
    if kind in ("code", "execution_output", "tether_quote", "system_error"):
        text = fields.text("content", "text")
        if text:
            return [text_part(text)]
    if kind == "tether_browsing_display":
        text = fields.text("content", "result")
        if text:
            return [text_part(text)]
    content = fields.look("content")
    if isinstance(content, str):
        return [text_part(fields.text("content"))]
    # Of another type: its texts are what it says, and the whole stays beside it.
    found = strings(content, _NO_TEXT)
    return [text_part("\n".join(found))] if found else []


def _part(part: Any) -> dict[str, Any]:
    if not isinstance(part, dict):
        return {"type": "other", "value": part}
    kind = str(part.get("content_type", ""))
    where = part.get("asset_pointer")
    if isinstance(where, str):
        form = "audio" if "audio" in kind else "file" if "video" in kind else "image_url"
        rest = {key: value for key, value in part.items() if key != "asset_pointer"}
        return {"type": form, form: {"url": where}, "source": rest}
    text = part.get("text")
    if isinstance(text, str):
        return {**{key: value for key, value in part.items() if key != "text"}, "type": "text", "text": text}
    return {"type": "text", "text": "\n".join(strings(part, _NO_TEXT)), "source": part}


def _reasoning(fields: Fields) -> list[dict[str, Any]]:
    kind = fields.look("content", "content_type")
    if kind == "thoughts" and isinstance(fields.look("content", "thoughts"), list):
        thoughts = fields.take("content", "thoughts")
        made = []
        for thought in thoughts:
            if isinstance(thought, dict):
                inner = Fields(thought)
                each = {"text": inner.text("content"), "summary": inner.text("summary"), **inner.rest()}
                made.append({key: value for key, value in each.items() if value not in ("", None)})
            else:
                made.append({"text": "\n".join(strings(thought))})
        return [each for each in made if each]
    if kind == "reasoning_recap":
        text = fields.text("content", "content")
        return [{"summary": text}] if text else []
    return []


def _attachments(fields: Fields) -> list[dict[str, Any]]:
    given = fields.look("metadata", "attachments")
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        return []
    fields.take("metadata", "attachments")
    made = []
    for each in given:
        inner = Fields(each)
        mime = inner.text("mime_type") or inner.text("mimeType")
        one = {"name": inner.text("name"), "mime": mime, "size": inner.take("size"), "pointer": inner.text("id")}
        made.append({key: value for key, value in (one | inner.rest()).items() if value not in (None, "")})
    return made


def _call_above(name: str, mapping: dict[str, Any]) -> str | None:
    """Return the record of the call that a result of a tool is of: the next one above that is not of a tool."""
    for _ in range(_LONGEST_WAY):
        node = mapping.get(name)
        parent = node.get("parent") if isinstance(node, dict) else None
        above = mapping.get(parent) if isinstance(parent, str) else None
        said = above.get("message") if isinstance(above, dict) else None
        if not isinstance(said, dict) or not isinstance(parent, str):
            return None
        fields = Fields(said)
        if fields.look("author", "role") != "tool":
            return parent if fields.look("recipient") not in ("all", "", None) else None
        name = parent
    return None
