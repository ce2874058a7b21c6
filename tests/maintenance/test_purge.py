"""Purging a text: it is nowhere any more, in no state of any session, and nothing else has changed."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from zlib import decompressobj
from zlib import error as zlib_error

import pytest
from damage.specimen import DESK, LAPTOP, SIZES, make, open_fresh
from storekit import Opener, message, open_store, ref_of, say, untouched

from coda_fs_session import (
    PurgeReport,
    SessionError,
    SessionManager,
    StoreError,
    StoreReadOnlyError,
    UnsupportedError,
)
from coda_fs_session.backends.base import Backend
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.disk.zstd import decompressed
from coda_fs_session.backends.files.backend import LocalBackend
from coda_fs_session.backends.memory import MemoryState
from coda_fs_session.format.masks import mask, of_pattern
from coda_fs_session.repo.repository import Repository, Settings
from coda_fs_session.repo.storage import RepoStorage
from coda_fs_session.testing import Fault, FaultyBackend

SECRET = "sk-ant-api03-Ab1"
STARS = "*" * len(SECRET)
SAID = re.compile(r"(desk|laptop)-[0-9]+ [0-9]+")
"""What nearly every message of the specimen has in it."""

Masked = Callable[[bytes], bytes]


class View(NamedTuple):
    """What of a store is shown, but for the entries of its history that only metadata makes."""

    sessions: dict[str, tuple[tuple[bytes, ...], dict[str, Any], int, str | None, int | None]]
    history: dict[str, dict[str, tuple[bytes, ...]]]
    tree: str


def lines_of(session: Any) -> tuple[bytes, ...]:
    return tuple(session._state.copy.lines())


def view_of(manager: SessionManager) -> View:
    sessions, history = {}, {}
    for info in [*manager.list_sessions(), *manager.deleted_sessions()]:
        there = manager.history(info.name)
        history[info.name] = {each.id: lines_of(there.at(each.id)) for each in there if each.kind != "metadata"}
        with suppress(SessionError):
            session = manager.load_session(info.name)
            shown = (lines_of(session), dict(session.metadata), info.size_bytes, info.parent, info.forked_at)
            sessions[info.name] = shown
    return View(sessions, history, str(manager.branches.tree()))


def without(view: View, masked: Masked) -> View:
    """Return what is shown once something is taken out everywhere."""

    def lines(given: tuple[bytes, ...]) -> tuple[bytes, ...]:
        return tuple(map(masked, given))

    sessions = {
        name: (lines(shown), json.loads(masked(json.dumps(metadata).encode())), *rest)
        for name, (shown, metadata, *rest) in view.sessions.items()
    }
    history = {name: {key: lines(state) for key, state in states.items()} for name, states in view.history.items()}
    return View(sessions, history, view.tree)  # type: ignore[arg-type]


def holding(folder: Path, *texts: str) -> list[str]:
    """Return the files below a folder that hold a text, be it compressed, or in the record of refs."""
    return [
        f"{path}: {text}"
        for path in sorted(folder.parent.glob(f"{folder.name}*/**/*"))
        if path.is_file()
        for content in contents(path)
        for text in texts
        if text.encode() in content
    ]


def contents(path: Path) -> Iterator[bytes]:
    data = path.read_bytes()
    yield data
    if data.startswith(b"\x28\xb5\x2f\xfd"):
        with path.open("rb") as stream:
            yield b"".join(decompressed(stream))
    if path.name == ".pack":
        for place in range(len(data)):
            if data[place : place + 1] == b"\x78":
                with suppress(zlib_error):
                    yield decompressobj().decompress(data[place:])


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("purge") / "store"
    make(store)
    return store


@pytest.fixture
def store(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "store"))


def test_every_kind_of_record(store: Path) -> None:
    """In chunks, tails, commits, forks and refs of two replicas: only what matches is another, in every state."""
    before = view_of(open_fresh(store))
    masked = lambda line: mask(line, of_pattern(SAID))  # noqa: E731
    manager = open_fresh(store)
    with untouched(store):
        dry = open_fresh(store, read_only=True).maintenance.purge_text(SAID, dry_run=True)
    report = manager.maintenance.purge_text(SAID)
    assert (report.places, report.dry_run) == (dry.places, False)
    assert "long" in {each.session for each in report.places}
    assert len(report.elsewhere) == 2
    assert all(LAPTOP in each for each in report.elsewhere)
    assert open_fresh(store).maintenance.check(full=True).findings == ()

    other = open_fresh(store, LAPTOP).maintenance.purge_text(SAID)
    assert (other.elsewhere, other.left) == ((), ())
    for again in (manager, open_fresh(store), open_fresh(store, LAPTOP)):
        assert view_of(again) == without(before, masked)
    assert open_fresh(store).maintenance.check(full=True).findings == ()
    assert not [
        path
        for path in store.rglob("*.jsonl*")
        for each in contents(path)
        if SAID.search(each.decode(errors="replace"))
    ]
    assert open_fresh(store).maintenance.purge_text(SAID) == PurgeReport((), (), (), dry_run=False)


def tell(manager: SessionManager, name: str, *texts: str) -> Any:
    session = manager.load_session(name) if name in manager else manager.create_session(name)
    for text in texts:
        session.add_message({"role": "user", "content": text})
        manager.save_session(session)
    return session


def test_what_is_open_shows_it_no_more(make: Opener) -> None:
    """On every backend: open sessions, their unsaved changes, metadata, history, and what is saved after it."""
    manager = make()
    session = tell(manager, "talk", f"my key is {SECRET}, keep it", "yes")
    session.metadata["note"] = {SECRET: [SECRET]}
    manager.save_session(session)
    branch = manager.create_session("branch", branch_from="talk")
    tell(manager, "other", "nothing")
    session.messages[1]["content"] = f"{SECRET} again"
    assert manager.search("key").hits

    report = manager.maintenance.purge_text(SECRET)
    assert [(each.session, each.messages, each.metadata) for each in report.places] == [
        ("branch", (0,), True),
        ("talk", (0, 1), True),
    ]
    assert (report.elsewhere, report.left) == ((), ())
    assert [each["content"] for each in session.messages] == [f"my key is {STARS}, keep it", f"{STARS} again"]
    assert session.metadata == {"note": {STARS: [STARS]}}
    assert branch.messages[0] == session.messages[0]
    assert not session.has_unsaved_changes
    session.messages[0]["content"] += "!"
    say(manager, session, 3)
    say(manager, branch, 4)
    for each in manager.history("talk"):
        assert SECRET not in str(manager.history("talk").at(each.id).messages)
    assert not manager.search(SECRET).hits
    assert [hit.snippet for hit in manager.search("keep").hits]
    assert manager.maintenance.check(full=True).findings == ()
    assert manager.maintenance.purge_text(SECRET) == PurgeReport((), (), (), dry_run=False)


@pytest.mark.parametrize("kind", ["files", "sqlite"])
def test_it_is_in_no_file(tmp_path: Path, kind: str) -> None:
    """Not in the store, in its free pages or its log, nor in the record, the packs, the index or what was torn."""
    store = tmp_path / "store"
    with open_store(store, backend=kind) as manager:
        for number in range(20):
            tell(manager, f"talk {number}", f"my key is {SECRET}", "more")
        manager.save_session(tell(manager, "long", f"{SECRET} {'word ' * 40_000}"))
        manager.search("key")
        manager.delete_session("talk 3")
    if kind == "files":
        assert any(path.name == ".pack" for path in Path(f"{store}.state").rglob("*"))
        torn = ref_of(store, manager.describe().replica and "long")
        torn.write_bytes(torn.read_bytes() + b'{"prev":"' + SECRET.encode())
    assert len(holding(store, SECRET)) > 2
    with open_store(store, backend=kind) as manager:
        tell(manager, "long", "goes on")
        report = manager.maintenance.purge_text(SECRET)
        assert (len(report.places), report.left) == (21, ())
        assert holding(store, SECRET) == []
    assert holding(store, SECRET) == []
    with open_store(store, backend=kind) as manager:
        assert manager.load_session("talk 7").messages[0]["content"] == f"my key is {STARS}"
        assert manager.maintenance.check(full=True).findings == ()
        assert manager.history("talk 3").restore().messages == 2
        assert manager.load_session("talk 3").messages[0]["content"] == f"my key is {STARS}"
    assert holding(store, SECRET) == []


def test_killed_anywhere(good: Path, tmp_path: Path, long_size: bool) -> None:
    """Whatever it had done by then: every session can be read, and the same call again does the rest."""
    masked = lambda line: mask(line, of_pattern(SOME))  # noqa: E731
    after = without(view_of(open_fresh(good)), masked)
    counting = FaultyBackend(LocalBackend(Path(shutil.copytree(good, tmp_path / "all")), files=Files(durable=False)))
    over(counting).maintenance.purge_text(SOME)
    verbs = [verb for verb in counting.calls if verb in STEPS]
    assert set(verbs) == STEPS
    for number, verb in enumerate(verbs):
        if not long_size and verb in verbs[:number] and verb in verbs[number + 1 :]:
            continue
        at = verbs[:number].count(verb)
        here = Path(shutil.copytree(good, tmp_path / f"{number}"))
        fault = Fault(verb, at=at, when="after" if number % 2 else "before")
        with pytest.raises(StoreError):
            over(FaultyBackend(LocalBackend(here, files=Files(durable=False)), fault)).maintenance.purge_text(SOME)
        between = view_of(open_fresh(here))
        assert without(between, masked) == after
        assert open_fresh(here).maintenance.purge_text(SOME).left == ()
        assert view_of(open_fresh(here)) == after
        assert open_fresh(here).maintenance.check(full=True).findings == ()
        shutil.rmtree(here)


SOME = re.compile("desk-11111111 (40|53)|edited in the tail")
STEPS = {"put_objects", "replace_ref", "write_replica_file", "discard_object"}


def over(backend: Backend) -> SessionManager:
    storage = RepoStorage(Repository(backend, MemoryState(DESK), Settings(sizes=SIZES)))
    return SessionManager({"session": {"autosave_interval": 0}}, storage=storage)


@pytest.mark.parametrize("kind", ["files", "sqlite"])
def test_a_program_that_has_it_open(tmp_path: Path, kind: str) -> None:
    """What another program saves to the sessions brings nothing back, and loses nothing."""
    store = tmp_path / "store"
    first, second = (open_store(store, backend=kind) for _ in range(2))
    tell(first, "talk", f"my key is {SECRET}", "yes")
    tell(first, "edited", f"my key is {SECRET}", "yes", "no")
    session, edited = second.load_session("talk"), second.load_session("edited")
    assert SECRET in str(session.messages + edited.messages)
    first.maintenance.purge_text(SECRET)
    say(second, session, 5)
    edited.messages[1]["content"] = "changed"
    second.save_session(edited)
    second.create_session("branch", branch_from="talk")
    first.close()
    second.close()
    assert holding(store, SECRET) == []
    with open_store(store, backend=kind) as again:
        assert [each["content"] for each in again.load_session("talk").messages] == [
            f"my key is {STARS}",
            "yes",
            message(5)["content"],
        ]
        assert [each["content"] for each in again.load_session("edited").messages][1:] == ["changed", "no"]
        assert {each.name for each in again.list_sessions()} == {"branch", "edited", "talk"}
        assert again.maintenance.check(full=True).findings == ()


def test_a_program_that_has_looked_before(tmp_path: Path) -> None:
    """What another one makes of masked messages can be read by who has read objects before there was a purge."""
    store = tmp_path / "store"
    first, second = (open_store(store) for _ in range(2))
    tell(first, "talk", f"my key is {SECRET}", "yes")
    first.create_session("branch", branch_from="talk")
    assert len(second.load_session("branch").messages) == 2
    first.maintenance.purge_text(SECRET)
    tell(first, "branch", "more")
    first.create_session("of it", branch_from="branch")
    assert [each["content"] for each in second.load_session("of it").messages] == [f"my key is {STARS}", "yes", "more"]
    assert second.maintenance.check(full=True).findings == ()


def test_a_sync_brings_nothing_back(tmp_path: Path) -> None:
    """Neither what was purged here, from a store that has it still, nor what was purged there."""
    here, there = tmp_path / "here", tmp_path / "there"

    def holding_here() -> list[str]:
        # What this machine knows of the other store is beside what it knows of this one.
        return [each for each in holding(here, SECRET) if "/there-" not in each]

    with open_store(here) as manager:
        tell(manager, "talk", f"my key is {SECRET} {'x' * 70_000}", "yes")
        manager.create_session("branch", branch_from="talk", at=1)
        manager.sync(there)
        manager.maintenance.purge_text(SECRET)
        manager.sync(there)
        assert holding_here() == []
        manager.sync(there, direction="pull")
    assert holding_here() == []
    for store in (here, there):
        with open_store(store) as manager:
            assert {each.name for each in manager.list_sessions()} == {"branch", "talk"}
    with open_store(there) as manager:
        manager.maintenance.purge_text(SECRET)
        assert manager.load_session("talk").messages[0]["content"].startswith(f"my key is {STARS} x")
        assert manager.maintenance.check(full=True).is_whole


def test_what_cannot_be_done(tmp_path: Path, make: Opener) -> None:
    """What is wrong is said at once, and nothing is changed."""
    manager = make()
    tell(manager, "talk", SECRET)
    with pytest.raises(ValueError, match="everywhere"):
        manager.maintenance.purge_text("")
    with pytest.raises(ValueError, match="everywhere"):
        manager.maintenance.purge_text(re.compile("x*"))
    with pytest.raises(TypeError, match="text"):
        manager.maintenance.purge_text(b"key")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="text"):
        manager.maintenance.purge_text(re.compile(b"key"))  # type: ignore[arg-type]
    with manager.transaction(), pytest.raises(UnsupportedError, match="transaction"):
        manager.maintenance.purge_text(SECRET)
    assert manager.load_session("talk").messages[0]["content"] == SECRET
    if manager.describe().backend == "files":
        with untouched(tmp_path / "store"):
            reader = open_store(tmp_path / "store", read_only=True)
            assert [each.session for each in reader.maintenance.purge_text(SECRET, dry_run=True).places] == ["talk"]
            with pytest.raises(StoreReadOnlyError):
                reader.maintenance.purge_text(SECRET)


def test_names_are_told_of_and_stay(make: Opener) -> None:
    manager = make()
    tell(manager, f"about {SECRET}", SECRET)
    manager.history(f"about {SECRET}").tag(f"v {SECRET}")
    report = manager.maintenance.purge_text(SECRET)
    assert len(report.left) == 2
    assert all("and stays" in each for each in report.left)
    # As they say: a new name does not help.
    manager.rename_session(f"about {SECRET}", "about it")
    assert len(manager.maintenance.purge_text(SECRET).left) == 2
    manager.rename_session("about it", f"about {SECRET}")
    assert manager.load_session(f"about {SECRET}").messages[0]["content"] == STARS


def test_stray_files_are_told_of(tmp_path: Path) -> None:
    """What a program that was killed has left is removed once nobody can be writing it; the rest is a person's."""
    store = tmp_path / "store"
    manager = open_store(store)
    tell(manager, "talk", SECRET)
    (store / ".tmp-1").write_text(SECRET)
    (store / ".tmp-2").write_text(SECRET)
    os.utime(store / ".tmp-2", (0, 0))
    (store / "notes.txt").write_text(f"my key: {SECRET}")
    left = manager.maintenance.purge_text(SECRET).left
    assert [each.partition(" ")[0] for each in sorted(left)] == [str(store / ".tmp-1"), str(store / "notes.txt")]
    assert not (store / ".tmp-2").exists()


def shown(manager: SessionManager) -> str:
    return str([info.preview for info in manager.list_sessions()])


def test_lists_show_no_part_of_it(tmp_path: Path) -> None:
    """Neither of a ref that was written anew nor of one that was not: a preview may end within it."""
    store = tmp_path / "store"
    before = "x" * 70
    with open_store(store) as manager:
        tell(manager, "talk", f"{before} {SECRET * 4}")
        tell(manager, "other", "nothing")
        manager.create_session("branch", branch_from="talk")
        assert SECRET[:4] in shown(manager)
    assert holding(store, SECRET[:4])
    with open_store(store) as manager:
        manager.maintenance.purge_text(SECRET)
        assert SECRET[:4] not in shown(manager)
        assert holding(store, SECRET[:4]) == []
    tell(open_store(store), "other", f"{before} {SECRET}")
    with open_store(store) as manager:
        assert SECRET[:4] in shown(manager)
        manager.maintenance.purge_text(SECRET)
        assert {info.name for info in manager.list_sessions()} == {"branch", "other", "talk"}
    assert holding(store, SECRET[:4]) == []
    with open_store(store) as manager:
        assert [info.message_count for info in manager.list_sessions()] == [2, 1, 1]
