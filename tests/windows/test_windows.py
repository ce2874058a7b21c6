"""On a double of Windows (`double.py`), each time in a process of its own; nobody has tried the real one yet."""

from __future__ import annotations

import ntpath
import os
import random
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from storekit import ROOT, fill, open_store, run_python, untouched

from coda_fs_session.backends.disk.files import Files, make_folders
from coda_fs_session.config import local_path

pytestmark = pytest.mark.skipif(
    not os.path.isdir("/proc/self/fd"), reason="the double finds out from /proc which files are open"
)
INSTALL = """
import warnings

from windows import double

double.install()
# Only now: what the double imports is not ours to mend.
warnings.simplefilter("error")
"""
WRITERS, SAVES = 2, 60
UNLIKE_TEXT = [{"role": "tool", "content": random.Random(number).randbytes(150_000).hex()} for number in range(2)]
"""What it is compressed to has all bytes in it, those that end a text on Windows too."""


def on_windows(script: str, *arguments: str | Path) -> str:
    """Run a script on the double, where a warning is an error; return what it has printed."""
    done = run_python(INSTALL + textwrap.dedent(script), *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_double_answers_as_windows_does(tmp_path: Path) -> None:
    """What is open is in use, files are text unless they are said to be binary, and a folder cannot be opened."""
    on_windows(
        """
        import os, sys

        import pytest

        here, path, other = sys.argv[1], f"{sys.argv[1]}/file", f"{sys.argv[1]}/other"
        text = os.open(path, os.O_CREAT | os.O_RDWR)
        os.write(text, b"one\\n")
        binary = os.open(path, os.O_RDWR | os.O_BINARY)
        assert os.read(binary, 10) == b"one\\r\\n"
        os.lseek(text, 0, os.SEEK_SET)
        assert os.read(text, 10) == b"one\\n"
        open(other, "wb").close()
        for call in (lambda: os.unlink(path), lambda: os.replace(other, path), lambda: os.rename(path, path + "2")):
            with pytest.raises(PermissionError):
                call()
        os.close(text)
        os.close(binary)
        reading = os.open(path, os.O_RDONLY)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fsync(reading)
        os.close(reading)
        with pytest.raises(FileExistsError):
            os.rename(other, path)
        os.replace(other, path)
        with pytest.raises(PermissionError):
            os.open(here, os.O_RDONLY)
        assert [entry.stat().st_ino for entry in os.scandir(here)] == [0]
        assert os.stat(here).st_mode & 0o777 == 0o777
        assert not hasattr(os, "fork") and sys.platform == "win32"
        with pytest.raises(ImportError):
            import fcntl
        """,
        tmp_path,
    )


def test_everything_is_imported() -> None:
    """Each public name, and each module of the package; nothing needs what Windows does not have."""
    on_windows(
        """
        import coda_fs_session, coda_fs_session.testing
        from storekit import import_everything

        import_everything()
        for package in (coda_fs_session, coda_fs_session.testing):
            for name in package.__all__:
                getattr(package, name)
        """
    )


def test_an_import_that_fails_says_why() -> None:
    """Whatever a module lacks while it is imported: the error names that, and not only what was asked for.

    On Windows the package once said "cannot import name 'SessionManager'", and no more.
    """
    done = run_python("import os; del os.register_at_fork; from coda_fs_session import SessionManager")
    assert "ImportError: cannot import manager for SessionManager" in done.stderr
    assert "has no attribute 'register_at_fork'" in done.stderr.rpartition("ImportError")[2]


def test_memory() -> None:
    """Sessions in memory: saving, loading, branching."""
    on_windows(
        """
        from coda_fs_session import SessionManager
        from storekit import fill

        with SessionManager({"session": {"backend": "memory"}}) as manager:
            expected = fill(manager, "chat", 5, size=70_000)
            manager.create_session("branch", branch_from="chat", at=3)
            assert manager.load_session("chat").get_messages() == expected
            assert manager.load_session("branch").get_messages() == expected[:3]
        """
    )


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store of files with plain and compressed objects, made on this system."""
    path = tmp_path / "store"
    with open_store(path, compress_threshold_bytes=100_000) as manager:
        fill(manager, "chat", 5, size=70_000)
        fill(manager, "long", 100, size=1000)
        manager.create_session("branch", branch_from="long", at=40)
        session = manager.create_session("compressed")
        session.messages = UNLIKE_TEXT
        manager.save_session(session)
    assert any(b"\r\n" in path.read_bytes() and b"\x1a" in path.read_bytes() for path in path.glob("objects/*/*.zst"))
    return path


def test_reading_a_store_of_files(store: Path) -> None:
    """Every message is read as it was saved, also with the index of an earlier look; nothing in the store changes."""
    with untouched(store):
        for _ in range(2):
            on_windows(
                """
                import sys
                from pathlib import Path
                from storekit import message, open_store
                from windows.test_windows import UNLIKE_TEXT

                with open_store(Path(sys.argv[1])) as manager:
                    counts = {info.name: info.message_count for info in manager.list_sessions()}
                    assert counts == {"chat": 5, "long": 100, "compressed": 2, "branch": 40}
                    assert manager.load_session("compressed").get_messages() == UNLIKE_TEXT
                    for name, size in {"chat": 70_000, "long": 1000, "branch": 1000}.items():
                        expected = [message(number, size) for number in range(counts[name])]
                        assert manager.load_session(name).get_messages() == expected
                """,
                store,
            )


def test_a_listing_tells_of_each_file_what_reading_tells(store: Path) -> None:
    """The numbers of files are there, which listing a folder does not give on Windows: the index is believed."""
    on_windows(
        """
        import sys
        from coda_fs_session.backends.base import RefKey
        from coda_fs_session.backends.files.backend import LocalBackend

        backend = LocalBackend(sys.argv[1])
        tokens = backend.ref_tokens()
        assert len(tokens) == 4
        for path, token in tokens.items():
            assert token[:3] == backend.read_ref(RefKey(path)).token[:3]
        """,
        store,
    )


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_what_is_no_file(store: Path, tmp_path: Path, kind: str) -> None:
    """A link is not followed, though no flag of Windows says so, and a folder is called one."""
    (ref,) = store.glob("refs/*/chat.jsonl")
    ref.rename(tmp_path / "elsewhere")
    if kind == "link":
        ref.symlink_to(tmp_path / "elsewhere")
    else:
        ref.mkdir()
    on_windows(
        f"""
        import sys
        from pathlib import Path

        import pytest
        from coda_fs_session import CorruptionError
        from storekit import open_store

        with open_store(Path(sys.argv[1])) as manager, pytest.raises(CorruptionError, match="{kind}"):
            manager.load_session("chat")
        """,
        store,
    )


def test_writing_a_store_of_files_is_refused(store: Path) -> None:
    """The error says what to use in its place; and that works: SQLite takes over what is in the store."""
    with untouched(store):
        on_windows(
            """
            import sys
            from pathlib import Path

            import pytest
            from coda_fs_session import StoreReadOnlyError
            from storekit import message, open_store
            from windows.test_windows import UNLIKE_TEXT

            store = Path(sys.argv[1])
            manager = open_store(store)
            session = manager.load_session("chat")
            session.add_message(message(5))
            for change in (
                lambda: manager.create_session("new"),
                lambda: manager.create_session("new", branch_from="chat", at=2),
                lambda: manager.save_session(session),
                lambda: manager.rename_session("long", "longer"),
                lambda: manager.delete_session("long"),
                lambda: open_store(store.parent / "none").create_session("chat"),
            ):
                with pytest.raises(StoreReadOnlyError, match='on Windows .* backend = "sqlite"'):
                    change()
            assert not (store.parent / "none").exists()

            with open_store(store.parent / "database", backend="sqlite") as database:
                with pytest.raises(StoreReadOnlyError, match='on Windows .* backend = "sqlite"'):
                    database.create_session("other")
                    database.sync(store, direction="push")
                report = database.sync(store, direction="pull")
                assert report.problems == ()
                assert len(database.load_session("long")) == 100
                assert database.load_session("compressed").get_messages() == UNLIKE_TEXT
            """,
            store,
        )


def test_two_processes_on_a_database(tmp_path: Path) -> None:
    """Both save to one session at a time: no message is lost, and nothing warns."""
    script = """
    import sys
    from pathlib import Path
    from storekit import open_store

    with open_store(Path(sys.argv[1]), backend="sqlite") as manager:
        session = manager.create_session("chat")
        print("ready", flush=True)
        sys.stdin.readline()
        for number in range(int(sys.argv[3])):
            # Large enough that some saves seal what was there.
            session.add_message({"role": "user", "content": f"{sys.argv[2]} {number}", "more": "x" * 2000})
            manager.save_session(session)
    """
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", INSTALL + textwrap.dedent(script), tmp_path / "store", str(number), str(SAVES)],
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(WRITERS)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert (writer.returncode, errors) == (0, "")
    with open_store(tmp_path / "store", backend="sqlite") as manager:
        texts = [each["content"] for each in manager.load_session("chat").get_messages()]
    for number in range(WRITERS):
        own = [text for text in texts if text.startswith(f"{number} ")]
        assert own == [f"{number} {serial}" for serial in range(SAVES)]
    assert len(texts) == WRITERS * SAVES


def test_what_another_manager_has_noted_is_replaced(tmp_path: Path) -> None:
    """No manager keeps the record of a session open, so that any can write it anew, as a seal does."""
    on_windows(
        """
        import sys
        from pathlib import Path
        from storekit import fill, message, open_store, say

        one, two = (open_store(Path(sys.argv[1]), backend="sqlite") for _ in range(2))
        expected = fill(one, "chat")
        for manager in (one, two, one, two):
            session = manager.load_session("chat")
            session.add_message(message(0, 70_000))
            manager.save_session(session)
            say(manager, session, 1)
            expected += [message(0, 70_000), message(1)]
            assert len(session) == len(expected)
        one.close()
        assert two.load_session("chat").get_messages() == expected
        two.close()
        """,
        tmp_path / "store",
    )


def test_an_older_copy_of_a_database(tmp_path: Path) -> None:
    """What this machine had saved is put back, as elsewhere: the record of it is kept, file by file."""
    on_windows(
        """
        import shutil, sys, warnings
        from pathlib import Path
        from storekit import fill, message, open_store, say

        store = Path(sys.argv[1])
        with open_store(store, backend="sqlite") as manager:
            fill(manager, "chat")
        shutil.copytree(store, store.parent / "older")
        with open_store(store, backend="sqlite") as manager:
            say(manager, manager.load_session("chat"), 3, 4)
        shutil.rmtree(store)
        (store.parent / "older").rename(store)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            manager = open_store(store, backend="sqlite")
            assert manager.load_session("chat").get_messages() == [message(number) for number in range(5)]
            manager.close()
        assert [each for each in caught if "put back" in str(each.message)]
        """,
        tmp_path / "store",
    )


def test_another_database_in_its_place(tmp_path: Path) -> None:
    """What was saved in the one before is kept aside, and can be brought back."""
    on_windows(
        """
        import shutil, sys, warnings
        from pathlib import Path
        from storekit import fill, open_store

        store = Path(sys.argv[1])
        with open_store(store, backend="sqlite") as manager:
            expected = fill(manager, "chat")
        shutil.rmtree(store)
        with open_store(store, backend="sqlite", state_path=f"{store}.other") as manager:
            fill(manager, "another")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            manager = open_store(store, backend="sqlite")
        assert [each for each in caught if "kept aside" in str(each.message)]
        assert [info.name for info in manager.kept_aside()] == ["chat"]
        manager.bring_back()
        assert manager.load_session("chat").get_messages() == expected
        manager.close()
        """,
        tmp_path / "store",
    )


def test_locks(tmp_path: Path) -> None:
    """A lock is one open file's: another one of the same process waits for it, and its own thread is told."""
    on_windows(
        """
        import os, sys, threading, time

        import pytest
        from coda_fs_session import SessionError
        from coda_fs_session.backends.disk import locks
        from coda_fs_session.process import system

        first, second = (os.open(sys.argv[1], os.O_RDWR | os.O_CREAT | system.PLAIN) for _ in range(2))
        locks.lock(first)
        with pytest.raises(BlockingIOError):
            system.flock(second, system.LOCK_EX | system.LOCK_NB)
        with pytest.raises(SessionError):
            locks.lock(second)
        waiting = threading.Thread(target=locks.lock, args=(second,))
        waiting.start()
        waiting.join(0.1)
        assert waiting.is_alive()
        locks.unlock(first)
        waiting.join(10)
        assert not waiting.is_alive()
        locks.unlock(second)
        locks.unlock_if_possible(second)
        """,
        tmp_path / "lock",
    )


def test_a_file_that_is_open_for_a_moment(tmp_path: Path) -> None:
    """To replace or remove it is tried again; what stays open is an error in the end."""
    on_windows(
        """
        import os, sys

        import pytest
        from coda_fs_session.process import system

        new, old = sys.argv[1], sys.argv[2]
        open(new, "wb").close()
        for call in (lambda: system.rename(new, old), lambda: system.unlink(old)):
            reader = os.open(old, os.O_RDONLY | os.O_CREAT | system.PLAIN)
            pauses = []
            system.time.sleep = pauses.append
            with pytest.raises(PermissionError):
                call()
            assert 0.1 < sum(pauses) < 1
            system.time.sleep = lambda seconds: os.close(reader)
            call()
        assert not os.path.exists(new) and not os.path.exists(old)
        """,
        tmp_path / "new",
        tmp_path / "old",
    )


def test_reading_at_a_place(tmp_path: Path) -> None:
    """Whoever reads on in the file is not disturbed."""
    on_windows(
        """
        import os, sys
        from coda_fs_session.process import system

        descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT | system.PLAIN)
        os.write(descriptor, b"0123456789")
        os.lseek(descriptor, 2, os.SEEK_SET)
        assert system.pread(descriptor, 3, 7) == b"789"
        assert os.read(descriptor, 2) == b"23"
        """,
        tmp_path / "file",
    )


def test_export_and_import(tmp_path: Path) -> None:
    """A session goes into a file and comes back, also over a file that is there."""
    on_windows(
        """
        import sys
        from pathlib import Path

        import pytest
        from coda_fs_session import SessionManager
        from storekit import fill, say

        path = Path(sys.argv[1])
        with SessionManager({"session": {"backend": "memory"}}) as manager:
            fill(manager, "chat", 3)
            manager.export_session("chat", path)
            with pytest.raises(FileExistsError):
                manager.export_session("chat", path)
            say(manager, manager.load_session("chat"), 3)
            manager.export_session("chat", path, overwrite=True)
            manager.import_session(path, name="copy")
            assert manager.load_session("copy").get_messages() == manager.load_session("chat").get_messages()
        """,
        tmp_path / "chat.json",
    )


def test_paths_of_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A drive is a part of a path, not another host; SQLite gets it with slashes, and the one in front."""
    with monkeypatch.context() as patch:
        patch.setattr(os, "path", ntpath)
        assert local_path(r"C:\Users\me\chats") == r"C:\Users\me\chats"
        assert local_path(r"\\server\share\chats") == r"\\server\share\chats"
        with pytest.raises(ValueError, match="another host"):
            local_path("host:chats")
    on_windows(
        r"""
        from coda_fs_session.process.system import path_in_uri

        assert path_in_uri("C:\\Users\\me\\sessions.db") == "/C:/Users/me/sessions.db"
        assert path_in_uri("\\\\server\\share\\sessions.db") == "//server/share/sessions.db"
        """
    )


def test_a_drive_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the folder above itself; looking for one that can be made comes to an end."""

    class Refusing(Files):
        def make_folder(self, path: str) -> None:
            raise FileNotFoundError(path)

    monkeypatch.setattr(os.path, "isdir", lambda path: False)
    with pytest.raises(FileNotFoundError):
        make_folders(Refusing(), "/")
