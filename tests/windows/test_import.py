"""The double itself, what is imported on it, and what needs no disk."""

from __future__ import annotations

from pathlib import Path

from storekit import run_python

from .running import needs_proc, on_windows

pytestmark = needs_proc


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

        # click asks Windows itself for its console, and the double has none.
        import_everything("cli")
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
    assert "ImportError: cannot import coda_fs_session.manager.manager for SessionManager" in done.stderr
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
