"""Each kind of damage that a check finds: what does it to a store, and which rules find it."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
from damage.specimen import DESK

from coda_fs_session.backends.disk.zstd import compress
from coda_fs_session.format.chunks import LARGEST_RUN
from coda_fs_session.format.generations import FIRST_GENERATION, StateId, TakenIn
from coda_fs_session.format.ids import ObjectId, chain_message, object_id
from coda_fs_session.format.records import Base, Tail
from coda_fs_session.format.refs import Header, encode_header, encode_save, parse_ref
from coda_fs_session.format.tree import Entry, Spine

Damage = Callable[[Path], object]


def ref(store: Path, name: str) -> Path:
    return store / "refs" / DESK / f"{name}.jsonl"


def rewrite(path: Path, change: Callable[[Header], Header]) -> None:
    """Change a header, and give it and the saves after it right ids again."""
    parsed = parse_ref(path.read_bytes(), path)
    data, identity = encode_header(change(parsed.header))
    for save in parsed.saves:
        line, identity = encode_save(save._replace(previous=identity))
        data += line
    path.write_bytes(data)


def rewrite_base(path: Path, change: Callable[[Base], Base]) -> None:
    rewrite(path, lambda header: replace(header, base=change(header.base)))


def put(store: Path, data: bytes) -> str:
    identity = object_id(data)
    folder = store / "objects" / identity[:2]
    folder.mkdir(exist_ok=True)
    (folder / f"{identity}.jsonl").write_bytes(data)
    return identity


def object_file(store: Path, identity: str) -> Path:
    (path,) = store.glob(f"objects/*/{identity}*")
    return path


def base_of(store: Path, name: str) -> Base:
    return parse_ref(ref(store, name).read_bytes(), name).header.base


def chunk_of(store: Path, name: str) -> Path:
    return object_file(store, base_of(store, name).spine.levels[0][0].id)


def commit_of(store: Path, name: str) -> Path:
    link = parse_ref(ref(store, name).read_bytes(), name).header.commit
    assert link is not None
    return object_file(store, link.id)


def flip(path: Path, at: int = -20) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def with_chunk(store: Path, name: str, data: bytes) -> None:
    """Let the first chunk of a session be another object, of as many messages and bytes as is said."""
    identity = put(store, data)

    def change(base: Base) -> Base:
        first, *others = base.spine.levels[0]
        levels = ((first._replace(id=identity), *others), *base.spine.levels[1:])
        spine = Spine(levels)
        return replace(base, spine=spine, chain=base.chain if base.tail else spine.end_chain())

    rewrite_base(ref(store, name), change)


def message_with_a_tab(store: Path) -> None:
    data = chunk_of(store, "continued").read_bytes()
    with_chunk(store, "continued", data.replace(b" ", b"\t", 1))


def spoiled_message(store: Path) -> None:
    data = chunk_of(store, "continued").read_bytes()
    with_chunk(store, "continued", data.replace(b'":"', b'": "', 1).replace(b'"}', b"}", 1))


def only_message(store: Path, line: bytes) -> None:
    """Let a session have one message."""
    data = line + b"\n"

    def change(base: Base) -> Base:
        spine = Spine(((Entry(ObjectId(put(store, data)), 1, len(data)),),))
        return replace(base, spine=spine, messages=1, bytes=len(data), chain=spine.end_chain())

    rewrite_base(ref(store, "continued"), change)


def large_tail(store: Path) -> None:
    line = b'{"content":"%b"}' % (b"x" * LARGEST_RUN)
    size = len(line) + 1

    def change(base: Base) -> Base:
        tail, before = Tail(ObjectId(put(store, line + b"\n")), size, 1, size), base.spine
        chain = chain_message(before.end_chain(), line)
        return replace(base, tail=tail, messages=before.messages + 1, bytes=before.bytes + size, chain=chain)

    rewrite_base(ref(store, "fork"), change)


def other_chain(store: Path) -> None:
    def change(base: Base) -> Base:
        *lower, top = base.spine.levels
        spine = Spine((*lower, (*top[:-1], top[-1]._replace(chain="ab" * 32))))
        return replace(base, spine=spine, chain=spine.end_chain())

    rewrite_base(ref(store, "long"), change)


def other_height(store: Path) -> None:
    def change(base: Base) -> Base:
        return replace(base, spine=Spine(((), base.spine.levels[-1])))

    rewrite_base(ref(store, "long"), change)


def other_commit(store: Path, **fields: Any) -> None:
    """Let the last commit of a session have other fields, and the right hash."""
    old = orjson.loads(commit_of(store, "edited").read_bytes())
    data = orjson.dumps(old | fields) + b"\n"
    identity = put(store, data)

    def change(header: Header) -> Header:
        assert header.commit is not None
        return replace(header, commit=header.commit._replace(id=identity, size=len(data)))

    rewrite(ref(store, "edited"), change)


def frozen_elsewhere(store: Path) -> None:
    def change(header: Header) -> Header:
        assert header.generation is not None
        return replace(header, generation=header.generation._replace(frozen_messages=1))

    rewrite(ref(store, "cleared"), change)


def merged_elsewhere(store: Path) -> None:
    def change(header: Header) -> Header:
        assert header.generation is not None
        assert header.commit is not None
        taken = TakenIn(StateId(FIRST_GENERATION, 1, header.base.chain), header.commit)
        return replace(header, generation=header.generation._replace(operation="merge", merged=(taken,)))

    rewrite(ref(store, "cleared"), change)


def too_deep(store: Path) -> None:
    folder = store.joinpath("refs", *["deeper"] * 33)
    folder.mkdir(parents=True)
    (folder / "chat.jsonl").write_bytes(b"x")


def packed_otherwise(store: Path) -> None:
    path = chunk_of(store, "continued")
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()


def replaced(store: Path) -> None:
    path = ref(store, "tagged")
    shutil.copy(path, path.with_name("tagged.2.jsonl"))
    flip(path)


def compressed_commit(store: Path) -> None:
    path = commit_of(store, "cleared")
    path.with_name(f"{path.name}.zst").write_bytes(compress(path.read_bytes()))
    path.unlink()


def copied(store: Path) -> None:
    path = chunk_of(store, "continued")
    shutil.copy(path, path.with_name(f"{path.stem} (conflict 1).jsonl"))


def copied_and_flipped(store: Path) -> None:
    copied(store)
    flip(chunk_of_copy(store))


def chunk_of_copy(store: Path) -> Path:
    return next(store.glob("objects/*/*conflict*"))


def irregular(path: Path) -> None:
    path.unlink()
    path.mkdir()


CASES: dict[str, tuple[Damage, set[str]]] = {
    "a header flipped": (lambda store: flip(ref(store, "sealed"), 30), {"ref-header"}),
    "a line flipped": (lambda store: flip(ref(store, "tagged")), {"ref-line"}),
    "a damaged ref beside a good one": (replaced, {"ref-replaced"}),
    "a last line cut off": (
        lambda store: os.truncate(ref(store, "tagged"), ref(store, "tagged").stat().st_size - 9),
        {"ref-torn"},
    ),
    "a folder for a ref": (lambda store: irregular(ref(store, "tagged")), {"ref-unreadable"}),
    "a newer ref": (lambda store: ref(store, "tagged").write_bytes(b'{"coda_fs_session":2}\n'), {"newer-version"}),
    "another frozen state": (frozen_elsewhere, {"ref-frozen"}),
    "another size of what is hidden": (
        lambda store: rewrite_base(ref(store, "edited"), lambda base: replace(base, start_bytes=base.start_bytes - 1)),
        {"base-start"},
    ),
    "a message with a blank": (spoiled_message, {"message-line"}),
    "a message with a tab": (message_with_a_tab, {"message-line"}),
    "a message that is nested too deeply": (
        lambda store: only_message(store, b'{"a":' * 201 + b"1" + b"}" * 201),
        {"message-line"},
    ),
    "a message that no program can write again": (
        lambda store: only_message(store, b'{"a":' * 300 + b"1" + b"}" * 300),
        {"message-line"},
    ),
    "a tail that is too large": (large_tail, {"object-content"}),
    "an object packed by another tool": (packed_otherwise, {"object-missing"}),
    "another state than was merged": (merged_elsewhere, {"ref-frozen"}),
    "a commit without what was replaced": (
        lambda store: other_commit(store, edits=[[0, 1, ["ab" * 32]], [0, 1, ["cd" * 32]]]),
        {"commit-edits"},
    ),
    "a commit whose name is a number": (lambda store: other_commit(store, name=7), {"history-damaged"}),
    "an object removed": (lambda store: chunk_of(store, "continued").unlink(), {"object-missing"}),
    "an object flipped": (lambda store: flip(chunk_of(store, "continued")), {"object-damaged"}),
    "an object cut off": (lambda store: os.truncate(chunk_of(store, "continued"), 50), {"object-damaged"}),
    "a folder for an object": (lambda store: irregular(chunk_of(store, "continued")), {"object-missing", "stray-file"}),
    "a commit removed": (lambda store: commit_of(store, "cleared").unlink(), {"history-missing"}),
    "a commit flipped": (lambda store: flip(commit_of(store, "cleared")), {"history-damaged"}),
    "an object that nothing names flipped": (
        lambda store: flip(object_file(store, put(store, b"{}\n")), 0),
        {"unused-damaged"},
    ),
    "a chunk of another count": (lambda store: with_chunk(store, "continued", b"{}\n"), {"object-content"}),
    "a compressed commit": (compressed_commit, {"object-form"}),
    "another chain of a list node": (other_chain, {"node-chain"}),
    "another height of a list node": (other_height, {"node-height"}),
    "another chain of a tail": (
        lambda store: rewrite_base(ref(store, "fork"), lambda base: replace(base, chain="ab" * 32)),
        {"tail-chain"},
    ),
    "another skip": (lambda store: other_commit(store, skip=["ab" * 32, 10, 0]), {"commit-skip", "history-missing"}),
    "a copy of an object": (copied, {"object-copy"}),
    "a damaged copy of an object": (copied_and_flipped, {"object-copy"}),
    "an object elsewhere": (
        lambda store: (store / "objects" / "00" / f"{'ab' * 32}.jsonl").write_bytes(b"{}\n"),
        {"object-place"},
    ),
    "a stray file": (lambda store: (store / "notes.txt").write_bytes(b""), {"stray-file"}),
    "a stray file among refs": (lambda store: (store / "refs" / "notes.txt").write_bytes(b"x"), {"stray-file"}),
    "a replica file": (lambda store: (store / "refs" / DESK / "replica.json").write_bytes(b"{}"), {"replica-file"}),
    "a copy of a replica file": (
        lambda store: (store / "refs" / DESK / "replica.sync-conflict-1.json").write_bytes(b"{}"),
        {"stray-file"},
    ),
    "a folder too deep": (too_deep, {"stray-file"}),
    "a temporary file": (lambda store: (store / "refs" / ".tmp-1").write_bytes(b""), {"temporary-file"}),
    "no README": (lambda store: (store / "README.txt").unlink(), {"constant-file"}),
    "open to all": (lambda store: store.chmod(0o777), {"open-to-all"}),
}
OF_A_QUICK_ONE: dict[str, set[str]] = {
    "another size of what is hidden": set(),
    "a message with a blank": set(),
    "a message with a tab": set(),
    "a message that is nested too deeply": set(),
    "a message that no program can write again": set(),
    "an object flipped": set(),
    "another chain of a tail": set(),
    "an object that nothing names flipped": set(),
}
"""What a quick check says of these: it reads no messages but where their size is wrong."""
