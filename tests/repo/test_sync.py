"""Syncing two stores: everything arrives whole, nothing is ever lost or removed, and the report tells."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from coda_fs_session import SessionManager, SyncProgress
from coda_fs_session.backends.base import RefKey
from coda_fs_session.backends.disk import tokens
from coda_fs_session.backends.files import listing
from coda_fs_session.backends.files.backend import LocalBackend
from coda_fs_session.format.refs import Save, encode_save
from coda_fs_session.repo.writing.save import MOST_SAVES

from .machines import Machine, contents, said
from .syncing import files_of, some_sessions, states


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
    for number in range(MOST_SAVES + 6):  # some past those after which a ref is written anew
        session.update_metadata({"number": number})
        manager.save_session(session)
    assert here.manager().sync(there.store).pushed.advanced == ("chat",)
    assert there.manager().load_session("chat").metadata == {"number": MOST_SAVES + 5}
    assert files_of(here) == files_of(there)


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
