"""What older versions of llm wrote: a row for each prompt and response of a conversation."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator
from typing import Any

from .databases import Database, Row, json_of
from .fields import Fields, Keep, call, content_of, message, text_part
from .times import moment, stamp
from .tree import Message, MessageTree, Node

_JSON = ("options_json", "response_json", "prompt_json", "token_details")


class Attachments:
    """The files that were given along with prompts."""

    def __init__(self, database: Database, tables: frozenset[str]) -> None:
        self._database, self._tables = database, tables

    def part(self, identity: Any) -> dict[str, Any]:
        """Return an attachment as a part of a message; the id alone of one that is not there."""
        there = "attachments" in self._tables
        rows = self._database.rows("SELECT * FROM attachments WHERE id = ?", identity) if there else []
        if not rows:
            return {"type": "file", "file": {"file_id": identity}}
        kind, content = str(rows[0]["type"] or ""), rows[0]["content"]
        if content is not None:
            data = content if isinstance(content, bytes) else str(content).encode(errors="replace")
            url = f"data:{kind};base64,{base64.b64encode(data).decode()}"
        elif rows[0]["url"]:
            url = str(rows[0]["url"])
        else:
            return {"type": "file", "file": {"filename": rows[0]["path"], "mime": kind}}
        if kind.startswith("image/"):
            return {"type": "image_url", "image_url": {"url": url}}
        return {"type": "file", "file": {"file_data": url}}


class Responses:
    """The responses that no turn of a thread has, by conversation."""

    def __init__(
        self,
        database: Database,
        tables: frozenset[str],
        given: Attachments,
        keep: Keep,
        left: Counter[str],
    ) -> None:
        self._database, self._tables, self._given = database, tables, given
        self._keep: Keep = keep
        self._left = left
        known = " WHERE id NOT IN (SELECT id FROM turns)" if "turns" in tables else ""
        self._of: dict[str, list[Any]] = {}
        for row in database.rows(f"SELECT id, conversation_id FROM responses{known} ORDER BY id"):
            # One that was logged alone is a conversation of its own.
            self._of.setdefault(str(row["conversation_id"] or row["id"]), []).append(row["id"])

    def conversations(self) -> Iterator[str]:
        """Yield the conversations that were not added to a tree; add each before the next one is asked for."""
        while self._of:
            yield next(iter(self._of))

    def add_to(self, tree: MessageTree, name: str | None = None) -> None:
        """Add the responses of a conversation to a tree, unless that says the same already.

        A conversation that was begun with an older version goes on as a thread, which begins with all of it.
        """
        nodes: list[Node] = []
        system: str | None = None
        times: list[Any] = []
        for identity in self._of.pop(str(name or tree.id), ()):
            (row,) = self._database.rows("SELECT * FROM responses WHERE id = ?", identity)
            messages, system = self._messages(row, system)
            nodes.append(Node(str(identity), nodes[-1].id if nodes else None, messages))
            times.append(row.get("datetime_utc"))
        there = iter([_said(each) for node in tree.nodes.values() for each in node.messages])
        if tree.nodes and all(_said(each) in there for node in nodes for each in node.messages):
            return
        for node in nodes:
            tree.current = tree.add(node).id
        moments = [found for each in times if (found := moment(utc(each))) is not None]
        if moments:
            tree.created, tree.updated = tree.created or moments[0], tree.updated or moments[-1]
        named = self._database.rows("SELECT * FROM conversations WHERE id = ?", name or tree.id)
        if named:
            tree.title = tree.title or str(named[0].get("name") or "") or None

    def _messages(self, row: Row, before: str | None) -> tuple[list[Message], str | None]:
        """Return the messages of a row, and what the system was told by then."""
        name, keep = str(row["id"]), self._keep
        fields = Fields({key: value for key, value in row.items() if value is not None})
        for key in _JSON:
            value = json_of(row.get(key))
            if value is not None:
                fields.record[key] = value
            if value in ({}, []):
                fields.take(key)
        for key in ("id", "conversation_id"):
            fields.take(key)
        if fields.take("prompt_json") is not None and keep == "rest":
            # All that came before, once more for each response.
            self._left["prompt_json"] += 1
        made: list[Message] = []
        system = "\n\n".join(
            filter(None, map(str.strip, [*self._fragments("system_fragments", name), fields.text("system")]))
        )
        if system and system != before:
            made.append(message("system", system, id=name))
        made += self._results(name)
        said = "\n".join(filter(None, [*self._fragments("prompt_fragments", name), fields.text("prompt")]))
        parts = ([text_part(said)] if said else []) + self._attachments("prompt_attachments", "response_id", name)
        if parts or not made:
            made.append(message("user", content_of(parts) or "", id=name))
        calls = self._calls(name)
        reasoning = fields.text("reasoning")
        if "schema_id" in fields.record and "schemas" in self._tables:
            found = self._database.rows("SELECT content FROM schemas WHERE id = ?", row["schema_id"])
            if found:
                fields.record["schema"] = json_of(found[0]["content"]) or found[0]["content"]
        made.append(
            message(
                "assistant",
                fields.text("response") or (None if calls else ""),
                fields,
                keep=keep,
                tool_calls=calls,
                reasoning=[{"text": reasoning}] if reasoning else None,
                id=name,
                **model_and_usage(fields),
            )
        )
        return made, system or before

    def _fragments(self, table: str, name: str) -> list[str]:
        if table not in self._tables:
            return []
        rows = self._database.rows(
            f"SELECT content FROM {table} JOIN fragments ON fragments.id = fragment_id "
            'WHERE response_id = ? ORDER BY "order"',
            name,
        )
        return [str(row["content"]) for row in rows if row["content"]]

    def _attachments(self, table: str, column: str, name: Any) -> list[dict[str, Any]]:
        if table not in self._tables:
            return []
        rows = self._database.rows(f'SELECT attachment_id FROM {table} WHERE {column} = ? ORDER BY "order"', name)
        return [self._given.part(row["attachment_id"]) for row in rows]

    def _calls(self, name: str) -> list[dict[str, Any]]:
        if "tool_calls" not in self._tables:
            return []
        rows = self._database.rows("SELECT * FROM tool_calls WHERE response_id = ? ORDER BY id", name)
        return [call(_text(row, "tool_call_id"), _text(row, "name"), _text(row, "arguments")) for row in rows]

    def _results(self, name: str) -> list[Message]:
        if "tool_results" not in self._tables:
            return []
        made = []
        for row in self._database.rows("SELECT * FROM tool_results WHERE response_id = ? ORDER BY id", name):
            failed = _text(row, "exception")
            parts = self._attachments("tool_results_attachments", "tool_result_id", row["id"])
            content = _text(row, "output") or failed
            rest = {"exception": failed} if failed and content != failed and self._keep != "none" else None
            made.append(
                message(
                    "tool",
                    [text_part(content), *parts] if parts else content,
                    tool_call_id=_text(row, "tool_call_id"),
                    name=_text(row, "name"),
                    is_error=True if failed else None,
                    id=name,
                    source=rest,
                )
            )
        return made


def utc(value: Any) -> str | None:
    """Return a time of a column that is in UTC, also where it does not say so."""
    text = stamp(value)
    return stamp(f"{value}Z") if text is not None and text == value and not text.endswith("Z") else text


def model_and_usage(fields: Fields) -> dict[str, Any]:
    """Take what a row says of a response beside its text."""
    when = utc(fields.look("datetime_utc"))
    if when is not None:
        fields.take("datetime_utc")
    resolved = fields.text("resolved_model")
    if not resolved or fields.look("model") == resolved:
        resolved = fields.text("model") or resolved
    usage = {key: fields.take(key) for key in ("input_tokens", "output_tokens", "token_details")}
    if isinstance(usage["token_details"], str):
        usage["token_details"] = json_of(usage["token_details"]) or usage["token_details"]
    known = {key: value for key, value in usage.items() if value is not None}
    return {"timestamp": when, "model": resolved, "usage": known}


def _said(message: Message) -> tuple[Any, str]:
    return message["role"], str(message["content"])


def _text(row: Row, key: str) -> str:
    value = row.get(key)
    return "" if value is None else str(value)
