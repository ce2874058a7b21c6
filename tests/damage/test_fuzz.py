"""Records that say nonsense under right hashes, as faulty and hostile programs write them: errors, no other harm."""

from __future__ import annotations

import json
import random
import shutil
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from layouts import path_of

from coda_fs_session.backends.disk.zstd import compress, decompress
from coda_fs_session.format import refs
from coda_fs_session.format.ids import CHAIN_START, Chain, ObjectId, chain_cut, object_id
from coda_fs_session.format.records import Base, CommitLink, Tail
from coda_fs_session.format.refs import Header, encode_header, parse_ref
from coda_fs_session.format.tree import Entry, Spine, encode_node

from .hostile import mutate, signed, use
from .specimen import altered, make

pytestmark = pytest.mark.filterwarnings("ignore::coda_fs_session.SessionWarning")

MEMORY = 32 * 2**20


@pytest.fixture(scope="module")
def made(layout: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz") / "store"
    make(folder)
    return folder


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "store"))


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Make sure that a test takes no memory out of proportion to the store, whatever that says of itself."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()


# -- Any field changed -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["long", "edited", "tagged", "again", "fork", "sealed", "deleted", "continued"])
@pytest.mark.parametrize("line", ["header", "save"])
def test_lines_with_any_field_changed(store: Path, key: str, line: str, seed: int, long_size: bool) -> None:
    """A header or save with a right id may say anything: the session is good, or listed with its error."""
    dice = random.Random(f"{seed} {key} {line}")
    path = store / "refs" / path_of("desk-11111111", key)
    lines = path.read_bytes().splitlines(keepends=True)
    number = 0 if line == "header" else dice.randrange(len(lines))
    record = json.loads(lines[number])
    del record["id"]
    for _ in range(1500 if long_size else 12):
        changed = signed(mutate(record, dice))
        with altered(path, b"".join([*lines[:number], changed, *lines[number + 1 :]])):
            use(store, key)


# -- Objects that are not what names them ------------------------------------------------------------------------------


def put(store: Path, data: bytes) -> ObjectId:
    """Keep bytes as an object."""
    identity = object_id(data)
    path = store / "objects" / identity[:2] / f"{identity}.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return identity


def chain_of(number: int) -> Chain:
    return Chain(f"{number:064x}")


CHUNK = b'{"role":"user","content":"x"}\n'


def tower(store: Path, height: int, fan_out: int) -> Spine:
    """Make a list tree of one chunk, each node naming the one below as often as `fan_out`."""
    chunk = put(store, CHUNK)
    entry = Entry(chunk, 1, len(CHUNK))
    levels: list[tuple[Entry, ...]] = [()]
    for level in range(height):
        node = put(store, encode_node([entry] * fan_out))
        entry = Entry(node, entry.messages * fan_out, entry.bytes * fan_out, chain_of(level))
        levels.append(())
    return Spine((*levels[:-1], (entry,)))


def base_of(spine: Spine, **fields: Any) -> Base:
    return replace(Base(spine.messages, spine.bytes, spine.end_chain(), spine=spine), **fields)


def _chunk_as_node(store: Path) -> Base:
    return base_of(Spine(((), (Entry(put(store, CHUNK), 1, len(CHUNK), CHAIN_START),))))


def _node_as_chunk(store: Path) -> Base:
    data = encode_node([Entry(put(store, CHUNK), 1, len(CHUNK))])
    return base_of(Spine(((Entry(put(store, data), 1, len(data)),),)))


def _nodes_among_chunks(store: Path) -> Base:
    below = Entry(put(store, encode_node([Entry(put(store, CHUNK), 1, len(CHUNK))])), 1, len(CHUNK), CHAIN_START)
    node = put(store, encode_node([below]))
    return base_of(Spine(((), (Entry(node, 1, len(CHUNK), CHAIN_START),))))


def _commit_as_tail(store: Path) -> Base:
    header = parse_ref((store / "refs" / path_of("desk-11111111", "edited")).read_bytes(), "").header
    assert header.commit is not None
    return Base(
        1, header.commit.size, chain_of(1), tail=Tail(header.commit.id, header.commit.size, 1, header.commit.size)
    )


def _tail_longer_than_its_object(store: Path) -> Base:
    return Base(9, 900, chain_of(1), tail=Tail(put(store, CHUNK), 10**15, 9, 900))


def _numbers_past_all_files(store: Path) -> Base:
    entry = Entry(put(store, CHUNK), 10**15, 10**17)
    return base_of(Spine(((entry,) * 31,)), start=10**14, start_bytes=10**15)


def _empty_node(store: Path) -> Base:
    return base_of(Spine(((), (Entry(put(store, b""), 5, 50, CHAIN_START),))))


def _messages_that_are_none(store: Path) -> Base:
    data = b"[]\nnull\n{\n\n"
    return base_of(Spine(((Entry(put(store, data), 4, len(data)),),)))


def _another_tail_than_its_chain(store: Path) -> Base:
    return Base(1, len(CHUNK), chain_cut(CHAIN_START, object_id(CHUNK)), tail=Tail(put(store, CHUNK), 30, 1, 30))


BASES: list[Callable[[Path], Base]] = [
    *(_chunk_as_node, _node_as_chunk, _nodes_among_chunks, _commit_as_tail, _tail_longer_than_its_object),
    *(_numbers_past_all_files, _empty_node, _messages_that_are_none, _another_tail_than_its_chain),
]


def use_with(store: Path, **fields: Any) -> None:
    """Give a session a well-formed header with these fields, and use it."""
    path = store / "refs" / path_of("desk-11111111", "long")
    header = parse_ref(path.read_bytes(), path).header
    with altered(path, encode_any(replace(header, **fields))):
        use(store, "long")


def encode_any(header: Header) -> bytes:
    """Return a header as a writer of others might make it: ours refuses the impossible numbers."""
    with mock.patch.object(refs, "LARGEST_WRITTEN", 2**63):
        return encode_header(header)[0]


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("make_base", BASES, ids=lambda made: made.__name__.strip("_"))
def test_bases_that_lie(store: Path, make_base: Callable[[Path], Base]) -> None:
    """Entries of other kinds, heights, counts and sizes than their objects: an error for this session alone."""
    use_with(store, base=make_base(store))


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize(("height", "fan_out"), [(1100, 1), (40, 2), (8, 32)])
def test_towers_of_nodes(store: Path, height: int, fan_out: int) -> None:
    """Bug: totals recursed as deep as a tree said to be high, and counted a chunk as often as it was named.

    Reading the end of such a session, listing it and totals take no more than its few objects.
    """
    use_with(store, base=base_of(tower(store, height, fan_out)))


def test_commits_that_lie(store: Path, seed: int, long_size: bool) -> None:
    """Links to chunks, to commits of other depths and sizes, and commits with any field changed."""
    dice = random.Random(seed)
    path = store / "refs" / path_of("desk-11111111", "continued")
    good = path.read_bytes()
    header = parse_ref(good, path).header
    edited = parse_ref((store / "refs" / path_of("desk-11111111", "edited")).read_bytes(), "").header
    assert edited.commit is not None
    chunk = put(store, CHUNK)
    links = [CommitLink(chunk, len(CHUNK), 0), CommitLink(chunk, 10**15, 3), CommitLink(edited.commit.id, 5, 10**17)]
    links += [edited.commit._replace(depth=depth) for depth in (0, 1, 10**17)]
    (commit,) = store.glob(f"objects/*/{edited.commit.id}.jsonl")
    record = json.loads(commit.read_bytes())
    for _ in range(1000 if long_size else 10):
        data = mutate(record, dice) + b"\n"
        links.append(CommitLink(put(store, data), len(data), edited.commit.depth))
    for link in links:
        generation = dice.choice((None, edited.generation))
        with altered(path, encode_any(replace(header, commit=link, generation=generation))):
            use(store, "continued")


def test_list_nodes_with_any_entry_changed(store: Path, seed: int, long_size: bool) -> None:
    """A node may hold anything: reading never goes by it without its entry's numbers agreeing."""
    dice = random.Random(seed)
    entries = [Entry(put(store, CHUNK), 1, len(CHUNK))] * 3
    record = {"node": [entry.to_json() for entry in entries]}
    for _ in range(1500 if long_size else 20):
        try:
            changed = json.loads(mutate(record, dice))["node"]
            data = b"".join(json.dumps(entry).encode() + b"\n" for entry in changed)
        except (KeyError, TypeError, RecursionError):
            continue
        use_with(store, base=base_of(Spine(((), (Entry(put(store, data), 3, 3 * len(CHUNK), chain_of(1)),)))))


# -- Frames ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("little_memory")
def test_frames_with_any_bytes_changed(seed: int, long_size: bool) -> None:
    """A frame gives its content or a ValueError, however its headers, blocks and sizes are changed."""
    dice = random.Random(seed)
    content = CHUNK * 300 + dice.randbytes(3000)
    good = compress(content)
    for _ in range(200_000 if long_size else 3000):
        frame = bytearray(good)
        for _ in range(dice.choice((1, 1, 2, 5))):
            # Mostly in the headers, where what counts is.
            at = dice.choice((dice.randrange(16), dice.randrange(len(frame))))
            change = dice.randrange(3)
            if change == 0:
                frame[at : at + 1] = bytes([dice.randrange(256)])
            elif change == 1:
                del frame[at : at + dice.randrange(1, 9)]
            else:
                frame[at:at] = dice.randbytes(dice.randrange(1, 9))
        try:
            found = decompress(bytes(frame), size=None, limit=10**12)
        except ValueError:
            continue
        assert len(found) < 2**22
