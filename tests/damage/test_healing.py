"""A damaged object is made good by whoever saves the same content again, and what needed it reads again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from storekit import message, objects_of, open_store

from coda_fs_session import CorruptionError, SessionManager

from .specimen import open_fresh

LARGE = 70_000
"""A message of this size is an object of its own."""


def _flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]


def _nothing(data: bytes) -> bytes:
    return b""


DAMAGES: list[Callable[[bytes], bytes]] = [
    lambda data: _flip(data, 0),
    lambda data: _flip(data, len(data) // 2),
    lambda data: _flip(data, len(data) - 1),
    lambda data: data[:-1],
    lambda data: data + data,
    _nothing,
]


def _import_again(manager: SessionManager, exported: Path) -> None:
    manager.import_session(exported, name="again")


def _save_at_once(manager: SessionManager, exported: Path) -> None:
    session = manager.create_session("again")
    session.messages = _messages()
    manager.save_session(session)


def _save_one_by_one(manager: SessionManager, exported: Path) -> None:
    session = manager.create_session("again")
    for each in _messages():
        session.add_message(each)
        manager.save_session(session)


def _messages() -> list[dict[str, Any]]:
    # Twenty to a chunk, then large ones, and what stays in the tail.
    return [*(message(n, 8000) for n in range(40)), message(40, LARGE), message(41, LARGE), message(42)]


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
@pytest.mark.parametrize("save", [_import_again, _save_at_once, _save_one_by_one])
def test_saving_the_same_again_heals(
    tmp_path: Path, save: Callable[[SessionManager, Path], None], compressed: bool
) -> None:
    """Each object damaged in each way is as it was, byte for byte in its form, and both sessions read."""
    store = tmp_path / "store"
    with open_store(store, compress_messages=compressed) as manager:
        session = manager.create_session("first")
        session.messages = _messages()
        manager.save_session(session)
        exported = manager.export_session("first", tmp_path / "first.json")
    objects = objects_of(store)
    assert len(objects) >= 4
    assert any(path.suffix == ".zst" for path in objects) == compressed
    for number, path in enumerate(objects):
        good = path.read_bytes()
        damage = DAMAGES[number % len(DAMAGES)]
        path.write_bytes(damage(good))
        with open_store(store, compress_messages=compressed) as manager, pytest.raises(CorruptionError) as caught:
            manager.load_session("first").get_messages()
        assert caught.value.path == path
        with open_store(store, compress_messages=compressed) as manager:
            save(manager, exported)
        assert path.read_bytes() == good, (path, number)
        with open_store(store) as manager:
            assert manager.load_session("first").get_messages() == _messages()
            assert manager.load_session("again").get_messages() == _messages()
            manager.delete_session("again")


@pytest.mark.parametrize("damage", range(len(DAMAGES)))
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
def test_every_kind_of_damage_is_healed(tmp_path: Path, compressed: bool, damage: int) -> None:
    """Also where the store is now opened with the other setting: the damaged file keeps its form."""
    store = tmp_path / "store"
    with open_store(store, compress_messages=compressed) as manager:
        session = manager.create_session("first")
        session.add_message(message(1, LARGE))
        manager.save_session(session)
    (path,) = objects_of(store)
    good = path.read_bytes()
    path.write_bytes(DAMAGES[damage](good))
    with open_store(store, compress_messages=not compressed) as manager:
        again = manager.create_session("again")
        again.add_message(message(1, LARGE))
        manager.save_session(again)
    assert objects_of(store) == [path]
    assert path.read_bytes() == good
    assert open_store(store).load_session("first").get_messages() == [message(1, LARGE)]


def test_list_nodes_are_healed(tmp_path: Path) -> None:
    """Of a damaged list tree every node is made good by a session with the same messages."""
    store = tmp_path / "store"
    said = [message(number) for number in range(40)]
    manager = open_fresh(store)
    for name in ("one", "two"):
        session = manager.create_session(name)
        session.messages = list(said)
        manager.save_session(session)
    nodes = [path for path in objects_of(store) if path.read_bytes().startswith(b'["')]
    assert nodes
    for path in nodes:
        path.write_bytes(_flip(path.read_bytes(), 10))
    with pytest.raises(CorruptionError):
        open_fresh(store).load_session("one").get_messages()
    manager = open_fresh(store)
    session = manager.create_session("three")
    session.messages = list(said)
    manager.save_session(session)
    for name in ("one", "two", "three"):
        assert open_fresh(store).load_session(name).get_messages() == said
