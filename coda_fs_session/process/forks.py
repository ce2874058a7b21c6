"""What a child of `os.fork` has in memory of its parent, and whether that is still there to save it."""

from __future__ import annotations

import os

from .system import register_at_fork

_own, _parent = os.getpid(), 0


def parent() -> int:
    """Return the process that forked this one, 0 if none has since the package was imported."""
    return _parent


def is_gone(process: int) -> bool:
    """Tell whether a process that this one comes from has ended."""
    if process == _parent:
        # Exact, also if another process has its number by now.
        return os.getppid() != process
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return _is_zombie(process)


def _is_zombie(process: int) -> bool:
    """Tell whether a process has ended and its number is only kept for its own parent to ask."""
    try:
        # It has no program any more.
        os.readlink(f"/proc/{process}/exe")
    except FileNotFoundError:
        return os.path.exists(f"/proc/{process}")
    except OSError:
        pass
    return False


def _after_fork_in_child() -> None:
    global _own, _parent
    _parent, _own = _own, os.getpid()


register_at_fork(after_in_child=_after_fork_in_child)
