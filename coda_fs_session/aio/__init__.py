"""The manager for programs of asyncio or trio; needs the extra `aio`."""

from __future__ import annotations

try:
    import anyio as _anyio  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "anyio":
        raise
    raise ImportError(
        "coda_fs_session.aio needs anyio, which is not installed: pip install 'coda-fs-session[aio]'", name="anyio"
    ) from error

from .iterators import AsyncWatch, MessageIterator
from .manager import AsyncSessionManager
from .transaction import AsyncTransaction

__all__ = ["AsyncSessionManager", "AsyncTransaction", "AsyncWatch", "MessageIterator"]
