"""The bucket keeps what every backend promises, on moto's server."""

from __future__ import annotations

from typing import Any

import pytest

from coda_fs_session.backends.base import Backend, RefKey
from coda_fs_session.errors import StoreError
from coda_fs_session.testing import BackendTests
from coda_fs_session.testing.kit.refs import HOSTILE_FILES

from .servers import Server

bucket = pytest.importorskip("coda_fs_session.backends.bucket.backend")


class TestBucket(BackendTests):
    @pytest.fixture
    def backend(self, url: str, server: Server) -> Any:
        return bucket.BucketBackend(url, server.options)

    @pytest.mark.parametrize("file", [file for file in HOSTILE_FILES if not {"\n", "\\"} & set(file)])
    def test_hostile_names(self, backend: Backend, file: str) -> None:
        super().test_hostile_names(backend, file)

    @pytest.mark.parametrize(
        ("file", "match"), [("line\nbreak.jsonl", "no key of this name"), ("back\\slash.jsonl", "backslash")]
    )
    def test_names_that_not_every_storage_has(self, backend: Backend, file: str, match: str) -> None:
        """Control characters, and a backslash: the error is about the one name, and nothing is written."""
        backend.prepare()
        with pytest.raises(StoreError, match=match) as caught:
            backend.create_ref(RefKey(f"here-00000001/{file}"), b"one\n")
        assert caught.value.path is not None
        assert list(backend.refs()) == []

    def reopen(self, backend: Backend) -> Any:
        assert isinstance(backend, bucket.BucketBackend)
        return bucket.BucketBackend(backend.client.url, backend.client.options)

    def read_raw(self, backend: Backend, where: RefKey | str) -> bytes | None:
        try:
            return bytes(_client(backend).get(_key(where)).data)
        except KeyError:
            return None

    def write_raw(self, backend: Backend, where: RefKey | str, data: bytes | None) -> None:
        if data is None:
            _client(backend).delete([_key(where)])
        else:
            _client(backend).put(_key(where), data)


def _client(backend: Backend) -> Any:
    """Return another client of the same place."""
    assert isinstance(backend, bucket.BucketBackend)
    return bucket.Client(backend.client.url, backend.client.options)


def _key(where: RefKey | str) -> str:
    return f"refs/{where.path}" if isinstance(where, RefKey) else f"objects/{where[:2]}/{where}.jsonl"
