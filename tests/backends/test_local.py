"""The files backend: the contract, and what only files can get wrong."""

from __future__ import annotations

import errno
import gc
import os
import shutil
import time
from pathlib import Path

import pytest
from storekit import message, objects_of, open_store

from coda_fs_session import CorruptionError, StoreError
from coda_fs_session.backends.base import Backend, RefKey
from coda_fs_session.backends.disk import ref_files
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.disk.zstd import compress
from coda_fs_session.backends.files import replica_folders
from coda_fs_session.backends.files.backend import LocalBackend
from coda_fs_session.backends.files.locked_refs import OPEN_REFS
from coda_fs_session.backends.machine.own_refs import FileRecord
from coda_fs_session.testing import BackendTests
from coda_fs_session.testing.kit.case import KEY, OTHER, new_object


class TestLocal(BackendTests):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> LocalBackend:
        return LocalBackend(tmp_path / "store")

    def reopen(self, backend: Backend) -> LocalBackend:
        assert isinstance(backend, LocalBackend)
        return LocalBackend(Path(backend._paths.root))

    def read_raw(self, backend: Backend, where: RefKey | str) -> bytes | None:
        path = Path(backend.locate(where))
        return path.read_bytes() if path.exists() else None

    def write_raw(self, backend: Backend, where: RefKey | str, data: bytes | None) -> None:
        path = Path(backend.locate(where))
        if data is None:
            path.unlink()
        else:
            scratch = path.with_name(".new")
            scratch.write_bytes(data)
            scratch.replace(path)


@pytest.fixture
def files_made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of all that is created from now on."""
    made: list[str] = []
    for name in ("make_folder", "create", "open_append"):
        real = getattr(Files, name)
        monkeypatch.setattr(Files, name, lambda files, path, real=real: (made.append(path), real(files, path))[1])
    return made


def open_descriptors() -> int:
    return len(os.listdir("/dev/fd"))


def test_modes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    """Conversations are for their owner alone: folders 0700 and files 0600, in the store and beside it."""
    before = os.umask(0)
    try:
        store = tmp_path / "deep" / "store"
        manager = open_store(store, compress_threshold_bytes=100)
        session = manager.create_session("chat")
        for size in (0, 70_000):
            session.add_message(message(1, size))
            manager.save_session(session)
        manager.create_session("branch", branch_from="chat")
        manager.delete_session("branch")
        manager.list_sessions()
        manager.close()
    finally:
        os.umask(before)
    found = list(tmp_path.rglob("*"))
    assert len([path for path in found if path.is_file()]) > 6
    for path in found:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.parametrize("bad", [b"", b"damaged", None, "folder"], ids=["empty", "damaged", "link", "folder"])
@pytest.mark.parametrize("hint", [False, True], ids=["plain", "compressed"])
def test_putting_an_object_heals_it(backend: LocalBackend, tmp_path: Path, hint: bool, bad: bytes | str | None) -> None:
    """A bad file under an object's name is replaced by the good one, in the form that it has."""
    new = new_object(b"good " * 5000, compress=hint)
    backend.put_objects([new])
    (path,) = objects_of(tmp_path / "store")
    good = path.read_bytes()
    assert path.name.endswith(".zst") == hint
    path.unlink()
    if bad is None:
        (tmp_path / "elsewhere").write_bytes(good)
        path.symlink_to(tmp_path / "elsewhere")
    elif isinstance(bad, str):
        path.mkdir()
    else:
        path.write_bytes(bad)
    with pytest.raises(CorruptionError):
        backend.get_object(new.id, size=len(new.data), limit=len(new.data))
    if isinstance(bad, str):
        with pytest.raises(Exception, match="directory"):
            backend.put_objects([new])
        path.rmdir()
    backend.put_objects([new_object(new.data, compress=not hint)] if bad == b"damaged" else [new])
    assert objects_of(tmp_path / "store") == [path]
    assert not path.is_symlink()
    assert path.read_bytes() == good
    assert backend.get_object(new.id, size=len(new.data), limit=len(new.data)) == new.data


def test_a_good_object_is_never_rewritten(backend: LocalBackend, tmp_path: Path) -> None:
    """Whatever form it has, one that is good stays the same file."""
    new = new_object(b"good " * 5000, compress=True)
    backend.put_objects([new])
    (path,) = objects_of(tmp_path / "store")
    before = path.stat()
    backend.put_objects([new, new_object(new.data, compress=False)])
    LocalBackend(tmp_path / "store", compress=False).put_objects([new])
    assert objects_of(tmp_path / "store") == [path]
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("damaged", ["plain", "compressed"])
def test_either_form_serves(backend: LocalBackend, tmp_path: Path, damaged: str) -> None:
    """With both forms there, the good one is read, and putting the object heals the other."""
    new = new_object(b"good " * 5000)
    backend.put_objects([new])
    (plain,) = objects_of(tmp_path / "store")
    packed = plain.with_name(f"{plain.name}.zst")
    packed.write_bytes(compress(new.data))
    (plain if damaged == "plain" else packed).write_bytes(b"damaged")
    assert backend.get_object(new.id, size=len(new.data), limit=len(new.data)) == new.data
    (plain if damaged == "compressed" else packed).unlink()
    with pytest.raises(CorruptionError):
        backend.get_object(new.id, size=len(new.data), limit=len(new.data))


def test_a_wrong_size_is_damage(backend: LocalBackend) -> None:
    """An object that is not as long as what refers to it says, or longer than allowed, is not returned."""
    new = new_object(b"good " * 5000)
    backend.put_objects([new])
    for size, limit in ((len(new.data) + 1, 2**20), (len(new.data) - 1, 2**20), (None, len(new.data) - 1)):
        with pytest.raises(CorruptionError):
            backend.get_object(new.id, size=size, limit=limit)


def test_few_refs_stay_open(backend: LocalBackend) -> None:
    """Of many refs that were written only some keep their descriptor; all can be written on."""
    before = open_descriptors()
    keys = [RefKey(f"here-00000001/chat{number}.jsonl") for number in range(OPEN_REFS + 40)]
    tokens = {key: backend.create_ref(key, b"one\n") for key in keys}
    for _ in range(2):
        for key in keys:
            tokens[key] = backend.append_ref(key, tokens[key], b"more\n")
        assert open_descriptors() - before <= OPEN_REFS
    assert all(backend.read_ref(key).data == b"one\nmore\nmore\n" for key in keys)
    backend.close()
    assert open_descriptors() == before


def test_descriptors_go_with_the_backend(tmp_path: Path) -> None:
    """Bug: a manager that was dropped without `close` left its descriptors open for ever."""
    # What earlier tests dropped must not be closed while we count.
    gc.collect()
    before = open_descriptors()
    for _ in range(5):
        manager = open_store(tmp_path / "store")
        session = manager.create_session("chat")
        session.add_message(message(1))
        manager.save_session(session)
        assert open_descriptors() > before
        del manager, session
    gc.collect()
    assert open_descriptors() == before


def test_close_spares_what_is_held(backend: LocalBackend) -> None:
    """Bug: closing while another thread held a ref closed its descriptor, whose number could become another file's."""
    token = backend.create_ref(KEY, b"one\n")
    with backend.hold(KEY):
        token = backend.append_ref(KEY, token, b"two\n")
        backend.close()
        with open(os.devnull, "rb") as bystander:
            token = backend.append_ref(KEY, token, b"three\n")
            os.fstat(bystander.fileno())
    backend.append_ref(KEY, token, b"four\n")
    assert backend.read_ref(KEY).data == b"one\ntwo\nthree\nfour\n"
    backend.close()


def test_an_impossibly_large_ref_is_not_read(backend: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where its lock is held, and it is read another way."""
    backend.create_ref(KEY, b"one\n")
    monkeypatch.setattr(ref_files, "_REF_LIMIT", 3)
    with pytest.raises(CorruptionError, match="impossibly large"):
        backend.read_ref(KEY)
    with backend.hold(KEY), pytest.raises(CorruptionError, match="impossibly large"):
        backend.read_ref(KEY)


def test_a_large_file_that_is_no_ref_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first bytes tell."""
    backend = LocalBackend(tmp_path / "store", begin=b"one")
    backend.prepare()
    backend.create_ref(KEY, b"one\n")
    other = RefKey(f"{KEY.replica}/other.jsonl")
    backend.create_ref(other, b"two\n")
    monkeypatch.setattr(ref_files, "AT_ONCE", 3)
    assert backend.read_ref(KEY).data == b"one\n"
    with pytest.raises(CorruptionError, match="does not begin as a ref does"):
        backend.read_ref(other)


@pytest.mark.parametrize("verb", ["refs", "objects", "object_groups", "object_ids"])
def test_what_cannot_be_listed(backend: LocalBackend, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    """It is an error, and none that says that reading works."""
    backend.create_ref(KEY, b"one\n")
    backend.put_objects([one := new_object(b"one")])

    def refuse(path: str) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(StoreError, match="check the permissions") as caught:
        list(backend.object_ids(one.id[:2]) if verb == "object_ids" else getattr(backend, verb)())
    assert type(caught.value) is StoreError


def test_temporary_files_are_not_shown(backend: LocalBackend, tmp_path: Path) -> None:
    """What a crash left half-written, a dotfile, is neither a ref nor an object."""
    backend.create_ref(KEY, b"one\n")
    backend.put_objects([new_object(b"one")])
    refs, objects = list(backend.refs()), list(backend.objects())
    for folder in (Path(backend.locate(KEY)).parent, objects_of(tmp_path / "store")[0].parent):
        (folder / ".tmp-0123456789abcdef").write_bytes(b"half")
        (folder / ".chat.jsonl.a1b2c3").write_bytes(b"half")
    assert [key for key, _ in backend.refs()] == [key for key, _ in refs]
    assert list(backend.objects()) == objects


def test_a_known_marker_spares_the_listing(backend: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing changed since, the refs are not listed; and whatever changed is noticed all the same."""
    # Else nothing that was just made vouches for anything.
    monkeypatch.setattr(replica_folders, "is_recent", lambda changed, now: False)
    backend.create_ref(KEY, b"one\n")
    known = backend.replica_marker(KEY.replica)
    assert known
    with monkeypatch.context() as context:
        context.setattr(os, "scandir", None)
        assert backend.replica_marker(KEY.replica, known) == known
    another = RefKey(f"{KEY.replica}/another.jsonl")
    time.sleep(0.02)  # longer than a tick of the file system's clock
    backend.create_ref(another, b"two\n")
    assert backend.replica_marker(KEY.replica, known) not in (known, {}, None)
    for key in (KEY, another):
        Path(backend.locate(key)).unlink()
    assert backend.replica_marker(KEY.replica, known) is None


def test_a_replica_whose_folder_goes_away_has_no_marker(backend: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if a tool removes it at the very moment of the look: then there are no refs, which is no error."""
    backend.create_ref(KEY, b"one\n")
    real = replica_folders.scan

    def scan(folder: str) -> object:
        shutil.rmtree(folder)
        return real(folder)

    monkeypatch.setattr(replica_folders, "scan", scan)
    assert backend.replica_marker(KEY.replica) is None


def test_what_stands_beside_a_replica(tmp_path: Path) -> None:
    """It tells nothing while the time of another replica's folder could hide a further change."""
    backend = LocalBackend(tmp_path / "store", record=FileRecord(lambda: str(tmp_path / "state")))
    backend.prepare()
    backend.create_ref(KEY, b"one\n")
    there = tmp_path / "store" / "refs" / OTHER.replica
    there.mkdir()
    assert backend.ref_folders({}, but=KEY.replica).states[OTHER.replica] is None
    time.sleep(0.1)
    states = backend.ref_folders({}, but=KEY.replica).states
    assert states.keys() == {"", OTHER.replica}
    assert None not in states.values()
    backend.create_ref(RefKey(f"{KEY.replica}/another.jsonl"), b"two\n")
    assert backend.ref_folders(states, but=KEY.replica) == (states, {})
    (there / "chat.jsonl").touch()
    time.sleep(0.1)
    found = backend.ref_folders(states, but=KEY.replica)
    assert found.contents[OTHER.replica].keys() == {OTHER.path}
    assert found.contents.keys() == {OTHER.replica}


def test_only_folders_that_changed_are_listed(tmp_path: Path) -> None:
    """A look takes one question a folder, and tells what came or went at any depth; what is gone is not told of."""
    backend = LocalBackend(tmp_path / "store")
    backend.prepare()
    keys = [RefKey(f"{KEY.replica}/{folder}/chat.jsonl") for folder in ("aa", "bb", "cc/dd")]
    for key in keys:
        backend.create_refs([(key, b"one\n")])
    time.sleep(0.1)
    states = backend.ref_folders({}).states
    assert states.keys() == {"", *(f"{KEY.replica}{folder}" for folder in ("", "/aa", "/bb", "/cc", "/cc/dd"))}
    assert backend.ref_folders(states) == (states, {})
    backend.create_refs([(new := RefKey(f"{KEY.replica}/cc/dd/new.jsonl"), b"two\n")])
    found = backend.ref_folders(states)
    assert {folder: refs.keys() for folder, refs in found.contents.items()} == {
        f"{KEY.replica}/cc/dd": {keys[2].path, new.path}
    }
    time.sleep(0.1)
    shutil.rmtree(tmp_path / "store" / "refs" / KEY.replica / "cc")
    found = backend.ref_folders(backend.ref_folders(states).states)
    assert found.states.keys() == {"", *(f"{KEY.replica}{folder}" for folder in ("", "/aa", "/bb"))}
    assert found.contents == {KEY.replica: {}}


def test_without_a_state_folder_nothing_is_written_elsewhere(backend: LocalBackend, files_made: list[str]) -> None:
    """Nor told of what stands beside a replica: nobody counts then what other processes do."""
    backend.create_ref(KEY, b"one\n")
    states = backend.ref_folders({}, but=KEY.replica).states
    backend.create_ref(RefKey(f"{KEY.replica}/another.jsonl"), b"two\n")
    assert backend.ref_folders(states, but=KEY.replica).contents
    assert all(path.startswith(backend._paths.root) for path in files_made)
