"""Backends over files that each break one promise between processes; see `broken.py`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar

import pytest
from backends.test_local import TestLocal as OfFiles

from coda_fs_session.backends.base import Backend, RefKey, RefTakenError, Token
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.files.backend import LocalBackend


class OverFiles(OfFiles):
    broken: ClassVar[type[LocalBackend]] = LocalBackend

    @pytest.fixture
    def backend(self, tmp_path: Path) -> LocalBackend:
        return self.broken(tmp_path / "store", files=Files(durable=False))

    def reopen(self, backend: Backend) -> LocalBackend:
        assert isinstance(backend, LocalBackend)
        return self.broken(Path(backend._paths.root), files=Files(durable=False))


class TestWritesLater(OverFiles):
    noticed_by = ("test_reopened", "test_killed_while_appending[7-0.3]", "test_opened_twice")

    class broken(LocalBackend):
        def append_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
            before = self.__dict__.setdefault("later", {}).pop(key, None)
            if before is not None:
                super().append_ref(key, super().read_ref(key).token, before)
            self.__dict__["later"][key] = data
            return expected._replace(size=expected.size + 2 * len(data))


class TestReplacesInPlace(OverFiles):
    noticed_by = ("test_killed_while_replacing[2-0.5]", "test_killed_while_replacing[30-0.7]")

    class broken(LocalBackend):
        def replace_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
            with open(self.locate(key), "wb") as file:
                file.write(data[:1])
                file.flush()
                time.sleep(0.02)
                file.write(data[1:])
            return self.read_ref(key).token


class TestAppendsBetweenOthers(OverFiles):
    noticed_by = ("test_processes_that_append",)

    class broken(LocalBackend):
        def append_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
            before = self.read_ref(key).data
            time.sleep(0.001)
            Path(self.locate(key)).write_bytes(before + data)
            return self.read_ref(key).token

        @contextmanager
        def hold(self, key: RefKey) -> Iterator[None]:
            yield


class TestReplacesWhatOthersReplaced(OverFiles):
    noticed_by = ("test_processes_that_replace",)

    class broken(LocalBackend):
        def replace_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
            time.sleep(0.001)
            return super().replace_ref(key, self.read_ref(key).token, data)


class TestCreatesWhatOthersCreated(OverFiles):
    noticed_by = ("test_processes_that_create",)

    class broken(LocalBackend):
        def create_ref(self, key: RefKey, data: bytes) -> Token:
            path = Path(self.locate(key))
            if path.exists():
                raise RefTakenError(key)
            time.sleep(0.005)
            with suppress(RefTakenError):
                super().create_ref(key, data)
            path.write_bytes(data)
            return self.read_ref(key).token
