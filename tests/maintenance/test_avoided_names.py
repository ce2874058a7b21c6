"""Objects whose file names are on a list: they are kept under other names, and found there."""

from __future__ import annotations

from pathlib import Path

import pytest
from storekit import objects_of

from coda_fs_session.backends.base import NewObject
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.files.backend import LocalBackend
from coda_fs_session.format.ids import object_id


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("large", [False, True])
def test_names_that_are_avoided(tmp_path: Path, compress: bool, large: bool) -> None:
    """An object gets the first name of which no form is on a list, keeps that, and is read from there."""
    backend = LocalBackend(tmp_path / "store", files=Files(durable=False))
    backend.prepare()
    data = b"again and again " * 5000
    new = NewObject(object_id(data), data, compress)
    names: set[str] = set()
    backend.avoid(lambda: names)

    def put() -> list[str]:
        if large:
            backend.put_large_object(new.id, len(data), iter([data]), compress=compress)
        else:
            backend.put_objects([new])
        assert backend.get_object(new.id, size=len(data), limit=len(data)) == data
        return [path.name.removeprefix(new.id) for path in objects_of(tmp_path / "store")]

    ending = ".jsonl.zst" if compress else ".jsonl"
    assert put() == [ending]
    names.add(f"objects/{new.id[:2]}/{new.id}{ending}")
    assert sorted(put()) == sorted([ending, f".2{ending}"])
    assert sorted(put()) == sorted([ending, f".2{ending}"])
    for path in objects_of(tmp_path / "store"):
        path.unlink()
    names.add(f"objects/{new.id[:2]}/{new.id}.2.jsonl.zst")
    assert put() == [f".3{ending}"]
