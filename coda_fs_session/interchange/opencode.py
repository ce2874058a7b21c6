"""opencode: the database ``opencode.db``, and sessions, messages and parts that older versions wrote in a file each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from .databases import Database, Row, is_database, json_of, opened
from .fields import Fields, Keep, as_text, base_name, call, content_of, left_out, message, text_part
from .parsing import parsed
from .skipping import Skips, nothing
from .sources import Head, SourceFile
from .times import moment
from .tree import Message, MessageTree, Node

NAME = "opencode"
_MOST = 64 * 1024 * 1024
_TABLES = {"session", "message", "part"}
_COLUMNS = {"project_id": "projectID", "parent_id": "parentID"}

Record = dict[str, Any]


def picks(name: str) -> bool:
    """Tell whether a file in a folder may be one of this format."""
    return name.endswith((".json", ".db"))


def fits(head: Head) -> bool:
    """Tell whether a file is of this format."""
    if head.tables >= _TABLES:
        return True
    if head.kind != b"{" or head.has("parentUuid") or head.has("projectHash") or head.has("mapping"):
        return False
    return (head.has("sessionID") and (head.has("role") or head.has("messageID", "type"))) or (
        head.has("id", "directory", "time", "version") and not head.has("messageId")
    )


def links(file: SourceFile) -> set[str]:
    """Return what a file shares with those that it is read together with: all of a session, also of a database."""
    if is_database(file):
        with opened(file) as database:
            return set(_sessions(database))
    return {_session_of(_record(file)) or file.path}


def read(files: Sequence[SourceFile], keep: Keep, problems: list[str], skips: Skips = nothing) -> Iterator[MessageTree]:
    """Yield the sessions that files are of, each once: what a database has counts more. They have no branches."""
    done: set[str] = set()
    others: dict[str, list[tuple[SourceFile, Record | None]]] = {}
    for file in sorted(files, key=lambda each: each.name):
        if is_database(file):
            with opened(file) as database:
                for name, row in _sessions(database).items():
                    if name not in done:
                        done.add(name)
                        yield from _made(_of_rows(database, name, row, file.name, problems), keep)
            continue
        record = _record(file)
        others.setdefault(_session_of(record), []).append((file, record))
    for name, records in others.items():
        if name not in done:
            yield from _made(_of_files(records, problems), keep)


@dataclass(slots=True)
class _Session:
    """The records of a session."""

    about: Record = field(default_factory=dict)
    messages: dict[str, Record] = field(default_factory=dict)
    parts: dict[str, dict[str, Record]] = field(default_factory=dict)


def _of_files(records: list[tuple[SourceFile, Record | None]], problems: list[str]) -> _Session:
    session = _Session()
    for file, record in records:
        if record is None:
            # Written by parts: this one is not whole yet.
            problems.append(f"{file.name} is no JSON object: it was left out")
        elif _text(record, "messageID"):
            session.parts.setdefault(record["messageID"], {})[_id(file, record)] = record
        elif _text(record, "sessionID"):
            session.messages[_id(file, record)] = record
        else:
            session.about = record
    return session


def _id(file: SourceFile, record: Record) -> str:
    """Return the id of a record; a file is called by that, which stands in for one that is absent."""
    return _text(record, "id") or file.base.removesuffix(".json")


def _sessions(database: Database) -> dict[str, Row]:
    """Return the rows of sessions by their ids; of one that only messages name, the id alone."""
    rows = database.rows("SELECT * FROM session ORDER BY time_created, id")
    rows += database.rows("SELECT DISTINCT session_id AS id FROM message ORDER BY id")
    found: dict[str, Row] = {}
    for row in rows:
        found.setdefault(str(row["id"]), row)
    return found


def _of_rows(database: Database, name: str, row: Row, place: str, problems: list[str]) -> _Session:
    """Return the records of a session as its files would have them."""
    known = {key: value for key, value in row.items() if value is not None}
    times = {key: known.pop(f"time_{key}") for key in ("created", "updated") if f"time_{key}" in known}
    session = _Session({_COLUMNS.get(key, key): value for key, value in known.items()} | {"time": times})
    for each in database.rows("SELECT * FROM message WHERE session_id = ? ORDER BY id", name):
        data = json_of(each["data"])
        if isinstance(data, dict):
            session.messages[str(each["id"])] = {"id": each["id"], "sessionID": name, **data}
        else:
            problems.append(f"{place}: message {each['id']} is no JSON object: it was left out")
    for each in database.rows("SELECT * FROM part WHERE session_id = ? ORDER BY id", name):
        data, above = json_of(each["data"]), str(each["message_id"])
        if isinstance(data, dict):
            about = {"id": each["id"], "sessionID": name, "messageID": above}
            session.parts.setdefault(above, {})[str(each["id"])] = about | data
        else:
            problems.append(f"{place}: part {each['id']} is no JSON object: it was left out")
    return session


def _made(session: _Session, keep: Keep) -> Iterator[MessageTree]:
    tree = MessageTree(NAME, "")
    messages = session.messages
    for orphan in sorted(session.parts.keys() - messages.keys()):
        tree.notes.append(f"parts of message {orphan} were left out: it is not there itself")
    _describe(tree, session.about, messages, keep)
    left = Counter[str]()
    above: str | None = None
    for name in _ordered(messages, session.about.get("messages"), _time):
        its = session.parts.get(name, {})
        # Ids of parts grow, and not every part has a time.
        said = {part: its[part] for part in _ordered(its, messages[name].get("parts"), lambda _: 0)}
        above = tree.add(Node(name, above, messages_of(name, messages[name], said, left, keep))).id
    tree.current = above or ""
    tree.notes += left_out(left)
    if tree.nodes or tree.notes:
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


def _ordered(records: dict[str, Record], listed: Any, time: Callable[[Record], float]) -> list[str]:
    """Return the ids of records: those that are listed first, all others by their times and ids."""
    first = [name for name in listed if name in records] if isinstance(listed, list) else []
    known = set(first)
    others = [name for name in records if name not in known]
    return [*dict.fromkeys(first), *sorted(others, key=lambda name: (time(records[name]), name))]


def _time(record: Record) -> float:
    time = Fields(record)
    found = time.look("time", "created") or time.look("time", "start") or 0
    return found if isinstance(found, (int, float)) else 0


def messages_of(name: str, said: Record, parts: dict[str, Record], left: Counter[str], keep: Keep) -> list[Message]:
    """Return the messages that a record became: the result of each tool is one of its own."""
    fields = Fields(said)
    for key in ("id", "sessionID", "parts"):
        fields.take(key)
    content, calls, reasoning, results = [], list[Record](), list[Record](), list[Message]()
    usage = fields.take("tokens")
    rests = list[Record]()
    for identity, part in parts.items():
        kind = part.get("type")
        inner = Fields(part)
        for key in ("type", "sessionID", "messageID"):
            inner.take(key)
        if kind == "text" and isinstance(part.get("text"), str):
            content.append(text_part(inner.text("text")))
            rests.append(inner.rest())
        elif kind == "reasoning":
            reasoning.append({"text": inner.text("text")})
            rests.append(inner.rest())
        elif kind == "file":
            content.append(
                {"type": "file", "file": {"filename": inner.text("filename"), "file_data": inner.text("url")}}
            )
            rests.append(inner.rest())
        elif kind == "tool":
            made, result = _tool(name, identity, part, keep)
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
    # More than its id: whether the program said it for the user, when it began.
    told = [rest for rest in rests if rest.keys() - {"id"}]
    if told and keep != "none":
        answer["source"] = answer.get("source", {}) | {"parts": told}
    return [answer, *results]


def _tool(name: str, identity: str, part: Record, keep: Keep) -> tuple[Record, list[Message]]:
    fields = Fields(part)
    for key in ("type", "sessionID", "messageID"):
        fields.take(key)
    tool = fields.text("tool")
    identity = fields.text("callID") or identity
    made = call(identity, tool, json.dumps(fields.take("state", "input"), ensure_ascii=False))
    error = fields.take("state", "error")
    output = fields.take("state", "output")
    said = output if output is not None else error
    if said is None:
        return made | ({} if keep == "none" else {"source": fields.rest()}), []
    text = as_text(said)
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


def _session_of(record: Record | None) -> str:
    return "" if record is None else _text(record, "sessionID") or _text(record, "id")


def _text(record: Record, key: str) -> str:
    value = record.get(key)
    return value if isinstance(value, str) else ""
