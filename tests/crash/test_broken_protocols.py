"""Protocols broken on purpose: what the crash states are worth is that each of these is found out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from coda_fs_session.backends.base import NewObject, RefKey, Token
from coda_fs_session.backends.files.backend import LocalBackend

from .recording import Recorder
from .runs import record, violations
from .scenarios import SCENARIOS


class NoFolderSync(Recorder):
    """Forgets to sync folders, so that names may be lost."""

    def sync_folder(self, path: str) -> None:
        return


class NoFileSync(Recorder):
    """Forgets to sync files, so that bytes may be lost."""

    def sync_data(self, descriptor: int) -> None:
        return


class NoSyncBeforeRename(Recorder):
    """Syncs what it appends, but not new files: a name may be durable before its bytes."""

    def sync_data(self, descriptor: int) -> None:
        if "/.tmp-" not in f"/{self._path(descriptor)}":
            super().sync_data(descriptor)


class NoObjectFolderSync(Recorder):
    """Syncs the folders of refs only, so that a ref may name an object whose name is lost."""

    def sync_folder(self, path: str) -> None:
        if "objects" not in path:
            super().sync_folder(path)


class InPlace(Recorder):
    """Replaces a file by removing it first."""

    def rename(self, source: str, target: str) -> None:
        if Path(target).exists():
            self.unlink(target)
        super().rename(source, target)


class RefFirst(LocalBackend):
    """Writes the ref before the objects that it names."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self._deferred: dict[str, NewObject] = {}

    def put_objects(self, objects: Iterable[NewObject]) -> None:
        self._deferred.update((new.id, new) for new in objects)

    def get_object(self, identity: str, *, size: int | None, limit: int) -> bytes:
        if identity in self._deferred:
            return self._deferred[identity].data
        return super().get_object(identity, size=size, limit=limit)

    def create_ref(self, key: RefKey, data: bytes) -> Token:
        return self._objects_after(super().create_ref(key, data))

    def replace_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
        return self._objects_after(super().replace_ref(key, expected, data))

    def _objects_after(self, token: Token) -> Token:
        super().put_objects(self._deferred.values())
        self._deferred.clear()
        return token


BROKEN: list[tuple[type[Recorder], type[LocalBackend], list[str]]] = [
    (NoFolderSync, LocalBackend, ["create", "seal", "fork at the head", "fork in the middle", "rename", "delete"]),
    (NoFileSync, LocalBackend, ["create", "save one message", "save many messages", "seal", "fork in the middle"]),
    (NoSyncBeforeRename, LocalBackend, ["create", "seal", "fork at the head"]),
    (NoObjectFolderSync, LocalBackend, ["seal", "fork at the head", "fork in the middle", "merge", "bulk"]),
    (InPlace, LocalBackend, ["seal", "rename", "shorten"]),
    (Recorder, RefFirst, ["create", "seal", "seal many", "fork at the head", "fork in the middle"]),
]


@pytest.mark.parametrize(
    ("recorder", "backend", "names"), BROKEN, ids=[f"{r.__name__}-{b.__name__}" for r, b, _ in BROKEN]
)
def test_a_broken_protocol_is_found_out(
    recorder: type[Recorder],
    backend: type[LocalBackend],
    names: list[str],
    scratch: Path,
    seed: int,
    is_tried: Callable[[int], bool],
) -> None:
    """Some crash state shows what the missing or misplaced call is there for, also in the quick size.

    There a scenario is run in one of the layouts."""
    for number, name in enumerate(names):
        if is_tried(number):
            run = record(SCENARIOS[name], scratch / name, recorder=recorder, backend=backend)
            assert next(violations(run, scratch, long_size=False, seed=seed), None) is not None, name


def test_every_broken_protocol_works_as_long_as_nothing_crashes(scratch: Path) -> None:
    """What is found out is the crash, not some other mistake in the broken protocol."""
    tried = {name for _, _, names in BROKEN for name in names}
    honest = {name: record(SCENARIOS[name], scratch / f"{name}-honest") for name in tried}
    for recorder, backend, names in BROKEN:
        for name in names:
            run = record(
                SCENARIOS[name],
                scratch / f"{recorder.__name__}-{backend.__name__}-{name}",
                recorder=recorder,
                backend=backend,
            )
            assert run.contents == honest[name].contents
