"""Small stores: every structure of the format within a few kilobytes, and what is in one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coda_fs_session import SessionManager
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.files.backend import LocalBackend
from coda_fs_session.backends.machine.state import LocalState
from coda_fs_session.format.chunks import Sizes
from coda_fs_session.repo.repository import Repository, Settings
from coda_fs_session.repo.storage import RepoStorage

SMALL = Sizes(minimum=300, spread=900, large=1200, full=900, fan_out=2)
"""Chunks of a few messages, and a list node from two of them on."""
REPLICA = "test-00000000"

Content = dict[str, tuple[list[dict[str, Any]], dict[str, Any], str | None]]
"""Of each session the messages, the metadata and the parent."""


def open_store(
    root: Path,
    state: Path,
    *,
    files: Files | None = None,
    replica: str | None = REPLICA,
    sizes: Sizes = SMALL,
    backend: type[LocalBackend] = LocalBackend,
    on_conflict: str = "append",
    autosave_interval: float = 0,
) -> SessionManager:
    """Open a store in which nothing happens by itself."""
    machine = LocalState(root, folder=state, replica=replica)
    repository = Repository(
        backend(root, files=files, record=machine.record),
        machine,
        Settings(sizes=sizes, on_conflict=on_conflict, compress_threshold_bytes=1024),
    )
    return SessionManager({"session": {"autosave_interval": autosave_interval}}, storage=RepoStorage(repository))


def content(manager: SessionManager) -> Content:
    """Return everything in a store; what the list says must agree with it.

    Raises:
        SessionError: a session cannot be read.
    """
    found: Content = {}
    for info in manager.list_sessions():
        if info.error is not None:
            raise info.error
        session = manager.load_session(info.name)
        messages = session.get_messages()
        assert info.message_count == len(messages), f"the list says {info.message_count} of {info.name!r}"
        found[info.name] = (messages, dict(session.metadata), session.parent)
    return found


def message(number: int, length: int = 100) -> dict[str, Any]:
    """Return a message of about `length` bytes that no other number gives."""
    text = f"{number:04d} "
    return {"role": "user", "content": (text * length)[: max(length - 32, len(text))]}
