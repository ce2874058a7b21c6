"""Codex rollouts: ``~/.codex/sessions/…/rollout-….jsonl``, also compressed, with both kinds of forks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import codex_items
from .fields import Keep, base_name, left_out
from .parsing import lines as read_lines
from .skipping import Skips, nothing
from .sources import Head, SourceFile, plain
from .times import moment
from .tree import MessageTree, Node, made_id

NAME = "codex"
_KINDS = frozenset(("session_meta", "response_item", "event_msg", "turn_context", "compacted", "world_state"))
_HEAD_LINES = 5


def picks(name: str) -> bool:
    """Tell whether a file in a folder may be one of this format."""
    return name.endswith((".jsonl", ".jsonl.zst"))


def fits(head: Head) -> bool:
    """Tell whether a file is of this format."""
    records = head.records
    return any(isinstance(each.get("payload"), dict) and str(each.get("type")) in _KINDS for each in records) or (
        bool(records) and "instructions" in records[0] and "id" in records[0] and "timestamp" in records[0]
    )


def links(file: SourceFile) -> set[str]:
    """Return what a file shares with those that it is read together with: the threads that it is, or goes on from."""
    with plain(file) as stream:
        for _, line in zip(range(_HEAD_LINES), read_lines(stream, []), strict=False):
            meta = _meta(line)
            if meta is not None:
                return {name for name in (_text(meta, "id"), _text(meta, "forked_from_id"), _base(meta)[0]) if name}
    return {file.path}


@dataclass(slots=True)
class _Item:
    """An item of a thread: where in its file it is, in which turn, and the record that it became in the tree."""

    ordinal: int
    turn: str
    payload: dict[str, Any]
    stamp: Any
    model: str
    usage: Any = None
    node: str = ""


@dataclass(slots=True)
class _Thread:
    """One file."""

    file: SourceFile
    meta: dict[str, Any] = field(default_factory=dict)
    items: list[_Item] = field(default_factory=list)
    turns: dict[str, None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    placed: list[_Item] = field(default_factory=list)
    """All items of the thread, with those that it has from others."""

    @property
    def id(self) -> str:
        return _text(self.meta, "id")

    @property
    def origin(self) -> str:
        return _base(self.meta)[0] or _text(self.meta, "forked_from_id")


def read(files: Sequence[SourceFile], keep: Keep, problems: list[str], skips: Skips = nothing) -> Iterator[MessageTree]:
    """Yield the thread that files are of, with what was forked from it as branches."""
    names = {file.base for file in files}
    threads: dict[str, _Thread] = {}
    for file in sorted(files, key=lambda each: each.base):
        if file.base.endswith(".zst") and file.base.removesuffix(".zst") in names:
            # What is not compressed is what Codex goes on with.
            continue
        thread = _thread(file)
        name = thread.id or file.name
        if name in threads:
            problems.append(f"{file.name}: another file of thread {name}: what is in both counts once")
            name = f"{name} {file.name}"
        threads[name] = thread
    ordered = _in_order(threads)
    if not ordered:
        return
    tree = MessageTree(NAME, ordered[0].origin or ordered[0].id)
    for thread in ordered:
        _place(tree, thread, threads, keep)
    _describe(tree, ordered, keep)
    if any(node.messages for node in tree.nodes.values()):
        yield tree


def _thread(file: SourceFile) -> _Thread:
    thread = _Thread(file)
    left = Counter[str]()
    turn = model = ""
    texts: set[str] = set()
    heard: list[tuple[int, _Item]] = []
    with plain(file) as stream:
        for place, line in enumerate(read_lines(stream, thread.notes)):
            meta = _meta(line)
            if meta is not None:
                # A second one is that of the thread that this one was forked from.
                thread.meta = thread.meta or meta
                continue
            kind, payload = line.get("type"), line.get("payload")
            if payload is None and str(kind) in codex_items.KINDS:
                # An old file has the items themselves on its lines.
                kind, payload = "response_item", line
            if not isinstance(payload, dict):
                left[str(kind)] += 1
                continue
            ordinal = line["ordinal"] if type(line.get("ordinal")) is int else place
            inner = payload.get("type")
            if kind == "turn_context" or (kind == "event_msg" and inner in ("task_started", "turn_started")):
                turn = _text(payload, "turn_id") or turn
                model = _text(payload, "model") or model
                thread.turns[turn] = None
            elif kind in ("response_item", "compacted"):
                item = _Item(
                    ordinal, turn, payload if kind == "response_item" else payload | {"type": kind}, None, model
                )
                item.stamp = line.get("timestamp")
                thread.items.append(item)
                texts.update(codex_items.texts(payload))
            elif kind == "event_msg" and inner == "user_message" and _text(payload, "message"):
                heard.append((len(thread.items), _Item(ordinal, turn, payload, line.get("timestamp"), model)))
            elif kind == "event_msg" and inner == "token_count":
                _count(thread.items, payload)
            else:
                left[str(inner if kind == "event_msg" else kind)] += 1
    for place, item in reversed(heard):
        # Said again by an event; seldom it is all that there is.
        if item.payload["message"] not in texts:
            thread.items.insert(place, item)
    thread.notes += left_out(left)
    return thread


def _count(items: list[_Item], payload: dict[str, Any]) -> None:
    """Give what an event says of tokens to the answer that it comes after."""
    info = payload.get("info")
    usage = info.get("last_token_usage") if isinstance(info, dict) else None
    if not isinstance(usage, dict):
        return
    for item in reversed(items):
        if codex_items.is_prompt(item.payload):
            return
        if codex_items.is_answer(item.payload):
            item.usage = usage
            return


def _in_order(threads: dict[str, _Thread]) -> list[_Thread]:
    """Return threads after those that they were forked from, the older ones first."""
    left = dict(sorted(threads.items(), key=lambda pair: (str(pair[1].meta.get("timestamp") or ""), pair[0])))
    ordered: list[_Thread] = []
    while left:
        free = [name for name, each in left.items() if each.origin not in left or left[each.origin] is each]
        # In a circle nothing comes first: then the oldest does.
        for name in free or [next(iter(left))]:
            ordered.append(left.pop(name))
    return ordered


def _place(tree: MessageTree, thread: _Thread, threads: dict[str, _Thread], keep: Keep) -> None:
    """Add the items of a thread to the tree, after what it has from the one that it was forked from."""
    parent = threads.get(thread.origin)
    if parent is thread:
        parent = None
    base, end = _base(thread.meta)
    own = thread.items
    if thread.origin and parent is None:
        tree.notes.append(f"thread {thread.id} goes on from {thread.origin}, whose file is not there")
    elif parent is not None and base:
        its = set(map(id, parent.items))
        thread.placed = [item for item in parent.placed if id(item) not in its or item.ordinal < end]
    elif parent is not None:
        shared = [turn for turn in thread.turns if turn in parent.turns]
        if shared:
            own = [item for item in own if item.turn and item.turn not in parent.turns]
            thread.placed = _until(parent, shared[-1])
    above = thread.placed[-1].node if thread.placed else None
    for item in own:
        # Not by the time: a fork that says all again gives it new times.
        item.node = made_id(above, item.payload)
        if item.node not in tree.nodes:
            made = codex_items.message_of(item.payload, item.node, item.stamp, item.model, item.usage, keep)
            tree.add(Node(item.node, above, [made]))
        above = item.node
        thread.placed.append(item)
    tree.current = above or tree.current
    tree.notes += [f"{thread.file.base}: {note}" for note in thread.notes]


def _until(parent: _Thread, turn: str) -> list[_Item]:
    """Return the items of a thread up to the end of a turn."""
    last = max((place for place, item in enumerate(parent.placed) if item.turn == turn), default=-1)
    return parent.placed[: last + 1]


def _describe(tree: MessageTree, threads: list[_Thread], keep: Keep) -> None:
    meta = threads[0].meta
    tree.project = base_name(_text(meta, "cwd"))
    stamps = [moment(item.stamp) for thread in threads for item in thread.items]
    known = [stamp for stamp in stamps if stamp is not None]
    tree.created = moment(meta.get("timestamp")) or (known[0] if known else None)
    tree.updated = known[-1] if known else None
    tree.id = tree.id or next(iter(tree.nodes), "")
    if keep != "none":
        tree.rest = {"threads": [thread.meta for thread in threads]}


def _meta(line: dict[str, Any]) -> dict[str, Any] | None:
    payload = line.get("payload")
    if line.get("type") == "session_meta" and isinstance(payload, dict):
        inner = payload.get("meta")
        return inner if isinstance(inner, dict) and "id" not in payload else payload
    if "payload" not in line and "type" not in line and "instructions" in line and "id" in line:
        return line
    return None


def _base(meta: dict[str, Any]) -> tuple[str, int]:
    """Return the thread whose file has what comes before, and up to where; "" where the file has all."""
    base = meta.get("history_base")
    if not isinstance(base, dict):
        return "", 0
    end = base.get("end_ordinal_exclusive")
    return _text(base, "thread_id"), end if type(end) is int else 0


def _text(record: dict[str, Any], key: str) -> str:
    value = record.get(key)
    return value if isinstance(value, str) else ""
