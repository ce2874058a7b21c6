"""What is done to a good store, so that a check finds it; each returns the file that the error must name."""

from __future__ import annotations

import gzip
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from coda_fs_session.backends.disk.zstd import compress
from coda_fs_session.format.chunks import Sizes
from coda_fs_session.format.ids import Chain, ObjectId, line_id, object_id
from coda_fs_session.format.lists import encode_list
from coda_fs_session.format.records import Base, CommitLink, Tail
from coda_fs_session.format.refs import Header, encode_header, encode_save, parse_ref
from coda_fs_session.format.replica_file import ReplicaFile, encode_replica_file
from coda_fs_session.format.tree import Entry, Spine, encode_node

from .stores import Machine

ONE_CUT = Sizes(minimum=2000, spread=2**40, large=2**20, full=2000)
_LISTED = f"objects/ab/{'ab' * 32}.jsonl"
_REF, _RENAMED = "refs/desk-11111111/talk.jsonl", "refs/desk-11111111/draft.jsonl"


def _change(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    if data.count(old) < 1:
        raise ValueError(f"{path} holds no {old!r}")
    path.write_bytes(data.replace(old, new, 1))


def in_ref(old: bytes, new: bytes) -> Callable[[Path], str]:
    def damage(root: Path) -> str:
        _change(root / _REF, old, new)
        return _REF

    return damage


def header(**fields: Any) -> Callable[[Path], str]:
    """Change header fields and give the header a right id again: damage that no hash of the line shows."""

    def damage(root: Path) -> str:
        header = json.loads((root / _REF).read_bytes().partition(b"\n")[0])
        del header["id"]
        base = header["base"] | fields.pop("base", {})
        before = json.dumps(header | fields | {"base": base}, separators=(",", ":")).encode()[:-1]
        (root / _REF).write_bytes(before + b',"id":"%b"}\n' % line_id(before).encode())
        return _REF

    return damage


def without_line_3(root: Path) -> str:
    lines = (root / _REF).read_bytes().splitlines(keepends=True)
    (root / _REF).write_bytes(b"".join(lines[:2] + lines[3:]))
    return _REF


def torn(root: Path) -> str:
    path = root / _REF
    path.write_bytes(path.read_bytes()[:-30])
    return _REF


def sectors_of_zeros(root: Path) -> str:
    path = root / _REF
    data = path.read_bytes()
    last = data.rindex(b"\n", 0, -1) + 1
    edge = -(-last // 512) * 512
    path.write_bytes(data[:edge] + bytes(512) + data[edge + 512 :])
    return _REF


def last_newline(root: Path) -> str:
    path = root / _REF
    path.write_bytes(path.read_bytes()[:-1] + b"\x0b")
    return _REF


def _first_object(root: Path) -> Path:
    header = json.loads((root / _REF).read_bytes().partition(b"\n")[0])
    identity = header["base"]["spine"][0][0][0]
    return next((root / "objects" / identity[:2]).glob(f"{identity}.jsonl*"))


def altered_object(root: Path) -> str:
    path = _first_object(root)
    _change(path, b"the", b"teh")
    return path.relative_to(root).as_posix()


def short_object(root: Path) -> str:
    path = _first_object(root)
    path.write_bytes(path.read_bytes()[:-1])
    return path.relative_to(root).as_posix()


def missing_object(root: Path) -> str:
    path = _first_object(root)
    path.unlink()
    return path.relative_to(root).as_posix()


def _commit(root: Path) -> Path:
    """Return the commit of the session that was renamed."""
    header = json.loads((root / _RENAMED).read_bytes().partition(b"\n")[0])
    identity = header["commit"][0]
    return root / "objects" / identity[:2] / f"{identity}.jsonl"


def _put(root: Path, data: bytes) -> ObjectId:
    identity = object_id(data)
    path = root / "objects" / identity[:2] / f"{identity}.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return ObjectId(identity)


def _rewritten(root: Path, ref: str, change: Callable[[Header], Header]) -> None:
    """Change a header, and give it and the saves after it right ids again."""
    parsed = parse_ref((root / ref).read_bytes(), ref)
    data, identity = encode_header(change(parsed.header))
    for save in parsed.saves:
        line, identity = encode_save(save._replace(previous=identity))
        data += line
    (root / ref).write_bytes(data)


def _other_base(root: Path, change: Callable[[Base, Entry], Base]) -> None:
    """Change the base of the session, which is one chunk."""

    def changed(header: Header) -> Header:
        return replace(header, base=change(header.base, header.base.spine.levels[0][0]))

    _rewritten(root, _REF, changed)


def message_with_blanks(root: Path) -> str:
    data = _first_object(root).read_bytes()
    spaced = data.replace(b'":"', b'": "', 1)

    def change(base: Base, chunk: Entry) -> Base:
        spine = Spine(((Entry(_put(root, spaced), chunk.messages, len(spaced)),),))
        return replace(base, spine=spine, bytes=len(spaced), chain=spine.end_chain())

    _other_base(root, change)
    return ""


def one_message_more(root: Path) -> str:
    def change(base: Base, chunk: Entry) -> Base:
        return replace(
            base, messages=chunk.messages + 1, spine=Spine(((chunk._replace(messages=chunk.messages + 1),),))
        )

    path = _first_object(root).relative_to(root).as_posix()
    _other_base(root, change)
    return path


def _in_a_node(root: Path, height: int, chain: str) -> None:
    """Put the chunk into a list node of some height, of which a chain hash is said; "" for the right one."""

    def change(base: Base, chunk: Entry) -> Base:
        node = _put(root, encode_node([chunk]))
        entry = Entry(node, base.messages, base.bytes, Chain(chain) or base.chain)
        return replace(base, spine=Spine((*[()] * height, (entry,))), chain=Chain(chain) or base.chain)

    _other_base(root, change)


def other_height(root: Path) -> str:
    path = _first_object(root).relative_to(root).as_posix()
    _in_a_node(root, 2, "")
    return path


def other_node_chain(root: Path) -> str:
    _in_a_node(root, 1, "ab" * 32)
    return ""


def other_tail_chain(root: Path) -> str:
    def change(base: Base, chunk: Entry) -> Base:
        tail = Tail(chunk.id, chunk.bytes, chunk.messages, chunk.bytes)
        return replace(base, spine=Spine(), tail=tail, chain=Chain("ab" * 32))

    path = _first_object(root).relative_to(root).as_posix()
    _other_base(root, change)
    return path


def replaced_ref(root: Path) -> str:
    shutil.copyfile(root / _REF, root / "refs/desk-11111111/talk.2.jsonl")
    return in_ref(b"Save number 1", b"Save number 7")(root)


def frozen_elsewhere(root: Path) -> str:
    def change(header: Header) -> Header:
        assert header.generation is not None
        return replace(header, generation=header.generation._replace(frozen_messages=2))

    _rewritten(root, _RENAMED, change)
    return ""


def other_commit(**fields: object) -> Callable[[Path], str]:
    """Let the commit of the session that was renamed have other fields, and the right hash."""

    def damage(root: Path) -> str:
        path = _commit(root)
        record = json.loads(path.read_bytes())
        data = json.dumps(record | fields, separators=(",", ":")).encode() + b"\n"
        path.unlink()
        link = CommitLink(_put(root, data), len(data), 0)
        _rewritten(root, _RENAMED, lambda header: replace(header, commit=link))
        return ""

    return damage


def compressed_commit(root: Path) -> str:
    path = _commit(root)
    path.with_name(f"{path.name}.zst").write_bytes(compress(path.read_bytes()))
    path.unlink()
    return ""


def packed_otherwise(root: Path) -> str:
    path = _first_object(root)
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    path.unlink()
    return path.relative_to(root).as_posix()


def in_a_folder_of_another_name(root: Path) -> str:
    path = _first_object(root)
    path.parent.rename(path.parent.with_name(f"{path.parent.name} (Case Conflict)"))
    return path.relative_to(root).as_posix()


def without_commit(root: Path) -> str:
    _commit(root).unlink()
    return ""


def altered_commit(root: Path) -> str:
    _change(_commit(root), b"rename", b"rebame")
    return ""


def unused_object(root: Path) -> str:
    (root / "objects" / "ab").mkdir()
    (root / "objects" / "ab" / f"{'ab' * 32}.jsonl").write_bytes(b"{}\n")
    return ""


def copied_object(root: Path) -> str:
    path = _first_object(root)
    shutil.copyfile(path, path.with_name(f"{path.stem} (copy).jsonl"))
    return ""


def bad_copy(root: Path) -> str:
    path = _first_object(root)
    path.with_name(f"{path.stem} (copy).jsonl").write_bytes(b"{}\n")
    return ""


def object_elsewhere(root: Path) -> str:
    path = _first_object(root)
    (root / "objects" / "00").mkdir()
    shutil.copyfile(path, root / "objects" / "00" / path.name)
    return ""


def file(name: str) -> Callable[[Path], str]:
    def damage(root: Path) -> str:
        (root / name).write_bytes(b"x")
        return ""

    return damage


def _said(root: Path, said: ReplicaFile) -> None:
    (root / "refs" / said.replica / "replica.json").write_bytes(encode_replica_file(said))


def _list(root: Path) -> Path:
    """Let a list be done that names a file which is gone; return the file of the list."""
    data = encode_list([_LISTED])
    identity = object_id(data)
    path = root / "objects" / identity[:2] / f"{identity}.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    _said(root, ReplicaFile("desk-11111111", 1, done=(identity,)))
    return path


def without_list(root: Path) -> str:
    _list(root).unlink()
    return ""


def altered_list(root: Path) -> str:
    _change(_list(root), b"objects", b"subject")
    return ""


def no_list(root: Path) -> str:
    _list(root)
    _said(root, ReplicaFile("desk-11111111", 1, condemned=ObjectId(_first_object(root).name[:64])))
    return ""


def listed_file(root: Path) -> str:
    _list(root)
    (root / _LISTED).parent.mkdir(exist_ok=True)
    (root / _LISTED).write_bytes(b"{}\n")
    return ""


def _purged(root: Path) -> tuple[Path, bytes]:
    """Purge a word of a chunk; return the file of that, which is gone, with what was in it."""
    path = _first_object(root)
    data = path.read_bytes()
    with tempfile.TemporaryDirectory() as state:
        desk = Machine(root, Path(state), "desk-11111111", sizes=ONE_CUT)
        assert desk.manager.maintenance.purge_text("leap").places
    return path, data


def without_purge_record(root: Path) -> str:
    path, _ = _purged(root)
    (record,) = json.loads((root / "refs/desk-11111111/replica.json").read_bytes())["purged"]
    next((root / "objects" / record[:2]).glob(f"{record}*")).unlink()
    return path.relative_to(root).as_posix()


def purged_object(root: Path) -> str:
    path, data = _purged(root)
    path.write_bytes(data)
    return ""


def without_readme(root: Path) -> str:
    (root / "README.txt").unlink()
    return ""


def newer_format(root: Path) -> str:
    (root / "FORMAT").write_bytes(b'{"coda_fs_session":2}\n')
    return "FORMAT"
