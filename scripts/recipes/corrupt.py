"""Small damaged stores, and what the library must say of each."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coda_fs_session import SessionManager, StoreError
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.files.backend import LocalBackend
from coda_fs_session.backends.memory import MemoryState
from coda_fs_session.format.chunks import Sizes
from coda_fs_session.format.ids import ObjectId, line_id, object_id
from coda_fs_session.format.lists import encode_list
from coda_fs_session.format.replica_file import ReplicaFile, encode_replica_file
from coda_fs_session.repo.repository import Repository, Settings
from coda_fs_session.repo.storage import RepoStorage

from .conversations import conversation
from .stores import Machine
from .tree import write_json

SESSION, OTHER = "talk", "other"
_ONE_CUT = Sizes(minimum=2000, spread=2**40, large=2**20, full=2000)
_LISTED = f"objects/ab/{'ab' * 32}.jsonl"
_REF = "refs/desk-11111111/talk.jsonl"


@dataclass(frozen=True)
class Case:
    """One kind of damage.

    Attributes:
        damage: does it to a good store and returns the file that the error must name.
        error: class of the error, None where the damage is harmless; line: the line that it must name.
        lost: how many of the messages are not there any more, rightly.
        history: whether there is a session with a commit too.
    """

    damage: Callable[[Path], str]
    error: str | None
    line: int | None = None
    lost: int = 0
    history: bool = False


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


def _commit(root: Path) -> Path:
    """Return the commit of the session that was renamed."""
    header = json.loads((root / "refs/desk-11111111/draft.jsonl").read_bytes().partition(b"\n")[0])
    identity = header["commit"][0]
    return root / "objects" / identity[:2] / f"{identity}.jsonl"


def _without_commit(root: Path) -> str:
    _commit(root).unlink()
    return ""


def _altered_commit(root: Path) -> str:
    _change(_commit(root), b"rename", b"rebame")
    return ""


def _unused_object(root: Path) -> str:
    (root / "objects" / "ab").mkdir()
    (root / "objects" / "ab" / f"{'ab' * 32}.jsonl").write_bytes(b"{}\n")
    return ""


def _copied_object(root: Path) -> str:
    path = _first_object(root)
    shutil.copyfile(path, path.with_name(f"{path.stem} (copy).jsonl"))
    return ""


def _bad_copy(root: Path) -> str:
    path = _first_object(root)
    path.with_name(f"{path.stem} (copy).jsonl").write_bytes(b"{}\n")
    return ""


def _object_elsewhere(root: Path) -> str:
    path = _first_object(root)
    (root / "objects" / "00").mkdir()
    shutil.copyfile(path, root / "objects" / "00" / path.name)
    return ""


def _file(name: str) -> Callable[[Path], str]:
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


def _without_list(root: Path) -> str:
    _list(root).unlink()
    return ""


def _altered_list(root: Path) -> str:
    _change(_list(root), b"objects", b"subject")
    return ""


def _no_list(root: Path) -> str:
    _list(root)
    _said(root, ReplicaFile("desk-11111111", 1, condemned=ObjectId(_first_object(root).name[:64])))
    return ""


def _listed_file(root: Path) -> str:
    _list(root)
    (root / _LISTED).parent.mkdir(exist_ok=True)
    (root / _LISTED).write_bytes(b"{}\n")
    return ""


def _purged(root: Path) -> tuple[Path, bytes]:
    """Purge a word of a chunk; return the file of that, which is gone, with what was in it."""
    path = _first_object(root)
    data = path.read_bytes()
    with tempfile.TemporaryDirectory() as state:
        desk = Machine(root, Path(state), "desk-11111111", sizes=_ONE_CUT)
        assert desk.manager.maintenance.purge_text("leap").places
    return path, data


def _without_purge_record(root: Path) -> str:
    path, _ = _purged(root)
    (record,) = json.loads((root / "refs/desk-11111111/replica.json").read_bytes())["purged"]
    next((root / "objects" / record[:2]).glob(f"{record}*")).unlink()
    return path.relative_to(root).as_posix()


def _purged_object(root: Path) -> str:
    path, data = _purged(root)
    path.write_bytes(data)
    return ""


def _without_readme(root: Path) -> str:
    (root / "README.txt").unlink()
    return ""


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
    "hidden-size": Case(_header(base={"start": 1, "start_bytes": 5}), None, lost=5),
    "commit-missing": Case(_without_commit, None, history=True),
    "commit-altered": Case(_altered_commit, None, history=True),
    "unused-object-damaged": Case(_unused_object, None),
    "object-copied": Case(_copied_object, None),
    "object-copy-damaged": Case(_bad_copy, None),
    "object-elsewhere": Case(_object_elsewhere, None),
    "stray-file": Case(_file("notes.txt"), None),
    "replica-file": Case(_file("refs/desk-11111111/replica.json"), None),
    "temporary-file": Case(_file("refs/.tmp-0123456789abcdef"), None),
    "list-missing": Case(_without_list, None),
    "list-altered": Case(_altered_list, None),
    "list-is-none": Case(_no_list, None),
    "listed-file-back": Case(_listed_file, None),
    "purge-record-missing": Case(_without_purge_record, "ObjectNotYetHereError"),
    "purged-object-back": Case(_purged_object, None),
    "readme-missing": Case(_without_readme, None),
}


def make(folder: Path) -> None:
    """Make one folder a case: `store/`, and `expected.json` with what reading it must give."""
    for name, case in CASES.items():
        root = folder / name / "store"
        messages = _good_store(root, history=case.history)
        path = case.damage(root)
        expected = {"session": SESSION, "other": OTHER, "error": case.error}
        expected |= {"messages": messages - case.lost} if case.error is None else {"path": path, "line": case.line}
        if case.error != "StoreFormatError" or path != "FORMAT":
            expected |= {"check": found_in(root), "repair": repaired(root)}
        write_json(folder / name / "expected.json", expected)


def open_case(root: Path, *, read_only: bool = False) -> SessionManager:
    """Open the store of a case as the replica that wrote it, with nothing kept outside."""
    backend = LocalBackend(root, files=Files(durable=False))
    settings = Settings(sizes=_ONE_CUT, read_only=read_only)
    storage = RepoStorage(Repository(backend, MemoryState("desk-11111111"), settings))
    return SessionManager({"session": {"autosave_interval": 0, "read_only": read_only}}, storage=storage)


def found_in(root: Path) -> dict[str, list[list[object]]]:
    """Return what a quick check and a full one find: rule, path below the store, and line."""
    manager = open_case(root, read_only=True)
    return {
        kind: [
            [finding.rule, Path(finding.path).relative_to(root).as_posix(), finding.line]
            for finding in manager.maintenance.check(full=kind == "full").findings
        ]
        for kind in ("quick", "full")
    }


def repaired(root: Path) -> dict[str, object]:
    """Return what a repair of a copy brings back: files, lost messages, and how many the session has then.

    "from_store" is what it has after a repair of another copy from a good store.
    """
    with tempfile.TemporaryDirectory() as scratch:
        copy, second, good = Path(scratch) / "copy", Path(scratch) / "second", Path(scratch) / "good"
        shutil.copytree(root, copy)
        shutil.copytree(root, second)
        _good_store(good, history=True)
        report = open_case(copy).maintenance.repair(dry_run=False)
        told: dict[str, object] = {
            "mended": [Path(each.path).relative_to(copy).as_posix() for each in report.mended],
            "lost": [[each.session, [[places.start, places.stop] for places in each.messages]] for each in report.lost],
            "messages": _messages(copy),
        }
        open_case(second).maintenance.repair(dry_run=False, from_store=good)
        return told | {"from_store": _messages(second)}


def _messages(root: Path) -> int | None:
    """Return how many messages the session has, None where it cannot be read."""
    try:
        return len(open_case(root, read_only=True).load_session(SESSION).get_messages())
    except StoreError:
        return None


def _good_store(root: Path, *, history: bool = False) -> int:
    """Make a store, with a commit in it if there is to be history; return how many messages the session has."""
    with tempfile.TemporaryDirectory() as state:
        desk = Machine(root, Path(state), "desk-11111111", sizes=_ONE_CUT)
        desk.start(OTHER, [{"role": "user", "content": "Nothing happens to this one."}])
        if history:
            desk.start("draft", [{"role": "user", "content": "This one is renamed."}])
            desk.manager.rename_session("draft", "final")
        talk = desk.start(SESSION, conversation("agent/leap-years")[1:9])
        for number in range(3):
            desk.save(talk, {"role": "user", "content": f"Save number {number}."})
        desk.save(talk, {"role": "assistant", "content": "The last one. " * 100})
        return len(talk)
