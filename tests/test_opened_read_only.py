"""Managers that were opened read_only: nothing below the store changes, and what would write is refused."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from backends.databases import database, make_old
from storekit import fill, message, objects_of, open_store, ref_of, run_python, say, tree, untouched
from test_custom_storage import DictStorage

from coda_fs_session import ConfigError, Session, SessionManager, SessionWarning, StoreError, StoreReadOnlyError

KEPT = "own/", "replica", "locks/"
"""What a manager that writes relies on, in the state folder."""


@pytest.fixture(params=["files", "sqlite"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def open_read_only(store: Path, kind: str, **options: Any) -> SessionManager:
    return open_store(store, backend=kind, read_only=True, **options)


@contextmanager
def everything_kept(store: Path) -> Iterator[None]:
    """Make sure that the block changes nothing in the store, nor what the next one that writes relies on."""

    def kept() -> dict[str, Any]:
        found = tree(Path(f"{store}.state")) if Path(f"{store}.state").exists() else {}
        return {path: what for path, what in found.items() if path.partition("/")[2].startswith(KEPT)}

    before = kept()
    folder = store.stat().st_mtime_ns
    with untouched(store):
        yield
    assert store.stat().st_mtime_ns == folder
    assert kept() == before


def read_everything(manager: SessionManager, elsewhere: Path) -> None:
    """Use every verb that reads, on every session; what is damaged may say so."""
    infos = manager.list_sessions()
    for info in infos:
        manager.get_session_info(info.name)
        assert info.name in manager
        try:
            session = manager.load_session(info.name)
            assert manager.create_session(info.name) is session
            session.get_messages()
            session.reload()
            manager.export_session(info.name, elsewhere / "export.json", overwrite=True)
            session.add_message(message(99))
            session.reload()
        except StoreReadOnlyError:
            raise
        except StoreError:
            manager.load_session(info.name, partial=True) if info.error is None else None
    manager.stats()
    manager.kept_aside()
    with manager.watch() as watch:
        assert watch.next(timeout=0) is None
    with SessionManager({"session": {"backend": "memory"}}) as other:
        manager.sync(other, direction="push")


def damage(store: Path, kind: str) -> None:
    if kind == "files":
        path = ref_of(store, "chat")
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join([lines[0], lines[1].replace(b"message", b"massage"), *lines[2:]]))
    else:
        with database(store) as connection:
            connection.execute("UPDATE ref_lines SET data = replace(data, 'message', 'massage') WHERE position > 0")


def lose_objects(store: Path, kind: str) -> None:
    if kind == "files":
        for path in objects_of(store):
            path.unlink()
    else:
        with database(store) as connection:
            connection.execute("DELETE FROM objects")


def diverge(store: Path, kind: str) -> None:
    other = open_store(store.with_name("other"), backend=kind, replica="other")
    manager = open_store(store, backend=kind)
    manager.sync(other)
    say(manager, manager.load_session("chat"), 10)
    say(other, other.load_session("chat"), 20)
    manager.sync(other, direction="pull")
    manager.close()
    other.close()


def revert(store: Path, kind: str) -> None:
    shutil.copytree(store, store.with_name("old"))
    with open_store(store, backend=kind) as manager:
        say(manager, manager.load_session("chat"), 10, 11)
        fill(manager, "later")
    shutil.rmtree(store)
    shutil.copytree(store.with_name("old"), store)


STATES: dict[str, Callable[[Path, str], None]] = {
    "good": lambda store, kind: None,
    "diverged": diverge,
    "damaged": damage,
    "reverted": revert,
    "partly arrived": lose_objects,
}


def make(store: Path, kind: str) -> None:
    with open_store(store, backend=kind, compress_threshold_bytes=100) as manager:
        fill(manager, "chat")
        fill(manager, "sealed", 3, size=70_000)
        manager.create_session("branch", branch_from="sealed")
        fill(manager, "gone")
        manager.delete_session("gone")


@pytest.mark.parametrize("state", STATES)
@pytest.mark.filterwarnings("ignore::coda_fs_session.SessionWarning")
def test_reading_changes_nothing(store: Path, kind: str, state: str, tmp_path: Path) -> None:
    """Names, contents, times and modes stay as they are, as do the record and the id of this machine."""
    make(store, kind)
    STATES[state](store, kind)
    with everything_kept(store):
        with open_read_only(store, kind) as manager:
            read_everything(manager, tmp_path)
        # From what the first one has kept of the index.
        with open_read_only(store, kind) as manager:
            read_everything(manager, tmp_path)


@pytest.mark.parametrize("version", [1, 2])
def test_a_database_of_an_earlier_version(store: Path, version: int, tmp_path: Path) -> None:
    """It is read as it is, and stays of that version."""
    make(store, "sqlite")
    make_old(store, version)
    with everything_kept(store), open_read_only(store, "sqlite") as manager:
        assert {info.name for info in manager.list_sessions()} == {"chat", "sealed", "branch"}
        read_everything(manager, tmp_path)


def test_what_was_reverted_shows(store: Path, kind: str) -> None:
    """An older copy is told of and left, and what is gone is kept aside; a manager that writes puts both back."""
    make(store, kind)
    revert(store, kind)
    with everything_kept(store), open_read_only(store, kind) as manager:
        assert {info.name for info in manager.list_sessions() if info.reverted} == {"chat"}
        info = manager.get_session_info("chat")
        assert info is not None
        assert (info.reverted, info.message_count) == (True, 3)
        assert [(each.name, each.reverted, each.message_count) for each in manager.kept_aside()] == [("later", True, 3)]
        with pytest.warns(SessionWarning, match="a manager that is not read_only puts that back"):
            assert len(manager.load_session("chat")) == 3
    with pytest.warns(SessionWarning, match="put back"):
        manager = open_store(store, backend=kind)
    assert len(manager.load_session("chat")) == 5
    assert len(manager.load_session("later")) == 3
    manager.close()


WRITES: dict[str, Callable[[SessionManager, Session, Path], object]] = {
    "save": lambda manager, session, file: manager.save_session(session),
    "save on conditions": lambda manager, session, file: manager.save_session(session, on_conflict="raise"),
    "save another": lambda manager, session, file: manager.save_session(Session("new")),
    "save all": lambda manager, session, file: manager.save_all(),
    "create": lambda manager, session, file: manager.create_session("new"),
    "branch": lambda manager, session, file: manager.create_session("new", branch_from="chat"),
    "delete": lambda manager, session, file: manager.delete_session("chat"),
    "delete what is not there": lambda manager, session, file: manager.delete_session("new", missing_ok=True),
    "rename": lambda manager, session, file: manager.rename_session("chat", "new"),
    "import": lambda manager, session, file: manager.import_session(file, on_exists="replace"),
    "import sessions": lambda manager, session, file: manager.import_sessions(file),
    "bring back": lambda manager, session, file: manager.bring_back(),
    "undo": lambda manager, session, file: manager.history("chat").undo(),
    "restore": lambda manager, session, file: manager.history("chat").restore(0),
    "tag": lambda manager, session, file: manager.history("chat").tag("best"),
    "untag": lambda manager, session, file: manager.history("chat").untag("best"),
    "branch of the past": lambda manager, session, file: manager.create_session("new", branch_from="chat", at="best"),
    "bulk": lambda manager, session, file: manager.bulk(),
    "sync": lambda manager, session, file: manager.sync(file.with_name("elsewhere")),
    "pull": lambda manager, session, file: manager.sync(file.with_name("elsewhere"), direction="pull"),
}


@pytest.mark.parametrize("write", WRITES)
def test_what_would_write_is_refused(store: Path, kind: str, write: str, tmp_path: Path) -> None:
    """At once, with an error that says why; the open session holds what it held."""
    make(store, kind)
    file = tmp_path / "export.json"
    with open_store(store, backend=kind) as manager:
        manager.export_session("chat", file)
    manager = open_read_only(store, kind)
    with everything_kept(store):
        session = manager.load_session("chat")
        session.add_message(message(3))
        with pytest.raises(StoreReadOnlyError, match=r"opened read_only.*without read_only") as caught:
            WRITES[write](manager, session, file)
        assert str(store) in str(caught.value)
        assert [each["content"] for each in session.messages] == [message(number)["content"] for number in range(4)]
        assert not (tmp_path / "elsewhere").exists()
        session.reload()
        manager.close()


def test_a_sync_into_it_is_refused(store: Path, kind: str, tmp_path: Path) -> None:
    """As a target too; to read from it is what it is for."""
    make(store, kind)
    other, manager = open_store(tmp_path / "other", replica="other"), open_read_only(store, kind)
    fill(other, "theirs")
    with everything_kept(store):
        for direction in ("both", "push"):
            with pytest.raises(StoreReadOnlyError, match="opened read_only"):
                other.sync(manager, direction=direction)  # type: ignore[arg-type]
        other.sync(manager, direction="pull")
        manager.close()
    assert len(other.load_session("chat")) == 3
    other.close()


@pytest.mark.parametrize("kind", ["files", "sqlite", "memory", "custom"])
def test_any_storage(store: Path, kind: str) -> None:
    """Memory, and a storage of one's own, are read and refused alike."""
    if kind == "custom":
        storage = DictStorage()
        SessionManager(storage=storage).create_session("chat")
        manager = SessionManager(storage=storage, read_only=True)
        with pytest.raises(StoreReadOnlyError, match="DictStorage"):
            manager.save_session(manager.load_session("chat"))
        with pytest.raises(StoreReadOnlyError, match="DictStorage"):
            manager.delete_session("chat")
        with pytest.raises(StoreReadOnlyError, match="DictStorage"):
            manager.create_session("branch", branch_from="chat")
        assert [info.name for info in manager.list_sessions()] == ["chat"]
    else:
        if kind != "memory":
            make(store, kind)
        manager = open_read_only(store, kind)
    with pytest.raises(StoreReadOnlyError):
        manager.create_session("new")
    manager.close()


def test_both_constructors_and_the_option(store: Path, tmp_path: Path) -> None:
    """What the caller says wins over the option."""
    make(store, "files")
    settings = tmp_path / "settings.toml"
    for option, argument, expected in (
        ("", True, True),
        ("read_only = true", None, True),
        ("read_only = true", False, False),
        ("", None, False),
    ):
        settings.write_text(f'[session]\nstorage_path = "{store}"\nstate_path = "{store}.state"\n{option}\n')
        config: dict[str, Any] = {"session": {"storage_path": store, "state_path": f"{store}.state"}}
        config["session"] |= {"read_only": True} if option else {}
        for manager in (
            SessionManager.from_toml(settings, read_only=argument),
            SessionManager(config, read_only=argument),
        ):
            if expected:
                with pytest.raises(StoreReadOnlyError):
                    manager.delete_session("none", missing_ok=True)
            else:
                manager.delete_session("none", missing_ok=True)
            manager.close()
    with pytest.raises(ConfigError, match="read_only = 'yes' is not accepted: it takes true or false"):
        SessionManager(store, read_only="yes")  # type: ignore[arg-type]


@pytest.mark.parametrize("there", ["nothing", "an empty folder"])
def test_a_store_that_is_not_there(store: Path, kind: str, there: str) -> None:
    """It is empty, which a warning says; nothing is made, and what another process makes shows."""
    if there == "an empty folder":
        store.mkdir()
    with pytest.warns(SessionWarning, match="there is no store at"):
        manager = open_read_only(store, kind)
    assert manager.list_sessions() == []
    with pytest.raises(StoreReadOnlyError):
        manager.create_session("chat")
    assert manager.stats().sessions == 0
    assert store.exists() == (there == "an empty folder")
    assert not store.exists() or not list(store.iterdir())
    make(store, kind)
    assert {info.name for info in manager.list_sessions()} == {"chat", "sealed", "branch"}
    manager.close()


def test_beside_a_writer(store: Path, kind: str, tmp_path: Path) -> None:
    """In another process it sees what is saved, at once and by a watch, and changes nothing meanwhile."""
    with open_store(store, backend=kind) as writer:
        session = writer.create_session("chat")
        script = """
            import sys
            from storekit import *
            from coda_fs_session import *
            manager = open_store(Path(sys.argv[1]), backend=sys.argv[2], read_only=True)
            manager.list_sessions()
            print(len(manager.load_session("chat").get_messages()))
            manager.close()
        """
        for number in range(3):
            say(writer, session, number)
            with everything_kept(store):
                run = run_python(script, store, kind)
            assert (run.stdout, run.stderr) == (f"{number + 1}\n", "")
        reader = open_read_only(store, kind)
        mine = reader.load_session("chat")
        with reader.watch() as watch:
            say(writer, session, 3)
            event = watch.next(timeout=20)
            assert event is not None
            assert (event.name, event.kind) == ("chat", "advanced")
        mine.reload()
        assert len(mine) == 4
        # The writer is not hindered, nor made to be read only.
        say(writer, session, 4)
        assert len(reader.load_session("chat")) == 5
        reader.close()


def test_closing_tells_what_is_not_saved(store: Path, kind: str) -> None:
    """`close` and the end of a block warn, once, and do not raise; what is in the store stays."""
    make(store, kind)
    with everything_kept(store):
        manager = open_read_only(store, kind)
        with manager:
            # Nobody else holds them at the end.
            manager.load_session("chat").add_message(message(3))
            manager.load_session("sealed").metadata["title"] = "Seals"
            with pytest.warns(SessionWarning) as caught:
                manager.close()
        (told,) = [str(each.message) for each in caught]
        assert told.startswith("not saved, since this manager was opened read_only: ")
        assert "'chat' (1 unsaved message)" in told
        assert "'sealed' (" in told
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            manager.close()
        block = open_read_only(store, kind).__enter__()
        block.load_session("chat").add_message(message(3))
        error = ZeroDivisionError()
        with pytest.warns(SessionWarning, match="'chat'"):
            block.__exit__(ZeroDivisionError, error, None)


def test_the_end_of_a_program_tells_what_is_not_saved(store: Path, kind: str) -> None:
    """A line on stderr for each session, and no timer before."""
    make(store, kind)
    script = """
        import sys, threading
        from storekit import *
        manager = open_store(Path(sys.argv[1]), backend=sys.argv[2], read_only=True, autosave_interval=0.01)
        session = manager.load_session("chat")
        session.add_message(message(3))
        print([thread.name for thread in threading.enumerate()])
        del session
    """
    with everything_kept(store):
        run = run_python(script, store, kind)
    assert run.stdout == "['MainThread']\n"
    (line,) = run.stderr.splitlines()
    assert line.startswith("coda_fs_session: session 'chat' was not saved when the program ended (1 unsaved message): ")
    assert "opened read_only" in line
