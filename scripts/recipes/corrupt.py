"""Small damaged stores, and what the library must say of each."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coda_fs_session.format.chunks import Sizes
from coda_fs_session.format.ids import line_id

from .conversations import conversation
from .stores import Machine
from .tree import write_json

SESSION, OTHER = "talk", "other"
_ONE_CUT = Sizes(minimum=2000, spread=2**40, large=2**20, full=2000)
_REF = "refs/desk-11111111/talk.jsonl"


@dataclass(frozen=True)
class Case:
    """One kind of damage.

    Attributes:
        damage: does it to a good store and returns the file that the error must name.
        error: class of the error, None where the damage is harmless; line: the line that it must name.
        lost: how many of the messages are not there any more, rightly.
    """

    damage: Callable[[Path], str]
    error: str | None
    line: int | None = None
    lost: int = 0


def _change(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    if data.count(old) < 1:
        raise ValueError(f"{path} holds no {old!r}")
    path.write_bytes(data.replace(old, new, 1))


def _in_ref(old: bytes, new: bytes) -> Callable[[Path], str]:
    def damage(root: Path) -> str:
        _change(root / _REF, old, new)
        return _REF

    return damage


def _header(**fields: Any) -> Callable[[Path], str]:
    """Change header fields and give the header a right id again: damage that no hash of the line shows."""

    def damage(root: Path) -> str:
        header = json.loads((root / _REF).read_bytes().partition(b"\n")[0])
        del header["id"]
        base = header["base"] | fields.pop("base", {})
        before = json.dumps(header | fields | {"base": base}, separators=(",", ":")).encode()[:-1]
        (root / _REF).write_bytes(before + b',"id":"%b"}\n' % line_id(before).encode())
        return _REF

    return damage


def _without_line_3(root: Path) -> str:
    lines = (root / _REF).read_bytes().splitlines(keepends=True)
    (root / _REF).write_bytes(b"".join(lines[:2] + lines[3:]))
    return _REF


def _torn(root: Path) -> str:
    path = root / _REF
    path.write_bytes(path.read_bytes()[:-30])
    return _REF


def _sectors_of_zeros(root: Path) -> str:
    path = root / _REF
    data = path.read_bytes()
    last = data.rindex(b"\n", 0, -1) + 1
    edge = -(-last // 512) * 512
    path.write_bytes(data[:edge] + bytes(512) + data[edge + 512 :])
    return _REF


def _last_newline(root: Path) -> str:
    path = root / _REF
    path.write_bytes(path.read_bytes()[:-1] + b"\x0b")
    return _REF


def _first_object(root: Path) -> Path:
    header = json.loads((root / _REF).read_bytes().partition(b"\n")[0])
    identity = header["base"]["spine"][0][0][0]
    return next((root / "objects" / identity[:2]).glob(f"{identity}.jsonl*"))


def _altered_object(root: Path) -> str:
    path = _first_object(root)
    _change(path, b"the", b"teh")
    return path.relative_to(root).as_posix()


def _short_object(root: Path) -> str:
    path = _first_object(root)
    path.write_bytes(path.read_bytes()[:-1])
    return path.relative_to(root).as_posix()


def _missing_object(root: Path) -> str:
    path = _first_object(root)
    path.unlink()
    return path.relative_to(root).as_posix()


def _newer_format(root: Path) -> str:
    (root / "FORMAT").write_bytes(b'{"coda_fs_session":2}\n')
    return "FORMAT"


CASES = {
    "header-flipped": Case(_in_ref(b'"messages":', b'"messager":'), "CorruptionError", line=1),
    "middle-line-flipped": Case(_in_ref(b"Save number 1", b"Save number 7"), "CorruptionError", line=3),
    "prev-mismatch": Case(_without_line_3, "CorruptionError", line=3),
    "last-newline-damaged": Case(_last_newline, "CorruptionError", line=5),
    "last-line-torn": Case(_torn, None, lost=1),
    "last-line-zeros": Case(_sectors_of_zeros, None, lost=1),
    "base-adds-up-to-less": Case(_header(base={"messages": 1}), "CorruptionError", line=1),
    "base-of-another-chain": Case(_header(base={"chain": "ab" * 32}), "CorruptionError", line=1),
    "requires-unknown-feature": Case(_header(requires=[{"feature": "teleport", "since": "9.1"}]), "StoreFormatError"),
    "newer-ref": Case(_header(coda_fs_session=2), "StoreFormatError"),
    "newer-format": Case(_newer_format, "StoreFormatError"),
    "object-altered": Case(_altered_object, "CorruptionError"),
    "object-cut-short": Case(_short_object, "CorruptionError"),
    "object-missing": Case(_missing_object, "ObjectNotYetHereError"),
}


def make(folder: Path) -> None:
    """Make one folder a case: `store/`, and `expected.json` with what reading it must give."""
    for name, case in CASES.items():
        root = folder / name / "store"
        messages = _good_store(root)
        path = case.damage(root)
        expected = {"session": SESSION, "other": OTHER, "error": case.error}
        expected |= {"messages": messages - case.lost} if case.error is None else {"path": path, "line": case.line}
        write_json(folder / name / "expected.json", expected)


def _good_store(root: Path) -> int:
    with tempfile.TemporaryDirectory() as state:
        desk = Machine(root, Path(state), "desk-11111111", sizes=_ONE_CUT)
        desk.start(OTHER, [{"role": "user", "content": "Nothing happens to this one."}])
        talk = desk.start(SESSION, conversation("agent/leap-years")[1:9])
        for number in range(3):
            desk.save(talk, {"role": "user", "content": f"Save number {number}."})
        desk.save(talk, {"role": "assistant", "content": "The last one. " * 100})
        return len(talk)
