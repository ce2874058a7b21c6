"""Refs in memory over those of a store."""

from __future__ import annotations

import pytest

from coda_fs_session.backends.base import RefKey, RefRefusedError, RefTakenError
from coda_fs_session.backends.memory import MemoryBackend
from coda_fs_session.repo.dry_run import DryBackend


def test_what_is_written_is_seen_and_is_not_in_the_store() -> None:
    """Each write goes on from the one before it, and one that does not know that is refused."""
    inner, key, new = MemoryBackend(), RefKey("here-00000001/a.jsonl"), RefKey("here-00000001/b.jsonl")
    first = inner.create_ref(key, b"1")
    backend = DryBackend(inner, None)
    with pytest.raises(RefTakenError):
        backend.create_ref(key, b"0")
    second = backend.append_ref(key, first, b"2")
    assert backend.ref_token(key) == second != first
    for write in (backend.append_ref, backend.replace_ref):
        with pytest.raises(RefRefusedError):
            write(key, first, b"3")
        with pytest.raises(RefRefusedError):
            write(new, first, b"3")
    assert backend.read_ref(key).data == b"12"
    third = backend.replace_ref(key, second, b"3")
    assert backend.read_ref(key) == (b"3", third)
    created = backend.create_ref(new, b"4")
    assert backend.ref_tokens() == {key.path: third, new.path: created}
    assert (inner.read_ref(key), inner.ref_token(new)) == ((b"1", first), None)
