"""Syncing two stores: everything arrives whole, nothing is ever lost or removed, and the report tells."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from coda_fs_session import (
    CorruptionError,
    Session,
    SessionInfo,
    SessionManager,
    SessionStorage,
    StoreError,
    StoreFormatError,
    SyncProgress,
    UnsupportedError,
)
from coda_fs_session.backends.base import RefKey
from coda_fs_session.backends.disk import tokens
from coda_fs_session.backends.files import listing
from coda_fs_session.backends.files.backend import LocalBackend
from coda_fs_session.backends.memory import MemoryBackend, MemoryState
from coda_fs_session.format.refs import Save, encode_save
from coda_fs_session.repo.repository import Repository, Settings
from coda_fs_session.repo.storage import RepoStorage
from coda_fs_session.repo.sync.exchange import sync

from .machines import SMALL, Machine, contents, said


@pytest.fixture
def there(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "there", "there-00000002")


def in_memory(replica: str = "memory-00000001") -> SessionManager:
    repository = Repository(MemoryBackend(), MemoryState(replica), Settings(sizes=SMALL))
    return SessionManager({"session": {"autosave_interval": 0}}, storage=RepoStorage(repository))


def states(manager: SessionManager) -> set[tuple[str, bool, tuple[bytes, ...]]]:
    """Return name, deleted or not, and messages of every good ref of a store: all that anybody could be shown."""
    assert isinstance(manager._storage, RepoStorage)
    repo = manager._storage.repo
    heads = [repo.read(key) for key, _ in repo.backend.refs()]
    return {(head.name, head.deleted, tuple(head.messages.read(0, head.count))) for head in heads}


def files_of(machine: Machine) -> dict[str, bytes]:
    """Return every file of a store that is data."""
    return {
        str(path.relative_to(machine.store)): path.read_bytes()
        for path in machine.store.rglob("*")
        if path.is_file() and not path.name.startswith(".tmp-")
    }


def some_sessions(machine: Machine) -> None:
    machine.create("long", said(*range(60)))
    machine.create("short", said("hello"))
    machine.create("Ünïcode / name", said(1, 2, 3))
    manager = machine.manager()
    manager.create_session("branch", branch_from="long", at=25)
    manager.create_session("gone")
    manager.delete_session("gone")
    manager.create_session("old name")
    manager.rename_session("old name", "new name")


def test_into_an_empty_folder(here: Machine, there: Machine) -> None:
    """All files arrive byte for byte, the target is a store in its own right, and the report says what went."""
    some_sessions(here)
    seen: list[SyncProgress] = []
    report = here.manager().sync(there.store, progress=seen.append)
    assert files_of(there) == files_of(here)
    assert report.pushed.new == ("branch", "long", "new name", "short", "Ünïcode / name")
    assert report.pushed.refs == len(here.refs())
    assert report.pushed.objects == len(list(here.store.glob("objects/*/*"))) > 0
    assert report.pushed.bytes >= sum(path.stat().st_size for path in here.refs())
    assert not report.pulled
    assert report.problems == ()
    assert str(report).startswith("pushed: 5 new (branch, long, new name, ...)")
    assert {each.phase for each in seen} == {"objects", "refs"}
    assert all(0 < each.done <= each.total for each in seen)
    assert [(each.done, each.bytes > 0) for each in seen if each.done == each.total] == [
        (report.pushed.objects, True),
        (report.pushed.refs, True),
    ]
    assert there.read("long") == [str(number) for number in range(60)]


def test_a_second_run_moves_nothing(here: Machine, there: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What did not change is not even read: its tokens are those of the last run."""
    some_sessions(here)
    for path in [*here.store.rglob("*"), here.store]:
        os.utime(path, (1_700_000_000.5, 1_700_000_000.5))
    manager = here.manager()
    manager.sync(there.store)
    for path in [*there.store.rglob("*"), there.store]:
        os.utime(path, (1_700_000_000.5, 1_700_000_000.5))
    # The times that were just set are new to it; the third run is the one that finds all as the last one left it.
    here.manager().sync(there.store)
    manager = here.manager()
    manager.list_sessions()
    read: list[object] = []
    monkeypatch.setattr(LocalBackend, "read_ref", lambda *it: read.append(it))
    monkeypatch.setattr(LocalBackend, "get_object", lambda *it, **more: read.append(it))
    report = manager.sync(there.store)
    assert not report.pushed
    assert not report.pulled
    assert str(report) == "pushed: nothing\npulled: nothing"
    assert read == []


@pytest.mark.parametrize("length", [3, 60], ids=["in the tail", "in chunks"])
def test_both_ways(here: Machine, there: Machine, length: int) -> None:
    """What is new, went on, was deleted or renamed on one side arrives on the other, and is reported as just that."""
    for name in ("chat", "talk", "doomed", "restless"):
        here.create(name, said(*range(length)))
    here.manager().sync(there.store)
    here.change("chat", "from here")
    there.change("talk", "from there")
    here.manager().delete_session("doomed")
    there.manager().rename_session("restless", "settled")
    here.create("mine", said("mine"))
    there.create("theirs", said("theirs"))
    report = here.manager().sync(there.manager())
    pushed, pulled = report.pushed, report.pulled
    assert (pushed.new, pushed.advanced, pushed.deleted, pushed.renamed) == (("mine",), ("chat",), ("doomed",), ())
    assert (pulled.new, pulled.advanced, pulled.deleted, pulled.renamed) == (("theirs",), ("talk",), (), ("settled",))
    assert not pushed.diverged + pulled.diverged
    assert here.names() == there.names() == ["chat", "mine", "settled", "talk", "theirs"]
    assert here.read("chat") == there.read("chat") == [*map(str, range(length)), "from here"]
    assert here.read("talk") == there.read("talk") == [*map(str, range(length)), "from there"]
    assert files_of(here) == files_of(there)


@pytest.mark.parametrize("direction", ["push", "pull"])
def test_one_way(here: Machine, there: Machine, direction: Any) -> None:
    """The side that only gives is not written to, not even where the other one is behind."""
    here.create("chat", said(1))
    here.manager().sync(there.store)
    here.create("mine", said(*range(40)))
    there.create("theirs", said(*range(50)))
    here.change("chat", 2)
    giver, taker = (here, there) if direction == "push" else (there, here)
    before = files_of(giver)
    report = here.manager().sync(there.store, direction=direction)
    assert files_of(giver) == before
    assert bool(report.pushed) == (direction == "push")
    assert bool(report.pulled) == (direction == "pull")
    assert set(taker.names()) == {"chat", "mine", "theirs"}
    assert there.read("chat") == (["1", "2"] if direction == "push" else ["1"])
    # The other half is not forgotten over it.
    here.manager().sync(there.store)
    assert files_of(here) == files_of(there)


def test_memory_and_files(here: Machine, there: Machine) -> None:
    """The engine knows no backend: a store in memory takes part like any other, and passes on what it got."""
    some_sessions(here)
    memory = in_memory()
    here.manager().sync(memory)
    assert states(memory) == states(here.manager())
    session = memory.create_session("long")
    session.add_message({"role": "user", "content": "from memory"})
    memory.save_session(session)
    report = memory.sync(there.store)
    assert len(report.pushed.new) == 5
    assert there.read("long")[-1] == "from memory"
    other = in_memory("memory-00000002")
    assert other.sync(memory, direction="pull").pulled.new == report.pushed.new
    assert states(other) == states(memory) == states(there.manager())


def test_diverged_sessions_are_kept(here: Machine, there: Machine) -> None:
    """A session that went on in two places goes on in two refs on both sides, and the report says so."""
    here.create("chat", said(*range(5)))
    here.manager().sync(there.store)
    here.change("chat", "here")
    there.change("chat", "there")
    report = here.manager().sync(there.store)
    assert report.pushed.diverged
    assert report.pulled.diverged
    assert files_of(here) == files_of(there)
    assert {messages[-1] for _, _, messages in states(here.manager())} >= {
        b'{"role":"user","content":"here"}',
        b'{"role":"user","content":"there"}',
    }


@pytest.mark.parametrize("length", [3, 60], ids=["in the tail", "in chunks"])
def test_a_cloned_replica(here: Machine, tmp_path: Path, length: int) -> None:
    """Two machines with one replica id write one path: both states stay on both sides, however often they sync."""
    here.create("chat", said(*range(length)))
    clone = here.copied_to(tmp_path / "clone", here.replica)
    here.change("chat", "first")
    clone.change("chat", "second")
    expected = states(here.manager()) | states(clone.manager())
    here.manager().sync(clone.store)
    assert states(here.manager()) == states(clone.manager()) == expected
    counts = len(here.refs()), len(clone.refs())
    for _ in range(2):
        report = here.manager().sync(clone.store)
        assert not report.pushed
        assert not report.pulled
        assert (len(here.refs()), len(clone.refs())) == counts == (2, 2)


def test_a_clone_that_goes_on(here: Machine, tmp_path: Path) -> None:
    """The copy that an earlier sync put beside is brought forward, not joined by one more each time."""
    here.create("chat", said(1))
    clone = here.copied_to(tmp_path / "clone", here.replica)
    here.change("chat", "first")
    clone.change("chat", "second")
    here.manager().sync(clone.store)
    (path,) = (path for path in clone.store.glob("refs/*/chat.jsonl"))
    key = RefKey(str(path.relative_to(clone.store / "refs")))
    for number in range(3):
        repo = clone.repository()
        head = repo.read(key)
        line, _ = encode_save(Save(head.last_id, repo.now(), [b'{"role":"user","content":"%d"}' % number]))
        repo.backend.append_ref(key, head.token, line)
        before = states(here.manager()) | states(clone.manager())
        here.manager().sync(clone.store)
        newest = max(before, key=lambda state: len(state[2]))
        assert newest in states(here.manager())
        assert newest in states(clone.manager())
        assert (len(here.refs()), len(clone.refs())) == (2, 2)


def test_an_older_copy_is_brought_forward(here: Machine, there: Machine, tmp_path: Path) -> None:
    """A store that was put back from a backup gets from the other what it had, also in a ref of its own."""
    here.create("chat", said(*range(60)))
    shutil.copytree(here.store, tmp_path / "backup")
    here.change("chat", "later")
    here.manager().sync(there.store)
    shutil.rmtree(here.store)
    shutil.copytree(tmp_path / "backup", here.store)
    # Else opening a manager puts it back, as tests/damage/test_put_back.py tells.
    here.lose_record()
    report = here.manager().sync(there.store)
    assert report.pulled.advanced == ("chat",)
    assert not report.pushed
    assert here.read("chat")[-1] == "later"
    assert files_of(here) == files_of(there)


@pytest.mark.parametrize("edits", [1, 3])
def test_what_was_taken_back_stays_taken_back(here: Machine, there: Machine, edits: int) -> None:
    """Of two states that began like each other the one with more history goes to the other side."""
    here.create("chat", said(1, 2))
    here.manager().sync(there.store)
    manager = here.manager()
    session = manager.load_session("chat")
    for _ in range(edits):
        session.messages.pop()
        manager.save_session(session)
        session.add_message(said("other")[0])
        manager.save_session(session)
    session.messages.pop()
    manager.save_session(session)
    here.manager().sync(there.store)
    assert there.read("chat") == here.read("chat") == ["1"]
    assert files_of(here) == files_of(there)


def test_metadata_alone(here: Machine, there: Machine) -> None:
    """A ref that has the same messages and later metadata is the newer one."""
    here.create("chat", said(1))
    here.manager().sync(there.store)
    manager = here.manager()
    session = manager.load_session("chat")
    for number in range(70):  # past the number of saves after which a ref is written anew
        session.update_metadata({"number": number})
        manager.save_session(session)
    assert here.manager().sync(there.store).pushed.advanced == ("chat",)
    assert there.manager().load_session("chat").metadata == {"number": 69}
    assert files_of(here) == files_of(there)


def test_a_damaged_ref_goes_nowhere(here: Machine, there: Machine) -> None:
    """It is told, left as it is, and neither takes a good one's place nor is replaced by one; the rest arrives."""
    here.create("chat", said(1, 2))
    here.create("other", said(3))
    here.manager().sync(there.store)
    here.change("other", 4)
    (path,) = here.store.glob("refs/*/chat.jsonl")
    good, bad = path.read_bytes(), path.read_bytes().replace(b'"content":"2"', b'"content":"7"')
    path.write_bytes(bad)
    report = here.manager().sync(there.store)
    (problem,) = report.problems
    assert isinstance(problem, CorruptionError)
    assert problem.path == path
    assert problem.line == 2
    assert there.read("other") == ["3", "4"]
    assert there.read("chat") == ["1", "2"]
    assert path.read_bytes() == bad
    # Here the good one arrived beside it, under a name that a reader takes as the file made in its place.
    assert path.with_name("chat.2.jsonl").read_bytes() == good
    again = here.manager().sync(there.store)
    assert [error.path for error in again.problems] == [path]
    assert not again.pushed
    assert not again.pulled


def test_a_damaged_ref_of_a_header(here: Machine, there: Machine) -> None:
    """What never arrived because it is damaged is told each time, and arrives once it is mended."""
    here.create("chat", said(1))
    path = here.only_ref()
    good = path.read_bytes()
    path.write_bytes(good.replace(b"chat", b"cha7", 1))
    for _ in range(2):
        report = here.manager().sync(there.store)
        assert [error.path for error in report.problems] == [path]
        assert there.refs() == []
    path.write_bytes(good)
    assert here.manager().sync(there.store).pushed.new == ("chat",)


def test_objects_heal_each_other(here: Machine, there: Machine) -> None:
    """A damaged object is not copied, a good one mends it, on whichever side it is; damaged on both, it is told."""
    here.create("chat", said(*range(60)))
    objects = sorted(path.relative_to(here.store) for path in here.store.glob("objects/*/*"))
    first, second, third = objects[:3]
    good = {each: (here.store / each).read_bytes() for each in objects}
    (here.store / first).write_bytes(b"damaged\n")
    report = here.manager().sync(there.store)
    assert [error.path for error in report.problems] == [here.store / first]
    assert not (there.store / first).exists()
    (there.store / first.parent).mkdir(exist_ok=True)
    (there.store / first).write_bytes(good[first])
    shutil.rmtree(here.folder / "state")  # of what was found good once it is remembered that it need not be read again
    (there.store / second).write_bytes(b"damaged\n")
    report = here.manager().sync(there.store)
    assert (report.pushed.objects, report.pulled.objects) == (1, 1)
    assert {each: (here.store / each).read_bytes() for each in objects} == good
    assert {each: (there.store / each).read_bytes() for each in objects} == good
    shutil.rmtree(here.folder / "state")
    for machine in (here, there):
        (machine.store / third).write_bytes(b"damaged\n")
    for _ in range(2):
        report = here.manager().sync(there.store)
        assert {error.path for error in report.problems} == {here.store / third, there.store / third}


def test_torn_writes_stay_behind(here: Machine, there: Machine) -> None:
    """A last line that is not complete, perhaps because it is being written, does not travel."""
    here.create("chat", said(1))
    whole = here.only_ref().read_bytes()
    with here.only_ref().open("ab") as file:
        file.write(b'{"prev":"torn')
    here.manager().sync(there.store)
    assert there.only_ref().read_bytes() == whole
    assert not here.manager().sync(there.store).pushed


def test_an_object_that_is_not_here_yet(here: Machine, there: Machine) -> None:
    """Refs travel ahead of objects that are missing; where one would tell which state is newer, nothing is written."""
    here.create("chat", said(*range(60)))
    objects = sorted(here.store.glob("objects/*/*"))
    kept = {path: path.read_bytes() for path in objects}
    for path in objects:
        path.unlink()
    report = here.manager().sync(there.store)
    assert report.problems == ()
    assert len(there.refs()) == 1
    for path, data in kept.items():
        path.write_bytes(data)
    manager = here.manager()
    session = manager.load_session("chat")
    session.messages[3]["content"] = "edited"
    manager.save_session(session)
    for path in here.store.glob("objects/*/*"):
        path.unlink()
    report = here.manager().sync(there.store)
    assert report.problems
    assert (len(here.refs()), len(there.refs())) == (1, 1)
    for path, data in kept.items():
        path.write_bytes(data)


def test_files_of_other_programs(here: Machine, there: Machine) -> None:
    """Conflict copies of sync tools travel under their names, also from deeper folders; other files do not."""
    here.create("chat", said(1, 2))
    ref = here.only_ref()
    copy = ref.with_name("chat (in conflict, 2026-01-02).jsonl")
    deep = here.store / "refs/some tool/kept/chat.jsonl"
    deep.parent.mkdir(parents=True)
    for path in (copy, deep):
        shutil.copy(ref, path)
    ref.with_name(".hidden.jsonl").write_bytes(b"hidden")
    ref.with_name("desktop.ini").write_bytes(b"[view]")
    report = here.manager().sync(there.store)
    assert report.problems == ()
    assert {path.relative_to(there.store) for path in there.refs()} == {
        path.relative_to(here.store) for path in (ref, copy, deep)
    }


@pytest.mark.parametrize("where", [".", "refs", "..", "../store/objects/../"])
def test_a_store_and_itself(here: Machine, where: str) -> None:
    """A store is not synced into itself, nor with what is within it or around it."""
    here.create("chat", said(1))
    before = files_of(here)
    with pytest.raises(ValueError, match="with itself"):
        here.manager().sync(here.store / where)
    with pytest.raises(ValueError, match="with itself"):
        here.manager().sync(here.manager())
    assert files_of(here) == before
    memory = in_memory()
    with pytest.raises(ValueError, match="with itself"):
        memory.sync(memory)


def test_a_link_to_the_same_store(here: Machine, tmp_path: Path) -> None:
    """A symbolic link to the store is the store."""
    here.create("chat", said(1))
    (tmp_path / "link").symlink_to(here.store)
    with pytest.raises(ValueError, match="with itself"):
        here.manager().sync(tmp_path / "link")


def test_what_is_no_store_is_refused(here: Machine, tmp_path: Path) -> None:
    """A folder of something else, a file, a newer store, and nothing to pull from: refused, and nothing is written."""
    here.create("chat", said(1))
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "letter.txt").write_text("Dear ...")
    newer = tmp_path / "newer"
    newer.mkdir()
    (newer / "FORMAT").write_text('{"coda_fs_session":2}\n')
    for target in (foreign, foreign / "letter.txt", newer):
        with pytest.raises(StoreFormatError):
            here.manager().sync(target)
    assert sorted(path.name for path in tmp_path.rglob("*") if "here" not in path.parts) == sorted(
        ["foreign", "letter.txt", "newer", "FORMAT"]
    )
    with pytest.raises(StoreError, match="no store at"):
        here.manager().sync(tmp_path / "absent", direction="pull")
    assert not (tmp_path / "absent").exists()
    with pytest.raises(ValueError, match="direction"):
        here.manager().sync(tmp_path / "absent", direction="sideways")  # type: ignore[arg-type]


def test_storages_without_an_engine(here: Machine) -> None:
    """A storage of one's own cannot be synced, and the error says so, whichever side it is on."""

    class Nowhere(SessionStorage):
        def save(self, session: object) -> None: ...
        def load(self, name: str) -> None: ...
        def delete(self, name: str) -> None: ...
        def list_all(self) -> list[SessionInfo]:
            return []

    custom = SessionManager(storage=Nowhere())
    for one, other in ((custom, here.manager()), (here.manager(), custom)):
        with pytest.raises(UnsupportedError, match="Nowhere cannot be synced"):
            one.sync(other)


def test_a_storage_that_passes_on_to_an_engine(here: Machine, there: Machine) -> None:
    """A storage in front of one of this package's lends it to what needs an engine: a sync, a watch."""

    class InFront(SessionStorage):
        def __init__(self, behind: SessionStorage) -> None:
            self._behind = behind

        def engine(self) -> object | None:
            return self._behind.engine()

        def save(self, session: Session) -> None:
            self._behind.save(session)

        def load(self, name: str) -> Session | None:
            return self._behind.load(name)

        def delete(self, name: str) -> None:
            self._behind.delete(name)

        def list_all(self) -> list[SessionInfo]:
            return self._behind.list_all()

    some_sessions(here)
    manager = SessionManager(storage=InFront(there.manager()._storage))
    with manager.watch() as watch:
        assert here.manager().sync(manager).pushed
        event = watch.next(timeout=10)
    assert event is not None
    assert there.names() == here.names() != []


def test_another_disk_at_the_same_place(here: Machine, there: Machine, tmp_path: Path) -> None:
    """What is remembered of one stick is not believed of another one that is mounted at the same place."""
    some_sessions(here)
    here.manager().sync(there.store)
    here.manager().sync(there.store)
    there.store.rename(tmp_path / "first stick")
    here.manager().sync(there.store)
    assert files_of(there) == files_of(here)


def test_losing_the_state_folder(here: Machine, there: Machine) -> None:
    """What is remembered saves work and nothing else; rubbish in its place does no harm."""
    some_sessions(here)
    here.manager().sync(there.store)
    (memory,) = (here.folder / "state").glob("*/sync-*.json")
    for rubbish in (b"", b"[]", b"\xff", b"[1,null,{},{},{}]", b"[1,2,3]"):
        memory.write_bytes(rubbish)
        report = here.manager().sync(there.store)
        assert not report.pushed
        assert not report.pulled
        assert report.problems == ()


def test_compressed_objects_stay_compressed(tmp_path: Path) -> None:
    """An object with a large message is kept compressed on the other side too, and everything else plain."""
    options = {"autosave_interval": 0, "durability": "none", "state_path": str(tmp_path / "state")}
    manager = SessionManager({"session": {**options, "storage_path": str(tmp_path / "here")}})
    session = manager.create_session("chat")
    for size in (10, 100_000, 20):
        session.messages += [{"content": "words and " * (size // 10)} for _ in range(3)]
    session.messages += [{"coda_fs_session": 1, "commit": "not one"}] * 5000
    manager.save_session(session)
    manager.sync(tmp_path / "there")

    def kinds(store: str) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (tmp_path / store).glob("objects/*/*")}

    assert {name.rpartition(".")[2] for name in kinds("here")} == {"jsonl", "zst"}
    assert kinds("there") == kinds("here")


def test_beside_writers_on_both_sides(here: Machine, there: Machine) -> None:
    """Saves that go on during syncs lose nothing, and have all arrived after the first sync that nobody disturbs."""
    here.create("mine", said("first"))
    there.create("theirs", said("first"))
    done = threading.Event()
    failures: list[BaseException] = []
    saved: dict[str, list[str]] = {}

    def write(machine: Machine, name: str) -> None:
        try:
            manager = machine.manager()
            session = manager.load_session(name)
            while not done.is_set() or len(session) < 60:
                number = len(session)
                session.add_message(said(f"{name} {number} " + "x" * (number % 50))[0])
                manager.save_session(session)
            saved[name] = contents(session)
        except BaseException as error:
            failures.append(error)

    writers = [threading.Thread(target=write, args=each) for each in ((here, "mine"), (there, "theirs"))]
    for writer in writers:
        writer.start()
    for _ in range(3):
        report = here.manager().sync(there.manager())
        assert not report.pushed.diverged + report.pulled.diverged
    done.set()
    for writer in writers:
        writer.join()
    assert not failures
    here.manager().sync(there.manager())
    for machine in (here, there):
        assert {name: machine.read(name) for name in ("mine", "theirs")} == saved
    assert files_of(here) == files_of(there)


def test_a_read_only_target(here: Machine, there: Machine) -> None:
    """From a target that cannot be written everything is pulled; pushing to it fails as any write does."""
    there.create("theirs", said(*range(40)))
    here.create("mine", said(1))

    manager = there.manager()
    assert isinstance(manager._storage, RepoStorage)
    backend = manager._storage.repo.backend

    def refuse(*arguments: object) -> Any:
        raise StoreError("cannot be written", there.store)

    for verb in ("prepare", "put_objects", "create_ref", "create_refs", "append_ref", "replace_ref"):
        setattr(backend, verb, refuse)
    assert here.manager().sync(manager, direction="pull").pulled.new == ("theirs",)
    with pytest.raises(StoreError, match="cannot be written"):
        here.manager().sync(manager)
    assert here.names() == ["mine", "theirs"]


def test_a_path_out_of_the_store(here: Machine) -> None:
    """A backend that names refs outside its store, or hidden ones, is not followed there."""
    backend = MemoryBackend()
    here.create("chat", said(1))
    data = here.only_ref().read_bytes()
    for path in ("../../evil.jsonl", "/tmp/evil.jsonl", "a/../../evil.jsonl", ".hidden/x.jsonl", "a/.x.jsonl"):
        backend.create_ref(RefKey(path), data)
    memory = RepoStorage(Repository(backend, MemoryState(), Settings(sizes=SMALL)))
    before = files_of(here)
    report = sync(RepoStorage(here.repository()), memory, direction="pull")
    assert not report.pulled
    assert files_of(here) == before


def test_a_save_during_the_sync(here: Machine, there: Machine) -> None:
    """A ref that moves on after the objects were listed does not arrive ahead of the objects that it names now."""
    here.create("chat", said(*range(60)))

    def write(progress: SyncProgress) -> None:
        if (progress.phase, progress.done) == ("objects", progress.total):
            here.change("chat", *range(60, 120)) if len(here.read("chat")) == 60 else None

    here.manager().sync(there.store, progress=write)
    assert there.read("chat") == [str(number) for number in range(120)]


def test_metadata_of_a_clone(here: Machine, tmp_path: Path) -> None:
    """Of two states with the same messages neither takes the other's place if each has metadata of its own."""
    here.create("chat", said(1))
    clone = here.copied_to(tmp_path / "clone", here.replica)
    for machine, key in ((here, "first"), (clone, "second")):
        manager = machine.manager()
        session = manager.load_session("chat")
        session.update_metadata({key: True})
        manager.save_session(session)
    here.manager().sync(clone.store)
    for machine in (here, clone):
        assert machine.manager().load_session("chat").metadata == {"first": True, "second": True}


def test_two_refs_of_one_replica(here: Machine, there: Machine) -> None:
    """Each goes to its own path, also where one contains the other: a ref is only ever written as itself."""
    here.create("chat", said(1))
    here.manager().sync(there.store)
    first = here.only_ref()
    second = first.with_name("chat.2.jsonl")
    second.write_bytes(first.read_bytes())
    repo = here.repository()
    head = repo.read(RefKey(f"{here.replica}/chat.2.jsonl"))
    line, _ = encode_save(Save(head.last_id, repo.now(), [b'{"role":"user","content":"2"}']))
    repo.backend.append_ref(head.key, head.token, line)
    before = files_of(here)
    here.manager().sync(there.store)
    assert files_of(here) == files_of(there) == before


def test_young_files_are_looked_at_again(here: Machine, there: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What changed within one tick of the file system's clock after it was copied is noticed the next time."""
    here.create("chat", said(1))
    # Every file is young now, and no file is the next time.
    for length in (10**18, 0):
        monkeypatch.setattr(tokens, "TICK_NS", length)
        for module in (tokens, listing):
            monkeypatch.setattr(module, "COARSE_TICK_NS", length)
        if length:
            here.manager().sync(there.store)
    ref, status = there.only_ref(), there.only_ref().stat()
    good = ref.read_bytes()
    with ref.open("r+b") as file:
        file.write(good.replace(b"chat", b"cha7", 1))
    os.utime(ref, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert [error.path for error in here.manager().sync(there.store).problems] == [ref]


def test_a_file_that_cannot_be_kept_there(here: Machine, there: Machine) -> None:
    """A ref whose place is taken by something else, or whose name the other file system refuses, is told; the others
    arrive."""
    here.create("chat", said(1))
    for name in ("blocked", "fine"):
        (here.store / "refs" / name).mkdir()
        shutil.copy(here.store / "refs" / here.replica / "chat.jsonl", here.store / "refs" / name / "chat.jsonl")
    there.create("other", said(1))
    (there.store / "refs/blocked").symlink_to(there.folder)
    report = here.manager().sync(there.store, direction="push")
    assert [error.path for error in report.problems] == [there.store / "refs/blocked"]
    assert {path.parent.name for path in there.refs()} == {here.replica, there.replica, "fine"}


def test_an_error_in_the_callback_ends_the_sync(here: Machine, there: Machine) -> None:
    """It comes out, whatever had arrived stays, and the next run brings the rest."""
    some_sessions(here)

    def fail(progress: SyncProgress) -> None:
        if progress.done > 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        here.manager().sync(there.store, progress=fail)
    here.manager().sync(there.store)
    assert files_of(there) == files_of(here)


def test_a_target_is_the_folder_that_the_system_finds(here: Machine, tmp_path: Path) -> None:
    """`..` after a symbolic link leads up from where that points to."""
    here.create("chat", said(1))
    (tmp_path / "disk" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "deep")
    here.manager().sync(f"{tmp_path}/link/../usb")
    assert list((tmp_path / "disk" / "usb").glob("refs/*/chat.jsonl"))
    assert not (tmp_path / "usb").exists()
