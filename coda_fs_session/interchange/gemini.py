"""Gemini CLI: ``~/.gemini/tmp/<project>/chats/session-….json`` and ``.jsonl``, and what was taken back in them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from .fields import Fields, Keep, as_text, call, content_of, message, text_part
from .parsing import elements
from .parsing import lines as read_lines
from .skipping import Skips, nothing
from .sources import Head, SourceFile
from .times import moment
from .tree import Message, MessageTree, Node, made_id

NAME = "gemini"
_ROLES = {"user": "user", "gemini": "assistant"}


def picks(name: str) -> bool:
    """Tell whether a file in a folder may be one of this format."""
    return name.startswith("session-") and name.endswith((".json", ".jsonl"))


def fits(head: Head) -> bool:
    """Tell whether a file is of this format."""
    return head.kind == b"{" and head.has("sessionId", "projectHash") and not head.has("parentUuid")


def links(file: SourceFile) -> set[str]:
    """Return what a file shares with those that it is read together with: a resumed session has a second file."""
    return {f"{file.folder}/{file.base.partition('.')[0]}"}


def read(files: Sequence[SourceFile], keep: Keep, problems: list[str], skips: Skips = nothing) -> Iterator[MessageTree]:
    """Yield the session that files are of; what was taken back is a branch."""
    tree, chain = MessageTree(NAME, ""), list[str]()
    # A session that was resumed goes on in lines beside the document.
    for file in sorted(files, key=lambda each: (each.name.endswith(".jsonl"), each.name)):
        with file.stream() as stream:
            if file.name.endswith(".jsonl"):
                records = list(read_lines(stream, tree.notes))
            else:
                records = [value for value, _ in elements(stream, file.place) if isinstance(value, dict)]
        for record in records:
            chain = _apply(tree, chain, record, keep)
    tree.current = chain[-1] if chain else ""
    if tree.nodes or tree.notes:
        yield tree


def _apply(tree: MessageTree, chain: list[str], record: dict[str, Any], keep: Keep) -> list[str]:
    """Add what a line says; return the records that are shown after it."""
    if "sessionId" in record:
        fields = Fields(record)
        tree.id = fields.text("sessionId") or tree.id
        given = fields.take("messages")
        tree.created = tree.created or moment(fields.take("startTime"))
        tree.updated = moment(fields.take("lastUpdated")) or tree.updated
        tree.title = fields.text("summary") or tree.title
        if keep != "none":
            tree.rest |= fields.rest()
        return _listed(tree, given, keep) if isinstance(given, list) and given else chain
    changed = record.get("$set")
    if isinstance(changed, dict):
        tree.title = changed["summary"] if isinstance(changed.get("summary"), str) else tree.title
        tree.updated = moment(changed.get("lastUpdated")) or tree.updated
        given = changed.get("messages")
        return _listed(tree, given, keep) if isinstance(given, list) else chain
    if "$rewindTo" in record:
        back = record["$rewindTo"]
        return chain[: chain.index(back)] if back in chain else []
    return _add(tree, chain, record, keep)


def _listed(tree: MessageTree, given: list[Any], keep: Keep) -> list[str]:
    chain: list[str] = []
    for record in given:
        if isinstance(record, dict):
            chain = _add(tree, chain, record, keep)
    return chain


def _add(tree: MessageTree, chain: list[str], record: dict[str, Any], keep: Keep) -> list[str]:
    above = chain[-1] if chain else None
    name = record.get("id")
    if not isinstance(name, str) or not name:
        name = made_id(above, record)
    messages = messages_of(name, record, keep)
    known = tree.nodes.get(name)
    if name in chain:
        # A record that comes again replaces the one of before, at its place.
        tree.nodes[name].messages = messages
        return chain
    if known is not None and known.parent == above:
        known.messages = messages
        return [*chain, name]
    return [*chain, tree.add(Node(name, above, messages)).id]


def messages_of(name: str, record: dict[str, Any], keep: Keep) -> list[Message]:
    """Return the messages that a record became: calls and their results stand in one."""
    fields = Fields(record)
    fields.take("id")
    kind = str(fields.look("type"))
    role = _ROLES.get(kind, "system")
    if kind in _ROLES:
        fields.take("type")
    given = fields.take("toolCalls")
    calls = [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []
    stamp = fields.stamp("timestamp")
    made = [
        message(
            role,
            content_of(_parts(fields.take("content"))),
            fields,
            keep=keep,
            tool_calls=[_call(name, place, each) for place, each in enumerate(calls)],
            reasoning=_reasoning(fields),
            id=name,
            timestamp=stamp,
            model=fields.text("model"),
            usage=fields.take("tokens"),
            hidden=None if kind in _ROLES else True,
        )
    ]
    for place, each in enumerate(calls):
        made += _results(name, place, each, stamp, keep)
    return made


def _call(name: str, place: int, each: dict[str, Any]) -> dict[str, Any]:
    arguments = json.dumps(each.get("args", {}), ensure_ascii=False)
    return call(_id(name, place, each), str(each.get("name") or ""), arguments)


def _id(name: str, place: int, each: dict[str, Any]) -> str:
    known = each.get("id")
    return known if isinstance(known, str) and known else f"{name}:{place}"


def _results(name: str, place: int, each: dict[str, Any], stamp: str | None, keep: Keep) -> list[Message]:
    fields = Fields(each)
    for key in ("id", "args"):
        fields.take(key)
    tool, given = fields.text("name"), fields.take("result")
    if given is None and each.get("resultDisplay") is None:
        return []
    texts = []
    for part in given if isinstance(given, list) else [given]:
        answered = part.get("functionResponse") if isinstance(part, dict) else None
        response = answered.get("response") if isinstance(answered, dict) else part
        if isinstance(response, dict) and len(response) == 1:
            response = next(iter(response.values()))
        if response is not None:
            texts.append(as_text(response))
    error = True if each.get("status") == "error" else None
    identity = _id(name, place, each)
    return [
        message(
            *("tool", "\n".join(texts), fields),
            keep=keep,
            tool_call_id=identity,
            name=tool,
            is_error=error,
            id=name,
            timestamp=stamp,
        )
    ]


def _parts(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [text_part(content)] if content else []
    made: list[dict[str, Any]] = []
    for part in content if isinstance(content, list) else [content] if content else []:
        if isinstance(part, str):
            made.append(text_part(part))
        elif isinstance(part, dict) and part.keys() == {"text"} and isinstance(part["text"], str):
            made.append(text_part(part["text"]))
        elif isinstance(part, dict) and isinstance(part.get("inlineData"), dict):
            data = part["inlineData"]
            url = f"data:{data.get('mimeType', '')};base64,{data.get('data', '')}"
            made.append({"type": "image_url", "image_url": {"url": url}})
        else:
            made.append(dict(part) if isinstance(part, dict) else text_part(json.dumps(part)))
    return made


def _reasoning(fields: Fields) -> list[dict[str, Any]]:
    given = fields.take("thoughts")
    made = []
    for thought in given if isinstance(given, list) else ():
        inner = Fields(thought)
        one = {"summary": inner.text("subject"), "text": inner.text("description"), **inner.rest()}
        made.append({key: value for key, value in one.items() if value not in ("", None)})
    return [each for each in made if each]
