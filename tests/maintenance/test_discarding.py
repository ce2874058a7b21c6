"""Throwing files away by hand that a check has named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from storekit import fill, message, open_store

from coda_fs_session import CorruptionError, SessionManager, StoreReadOnlyError, UnsupportedError

from .collecting import repo_of


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with a session of three messages, and one of two that are objects."""
    store = tmp_path / "store"
    with open_store(store) as manager:
        fill(manager, "chat", 3)
        fill(manager, "large", 2, size=70_000)
    return store


def found(manager: SessionManager) -> list[tuple[str, str]]:
    return [(each.rule, each.path) for each in manager.maintenance.check(full=True).findings]


def ref_of(store: Path, name: str) -> Path:
    (path,) = store.glob(f"refs/*/{name}.jsonl")
    return path


def test_a_stray_file(store: Path) -> None:
    """A dry run says what it is; then it is gone from the store, and its bytes are where the report says."""
    stray = store / "objects" / "notes.txt"
    stray.write_bytes(b"shopping\n")
    with open_store(store) as manager:
        report = manager.maintenance.discard(stray)
        assert ([each.rule for each in report.findings], report.lost, report.kept) == (["stray-file"], None, "")
        assert stray.exists()
        report = manager.maintenance.discard(stray, dry_run=False)
        assert not stray.exists()
        assert Path(report.kept).read_bytes() == b"shopping\n"
        assert found(manager) == []
        with pytest.raises(ValueError, match="finds nothing wrong"):
            manager.maintenance.discard(stray)


def test_what_is_good_stays(store: Path) -> None:
    """A ref, an object and the mark of the store stay, whatever is asked; so does what another rule is broken by."""
    path = store / "FORMAT"
    with open_store(store) as manager:
        for good in (ref_of(store, "chat"), next(store.glob("objects/*/*")), path, store.parent, store / "none"):
            with pytest.raises(ValueError, match="finds nothing wrong"):
                manager.maintenance.discard(good, dry_run=False)
        (store / "README.txt").write_bytes(b"mine")
        with pytest.raises(ValueError, match=r"must stay: .*copy it from another store"):
            manager.maintenance.discard(store / "README.txt", dry_run=False)
    with open_store(store, read_only=True) as reader, pytest.raises(StoreReadOnlyError):
        reader.maintenance.discard(path, dry_run=False)
    assert (store / "README.txt").read_bytes() == b"mine"


def test_a_damaged_ref_that_was_repaired(store: Path) -> None:
    """Once a repair has put what is intact into a new file, nothing is lost with the damaged one."""
    path = ref_of(store, "chat")
    shutil.rmtree(f"{store}.state")
    path.write_bytes(path.read_bytes().replace(b"message 2", b"massage 2"))
    with open_store(store) as manager:
        report = manager.maintenance.discard(path)
        assert report.lost is not None
        assert report.lost.session == "chat"
        manager.maintenance.repair(dry_run=False)
        report = manager.maintenance.discard(path, dry_run=False)
        assert ([each.rule for each in report.findings], report.lost) == (["ref-replaced"], None)
        assert not path.exists()
        assert found(manager) == []
        names = [info.name for info in manager.list_sessions()]
        assert sorted(names) == ["chat", "large"]
    with open_store(store) as manager:
        # Neither listing nor opening brings it back.
        assert found(manager) == []
        assert sorted(info.name for info in manager.list_sessions()) == ["chat", "large"]


def test_what_this_machine_has_recorded_comes_back(store: Path) -> None:
    """The damaged ref is this machine's, and was recorded whole: without it the store gets the whole one."""
    path = ref_of(store, "chat")
    path.write_bytes(path.read_bytes().replace(b"message 2", b"massage 2"))
    with open_store(store) as manager:
        manager.maintenance.discard(path, dry_run=False)
    with open_store(store) as manager:
        assert manager.load_session("chat").messages == [message(number) for number in range(3)]
        assert found(manager) == []


def test_a_spare_copy(store: Path) -> None:
    """A copy that a sync tool has made goes; the one good copy of an object never does."""
    good = next(store.glob("objects/*/*"))
    copy = good.with_name(f"{good.name.partition('.')[0]}.sync-conflict-20260102.jsonl")
    shutil.copy(good, copy)
    good.write_bytes(b"damaged")
    with open_store(store) as manager:
        assert ("object-copy", str(copy)) in found(manager)
        with pytest.raises(ValueError, match="only good copy"):
            manager.maintenance.discard(copy, dry_run=False)
        assert copy.exists()
        manager.maintenance.discard(good, dry_run=False)
        assert not good.exists()
        assert manager.load_session("large").messages[0]["role"] == "user"
        shutil.copy(copy, good)
        manager.maintenance.discard(copy, dry_run=False)
        assert found(manager) == []


def test_a_damaged_object_that_nothing_has(store: Path) -> None:
    """The report says what needs it; then it counts as missing, so that a sync may bring it."""
    path = next(store.glob("objects/*/*"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    with open_store(store) as manager:
        (finding,) = manager.maintenance.discard(path).findings
        assert (finding.rule, "needed" in finding.what) == ("object-damaged", True)
        kept = manager.maintenance.discard(path, dry_run=False).kept
        assert Path(kept).read_bytes() == whole[:-9]
        assert [rule for rule, _ in found(manager)] == ["object-missing"]
        path.write_bytes(whole)
        assert found(manager) == []


def test_what_changes_meanwhile_stays(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sync tool puts a good file in place right before the damaged one is removed: the good one is kept."""
    path = next(store.glob("objects/*/*"))
    whole = path.read_bytes()
    path.write_bytes(b"damaged")
    with open_store(store) as manager:
        machine = repo_of(manager).machine
        keep = machine.keep_deleted

        def synced(identity: str, data: bytes) -> str:
            path.write_bytes(whole)
            return keep(identity, data)

        monkeypatch.setattr(machine, "keep_deleted", synced)
        with pytest.raises(Exception, match="changed meanwhile, and stays"):
            manager.maintenance.discard(path, dry_run=False)
        assert path.read_bytes() == whole
        assert found(manager) == []


def test_no_regular_file(store: Path) -> None:
    """A link or a folder is a person's to remove: nothing of it can be kept aside."""
    (store / "objects" / "link").symlink_to("/nowhere")
    (store / "folder").mkdir()
    with open_store(store) as manager:
        for path in (store / "objects" / "link", store / "folder"):
            with pytest.raises(CorruptionError, match="expected a regular file"):
                manager.maintenance.discard(path)
            assert path.is_symlink() or path.is_dir()


def test_a_database_has_no_files(tmp_path: Path) -> None:
    """Its refs and objects are rows, which nobody throws away one by one."""
    with open_store(tmp_path / "store", backend="sqlite") as manager:
        fill(manager, "chat", 1)
        with pytest.raises((UnsupportedError, ValueError)):
            manager.maintenance.discard(tmp_path / "store" / "stray")


def test_each_kind_of_file(store: Path) -> None:
    """What is in a wrong folder, unfinished, or damaged and needed by nothing or by history alone, can go."""
    with open_store(store) as manager:
        manager.rename_session("chat", "talk")
        unused = repo_of(manager).objects.new_chunk([b'{"role":"user","content":"unused"}'])
        repo_of(manager).objects.put([unused])
    (commit,) = (path for path in store.glob("objects/*/*") if b'"commit"' in path.read_bytes())
    (spare,) = store.glob(f"objects/*/{unused.id}*")
    commit.write_bytes(commit.read_bytes()[:-1])
    spare.write_bytes(b"x")
    wrong = store / "objects" / "00" / f"{'f' * 64}.jsonl"
    wrong.parent.mkdir(exist_ok=True)
    wrong.write_bytes(b"{}\n")
    temporary = store / "refs" / ".tmp-0123456789abcdef"
    temporary.write_bytes(b"half")
    with open_store(store) as manager:
        rules = {path: rule for rule, path in found(manager)}
        wanted = {
            wrong: "object-place",
            commit: "history-damaged",
            spare: "unused-damaged",
            temporary: "temporary-file",
        }
        assert rules == {str(path): rule for path, rule in wanted.items()}
        for path in wanted:
            manager.maintenance.discard(path, dry_run=False)
            assert not path.exists()
        assert [rule for rule, _ in found(manager)] == ["history-missing"]


def test_what_is_lost_is_of_that_file(store: Path) -> None:
    """Of several damaged refs the report tells of the one that is to go, and what of it is intact."""
    shutil.rmtree(f"{store}.state")
    with open_store(store) as manager:
        fill(manager, "another", 2)
    for name in ("another", "chat"):
        path = ref_of(store, name)
        path.write_bytes(path.read_bytes().rstrip(b"\n") + b"?\n")
    shutil.rmtree(f"{store}.state")
    with open_store(store) as manager:
        told = [manager.maintenance.discard(ref_of(store, name)).lost for name in ("chat", "another")]
        assert [lost and (lost.session, lost.count) for lost in told] == [("chat", 0), ("another", 0)]
        assert all("repair()" in lost.why for lost in told if lost)
