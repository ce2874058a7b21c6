"""Requests to the services of models, and what these answered, as people save them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from . import api_shapes
from .fields import Keep
from .parsing import elements, parsed
from .parsing import lines as read_lines
from .skipping import Skips, nothing
from .sources import Head, SourceFile
from .times import moment
from .tree import Message, MessageTree, Node, made_id

NAME = "api"
_SHAPES = (
    ("messages", "model", "role"),
    ("choices", "message", "role"),
    ("input", "model", "role"),
    ("input", "model", "instructions"),
    ("input", "model", "previous_response_id"),
    ("contents", "parts"),
    ("candidates", "content"),
    ("stop_reason", "content", "role"),
)
_RESPONSE = re.compile(rb'(?<!\\)"object"\s*:\s*"response"')
_DEEPEST = 8

Record = dict[str, Any]
Exchange = tuple[Record | None, Record | None]
"""A request and what it was answered; one of them may be absent."""


def picks(name: str) -> bool:
    """Tell whether a file in a folder may be one of this format."""
    return name.endswith((".json", ".jsonl"))


def fits(head: Head) -> bool:
    """Tell whether a file is of this format."""
    if head.kind not in (b"[", b"{"):
        return False
    return _RESPONSE.search(head.data) is not None or any(head.has(*keys) for keys in _SHAPES)


def links(file: SourceFile) -> set[str]:
    """Return what a file shares with those that it is read together with."""
    return {file.path}


def read(files: Sequence[SourceFile], keep: Keep, problems: list[str], skips: Skips = nothing) -> Iterator[MessageTree]:
    """Yield the conversations of files; requests that begin alike are one, as each repeats what came before."""
    for file in files:
        found = _Found(keep)
        document = Head(file).is_document
        with file.stream() as stream:
            values = (value for value, _ in elements(stream, file.place)) if document else read_lines(stream, problems)
            for value in values:
                exchanges = _exchanges(value, 0)
                if not exchanges:
                    problems.append(f"{file.name}: an element is no request and no response, and was left out")
                for request, response in exchanges:
                    found.add(request, response)
        yield from found.trees.values()


def _exchanges(value: Any, depth: int) -> list[Exchange]:
    """Return the requests and responses in a value; one of each, side by side, belong together."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        # Proxies save what was sent as a text.
        try:
            value = parsed(value.encode(errors="surrogatepass"))
        except ValueError:
            return []
    if depth > _DEEPEST or not isinstance(value, (dict, list)):
        return []
    if isinstance(value, list):
        listed = [found for each in value for found in _exchanges(each, depth + 1)]
        # Requests each with its response after it; in any other order nothing tells what belongs together.
        in_turn = all((place % 2 == 0) == (response is None) for place, (_, response) in enumerate(listed))
        if in_turn and all((request is None) != (response is None) for request, response in listed):
            ends = [response for _, response in listed[1::2]]
            return [(request, response) for (request, _), response in zip_longest(listed[::2], ends)]
        return listed
    if api_shapes.is_response(value):
        return [(None, value)]
    if api_shapes.is_request(value):
        return [(value, None)]
    found = [each for inner in value.values() for each in _exchanges(inner, depth + 1)]
    requests = [request for request, response in found if response is None]
    responses = [response for request, response in found if request is None]
    return [(requests[0], responses[0])] if len(requests) == len(responses) == 1 and len(found) == 2 else found


class _Found:
    """The conversations of a file."""

    def __init__(self, keep: Keep) -> None:
        self._keep: Keep = keep
        self.trees: dict[str, MessageTree] = {}
        # What a response ended with: a later request may name it instead of repeating all.
        self._ends: dict[str, tuple[MessageTree, str | None]] = {}

    def add(self, request: Record | None, response: Record | None) -> None:
        said = [] if request is None else api_shapes.said_in(request, self._keep)
        answers = [] if response is None else api_shapes.answers_of(response, self._keep)
        origin = (request or {}).get("previous_response_id") or (response or {}).get("previous_response_id")
        known = self._ends.get(origin) if isinstance(origin, str) else None
        if known is None:
            name = _identity(said) or str((response or {}).get("id") or made_id(None, response))
            known = self.trees.setdefault(name, MessageTree(NAME, name)), None
            if isinstance(origin, str):
                known[0].notes.append(f"response {origin}, which it goes on from, is not in the file")
        tree, above = known
        above = self._chain(tree, above, said)
        ends = [self._chain(tree, above, answer) for answer in answers]
        tree.current = next((each for each in (*ends, above) if each is not None), tree.current)
        if request is not None and self._keep != "none" and not tree.rest:
            tree.rest = {"request": api_shapes.rest_of(request)}
        if response is not None:
            when = moment(response.get("created") or response.get("created_at") or response.get("createTime"))
            tree.created, tree.updated = tree.created or when, when or tree.updated
            if isinstance(response.get("id"), str) and ends:
                self._ends[response["id"]] = tree, ends[0]

    def _chain(self, tree: MessageTree, above: str | None, messages: list[Message]) -> str | None:
        for message in messages:
            name = made_id(above, _key(message))
            if name not in tree.nodes:
                tree.add(Node(name, above, [message]))
            above = name
        return above


def _identity(messages: list[Message]) -> str:
    """Return what tells a conversation: all up to the first words of the user, which every request of it repeats."""
    keys = []
    for message in messages:
        keys.append(_key(message))
        if message.get("role") == "user":
            break
    return made_id(None, keys) if keys else ""


def _key(message: Message) -> Record:
    """Return what a message has in common with itself where a later request repeats it."""
    content = message.get("content") or ""
    if isinstance(content, list) and all(isinstance(part, dict) and part.get("type") == "text" for part in content):
        content = "".join(str(part.get("text") or "") for part in content)
    calls = message.get("tool_calls")
    made = [
        [call.get("id"), call.get("function") or call.get("custom")]
        for call in (calls if isinstance(calls, list) else ())
        if isinstance(call, dict)
    ]
    return {"role": message.get("role"), "content": content, "calls": made, "call": message.get("tool_call_id")}
