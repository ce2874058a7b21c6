"""Backends that break a promise about refs that are found by their paths; see `broken`."""

from __future__ import annotations

from coda_fs_session.backends.base import RefKey, Snapshot, Token
from coda_fs_session.backends.memory import MemoryBackend

from .broken import OverMemory


class TestMixesUpKeys(OverMemory):
    noticed_by = ("test_refs_by_their_paths",)

    class broken(MemoryBackend):
        def refs_of(self, replica: str, key: str) -> dict[str, Token]:
            return self.refs_below(f"{replica}/{key}")


class TestReadsWhatIsGone(OverMemory):
    noticed_by = ("test_reading_what_was_told",)

    class broken(MemoryBackend):
        def read_as(self, key: RefKey, token: Token) -> Snapshot:
            return self.read_ref(key) if key in self._refs else Snapshot(b"", token)
