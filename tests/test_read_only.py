"""Places that cannot be written: a read-only store reads, and a state folder out of reach only warns."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from storekit import NOBODY, fill, give_to_nobody, message, open_store, run_python, untouched

from coda_fs_session import SessionManager, SessionWarning

PRELUDE = """
    import os, sys, tempfile, warnings
    from pathlib import Path
    from storekit import drop_privileges, fill, message, open_store
    from coda_fs_session import *
    drop_privileges()
    store = Path(sys.argv[1])
"""


@pytest.fixture
def open_tmp() -> Iterator[Path]:
    """A folder that other users can get to; pytest closes its own to them, whenever another run begins."""
    for place in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        if all(folder.stat().st_mode & 0o005 == 0o005 for folder in (Path(place), *Path(place).parents)):
            break
    with tempfile.TemporaryDirectory(dir=place) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def run_as_nobody(script: str, *arguments: str | Path, tmp_path: Path, **environment: str) -> list[str]:
    """Run a script whose user is bound by file modes, and return the lines it printed."""
    warm = tmp_path / "warm"
    places = {"WARM_STORE": str(warm), "HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "tmp"), **environment}
    (tmp_path / "home").mkdir(exist_ok=True)
    give_to_nobody(tmp_path / "home", writable=True)
    if "TMPDIR" not in environment:
        (tmp_path / "tmp").mkdir(exist_ok=True)
        (tmp_path / "tmp").chmod(0o1777)
    run = run_python(PRELUDE + script, *arguments, **places)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


@pytest.mark.parametrize("open_first", [True, False], ids=["known state", "new state"])
def test_a_read_only_store_reads(open_tmp: Path, open_first: bool) -> None:
    """Everything that reads works on a store that cannot be written, and every first write says why it does not."""
    store = open_tmp / "store"
    manager = open_store(store, compress_threshold_bytes=100)
    fill(manager, "small")
    fill(manager, "sealed", 3, size=70_000)
    manager.close()
    if open_first:
        give_to_nobody(Path(f"{store}.state"), writable=True)
    else:
        shutil.rmtree(f"{store}.state")
        Path(f"{store}.state").mkdir()
        give_to_nobody(Path(f"{store}.state"), writable=True)
    give_to_nobody(store, writable=False)
    script = """
    def attempt(what, call):
        try:
            call()
        except StoreReadOnlyError as error:
            print(what, "refused", error.path.is_relative_to(store), "check the permissions" in str(error))
    manager = open_store(store)
    print([info.name for info in manager.list_sessions()] == ["sealed", "small"])
    session = manager.load_session("small")
    print(session.get_messages() == [message(0), message(1), message(2)], manager.load_session("sealed").messages[2])
    print(manager.stats().sessions, manager.get_session_info("sealed").message_count, "other" in manager)
    print(manager.export_session("small", Path(os.environ["HOME"], "e.json")).exists())
    attempt("create", lambda: manager.create_session("new"))
    attempt("branch", lambda: manager.create_session("b", branch_from="small"))
    attempt("rename", lambda: manager.rename_session("small", "c"))
    attempt("delete", lambda: manager.delete_session("small"))
    attempt("import", lambda: manager.import_session(Path(os.environ["HOME"], "e.json"), name="d"))
    session.add_message(message(3))
    attempt("save", lambda: manager.save_session(session))
    attempt("save_all", manager.save_all)
    print(len(session), session.has_unsaved_changes)
    try:
        with manager:
            raise ZeroDivisionError
    except ZeroDivisionError as error:
        print(*(note.partition(": ")[0] for note in error.__notes__))
    """
    with untouched(store):
        lines = run_as_nobody(script, store, tmp_path=open_tmp)
    assert lines[:4] == ["True", f"True {message(2, 70_000)}", "2 3 False", "True"]
    assert lines[4:-2] == [
        f"{what} refused True True" for what in ("create", "branch", "rename", "delete", "import", "save", "save_all")
    ]
    assert lines[-2:] == ["4 True", "session 'small' was not saved (1 unsaved message)"]


def test_a_store_that_cannot_even_be_read(open_tmp: Path) -> None:
    """Without permission to read the error is not StoreReadOnlyError, which promises that reading works."""
    store = open_tmp / "store"
    fill(open_store(store), "chat")
    store.chmod(0o000)
    script = """
    try:
        open_store(store)
    except StoreError as error:
        print(type(error).__name__, error.path == store, "check the permissions" in str(error))
    """
    try:
        if os.getuid() == 0:
            assert run_as_nobody(script, store, tmp_path=open_tmp) == ["StoreError True True"]
        else:
            with pytest.raises(Exception, match="check the permissions"):
                open_store(store)
    finally:
        store.chmod(0o700)


def test_a_place_where_no_store_can_be_made(open_tmp: Path) -> None:
    """A folder that cannot be made shows at the first write; until then the store is empty."""
    script = """
    manager = SessionManager({"session": {"storage_path": store, "autosave_interval": 0}})
    print(manager.list_sessions(), manager.stats().sessions)
    try:
        manager.create_session("chat")
    except StoreReadOnlyError as error:
        print(error.path)
    """
    (open_tmp / "closed").mkdir(mode=0o755)
    if os.getuid() != 0:
        (open_tmp / "closed").chmod(0o555)
    store = open_tmp / "closed" / "store"
    assert run_as_nobody(script, store, tmp_path=open_tmp) == ["[] 0", str(store)]


@pytest.mark.parametrize("kind", ["a closed folder", "below a closed folder", "a file", "below a file"])
def test_an_unwritable_state_folder_warns_and_works(open_tmp: Path, kind: str) -> None:
    """With no place for machine state the user is told once, and everything works, the next process included."""
    (open_tmp / "closed").mkdir(mode=0o755)
    if os.getuid() != 0:
        (open_tmp / "closed").chmod(0o555)
    (open_tmp / "file").write_text("")
    (open_tmp / "stores").mkdir()
    give_to_nobody(open_tmp / "stores", writable=True)
    state = (
        open_tmp
        / {
            "a closed folder": "closed",
            "below a closed folder": "closed/state",
            "a file": "file",
            "below a file": "file/state",
        }[kind]
    )
    script = """
    for round in range(2):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with open_store(store, state_path=sys.argv[2]) as manager:
                session = manager.create_session("chat")
                session.add_message(message(round))
                manager.save_session(session)
                manager.list_sessions()
            told = [(each.category.__name__, str(each.message)) for each in caught]
            print([(kind, sys.argv[2] in text, "state_path" in text) for kind, text in told])
    manager = open_store(store, state_path=sys.argv[2])
    print(len(manager.load_session("chat")), len(list((store / "refs").iterdir())))
    (stand_in,) = Path(tempfile.gettempdir()).glob("coda_fs_session-*")
    print(oct(stand_in.stat().st_mode & 0o777))
    """
    lines = run_as_nobody(script, open_tmp / "stores" / "store", state, tmp_path=open_tmp)
    told = str([("SessionWarning", True, True)])
    assert lines == [told, told, "2 1", "0o700"]


def test_a_stand_in_that_somebody_else_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a shared temporary folder the stand-in's name may be taken by another user, or a link: it is not trusted."""
    for number, planted in enumerate(("link", "open folder")):
        scratch = tmp_path / str(number)
        scratch.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(scratch))
        stand_in = scratch / f"coda_fs_session-{os.getuid()}"
        target = scratch / "target"
        target.mkdir()
        if planted == "link":
            stand_in.symlink_to(target)
        else:
            stand_in.mkdir()
            stand_in.chmod(0o777)
        (scratch / "file").write_text("")
        with pytest.warns(SessionWarning):
            open_store(scratch / "store", state_path=str(scratch / "file")).create_session("chat")
        assert not list(target.iterdir())
        if planted == "open folder":
            assert not list(stand_in.iterdir())


def test_a_state_folder_that_root_has_begun(open_tmp: Path) -> None:
    """As under sudo: where a part of it belongs to another user a stand-in is used, and the warning says whose."""
    if os.getuid() != 0:
        pytest.skip("a folder of another user needs root to make it")
    store, state = open_tmp / "stores" / "store", open_tmp / "state"
    with open_store(store, state_path=str(state)) as manager:
        fill(manager, "chat")
    give_to_nobody(open_tmp / "stores", writable=True)
    give_to_nobody(state, writable=True)
    script = """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with open_store(store, state_path=sys.argv[2]) as manager:
            session = manager.create_session("chat")
            session.add_message(message(0))
            manager.save_session(session)
    print(*[sys.argv[3] in str(each.message) and "belongs to the user 0" in str(each.message) for each in caught])
    """
    for part in ("locks", "own"):
        (begun,) = state.glob(f"*/{part}")
        os.chown(begun, 0, 0)
        assert run_as_nobody(script, store, state, begun, tmp_path=open_tmp) == ["True"]
        os.chown(begun, NOBODY, NOBODY)


def test_a_state_folder_that_a_stranger_has_left_open(tmp_path: Path) -> None:
    """Where everybody may make folders, somebody may make ours first, and leave it open: nothing in it is believed."""
    if os.getuid() != 0:
        pytest.skip("a folder of another user needs root to make it")
    store, state = tmp_path / "store", tmp_path / "state"
    with open_store(store, state_path=str(state)) as manager:
        fill(manager, "chat")
    (planted,) = state.iterdir()
    os.chown(planted, NOBODY, NOBODY)
    planted.chmod(0o777)
    with untouched(planted):
        with pytest.warns(SessionWarning, match=f"every user may write .* the user {NOBODY}"):
            manager = open_store(store, state_path=str(state))
        fill(manager, "another")
        manager.close()


def test_without_any_place_for_state_reading_works(open_tmp: Path) -> None:
    """Where not even a temporary folder can be written, reading needs none; the first write says what is missing."""
    store = open_tmp / "store"
    fill(open_store(store), "chat")
    give_to_nobody(store, writable=False)
    (open_tmp / "file").write_text("")
    script = """
    tempfile._candidate_tempdir_list = lambda: [os.path.join(sys.argv[2], "none")]
    tempfile.tempdir = None
    manager = open_store(store, state_path=sys.argv[2])
    print(len(manager.load_session("chat").get_messages()), len(manager.list_sessions()))
    try:
        manager.create_session("new")
    except StoreError as error:
        print("state" in str(error))
    manager.close()
    """
    assert run_as_nobody(script, store, open_tmp / "file", tmp_path=open_tmp) == ["3 1", "True"]


def test_a_user_without_a_home(open_tmp: Path) -> None:
    """A machine user with no home folder can use a store by its path, and the memory backend with no path at all."""
    (open_tmp / "stores").mkdir()
    give_to_nobody(open_tmp / "stores", writable=True)
    script = """
    del os.environ["HOME"]
    import pwd
    def unknown(uid):
        raise KeyError(uid)
    pwd.getpwuid = unknown
    os.chdir(store.parent)
    SessionManager({"session": {"backend": "memory"}}).create_session("chat")
    try:
        SessionManager({})
    except ConfigError as error:
        print("storage_path" in str(error))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        SessionManager({"session": {"storage_path": store, "autosave_interval": 0}}).create_session("chat")
    print([w.category.__name__ for w in caught], os.listdir("."))
    """
    lines = run_as_nobody(script, open_tmp / "stores" / "store", tmp_path=open_tmp)
    assert lines == ["True", "['SessionWarning'] ['store']"]


def _save_many(store: str, state: str, name: str, ready: object, count: int) -> None:
    warnings.simplefilter("ignore", SessionWarning)
    manager = SessionManager({"session": {"storage_path": store, "state_path": state, "autosave_interval": 0}})
    ready.wait()  # type: ignore[attr-defined]
    for number in range(count):
        manager.create_session(f"own {name} {number}")
        session = manager.create_session("shared")
        session.add_message({"role": "user", "content": f"{name} {number}", "padding": "x" * 20_000})
        manager.save_session(session)


def test_the_stand_in_state_still_excludes_processes(tmp_path: Path) -> None:
    """Two processes that both have to do with the stand-in create, append and seal without losing a message."""
    (tmp_path / "file").write_text("")
    store, state = str(tmp_path / "store"), str(tmp_path / "file" / "state")
    context = multiprocessing.get_context("fork")
    ready, count = context.Event(), 15
    writers = [context.Process(target=_save_many, args=(store, state, name, ready, count)) for name in ("a", "b")]
    for writer in writers:
        writer.start()
    ready.set()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    with pytest.warns(SessionWarning):
        manager = open_store(tmp_path / "store", state_path=state)
    session = manager.load_session("shared")
    texts = [message["content"] for message in session.get_messages()]
    for name in ("a", "b"):
        assert [text for text in texts if text.startswith(name)] == [f"{name} {number}" for number in range(count)]
    assert len(texts) == 2 * count
    assert len(manager.list_sessions()) == 1 + 2 * count
    assert len(list((tmp_path / "store" / "refs").iterdir())) == 1, "one store on one machine is one replica"
