"""Windows, as far as another system can be made to answer like it: names are missing, and what is open is in use.

`install` changes a whole process for good, so it is for one of its own. What it does not have: ``\\`` in paths, the
names that Windows refuses, and `os.name`, which tells `pathlib` what paths it may make.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import importlib
import os
import shutil
import signal
import socket
import stat
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

NO_MODULES = ("fcntl", "grp", "pwd", "resource", "termios")
NO_NAMES = {
    os: (
        *("O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_SYNC", "SEEK_DATA", "SEEK_HOLE", "chown"),
        *("fchmod", "fchown", "fdatasync", "fork", "forkpty", "fork_exec", "getegid", "geteuid", "getgid", "getgroups"),
        *("getpgid", "getuid", "killpg", "lchown", "lockf", "mkfifo", "posix_fadvise", "posix_fallocate", "pread"),
        *("preadv", "pwrite", "pwritev", "register_at_fork", "setsid", "statvfs", "sync", "uname", "wait", "writev"),
    ),
    signal: ("SIGALRM", "SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2", "alarm", "pthread_sigmask", "setitimer"),
    socket: ("AF_UNIX",),
}
IMPORTED_BEFORE = (
    # These look at the system when they are imported, and would take the double for more than it is.
    *("asyncio", "concurrent.futures.thread", "logging", "filelock", "multiprocessing.connection", "pathlib"),
    *(
        "platform",
        "random",
        "shutil",
        "socket",
        "sqlite3",
        "subprocess",
        "tempfile",
        "tomllib",
        "urllib.parse",
        "uuid",
        "orjson",
    ),
    *("platformdirs", "sqlite3", "watchdog.observers", "zstandard"),
)
BINARY, NOT_INHERITED = 1 << 28, 1 << 29
TEXT_END = b"\x1a"

_text: set[int] = set()
"""Descriptors that were opened without O_BINARY."""
_locked: dict[int, int] = {}
"""Where in a file each descriptor has locked a byte."""


def install() -> None:
    """Make this process one of Windows; the package must not have been imported yet."""
    assert not any(name.startswith("coda_fs_session") for name in sys.modules)
    for name in IMPORTED_BEFORE:
        importlib.import_module(name)
    real = dict(vars(os))
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "filelock" and hasattr(module, "os"):
            # It has code of its own for Windows, which nobody can run here: it goes on with the calls of this system.
            vars(module)["os"] = types.SimpleNamespace(**real)
    os_names: dict[str, object] = {
        **{double.__name__.removeprefix("_"): functools.partial(double, real) for double in _DOUBLES},
        "remove": functools.partial(_unlink, real),
        "O_BINARY": BINARY,
        "O_NOINHERIT": NOT_INHERITED,
    }
    for module, names in NO_NAMES.items():
        for name in names:
            if hasattr(module, name):
                delattr(module, name)
    for name in NO_MODULES:
        sys.modules[name] = None  # type: ignore[assignment]
    sys.modules["msvcrt"] = _msvcrt(real)
    vars(os).update(os_names)
    sys.platform = "win32"
    # Chosen when it was imported: Windows has no descriptors of folders to remove what is in them by.
    shutil._use_fd_functions = False  # type: ignore[attr-defined]


def _refusal(path: object) -> PermissionError:
    return PermissionError(errno.EACCES, "The process cannot access the file: another process uses it", path)


def _in_use(real: dict[str, Any], path: object) -> bool:
    """Tell whether a process has a file open, or anything in a folder."""
    wanted = os.path.abspath(path)  # type: ignore[call-overload]
    return any(opened == wanted or opened.startswith(f"{wanted}/") for opened in _open_paths(real))


def _open_paths(real: dict[str, Any]) -> Iterator[str]:
    """Yield what the processes of this test have open: those of its group."""
    group = real["getpgid"](0)
    for process in filter(str.isdigit, real["listdir"]("/proc")):
        try:
            if real["getpgid"](int(process)) != group:
                continue
            for descriptor in real["listdir"](f"/proc/{process}/fd"):
                # One may be closed meanwhile.
                with contextlib.suppress(FileNotFoundError):
                    yield real["readlink"](f"/proc/{process}/fd/{descriptor}")
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            continue


# Calls that answer otherwise. Each gets the real ones first.


def _open(real: dict[str, Any], path: Any, flags: int, mode: int = 0o777, **options: Any) -> int:
    if real["path"].isdir(path) and "dir_fd" not in options:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
    descriptor: int = real["open"](path, flags & ~(BINARY | NOT_INHERITED), mode, **options)
    if not flags & BINARY:
        _text.add(descriptor)
    return descriptor


def _close(real: dict[str, Any], descriptor: int) -> None:
    _text.discard(descriptor)
    _locked.pop(descriptor, None)
    real["close"](descriptor)


def _read(real: dict[str, Any], descriptor: int, size: int) -> bytes:
    data: bytes = real["read"](descriptor, size)
    return data.replace(b"\r\n", b"\n").partition(TEXT_END)[0] if descriptor in _text else data


def _write(real: dict[str, Any], descriptor: int, data: bytes | memoryview) -> int:
    if descriptor not in _text:
        return int(real["write"](descriptor, data))
    real["write"](descriptor, bytes(data).replace(b"\n", b"\r\n"))
    return len(data)


def _fsync(real: dict[str, Any], descriptor: int) -> None:
    if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    real["fsync"](descriptor)


def _rename(real: dict[str, Any], source: Any, target: Any) -> None:
    if real["path"].lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), source, None, target)
    _replace(real, source, target)


def _replace(real: dict[str, Any], source: Any, target: Any) -> None:
    for path in (source, target):
        if _in_use(real, path):
            raise _refusal(path)
    real["replace"](source, target)


def _unlink(real: dict[str, Any], path: Any, **options: Any) -> None:
    if _in_use(real, path):
        raise _refusal(path)
    real["unlink"](path, **options)


def _rmdir(real: dict[str, Any], path: Any, **options: Any) -> None:
    if _in_use(real, path):
        raise _refusal(path)
    real["rmdir"](path, **options)


_FIELDS = (
    *("st_mode", "st_ino", "st_dev", "st_nlink", "st_uid", "st_gid", "st_size"),
    *("st_atime", "st_mtime", "st_ctime"),
)


def _status(status: os.stat_result, **values: int) -> os.stat_result:
    """Return a status as Windows gives it: files are nobody's, and everybody may write into a folder."""
    mode = stat.S_IFMT(status.st_mode) | (0o777 if stat.S_ISDIR(status.st_mode) else 0o666)
    fields = {"st_mode": mode, "st_uid": 0, "st_gid": 0, **values}
    more = {name: getattr(status, name) for name in ("st_atime_ns", "st_mtime_ns", "st_ctime_ns")}
    return os.stat_result([fields.get(name, getattr(status, name)) for name in _FIELDS], more)


def _stat(real: dict[str, Any], path: Any, **options: Any) -> os.stat_result:
    return _status(real["stat"](path, **options))


def _lstat(real: dict[str, Any], path: Any, **options: Any) -> os.stat_result:
    return _status(real["lstat"](path, **options))


def _fstat(real: dict[str, Any], descriptor: int) -> os.stat_result:
    return _status(real["fstat"](descriptor))


class _Entry:
    """An `os.DirEntry`, whose status has neither number, nor disk, nor links."""

    def __init__(self, entry: os.DirEntry[str]) -> None:
        self._entry = entry

    def __getattr__(self, name: str) -> Any:
        return getattr(self._entry, name)

    def __fspath__(self) -> str:
        return self._entry.path

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        return _status(self._entry.stat(follow_symlinks=follow_symlinks), st_ino=0, st_dev=0, st_nlink=0)


class _Scan:
    def __init__(self, entries: Any) -> None:
        self._entries = entries

    def __enter__(self) -> _Scan:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> _Scan:
        return self

    def __next__(self) -> _Entry:
        return _Entry(next(self._entries))

    def close(self) -> None:
        self._entries.close()


def _scandir(real: dict[str, Any], path: Any = ".") -> _Scan:
    return _Scan(real["scandir"](path))


_DOUBLES: tuple[Callable[..., Any], ...] = (
    *(_open, _close, _read, _write, _fsync, _rename, _replace, _unlink, _rmdir, _stat, _lstat, _fstat, _scandir),
)


def _msvcrt(real: dict[str, Any]) -> types.ModuleType:
    """Return the module that locks bytes of a file, from where it is read on."""
    module = types.ModuleType("msvcrt")

    def locking(descriptor: int, mode: int, count: int) -> None:
        place = real["lseek"](descriptor, 0, os.SEEK_CUR)
        if mode == vars(module)["LK_UNLCK"]:
            if _locked.get(descriptor) != place:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            del _locked[descriptor]
            return
        if descriptor in _locked:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from error
        _locked[descriptor] = place

    vars(module).update(locking=locking, LK_UNLCK=0, LK_LOCK=1, LK_NBLCK=2, LK_RLCK=3, LK_NBRLCK=4)
    return module
