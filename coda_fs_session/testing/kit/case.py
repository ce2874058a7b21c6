"""What all tests of a backend share: the fixture and hooks to override, and some keys and objects."""

from __future__ import annotations

import hashlib
from typing import NoReturn

import pytest

from ...backends.base import Backend, NewObject, RefFolders, RefKey

KEY = RefKey("here-00000001/chat.jsonl")
OTHER = RefKey("there-00000002/chat.jsonl")

LARGE = 5 * 1024 * 1024
"""Bytes in a value that is larger than buffers are wont to be."""


def new_object(data: bytes, *, compress: bool = False) -> NewObject:
    """Return an object of these bytes, under the id that belongs to them."""
    return NewObject(hashlib.sha256(data).hexdigest(), data, compress)


def incompressible(size: int) -> bytes:
    """Return bytes that are the same every time and have no pattern, zeros and newlines among them."""
    return hashlib.shake_256(b"coda_fs_session").digest(size)


def identities(found: RefFolders) -> dict[str, int]:
    """Return the identities that were told, by path."""
    return {path: identity for refs in found.contents.values() for path, identity in refs.items()}


def missing(case: object, what: str) -> NoReturn:
    """Fail a test for what its class does not override; pytest would pass over an abstract class without a word."""
    pytest.fail(f"{type(case).__name__} must override {what}: the docstring of the base class says how", pytrace=False)


class BackendCase:
    """The fixture `backend`, and hooks that go around the class under test.

    With them a test looks at what a verb really left, and does what a stranger would. They must not use the
    backend's own verbs.
    """

    @pytest.fixture
    def backend(self) -> Backend:
        """Return a backend of a store that nothing was written into, and that need not exist yet."""
        missing(self, "the fixture backend")

    def read_raw(self, backend: Backend, where: RefKey | str) -> bytes | None:
        """Return what is kept of a ref, or of the object of this id, None where nothing is.

        Only asked for objects that were put without the hint to compress them.
        """
        missing(self, "read_raw")

    def write_raw(self, backend: Backend, where: RefKey | str, data: bytes | None) -> None:
        """Put other bytes in the place of a ref or object that is there, or remove it (None), as a stranger would."""
        missing(self, "write_raw")

    def reopen(self, backend: Backend) -> Backend:
        """Return another backend of the same store, as a process that starts now would open it.

        To be overridden where `Capabilities` say that the store is persistent or shared. Also called in other
        processes than the one that the fixture was made in.
        """
        missing(self, "reopen")

    def need(self, backend: Backend, *capabilities: str) -> None:
        """Skip the test where the backend says that it cannot do what it is about."""
        lacking = [each for each in capabilities if not getattr(backend.capabilities, each)]
        if lacking:
            pytest.skip(f"{type(backend).__name__} is not {' nor '.join(lacking)}: see its Capabilities")


def shown(data: bytes | None) -> object:
    """Return bytes to compare: of many their number and hash, as pytest takes hours to tell where they differ."""
    return data if data is None or len(data) < 1000 else (len(data), hashlib.sha256(data).hexdigest())
