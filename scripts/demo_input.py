"""Read files of conversations, and lay message trees out as sessions and branches."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo_text import Message, said, words

from coda_fs_session import Session, SessionError


class BadInput(Exception):
    """The user's file is no file of conversations; says where and why."""


@dataclass
class Thread:
    """One path from the first message to a last one: a session, or a branch that leaves `parent` at message `at`."""

    name: str
    messages: list[Message]
    parent: Thread | None = None
    at: int = 0


@dataclass
class Conversation:
    """The threads of one conversation, parents before their branches: just one unless it is a tree."""

    threads: list[Thread]
    metadata: dict[str, Any] = field(default_factory=dict)


def read_conversations(path: Path) -> list[Conversation]:
    """Read a JSON Lines file: lines with `messages` are conversations, lines with `role` the messages of one.

    Raises:
        BadInput: the file cannot be read, or a line is neither; names the line.
    """
    conversations: list[Conversation] = []
    numbers: Counter[str] = Counter()
    loose: list[Message] = []

    def add(source: object, messages: list[Message], metadata: dict[str, Any]) -> None:
        label = words(source, 60) or "chat"
        name = f"{label}/{numbers[label]:03}"
        numbers[label] += 1
        threads = tree_threads(name, messages) if metadata.get("tree") else [Thread(named(name, messages), messages)]
        conversations.append(Conversation(threads, metadata))

    for number, line in lines_of(path):
        try:
            record = json.loads(line.strip())
            if isinstance(record, dict) and "messages" in record:
                metadata = record.get("metadata") or {}
                if not isinstance(metadata, dict):
                    raise BadInput('"metadata" must be an object')
                metadata |= {key: record[key] for key in ("source", "id") if key in record}
                check_conversation(record["messages"], metadata)
                add(record.get("source") or path.stem, record["messages"], metadata)
            elif isinstance(record, dict) and "role" in record:
                check_conversation([record], {})
                loose.append(record)
            else:
                raise BadInput('neither a conversation (an object with "messages") nor a message (with "role")')
        except (BadInput, SessionError) as error:
            raise BadInput(f"{path}, line {number}: {error}") from error
        except json.JSONDecodeError as error:
            raise BadInput(f"{path}, line {number}, column {error.colno}: not JSON: {error.msg}") from error
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{path}, line {number}: not JSON that can be read: {error}") from error
    if loose:
        add(path.stem, loose, {})
    if not conversations:
        raise BadInput(f"{path}: there is no conversation in this file; one JSON object per line is expected")
    return conversations


def lines_of(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, with their numbers from 1."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error


def check_conversation(messages: object, metadata: dict[str, Any]) -> None:
    """Find every fault before anything is stored, so that an import is whole or not begun."""
    if not isinstance(messages, list) or not messages:
        raise BadInput('"messages" must be a list of one message or more')
    trial = Session("trial")
    trial.update_metadata(metadata)
    for message in messages:
        trial.add_message(message)


def tree_threads(name: str, messages: list[Message]) -> list[Thread]:
    """Lay a message tree out as threads: first children go on with their parent's thread, the others branch off it."""
    threads: list[Thread] = []
    places: dict[object, tuple[Thread, int]] = {}
    for position, message in enumerate(messages):
        identity, parent_id = message.get("id"), message.get("parent_id")
        if not isinstance(identity, str) or identity in places:
            raise BadInput(f'messages[{position}] of a tree needs an "id" of its own')
        if parent_id is not None and parent_id not in places:
            raise BadInput(f'messages[{position}]: no message before it has the "id" that is its "parent_id"')
        thread, depth = places[parent_id] if parent_id is not None else (threads[0] if threads else None, 0)
        if thread is None or len(thread.messages) > depth:
            number = f".{len(threads) + 1}" if threads else ""
            thread = Thread(named(name + number, [message]), thread.messages[:depth] if thread else [], thread, depth)
            threads.append(thread)
        thread.messages.append(message)
        places[identity] = thread, depth + 1
    return threads


def named(prefix: str, messages: list[Message]) -> str:
    """Make a name that a person recognises: the prefix and the first words that a user says."""
    first = next((message for message in messages if message.get("role") == "user"), messages[0])
    return f"{prefix} {words(said(first), 40)}".strip()[:200]
