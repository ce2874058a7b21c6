"""llm: the database ``logs.db``, with threads of messages, and with the responses of older versions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from . import llm_responses
from .databases import Database, Row, json_of, opened
from .fields import Fields, Keep, as_text, call, content_of, left_out, message, text_part
from .llm_responses import Attachments, model_and_usage, utc
from .skipping import Skips, nothing
from .sources import Head, SourceFile
from .times import moment
from .tree import Message, MessageTree, Node

NAME = "llm"
_THREADS = {"threads", "turns", "messages", "parts"}
_RESPONSES = {"conversations", "responses"}


def picks(name: str) -> bool:
    """Tell whether a file in a folder may be one of this format."""
    return name.endswith(".db")


def fits(head: Head) -> bool:
    """Tell whether a file is of this format."""
    return head.tables >= _THREADS or head.tables >= _RESPONSES


def links(file: SourceFile) -> set[str]:
    """Return what a file shares with those that it is read together with."""
    return {file.path}


def read(files: Sequence[SourceFile], keep: Keep, problems: list[str], skips: Skips = nothing) -> Iterator[MessageTree]:
    """Yield the conversations of databases: threads with those that were forked from them, then older responses."""
    for file in files:
        with opened(file) as database:
            tables = database.tables
            left = Counter[str]()
            given = Attachments(database, tables)
            responses = llm_responses.Responses(database, tables, given, keep, left) if tables >= _RESPONSES else None
            if tables >= _THREADS:
                yield from _Threads(database, given, responses, keep).trees()
            if responses is not None:
                for name in responses.conversations():
                    tree = MessageTree(NAME, name)
                    responses.add_to(tree)
                    yield tree
            problems += [f"{file.name}: {note}" for note in left_out(left)]


class _Threads:
    """Makes conversations of threads: those that were forked from one another are branches of one."""

    def __init__(
        self, database: Database, given: Attachments, responses: llm_responses.Responses | None, keep: Keep
    ) -> None:
        self._database, self._given, self._responses = database, given, responses
        self._keep: Keep = keep
        self._done: set[str] = set()

    def trees(self) -> Iterator[MessageTree]:
        rows = self._database.rows("SELECT * FROM threads WHERE id IS NOT NULL ORDER BY id")
        threads = {str(row["id"]): row | {"id": str(row["id"])} for row in rows}
        families: dict[str, list[Row]] = {}
        for row in threads.values():
            families.setdefault(_origin(row, threads), []).append(row)
        for name, family in families.items():
            tree = MessageTree(NAME, name, str(threads[name]["name"] or "") or None)
            turns = [turn for row in family for turn in self._turns(row["id"])]
            turns.sort(key=lambda turn: str(turn["id"]))
            tips = [*(row["tip_message_hash"] for row in family), *(turn["tip_message_hash"] for turn in turns)]
            self._add(tree, tips, turns)
            tree.current = str((turns[-1]["tip_message_hash"] if turns else tips[0]) or "")
            tree.created = moment(utc(threads[name]["datetime_utc"]))
            tree.updated = next((found for turn in turns[::-1] if (found := moment(utc(turn["datetime_utc"])))), None)
            if self._keep != "none":
                tree.rest["threads"] = [
                    {key: value for key, value in row.items() if value is not None} for row in family
                ]
            if self._responses is not None:
                for row in family:
                    self._responses.add_to(tree, row["id"])
            if tree.nodes:
                yield tree
        yield from self._without_thread()

    def _turns(self, thread: str) -> list[Row]:
        return self._database.rows("SELECT * FROM turns WHERE thread_id = ? ORDER BY id", thread)

    def _without_thread(self) -> Iterator[MessageTree]:
        """Yield what no thread leads to, each first message with all that follows it."""
        left: dict[str, list[str]] = {}
        origins: dict[str, str] = {}
        for row in self._database.rows("SELECT hash, parent_hash FROM messages ORDER BY rowid"):
            if row["hash"] not in self._done:
                origin = origins.get(str(row["parent_hash"]), str(row["hash"]))
                origins[str(row["hash"])] = origin
                left.setdefault(origin, []).append(row["hash"])
        for origin, hashes in left.items():
            tree = MessageTree(NAME, origin)
            self._add(tree, hashes, [])
            tree.notes.append("no thread leads to it")
            yield tree

    def _add(self, tree: MessageTree, tips: Iterable[Any], turns: list[Row]) -> None:
        """Add the messages that lead to some; siblings are in the order in which the database got them."""
        found: dict[str, Row] = {}
        for tip in tips:
            at = tip
            while at is not None and at not in found:
                rows = self._database.rows("SELECT rowid AS place, * FROM messages WHERE hash = ?", at)
                if not rows:
                    tree.notes.append(f"message {at} is not in the database")
                    break
                found[at] = rows[0]
                at = rows[0]["parent_hash"]
        self._done |= found.keys()
        of_turns: dict[Any, Row] = {}
        for turn in turns:
            of_turns.setdefault(turn["tip_message_hash"], turn)
        for name, row in sorted(found.items(), key=lambda pair: pair[1]["place"]):
            parts = self._database.rows("SELECT * FROM parts WHERE message_hash = ? ORDER BY position", name)
            tree.add(Node(str(name), row["parent_hash"], self._messages(tree, row, parts, of_turns.get(name))))

    def _messages(self, tree: MessageTree, row: Row, parts: list[Row], turn: Row | None) -> list[Message]:
        """Return what a message became: each result of a tool is one of its own."""
        name, keep = str(row["hash"]), self._keep
        content, calls, reasoning, results = [], list[Row](), list[Row](), list[Message]()
        for part in parts:
            fields = Fields(json_of(part["payload"]) or {})
            kind = part["type"]
            if kind == "text":
                content.append(text_part(self._text(tree, part, fields)) | fields.rest())
            elif kind == "reasoning":
                text = self._text(tree, part, fields)
                reasoning.append(({"text": text} if text else {}) | fields.rest())
            elif kind == "tool_call":
                arguments = fields.take("arguments")
                said = as_text(arguments)
                calls.append(call(fields.text("tool_call_id"), fields.text("name"), said))
                if fields.rest() and keep != "none":
                    calls[-1]["source"] = fields.rest()
            elif kind == "tool_result":
                results.append(self._result(name, fields))
            elif kind == "attachment":
                content.append(self._given.part(fields.take("attachment", "id")) | fields.rest())
            else:
                kept = {"text": part["text"]} if part["text"] is not None else {}
                content.append({"type": str(kind), **kept, **fields.rest()})
        about = Fields({key: value for key, value in (turn or {}).items() if value is not None})
        for key in ("id", "thread_id", "parent_message_hash", "tip_message_hash"):
            about.take(key)
        if row["provider_metadata"]:
            about.record["provider_metadata"] = json_of(row["provider_metadata"]) or row["provider_metadata"]
        if results and not (content or calls or reasoning):
            return results
        answer = message(
            row["role"] or "user",
            content_of(content),
            about,
            keep=keep,
            tool_calls=calls,
            reasoning=reasoning,
            id=name,
            **model_and_usage(about),
        )
        return [answer, *results] if row["role"] == "assistant" else [*results, answer]

    def _result(self, name: str, fields: Fields) -> Message:
        output = fields.take("output") or ""
        failed = fields.look("exception") if output else fields.take("exception")
        given = fields.take("attachments")
        content = as_text(output)
        parts = [self._given.part(each.get("id")) for each in given or () if isinstance(each, dict)]
        return message(
            "tool",
            [text_part(content), *parts] if parts else content or str(failed or ""),
            fields,
            keep=self._keep,
            tool_call_id=fields.text("tool_call_id"),
            name=fields.text("name"),
            is_error=True if failed else None,
            id=name,
        )

    def _text(self, tree: MessageTree, part: Row, fields: Fields) -> str:
        """Return the text of a part, with what it has from files that were given along."""
        if part["text"] is not None:
            return str(part["text"])
        said = []
        for piece in fields.take("text_ref") or [{"literal": fields.text("text")}]:
            if "literal" in piece:
                said.append(str(piece["literal"]))
                continue
            found = self._database.rows("SELECT content FROM fragments WHERE id = ?", piece.get("fragment"))
            if not found:
                tree.notes.append(f"fragment {piece.get('fragment')} is not in the database")
            said += [row["content"] or "" for row in found]
        return "".join(said)


def _origin(row: Row, threads: dict[str, Row]) -> str:
    """Return the thread that a thread was forked from in the end."""
    met = {row["id"]}
    while row["forked_from"] in threads and row["forked_from"] not in met:
        row = threads[row["forked_from"]]
        met.add(row["id"])
    # Of threads that are all forked from one another the first one counts.
    return str(min(met) if row["forked_from"] in met else row["id"])
