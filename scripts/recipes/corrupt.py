"""Small damaged stores, and what the library must say of each."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from coda_fs_session import SessionManager, StoreError
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.files.backend import LocalBackend
from coda_fs_session.backends.memory import MemoryState
from coda_fs_session.repo.repository import Repository, Settings
from coda_fs_session.repo.storage import RepoStorage

from . import damages
from .conversations import conversation
from .stores import Machine
from .tree import write_json

SESSION, OTHER = "talk", "other"


@dataclass(frozen=True)
class Case:
    """One kind of damage.

    Attributes:
        damage: does it to a good store and returns the file that the error must name.
        error: class of the error, None where the damage is harmless; line: the line that it must name.
        lost: how many of the messages are not there any more, rightly.
        history: whether there is a session with a commit too.
        by_writer: `read_store` looks at other things, and need not agree: hashes are right, or another file stands in.
    """

    damage: Callable[[Path], str]
    error: str | None
    line: int | None = None
    lost: int = 0
    history: bool = False
    by_writer: bool = False


_TELEPORT = [{"feature": "teleport", "since": "9.1"}]
_TWO_EDITS = [[0, 1, ["ab" * 32]], [0, 1, ["cd" * 32]]]

CASES = {
    "header-flipped": Case(damages.in_ref(b'"messages":', b'"messager":'), "CorruptionError", line=1),
    "middle-line-flipped": Case(damages.in_ref(b"Save number 1", b"Save number 7"), "CorruptionError", line=3),
    "prev-mismatch": Case(damages.without_line_3, "CorruptionError", line=3),
    "last-newline-damaged": Case(damages.last_newline, "CorruptionError", line=5),
    "last-line-torn": Case(damages.torn, None, lost=1),
    "last-line-zeros": Case(damages.sectors_of_zeros, None, lost=1),
    "base-adds-up-to-less": Case(damages.header(base={"messages": 1}), "CorruptionError", line=1),
    "base-of-another-chain": Case(damages.header(base={"chain": "ab" * 32}), "CorruptionError", line=1),
    "requires-unknown-feature": Case(damages.header(requires=_TELEPORT), "StoreFormatError"),
    "newer-ref": Case(damages.header(coda_fs_session=2), "StoreFormatError"),
    "newer-format": Case(damages.newer_format, "StoreFormatError"),
    "object-altered": Case(damages.altered_object, "CorruptionError"),
    "object-cut-short": Case(damages.short_object, "CorruptionError"),
    "object-missing": Case(damages.missing_object, "ObjectNotYetHereError"),
    "hidden-size": Case(damages.header(base={"start": 1, "start_bytes": 5}), None, lost=5),
    "ref-replaced": Case(damages.replaced_ref, None, by_writer=True),
    "frozen-elsewhere": Case(damages.frozen_elsewhere, None, history=True),
    "message-with-blanks": Case(damages.message_with_blanks, None),
    "one-message-more": Case(damages.one_message_more, "CorruptionError", by_writer=True),
    "node-of-another-height": Case(damages.other_height, "CorruptionError", by_writer=True),
    "node-of-another-chain": Case(damages.other_node_chain, None, by_writer=True),
    "tail-of-another-chain": Case(damages.other_tail_chain, "CorruptionError", by_writer=True),
    "commit-of-another-skip": Case(damages.other_commit(skip=["ab" * 32, 10, 0]), None, history=True),
    "commit-of-other-edits": Case(damages.other_commit(edits=_TWO_EDITS), None, history=True),
    "commit-compressed": Case(damages.compressed_commit, None, history=True),
    "object-packed-otherwise": Case(damages.packed_otherwise, "ObjectNotYetHereError"),
    "objects-in-another-folder": Case(damages.in_a_folder_of_another_name, "ObjectNotYetHereError"),
    "replica-file-copied": Case(damages.file("refs/desk-11111111/replica.sync-conflict-1.json"), None),
    "commit-missing": Case(damages.without_commit, None, history=True),
    "commit-altered": Case(damages.altered_commit, None, history=True),
    "unused-object-damaged": Case(damages.unused_object, None),
    "object-copied": Case(damages.copied_object, None),
    "object-copy-damaged": Case(damages.bad_copy, None),
    "object-elsewhere": Case(damages.object_elsewhere, None),
    "stray-file": Case(damages.file("notes.txt"), None),
    "replica-file": Case(damages.file("refs/desk-11111111/replica.json"), None),
    "temporary-file": Case(damages.file("refs/.tmp-0123456789abcdef"), None),
    "list-missing": Case(damages.without_list, None),
    "list-altered": Case(damages.altered_list, None),
    "list-is-none": Case(damages.no_list, None),
    "listed-file-back": Case(damages.listed_file, None),
    "purge-record-missing": Case(damages.without_purge_record, "ObjectNotYetHereError"),
    "purged-object-back": Case(damages.purged_object, None),
    "readme-missing": Case(damages.without_readme, None),
}


def make(folder: Path) -> None:
    """Make one folder a case: `store/`, and `expected.json` with what reading it must give."""
    for name, case in CASES.items():
        root = folder / name / "store"
        messages = _good_store(root, history=case.history)
        path = case.damage(root)
        expected = {"session": SESSION, "other": OTHER, "error": case.error}
        expected |= {"messages": messages - case.lost} if case.error is None else {"path": path, "line": case.line}
        if case.by_writer:
            expected["by_writer"] = True
        if case.error != "StoreFormatError" or path != "FORMAT":
            expected |= {"check": found_in(root), "repair": repaired(root)}
        write_json(folder / name / "expected.json", expected)


def open_case(root: Path, *, read_only: bool = False) -> SessionManager:
    """Open the store of a case as the replica that wrote it, with nothing kept outside."""
    backend = LocalBackend(root, files=Files(durable=False))
    settings = Settings(sizes=damages.ONE_CUT, read_only=read_only)
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
        desk = Machine(root, Path(state), "desk-11111111", sizes=damages.ONE_CUT)
        desk.start(OTHER, [{"role": "user", "content": "Nothing happens to this one."}])
        if history:
            desk.start("draft", [{"role": "user", "content": "This one is renamed."}])
            desk.manager.rename_session("draft", "final")
        talk = desk.start(SESSION, conversation("agent/leap-years")[1:9])
        for number in range(3):
            desk.save(talk, {"role": "user", "content": f"Save number {number}."})
        desk.save(talk, {"role": "assistant", "content": "The last one. " * 100})
        return len(talk)
