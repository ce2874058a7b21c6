"""Inputs and outputs of each function in FORMAT.md, for people who write another implementation."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from coda_fs_session.format import chunks, names, refs, tree
from coda_fs_session.format.commits import Commit, decode_commit, encode_commit, skip_link
from coda_fs_session.format.edits import TailEdit
from coda_fs_session.format.generations import FIRST_GENERATION, Generation, Picked, StateId, TakenIn
from coda_fs_session.format.ids import CHAIN_START, Chain, ObjectId, chain_cut, chain_message, line_id, object_id
from coda_fs_session.format.marks import Mark
from coda_fs_session.format.records import Base, CommitLink, Parent, Stamped, Tag, Tail, decode_tags
from coda_fs_session.format.tree import Entry, Spine

from .golden import NAMES
from .tree import write_json

T0, T1, T2 = (f"2026-01-02T03:04:0{second}.000006+00:00" for second in (5, 6, 7))
COMMIT = CommitLink(ObjectId("bc" * 32), 812, 1)
MARKS = Mark(5, T0, 0), Mark(80, T1, 31), Mark(100, T2)
LINES = ('{"role":"user","content":"Hi"}', '{"role":"assistant","content":"Grüße 🦜"}', "{}")

CUT_RECIPES: dict[str, list[int]] = {
    "ordinary": [i * 7919 % 4001 for i in range(400)],
    "short": [i * 31 % 97 for i in range(3000)],
    "large among small": [100, 65526, 100, 65525, 65524, 65523, 65522, 200_000, 100],
    "full before a hash asks": [60_000] * 12,
    "one byte": [0] * 5,
}
"""Message `i` of a list is `{"i":<i>,"x":"…"}` with as many letters x between the last quotes as is said here."""


def make(path: Path) -> None:
    write_json(path, build())


def build() -> dict[str, Any]:
    return {
        "about": "Inputs and outputs of what FORMAT.md defines; texts stand for their UTF-8.",
        "keys": [{"name": name, "key": names.session_key(name)} for name in _names()],
        "chain": _chain(),
        "line_id": [{"before": text, "id": line_id(text.encode())} for text in ('{"a":1', '{"é":"🦜"', "")],
        "generations": [generation.to_json() for generation in _generations()],
        "cuts": {
            "about": 'Message i is {"i":<i>,"x":"<x>"} with fill[i] letters x; cuts are counts of messages.',
            "lists": [{"name": name, "fill": fill, **_cut(fill)} for name, fill in CUT_RECIPES.items()],
        },
        "tree": {
            "about": "Chunk i has the id sha256('chunk <i>'), i + 1 messages and 10 * (i + 1) bytes; i counts from 0.",
            "trees": [_tree(count) for count in (0, 1, 31, 32, 33, 1023, 1024, 2100)],
        },
        "skip_depths": _skip_depths(70),
        "headers": _headers(),
        "saves": _saves(),
        "commits": [_commit()],
    }


def _names() -> list[str]:
    devices = ["con", "prn", "aux", "nul", "conin", "conout", "clock", "com0", "com9", "lpt5"]
    return [
        *NAMES,
        *devices,
        "com10",
        "conflicts",
        "a",
        "_a",
        "a_b-c9",
        "é",
        "İ",
        "x" * 39 + " y z",
        "!" * 9,
        "chat~0a1b2c3d",
    ]


def _chain() -> list[dict[str, Any]]:
    """Three messages, a cut after the second."""
    one, two, three = (line.encode() for line in LINES)
    h1 = chain_message(CHAIN_START, one)
    chunk = object_id(chunks.join([one, two]))
    at_cut = chain_cut(CHAIN_START, chunk)
    return [
        {"from": CHAIN_START, "message": LINES[0], "chain": h1},
        {"from": h1, "message": LINES[1], "chain": chain_message(h1, two)},
        {"from": CHAIN_START, "cut": chunk, "chunk": f"{LINES[0]}\n{LINES[1]}\n", "chain": at_cut},
        {"from": at_cut, "message": LINES[2], "chain": chain_message(at_cut, three)},
    ]


def _generations() -> list[Generation]:
    frozen, after = Chain("ab" * 32), Chain("cd" * 32)
    first = Generation(FIRST_GENERATION, "edit", 100, frozen, 0, 101, after)
    renamed = Generation(first.id, "rename", 101, after, 0, 101, after, 'the "new" name / 🦜')
    deleted = Generation(renamed.id, "delete", 101, after, 0, 0, CHAIN_START)
    before, after_it = StateId(renamed.id, 101, after), (101, after)
    restored = Generation(deleted.id, "restore", 0, CHAIN_START, 0, *after_it, to=before)
    undone = Generation(restored.id, "undo", *after_it, 5, 100, frozen, to=StateId(FIRST_GENERATION, 100, frozen))
    taken_in = (TakenIn(before, COMMIT), TakenIn(StateId(first.id, 102, frozen), CommitLink(ObjectId("ef" * 32), 9, 0)))
    merged = Generation(undone.id, "merge", 100, frozen, 5, 102, after, merged=taken_in)
    parted = Generation(first.id, "part", 102, frozen, 5, 102, after, to=before)
    picked = (Picked("talk", after), Picked("der „Tee“", frozen))
    return [
        *(first, renamed, deleted, restored, undone, merged, parted),
        Generation(merged.id, "pick", 102, after, 5, 104, frozen, picked=picked),
    ]


def cut_lines(fill: list[int]) -> list[bytes]:
    return [b'{"i":%d,"x":"%b"}' % (number, b"x" * letters) for number, letters in enumerate(fill)]


def _cut(fill: list[int]) -> dict[str, Any]:
    cuts, ids, position, chain = [], [], 0, CHAIN_START
    for run, closed in chunks.split(cut_lines(fill), chunks.STANDARD):
        position += len(run)
        if closed:
            cuts.append(position)
            ids.append(object_id(chunks.join(run)))
            chain = chain_cut(chain, ids[-1])
        else:
            for line in run:
                chain = chain_message(chain, line)
    return {"cuts": cuts, "chunks": ids, "chain": chain}


def tree_chunk(number: int) -> Entry:
    identity = ObjectId(hashlib.sha256(b"chunk %d" % number).hexdigest())
    return Entry(identity, number + 1, 10 * (number + 1))


def _tree(count: int) -> dict[str, Any]:
    spine, chain = Spine(), CHAIN_START
    for number in range(count):
        chunk = tree_chunk(number)
        chain = chain_cut(chain, chunk.id)
        spine, _ = tree.append(spine, chunk, chunks.STANDARD.fan_out, chain)
    return {"chunks": count, "spine": spine.to_json(), "chain": chain}


def _skip_depths(count: int) -> list[int | None]:
    """Return to which depth the skip link of the commit of each depth goes."""
    commits: list[Commit] = []
    for depth in range(count):
        previous = CommitLink(ObjectId("ab" * 32), 1, depth - 1) if depth else None
        skip = None
        if previous is not None:
            before = commits[-1]
            skip = skip_link(previous, before, commits[before.skip.depth] if before.skip else None)
        commits.append(Commit("n", T0, T0, "edit", "0" * 16, Base(), previous=previous, skip=skip))
    return [commit.skip.depth if commit.skip else None for commit in commits]


def _base() -> Base:
    chunk = Entry(ObjectId("12" * 32), 7, 700)
    node = Entry(ObjectId("34" * 32), 90, 9000, Chain("56" * 32))
    metadata = {"title": Stamped(T0, b'"Tea"'), "gone": Stamped(T1, None), "große": Stamped(T1, b'{"z":[1,2.5,null]}')}
    tail = Tail(ObjectId("78" * 32), 500, 3, 300)
    tags = {"draft": Tag(T0, COMMIT), "größe": Tag(T1, None)}
    return Base(100, 10_000, Chain("9a" * 32), 5, 450, metadata, Spine(((chunk,), (node,))), tail, tags)


def _headers() -> list[dict[str, Any]]:
    """Header lines; the first has every default, the second no default."""
    _, renamed, *_, undone, merged, _, _ = _generations()
    full = refs.Header(
        name='the "new" name / 🦜',
        replica="desk-11111111",
        created=T0,
        updated=T2,
        base=_base(),
        parent=Parent("talk", 95, 5, Chain("9a" * 32)),
        former_names=("chat", "Größe"),
        generation=renamed,
        commit=COMMIT,
        marks=MARKS,
        extra={"colour": ["teal"]},
    )
    each = refs.Header("talk", "desk-11111111", T0, T0), full, *(replace(full, generation=g) for g in (undone, merged))
    encoded = map(refs.encode_header, each)
    return [{"line": line.decode(), "id": identity} for line, identity in encoded]


def _saves() -> list[dict[str, Any]]:
    title = {"title": [T1, "Tea\ttime"], "gone": [T1]}
    tags = {"draft": [T1, COMMIT.to_json()], "„Tee“": [T1]}
    saves: list[dict[str, Any]] = [
        {"prev": "0123456789abcdef", "time": T1, "messages": list(LINES)},
        {"prev": "0123456789abcdef", "time": T1, "messages": [LINES[0]], "metadata": title},
        {"prev": "0123456789abcdef", "time": T1, "metadata": title},
        {"prev": "0123456789abcdef", "time": T1, "replace": 12, "messages": [LINES[2]]},
        {"prev": "0123456789abcdef", "time": T1, "replace": 12},
        {"prev": "0123456789abcdef", "time": T1, "metadata": title, "tags": tags},
        {"prev": "0123456789abcdef", "time": T1, "tags": {"draft": [T1]}},
    ]
    return [{"save": save, **encode_save(save)} for save in saves]


def encode_save(fields: dict[str, Any]) -> dict[str, str]:
    """Encode a save that is given by its fields, with messages as texts."""
    import orjson

    metadata = {
        key: Stamped(item[0], orjson.dumps(item[1]) if len(item) == 2 else None)
        for key, item in fields.get("metadata", {}).items()
    }
    messages = [line.encode() for line in fields.get("messages", [])]
    tags = decode_tags(fields.get("tags", {}))
    save = refs.Save(fields["prev"], fields["time"], messages, fields.get("replace"), metadata, tags)
    line, identity = refs.encode_save(save)
    return {"line": line.decode(), "id": identity}


def _commit() -> dict[str, Any]:
    first, *_ = _generations()
    previous = CommitLink(ObjectId("de" * 32), 640, 2)
    edits = (
        TailEdit(97, 98, (Chain("1a" * 32),), T0, Chain("2b" * 32)),
        TailEdit(97, 98, (Chain("2b" * 32),), T1, Chain("3c" * 32)),
        TailEdit(99, 100, (Chain("4d" * 32), Chain("5e" * 32)), T2, Chain("6f" * 32)),
    )
    replaced = (Entry(ObjectId("4d" * 32), 2, 66),)
    commit = Commit(
        *("talk", T2, T1, "rename", "0123456789abcdef", _base(), first, previous, previous),
        *(edits, replaced, MARKS, "desk-11111111"),
    )
    data = encode_commit(commit)
    if decode_commit(data) != commit:
        raise AssertionError("a commit that does not come back")
    return {"object": data.decode(), "id": object_id(data)}
