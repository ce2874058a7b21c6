"""The index beside other threads, and what it forgets with a ref."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from storekit import open_store

from coda_fs_session.backends.base import RefKey
from coda_fs_session.backends.disk import tokens
from coda_fs_session.backends.files import listing
from coda_fs_session.backends.files.backend import LocalBackend
from coda_fs_session.repo.index.index import Index
from coda_fs_session.repo.index.rows import ViewRow

from .machines import Machine, said

SETTLED = 0.1
"""Seconds after which the times of files tell of every further change."""


class Interrupted(dict[Any, Any]):
    """A dict in which something else happens right after something was put in."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        super().__init__()
        self.meanwhile = meanwhile

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        self.meanwhile()


def test_a_view_is_kept_in_one_go(here: Machine) -> None:
    """Another thread that writes one of its refs at that moment waits, or the view would outlive what it shows."""
    here.create("chat", said(1))
    repo = here.repository()
    index = repo.index
    rows = index.rows()
    assert index.view(rows) is None
    key = RefKey(rows[0].path)

    def write() -> None:
        here.change("chat", 2)
        index.note(repo.read(key))

    def meanwhile() -> None:
        thread.start()
        if not held_elsewhere(index):
            thread.join()

    thread = threading.Thread(target=write)
    index._views = Interrupted(meanwhile)
    index.keep_view(rows, [ViewRow("chat", rows[0])])
    thread.join()
    assert index.view(rows) is None, "it shows one message"
    assert index.rows() != rows


def held_elsewhere(index: Index) -> bool:
    """Tell whether this thread keeps all others waiting."""
    free: list[bool] = []

    def attempt() -> None:
        free.append(index._section._lock.acquire(blocking=False))
        if free[0]:
            index._section._lock.release()

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    return not free[0]


def test_a_list_spares_the_next_program_reading(here: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a list found out is kept at once: the next program that lists reads no ref that is still the same."""
    # No file is young: its time tells of every change.
    for module in (tokens, listing):
        monkeypatch.setattr(module, "is_recent", lambda changed, now: False)
    for name in ("chat", "talk"):
        here.create(name, said(1))
    expected = here.names()
    monkeypatch.setattr(LocalBackend, "read_ref", None)
    assert here.names() == expected == ["chat", "talk"]


def test_a_bad_file_that_is_gone_costs_nothing(here: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once what could not be read has been removed, looking a name up lists no folder any more."""
    here.create("chat", said(1))
    bad = here.only_ref().with_name("bad.jsonl")
    real, listings = os.open, []

    def refuse(path: Any, *arguments: Any, **options: Any) -> int:
        if str(path) == str(bad):
            raise PermissionError(13, "Permission denied", path)
        return real(path, *arguments, **options)

    def count(*arguments: Any) -> Any:
        listings.append(arguments[0])
        return list_identities(*arguments)

    list_identities = listing._list_identities
    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(listing, "_list_identities", count)
    bad.write_bytes(b"cannot be read")
    manager = here.manager()
    assert [info.error is None for info in manager.list_sessions()].count(False) == 1
    bad.unlink()
    # Until the times of folders tell every further change.
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        listings.clear()
        assert len(manager.list_sessions()) == 1
        assert manager.get_session_info("nobody") is None
        if not listings:
            break
        time.sleep(0.02)
    assert listings == []
    assert Path(here.only_ref()).exists()


def test_a_folder_that_went_and_came_again(tmp_path: Path) -> None:
    """A program that saw it go, and not come, does not make the next one pass over what is in it."""
    store, outside = tmp_path / "store", tmp_path / "outside"
    state: dict[str, Any] = {"state_path": str(tmp_path / "state"), "replica": "here"}
    with open_store(store, state_path=str(tmp_path / "other"), replica="there") as other:
        for name in ("inner", "flat"):
            other.save_session(other.create_session(name))
    inner = store / "refs" / "there" / "aa"
    inner.mkdir()
    (inner.parent / "inner.jsonl").rename(inner / "inner.jsonl")
    late = open_store(store, **state)
    mine = late.create_session("mine")
    time.sleep(SETTLED)
    assert len(late.list_sessions()) == 3
    inner.rename(outside)
    time.sleep(SETTLED)
    assert "inner" not in late
    outside.rename(inner)
    (inner.parent / "flat.2.jsonl").write_bytes((inner.parent / "flat.jsonl").read_bytes())
    time.sleep(SETTLED)
    with open_store(store, **state) as between:
        assert len(between.list_sessions()) == 3
    mine.add_message(*said(1))
    late.close()
    with open_store(store, **state) as next_one:
        assert "inner" in next_one


def test_a_folder_that_went_for_good(tmp_path: Path) -> None:
    """What is kept for the next program has it no more, however often such folders come and go."""
    store = tmp_path / "store"
    with open_store(store) as manager:
        manager.save_session(manager.create_session("chat"))
    (replica,) = (store / "refs").iterdir()
    for number in range(2):
        folder = replica / f"tool-{number}"
        folder.mkdir()
        (folder / "copy.jsonl").write_bytes((replica / "chat.jsonl").read_bytes())
        for name in ("chat", "nobody"):
            time.sleep(SETTLED)
            with open_store(store) as manager:
                assert (name in manager) is (name == "chat")
            shutil.rmtree(folder, ignore_errors=True)
    (summary,) = tmp_path.glob("store.state/*/index.json")
    assert b"tool-" not in summary.read_bytes()


def test_the_file_of_another_folder_in_place_of_a_part(here: Machine) -> None:
    """Rows of one folder take nothing from those of the other, which lost its sessions."""
    there = Machine(here.folder, "there-00000002")
    here.create("chat", said(1))
    there.create("talk", said(2))
    time.sleep(SETTLED)
    here.manager().close()
    with here.manager() as manager:
        assert manager.get_session_info("chat") is not None
    parts = [path for path in (here.folder / "state").glob("*/index/*") if path.stem != "listing"]
    contents = {path: path.read_bytes() for path in parts}
    assert len(contents) == 2
    for path, data in zip(parts, reversed(contents.values()), strict=True):
        path.write_bytes(data)
    index = here.repository().index
    assert {row.name for row in index.named("chat", "talk")} == {"chat", "talk"}
    assert {row.name for row in index.rows()} == {"chat", "talk"}
