"""Reading stores twice: with the library, and with `scripts/read_store`, which knows nothing of it."""

from __future__ import annotations

import hashlib
import io
import json
import runpy
import shutil
from collections.abc import Iterator
from contextlib import redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from storekit import ROOT

from coda_fs_session import SessionManager

FIXTURES = ROOT / "fixtures"
GOLDEN = FIXTURES / "stores" / "v1"
READ_STORE = ROOT / "scripts" / "read_store"

needs_zstdcat = pytest.mark.skipif(
    shutil.which("zstdcat") is None,
    reason="scripts/read_store needs zstdcat, which is not on this machine: sudo apt install zstd",
)

_main = runpy.run_path(str(READ_STORE), run_name="read_store")["main"]


def read_store(store: Path, *arguments: str) -> bytes:
    """Return what `scripts/read_store` prints; in this process, as a store has many sessions."""
    output = io.BytesIO()
    text = io.TextIOWrapper(output, encoding="utf-8", write_through=True)
    with redirect_stdout(text):
        _main(str(store), *arguments)
    text.flush()
    return output.getvalue()


def load_lines(manager: SessionManager, name: str) -> bytes:
    """Return a session's message lines as they are stored."""
    session = manager.load_session(name)
    return b"".join(line + b"\n" for line in session._state.copy.lines())


def found_in(manager: SessionManager) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every session as `fixtures/stores/v1.expected.json` describes it."""
    for info in manager.list_sessions():
        lines = load_lines(manager, info.name)
        yield (
            info.name,
            {
                "messages": info.message_count,
                "sha256": hashlib.sha256(lines).hexdigest(),
                "size": info.size_bytes,
                "metadata": info.metadata,
                "parent": info.parent,
                "forked_at": info.forked_at,
                "created": _utc(info.created_at),
                "updated": _utc(info.updated_at),
                "replica": info.replica,
            },
        )


def assert_same_as_library(store: Path, manager: SessionManager) -> None:
    """Compare all that `scripts/read_store` says of a store with what the library says."""
    infos = manager.list_sessions()
    listed = dict(reversed(line.split("\t", 1)) for line in read_store(store).decode().splitlines())
    assert listed == {info.name: str(info.message_count) for info in infos}
    for info in infos:
        assert read_store(store, info.name) == load_lines(manager, info.name), info.name
        assert json.loads(read_store(store, info.name, "--metadata")) == info.metadata, info.name


def _utc(local: datetime) -> str:
    return local.astimezone(UTC).isoformat(timespec="microseconds")
