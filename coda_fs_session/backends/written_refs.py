"""Refs that are written in memory over those of a store: what a change would lead to, before it is made."""

from __future__ import annotations

from collections.abc import Collection
from itertools import count

from .base import Backend, RefKey, RefRefusedError, Snapshot, Token


class WrittenRefs(Backend):
    """The part of a backend that keeps what is written to refs, and passes on what reads any other.

    Attributes:
        inner: what has the others.
    """

    def __init__(self, inner: Backend) -> None:
        self.inner = inner
        self.capabilities = inner.capabilities
        self._refs: dict[RefKey, Snapshot] = {}
        self._replica_files: dict[str, bytes] = {}
        self._serial = count(1)

    def ref_token(self, key: RefKey) -> Token | None:
        written = self._refs.get(key)
        return self.inner.ref_token(key) if written is None else written.token

    def read_ref(self, key: RefKey) -> Snapshot:
        written = self._refs.get(key)
        return self.inner.read_ref(key) if written is None else written

    def read_as(self, key: RefKey, token: Token) -> Snapshot:
        written = self._refs.get(key)
        return self.inner.read_as(key, token) if written is None else written

    def append_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
        return self._keep(key, self._expected(key, expected) + data)

    def replace_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
        self._expected(key, expected)
        return self._keep(key, data)

    def replica_files(self) -> Collection[str]:
        return {*self.inner.replica_files(), *self._replica_files}

    def read_replica_file(self, replica: str) -> bytes | None:
        written = self._replica_files.get(replica)
        return self.inner.read_replica_file(replica) if written is None else written

    def write_replica_file(self, replica: str, data: bytes) -> None:
        self._replica_files[replica] = data

    def _expected(self, key: RefKey, expected: Token) -> bytes:
        there = self._refs.get(key) or self._before(key)
        if there.token != expected:
            raise RefRefusedError(key)
        return there.data

    def _before(self, key: RefKey) -> Snapshot:
        """Return a ref that is about to be written for the first time."""
        try:
            return self.inner.read_ref(key)
        except KeyError as error:
            raise RefRefusedError(key) from error

    def _keep(self, key: RefKey, data: bytes) -> Token:
        serial = next(self._serial)
        token = Token(-serial, len(data), serial)
        self._refs[key] = Snapshot(data, token)
        return token
