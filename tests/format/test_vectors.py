"""`fixtures/vectors.json`: what FORMAT.md tells other implementations is what this one does."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from coda_fs_session.format.chunks import STANDARD, join, split
from coda_fs_session.format.commits import decode_commit, encode_commit
from coda_fs_session.format.generations import Generation
from coda_fs_session.format.ids import CHAIN_START, Chain, ObjectId, chain_cut, chain_message, line_id, object_id
from coda_fs_session.format.names import session_key
from coda_fs_session.format.records import Base, decode_metadata, decode_tags
from coda_fs_session.format.refs import Save, encode_header, encode_save, parse_ref
from coda_fs_session.format.tree import Entry, Spine, append

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "fixtures" / "vectors.json").read_bytes())


def _each(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vector", VECTORS[kind])


@_each("keys")
def test_keys(vector: dict[str, str]) -> None:
    """The file key of a name."""
    assert session_key(vector["name"]) == vector["key"]


@_each("chain")
def test_chain_hashes(vector: dict[str, str]) -> None:
    """The chain hash after a message inside a chunk, and at a cut."""
    before = Chain(vector["from"])
    if "message" in vector:
        assert chain_message(before, vector["message"].encode()) == vector["chain"]
    else:
        assert object_id(vector["chunk"].encode()) == vector["cut"]
        assert chain_cut(before, ObjectId(vector["cut"])) == vector["chain"]


@_each("line_id")
def test_line_ids(vector: dict[str, str]) -> None:
    """The id of a ref line."""
    assert line_id(vector["before"].encode()) == vector["id"]


@_each("generations")
def test_generation_ids(vector: dict[str, Any]) -> None:
    """The id of a generation, and its JSON form both ways."""
    assert Generation.from_json(vector).to_json() == vector


@pytest.mark.parametrize("vector", VECTORS["cuts"]["lists"], ids=lambda vector: vector["name"])
def test_cuts(vector: dict[str, Any]) -> None:
    """Where a list of messages is cut, the chunks' ids, and the chain hash at the end."""
    lines = [b'{"i":%d,"x":"%b"}' % (number, b"x" * fill) for number, fill in enumerate(vector["fill"])]
    cuts, ids, count, chain = [], [], 0, CHAIN_START
    for run, closed in split(lines, STANDARD):
        count += len(run)
        if closed:
            cuts.append(count)
            ids.append(object_id(join(run)))
            chain = chain_cut(chain, ids[-1])
        else:
            for line in run:
                chain = chain_message(chain, line)
    assert {"cuts": cuts, "chunks": ids, "chain": chain}.items() <= vector.items()


@pytest.mark.parametrize("vector", VECTORS["tree"]["trees"], ids=lambda vector: str(vector["chunks"]))
def test_list_trees(vector: dict[str, Any]) -> None:
    """The spine over so many chunks, which vouches for the bytes of every list node below it."""
    spine, chain = Spine(), CHAIN_START
    for number in range(vector["chunks"]):
        identity = ObjectId(hashlib.sha256(b"chunk %d" % number).hexdigest())
        chain = chain_cut(chain, identity)
        spine, _ = append(spine, Entry(identity, number + 1, 10 * (number + 1)), STANDARD.fan_out, chain)
    assert (spine.to_json(), chain) == (vector["spine"], vector["chain"])


def test_skip_links() -> None:
    """To which depth each commit's shortcut goes: by the rule of FORMAT.md, so that any depth is a few links away."""
    skips = VECTORS["skip_depths"]
    expected: list[int | None] = [None]
    for previous in range(len(skips) - 1):
        near = expected[previous]
        far = expected[near] if near is not None else None
        jump = near is not None and far is not None and previous - near == near - far
        expected.append(far if jump else previous)
    assert skips == expected


@_each("headers")
def test_headers(vector: dict[str, str]) -> None:
    """A header's line, read and written again, is the same bytes; defaults are left out, unknown fields kept."""
    ref = parse_ref(vector["line"].encode(), "vector")
    assert encode_header(ref.header) == (vector["line"].encode(), vector["id"])
    base = json.loads(vector["line"])["base"]
    assert Base.from_json(base).to_json().keys() == base.keys()


@_each("saves")
def test_saves(vector: dict[str, Any]) -> None:
    """A save's line: messages between tabs, and only the fields that say something."""
    fields = vector["save"]
    messages = [line.encode() for line in fields.get("messages", [])]
    metadata = decode_metadata(fields.get("metadata", {}))
    tags = decode_tags(fields.get("tags", {}))
    save = Save(fields["prev"], fields["time"], messages, fields.get("replace"), metadata, tags)
    assert encode_save(save) == (vector["line"].encode(), vector["id"])


@_each("commits")
def test_commits(vector: dict[str, str]) -> None:
    """A commit object, read and written again, is the same bytes under the same id."""
    data = vector["object"].encode()
    assert encode_commit(decode_commit(data)) == data
    assert object_id(data) == vector["id"]
