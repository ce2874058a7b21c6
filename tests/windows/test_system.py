"""What stands in for the calls that Windows does not have, and its paths."""

from __future__ import annotations

import ntpath
import os
from pathlib import Path

import pytest

from coda_fs_session.backends.disk.files import Files, make_folders
from coda_fs_session.config import local_path

from .running import needs_proc, on_windows

pytestmark = needs_proc


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
