"""Stores that have arrived in part: what is there is read, nothing is written because of what is not, all heals."""

from __future__ import annotations

import random
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from storekit import untouched

from coda_fs_session import (
    ObjectNotYetHereError,
    PartialSessionError,
    SessionError,
    SessionNotFoundError,
    SessionWarning,
    StoreFormatError,
)

from .machines import Machine, contents, said

LENGTHS = {"small": 3, "sealed": 40, "long": 150}
CONSTANT = ("FORMAT", "README.txt", ".gitattributes")


@pytest.fixture
def there(tmp_path: Path) -> Machine:
    """A machine with sessions of a tail only, of chunks, of list nodes, an edited one and a branch."""
    machine = Machine(tmp_path / "there", "there-00000002")
    for name, length in LENGTHS.items():
        machine.create(name, said(*range(length)))
    manager = machine.manager()
    manager.create_session("branch", branch_from="sealed", at=25)
    session = manager.load_session("sealed")
    session.messages[3]["content"] = "edited"
    manager.save_session(session)
    machine.change("sealed", "after")
    manager.close()
    return machine


def files_of(store: Path) -> list[Path]:
    return sorted(path.relative_to(store) for path in store.rglob("*") if path.is_file())


def arriving(store: Path, target: Path, order: list[Path]) -> Iterator[Path]:
    """Copy a store file by file."""
    for path in order:
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(store / path, target / path)
        yield path


def _refs_first(path: Path) -> tuple[object, ...]:
    return path.parts[0] != "refs", path


def _objects_first(path: Path) -> tuple[object, ...]:
    return path.parts[0] != "objects", path


def _format_last(path: Path) -> tuple[object, ...]:
    return path.name in CONSTANT, path


def _newest_first(path: Path) -> tuple[object, ...]:
    return tuple(-ord(letter) for letter in str(path))


def _shuffled(seed: int) -> Callable[[Path], object]:
    draw = random.Random(seed)
    return lambda path: draw.random()


ORDERS = [_refs_first, _objects_first, _format_last, _newest_first, *map(_shuffled, range(4))]


@pytest.mark.parametrize("number", range(len(ORDERS)))
def test_file_by_file(there: Machine, tmp_path: Path, number: int) -> None:
    """After each file the sessions whose refs are there are listed, what is there of them is read in order, and
    nothing is written; at the end everything is there."""
    expected = {name: there.read(name) for name in there.names()}
    here = Machine(tmp_path / "here", "here-00000001")
    order = sorted(files_of(there.store), key=ORDERS[number])
    partly = 0
    for _ in arriving(there.store, here.store, order):
        with untouched(here.store), warnings.catch_warnings():
            warnings.simplefilter("error", SessionWarning)
            manager = here.manager()
            arrived = {path.stem for path in here.store.glob("refs/*/*.jsonl")}
            infos = {info.name: info for info in manager.list_sessions()}
            assert infos.keys() == arrived
            for name, info in infos.items():
                assert info.message_count == len(expected[name])
                assert info.error is None
                whole, found = iter(expected[name]), manager.load_session(name, partial=True)
                assert all(text in whole for text in contents(found)), "all in their order"
                assert len(found) + found.missing == len(expected[name])
                try:
                    assert contents(manager.load_session(name)) == expected[name]
                    assert found.missing == 0
                except ObjectNotYetHereError:
                    assert found.missing
                    partly += 1
            manager.close()
    assert {name: here.read(name) for name in here.names()} == expected
    if ORDERS[number] is _refs_first:
        assert partly > 10


def take_away(machine: Machine, name: str, *, keep: int) -> list[Path]:
    """Move the chunks of a session away, but for the first ones."""
    spine = machine.head(name).header.base.spine
    (machine.folder / "away").mkdir(exist_ok=True)
    away = []
    for _, entry in list(spine.entries())[keep:]:
        path = machine.store / "objects" / entry.id[:2] / f"{entry.id}.jsonl"
        away.append(path.rename(machine.folder / "away" / path.name))
    return away


def bring_back(machine: Machine, away: list[Path]) -> None:
    for path in away:
        path.rename(machine.store / "objects" / path.name[:2] / path.name)


@pytest.fixture
def chat(here: Machine) -> tuple[Machine, list[str], list[Path]]:
    """A session of which only the first chunk and the tail are here, all that it holds, and what is missing."""
    here.create("chat", said(*range(40)))
    here.change("chat", "tail")
    expected = here.read("chat")
    return here, expected, take_away(here, "chat", keep=1)


def test_partial(chat: tuple[Machine, list[str], list[Path]]) -> None:
    """A partial session says how many messages it lacks; it is no live object, and the next load is as always."""
    here, expected, away = chat
    manager = here.manager(message_cache_size=0)
    session = manager.load_session("chat", partial=True)
    found = contents(session)
    assert 0 < session.missing == len(expected) - len(found) == len(expected) - len(session)
    assert found[0] == "0"
    assert found[-1] == "tail"
    assert str(session.missing) in repr(session)
    assert [each["content"] for each in session.messages] == found == [each["content"] for each in session]
    assert session.get_messages(limit=1)[0]["content"] == "tail"
    assert session.get_token_count() > 0
    live = manager.load_session("chat")
    assert live is not session
    assert live.missing == 0
    assert live.get_messages(limit=1)[0]["content"] == "tail"
    with pytest.raises(ObjectNotYetHereError):
        live.get_messages()
    bring_back(here, away)
    assert contents(live) == expected
    assert manager.load_session("chat", partial=True) is live
    with pytest.raises(SessionNotFoundError):
        manager.load_session("nobody", partial=True)


def test_a_partial_session_is_never_saved(chat: tuple[Machine, list[str], list[Path]]) -> None:
    """Neither by a save, changed or not, nor by autosave or at the end, nor under a name that is free by then."""
    here, _, _ = chat
    manager = here.manager()
    session = manager.load_session("chat", partial=True)
    with untouched(here.store):
        with pytest.raises(PartialSessionError, match="partial") as caught:
            manager.save_session(session)
        assert caught.value.missing == session.missing > 0
        session.add_message(said("more")[0])
        with pytest.raises(PartialSessionError, match="partial"):
            manager.save_session(session)
        with pytest.raises(PartialSessionError, match="partial"):
            here.manager().save_session(session)
        with pytest.raises(SessionError):
            session.reload()
        manager.save_all()
        manager._autosave.save_all()
    manager.delete_session("chat")
    with pytest.raises(PartialSessionError, match="partial"):
        manager.save_session(session)
    manager.close()
    assert here.names() == []


def test_a_damaged_object_is_left_out_too(here: Machine) -> None:
    """A tool may still be writing it; wrong bytes are never shown."""
    here.create("chat", said(*range(40)))
    path = take_away(here, "chat", keep=0)[0]
    (here.store / "objects" / path.name[:2] / path.name).write_bytes(path.read_bytes()[:-10])
    session = here.manager().load_session("chat", partial=True)
    assert session.missing > 0
    assert contents(session) == [str(number) for number in range(40 - len(session), 40)]


def test_hidden_messages_do_not_count(here: Machine) -> None:
    """Of a truncated session, what is hidden is neither shown nor missing."""
    manager = here.manager()
    here.create("chat", said(*range(30)))
    session = manager.load_session("chat")
    session.truncate_messages(8)
    manager.save_session(session)
    take_away(here, "chat", keep=0)
    session = here.manager().load_session("chat", partial=True)
    assert len(session) + session.missing == 8
    assert contents(session) == [str(number) for number in range(30 - len(session), 30)]


def test_going_on_with_a_session_that_is_half_here(there: Machine, tmp_path: Path) -> None:
    """`create_session` loads it, appending works without the older messages, and when they arrive all is there."""
    here = Machine(tmp_path / "here", "here-00000001")
    expected = there.read("long")
    for _ in arriving(there.store, here.store, [p for p in files_of(there.store) if p.parts[0] == "refs"]):
        pass
    manager = here.manager()
    session = manager.create_session("long")
    session.add_message(said("mine")[0])
    manager.save_session(session)
    assert [each["content"] for each in here.manager().load_session("long").get_messages(limit=1)] == ["mine"]
    assert all((here.store / name).read_bytes() == (there.store / name).read_bytes() for name in CONSTANT)
    shutil.copytree(there.store / "objects", here.store / "objects", dirs_exist_ok=True)
    assert here.read("long") == [*expected, "mine"]
    here.send_to(there)
    assert there.read("long") == [*expected, "mine"]
    assert there.names() == here.names()


@pytest.mark.parametrize("gone", [True, False])
@pytest.mark.parametrize(
    "suffix", [".sync-conflict-20260102-030405-ABCDEFG", " (conflicted copy 2026-01-02)", "~HEAD", "-1", ".bak"]
)
def test_constant_files_in_two_copies(there: Machine, suffix: str, gone: bool) -> None:
    """A conflict copy of FORMAT and of the README beside them, or in their place, is no reason to refuse a store."""
    expected = there.names()
    for name in ("FORMAT", "README.txt"):
        stem, dot, ending = name.partition(".")
        shutil.copy(there.store / name, there.store / f"{stem}{suffix}{dot}{ending}")
        if gone:
            (there.store / name).unlink()
    with untouched(there.store):
        assert there.names() == expected
    there.create("another", said("more"))
    assert there.read("another") == ["more"]
    assert (there.store / "FORMAT").read_bytes() == b'{"coda_fs_session":1}\n'


def test_any_readme_is_no_store(tmp_path: Path) -> None:
    """A folder with a README of somebody else's, an empty one too, is refused and not filled."""
    for number, content in enumerate((b"", b"This folder is mine")):
        machine = Machine(tmp_path / str(number), "here-00000001")
        machine.store.mkdir(parents=True)
        (machine.store / "README.txt").write_bytes(content)
        with untouched(machine.store), pytest.raises(StoreFormatError):
            machine.manager()


def test_a_partial_load_of_a_storage_of_ones_own(tmp_path: Path) -> None:
    """One that knows no partial sessions returns whole ones."""
    from coda_fs_session import SessionManager

    manager = SessionManager({"session": {"backend": "memory"}})
    session = manager.create_session("chat")
    assert manager.load_session("chat", partial=True) is session
