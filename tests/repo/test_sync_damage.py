"""A sync of what is damaged, torn, missing, or none of the store's."""

from __future__ import annotations

import shutil

from coda_fs_session import CorruptionError, ObjectNotYetHereError
from coda_fs_session.backends.base import RefKey
from coda_fs_session.backends.memory import MemoryBackend, MemoryState
from coda_fs_session.format.refs import Save, encode_save
from coda_fs_session.repo.repository import Repository, Settings
from coda_fs_session.repo.storage import RepoStorage
from coda_fs_session.repo.sync.exchange import sync

from .machines import SMALL, Machine, said
from .syncing import files_of


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


def test_what_an_object_that_is_not_here_yet_would_decide(here: Machine, there: Machine) -> None:
    """If one of two files lacks something, and nobody can tell whether the other does too, both stay as they are."""
    here.create("chat", said("a chunk of its own" * 30))
    clone = here.copied_to(there.folder, here.replica)
    before = set(here.store.glob("objects/*/*"))
    here.change("chat", *range(30))
    (late,) = set(here.store.glob("objects/*/*")) - before
    manager = clone.manager()
    session = manager.load_session("chat")
    session.metadata["model"] = "m-1"
    manager.save_session(session)
    data = late.read_bytes()
    late.unlink()
    found = [here.only_ref().read_bytes(), clone.only_ref().read_bytes()]
    report = here.manager().sync(clone.store)
    assert [type(problem) for problem in report.problems] == [ObjectNotYetHereError]
    assert [here.only_ref().read_bytes(), clone.only_ref().read_bytes()] == found
    late.write_bytes(data)
    here.manager().sync(clone.store)
    for machine in (here, clone):
        assert len(machine.read("chat")) == 31
        assert machine.manager().load_session("chat").metadata == {"model": "m-1"}


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
