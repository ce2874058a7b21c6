"""The index may be removed, cut, damaged, locked or full at any moment: what is found stays the same."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import stat
import subprocess
import sys
import warnings
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from storekit import Opener, fill, message, open_store, say

from coda_fs_session import SearchPlace, Session, SessionManager, SessionWarning
from coda_fs_session.repo.search import database, finding, gathering
from coda_fs_session.repo.search.said import Said, said
from coda_fs_session.repo.search.tables import Tables

COUNT = 40


@pytest.fixture
def store(tmp_path: Path) -> Path:
    with open_store(tmp_path / "store") as manager:
        for number in range(5):
            fill(manager, f"chat {number}", COUNT)
    return tmp_path / "store"


def index_of(store: Path) -> Path:
    (path,) = Path(f"{store}.state").glob("*/search.db")
    return path


def beginning(store: Path) -> str:
    """Return the beginning of a program that opens the store as `m`."""
    options = {"storage_path": str(store), "state_path": f"{store}.state"}
    return f"from coda_fs_session import SessionManager\nwith SessionManager({{'session': {options!r}}}) as m:\n"


def whole(manager: SessionManager) -> None:
    """All messages of `store` are found, each once, with all that have it."""
    result = manager.search("message", limit=None)
    assert (len(result), result.total, result.complete) == (COUNT, COUNT, True)
    assert all(len(hit.places) == 5 for hit in result)


def search_whole(store: Path) -> None:
    with open_store(store) as manager:
        whole(manager)


def test_it_has_few_free_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Merging leaves pages in which nothing is: they are given back, and all is found after that."""
    monkeypatch.setattr(gathering, "_BATCH", 20_000)
    rng = random.Random(1)
    with open_store(tmp_path / "store") as manager:
        words = [" ".join(str(rng.randrange(10_000)) for _ in range(1000)) for _ in range(60)]
        for number, each in enumerate(words):
            manager.save_session(Session(f"chat {number}", [{"role": "user", "content": each}]))
        assert [len(manager.search(each[:50])) for each in words[::20]] == [1, 1, 1]
        with closing(sqlite3.connect(index_of(tmp_path / "store"))) as connection:
            free, pages = (connection.execute(f"PRAGMA {each}_count").fetchone()[0] for each in ("freelist", "page"))
        assert free <= pages // 20 < pages


def test_it_is_kept_and_private(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next process reads nothing again; no other user may read it, whatever the umask is."""
    before = os.umask(0)
    try:
        search_whole(store)
    finally:
        os.umask(before)
    for path in index_of(store).parent.glob("search.db*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    monkeypatch.setattr(Tables, "write", None)
    search_whole(store)


def remove(path: Path, rng: random.Random) -> None:
    path.unlink()


def remove_all(path: Path, rng: random.Random) -> None:
    shutil.rmtree(path.parent)


def cut(path: Path, rng: random.Random) -> None:
    os.truncate(path, rng.randrange(path.stat().st_size))


def zeros(path: Path, rng: random.Random) -> None:
    with path.open("r+b") as file:
        file.seek(rng.randrange(path.stat().st_size // 4096) * 4096)
        file.write(bytes(4096))


def garbage(path: Path, rng: random.Random) -> None:
    path.write_bytes(rng.randbytes(50_000))


def empty(path: Path, rng: random.Random) -> None:
    path.write_bytes(b"")


def other_tables(path: Path, rng: random.Random) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE unit (other)")
        connection.execute("PRAGMA user_version = 1")


def newer(path: Path, rng: random.Random) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")


def wrong_values(path: Path, rng: random.Random) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE session SET token = 'x'")


def folder(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.mkdir()


DAMAGE = [remove, remove_all, cut, zeros, garbage, empty, other_tables, newer, wrong_values, folder]


WHOLE_NUMBERS = ("session.messages", "session.start", "line.number", "line.time", "edge.first", "edge.messages")


@pytest.mark.parametrize("place", WHOLE_NUMBERS)
@pytest.mark.parametrize("value", [b"\0", "x"])
def test_values_of_another_kind(store: Path, place: str, value: object) -> None:
    """It is made anew: SQLite keeps a value of any kind in any column, and a search ended in a TypeError for ever."""
    search_whole(store)
    table, column = place.split(".")
    with closing(sqlite3.connect(index_of(store), isolation_level=None)) as connection:
        connection.execute(f"UPDATE OR IGNORE {table} SET {column} = ?", (value,))
    with open_store(store) as manager:
        say(manager, manager.load_session("chat 1"), COUNT)
        result = manager.search("message", limit=None, since=datetime(2001, 1, 1, tzinfo=UTC))
        assert (len(result), result.total, result.complete) == (COUNT + 1, COUNT + 1, True)


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_between_two_processes(store: Path, damage: Callable[[Path, random.Random], None], seed: int) -> None:
    """It is made anew, or done without."""
    rng = random.Random(seed)
    for _ in range(10 if damage in (cut, zeros) else 1):
        search_whole(store)
        damage(index_of(store), rng)
    search_whole(store)
    search_whole(store)


@pytest.mark.parametrize("damage", [remove, remove_all, cut, zeros, garbage, empty, folder])
def test_damaged_while_it_is_open(store: Path, damage: Callable[[Path, random.Random], None], seed: int) -> None:
    """Also by somebody who does not care that it is in use; a saved message is found all the same."""
    rng = random.Random(seed)
    with open_store(store) as manager:
        session = manager.create_session("more")
        for number in range(5):
            whole(manager)
            paths = list(Path(f"{store}.state").glob("*/search.db"))
            if paths and paths[0].is_file() and paths[0].stat().st_size > 4096:
                damage(paths[0], rng)
            session.add_message({"role": "user", "content": f"zebra{number}"})
            manager.save_session(session)
            assert manager.search(f"zebra{number}").hits[0].places == (SearchPlace("more", number),)
        whole(manager)


def test_removed_and_made_anew_by_another_process(store: Path) -> None:
    """The first process goes over to the new file, and leaves nothing in the old one."""
    with open_store(store) as manager, open_store(store) as other:
        whole(manager)
        assert manager._engine is not None
        manager._engine.repo.machine.discard_database("search.db")
        assert not list(index_of_folder(store).glob("search.db*"))
        whole(other)
        session = manager.create_session("more")
        session.add_message({"role": "user", "content": "zebra"})
        manager.save_session(session)
        assert manager.search("zebra")
        assert other.search("zebra")
        with closing(sqlite3.connect(index_of(store))) as connection:
            assert connection.execute("SELECT count(*) FROM session").fetchone() == (6,)


def index_of_folder(store: Path) -> Path:
    (path,) = Path(f"{store}.state").glob("*")
    return path


@pytest.mark.parametrize("is_there", [True, False])
def test_locked_by_another_program(store: Path, is_there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """For as long as it likes: it is done without, and found is all the same, new messages too."""
    monkeypatch.setattr(database, "_PATIENCE", 0.01)
    with open_store(store) as manager:
        if is_there:
            whole(manager)
    path = index_of(store) if is_there else index_of_folder(store) / "search.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as locking:
        locking.execute("PRAGMA locking_mode = EXCLUSIVE")
        locking.execute("BEGIN EXCLUSIVE")
        locking.execute("CREATE TABLE mine (x)")
        with open_store(store) as manager:
            whole(manager)
            say(manager, manager.create_session("more"), 1000)
            assert len(manager.search('"message 1000"')) == 1
        locking.execute("ROLLBACK")
    search_whole_with_more(store)


def search_whole_with_more(store: Path) -> None:
    with open_store(store) as manager:
        assert len(manager.search("message", limit=None)) == COUNT + 1


def test_locked_while_it_is_open(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two searches."""
    monkeypatch.setattr(database, "_PATIENCE", 0.01)
    with open_store(store) as manager:
        whole(manager)
        session = manager.create_session("more")
        with closing(sqlite3.connect(index_of(store), isolation_level=None)) as locking:
            locking.execute("BEGIN IMMEDIATE")
            say(manager, session, 1000)
            assert len(manager.search('"message 1000"')) == 1
            say(manager, session, 1001)
            assert len(manager.search('"message 1001"')) == 1
            locking.execute("ROLLBACK")


def test_no_room_for_it(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that gets full while it is built: it is built in memory."""

    def small(path: str, connect: Callable[[str], sqlite3.Connection] = database._connected) -> sqlite3.Connection:
        connection = connect(path)
        connection.execute("PRAGMA max_page_count = 20")
        return connection

    monkeypatch.setattr(database, "_connected", small)
    with open_store(store) as manager:
        whole(manager)
        whole(manager)
    assert index_of(store).stat().st_size <= 20 * 4096


def test_no_state_folder(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none can be made, not even a stand-in, it is kept in memory."""
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.mkdtemp", lambda **_: str(tmp_path / "file"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SessionWarning)
        with open_store(store, state_path=str(tmp_path / "file" / "state"), read_only=True) as manager:
            whole(manager)


def test_without_sqlite(make: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """A SQLite without full text: messages are looked through, which finds words too."""

    def refuse(_: Tables) -> bool:
        raise sqlite3.OperationalError("no such module: fts5")

    with make() as manager:
        fill(manager, "chat", 3)
        monkeypatch.setattr(Tables, "prepare", refuse)
        result = manager.search("message")
        assert (len(result), result.complete) == (3, True)
        assert not manager.search("zebra")


def test_without_the_module(store: Path) -> None:
    """A Python that was built without sqlite3."""
    program = (
        "import sys; sys.modules['sqlite3'] = None\n"
        + beginning(store)
        + "    print(len(m.search('message', limit=None)), len(m.search('zebra')))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == f"{COUNT} 0\n", done.stderr


def test_sqlite_is_imported_by_a_search_only(store: Path) -> None:
    """A program that does not search does not load it."""
    program = (
        "import sys\n" + beginning(store) + "    m.list_sessions(); m.load_session('chat 1').get_messages()\n"
        "    print(sorted(each for each in sys.modules if 'sqlite' in each or '.search.' in each))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "[]\n", done.stderr


def test_read_only_changes_nothing_in_the_store(store: Path) -> None:
    """A manager that is read_only searches; the index goes into the state folder, and nothing into the store."""
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    with open_store(store, read_only=True) as manager:
        whole(manager)
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before
    assert index_of(store).exists()


def test_another_process_searches_too(store: Path) -> None:
    """Several that build it at once find the same, and so does who comes later."""
    program = (
        beginning(store) + "    for _ in range(10):\n"
        "        result = m.search('message', limit=None)\n"
        "        print(len(result), result.complete, {len(hit.places) for hit in result})\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for process in processes:
        assert process.communicate(timeout=100)[0] == f"{COUNT} True {{5}}\n" * 10
    search_whole(store)
    with closing(sqlite3.connect(index_of(store))) as connection:
        # No text twice, whichever process brought it.
        assert connection.execute("SELECT count(*), count(DISTINCT id) FROM text").fetchone() == (COUNT, COUNT)


def test_a_child_of_fork_searches(store: Path) -> None:
    """With connections of its own, while the parent goes on with its."""
    with open_store(store) as manager:
        whole(manager)
        child = os.fork()
        if not child:
            status = 1
            try:
                whole(manager)
                say(manager, manager.create_session("child"), 1000)
                status = 0 if manager.search('"message 1000"') else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert manager.search('"message 1000"').hits[0].session == "child"


def test_texts_are_kept_once(store: Path) -> None:
    """However many sessions and chunks have a text, however often a session is sealed: it is indexed once."""
    with open_store(store) as manager:
        whole(manager)
        for number in range(30):
            manager.create_session(f"branch {number}", branch_from="chat 1")
        session = manager.load_session("chat 1")
        for number in range(10):
            session.add_message(message(number, 70_000))
            manager.save_session(session)
            manager.search("message")
    with closing(sqlite3.connect(index_of(store))) as connection:
        assert connection.execute("SELECT count(*) FROM words_docsize").fetchone() == (COUNT + 10,)
        # What the session had in no object, and then in one.
        assert connection.execute("SELECT count(*) FROM line").fetchone()[0] <= (5 + 30 + 3) * COUNT + 20


def test_an_index_that_says_what_is_not_so(store: Path) -> None:
    """What it finds is confirmed in the messages: a wrong entry shows nothing that is not there."""
    search_whole(store)
    with closing(sqlite3.connect(index_of(store), isolation_level=None)) as connection:
        connection.execute("UPDATE line SET number = 39 - number")
        connection.execute("INSERT INTO words (rowid, text, extra) VALUES (1, 'zebra', '')")
    with open_store(store) as manager:
        assert not manager.search("zebra")
        for hit in manager.search('"message 7"'):
            assert hit.snippet == "message 7"


def test_no_more_are_confirmed_than_are_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where signs have to be looked at, and the index has more, so many messages are read as are asked for."""
    read: list[bytes] = []

    def reading(line: bytes) -> Said:
        read.append(line)
        return said(line)

    with open_store(tmp_path / "store") as manager:
        messages = [{"role": "user", "content": f"planet->{number}"} for number in range(COUNT)]
        manager.save_session(Session("chat", messages))
        monkeypatch.setattr(finding, "said", reading)
        assert (len(manager.search("planet->", limit=3)), len(read)) == (3, 3)
