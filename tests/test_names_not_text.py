"""Files whose names are no text, as an old disk or an archive brings them: nothing fails at them, and they count."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from storekit import fill, message, open_store, ref_of, say, untouched

from coda_fs_session import StoreFormatError
from coda_fs_session.format.ids import line_id

LATIN = os.fsdecode(b"donn\xe9es")
"""What Python makes of a name in Latin-1."""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with the session chat, of one object among others."""
    store = tmp_path / "store"
    with open_store(store) as manager:
        fill(manager, "chat", 2, size=70_000)
    try:
        (tmp_path / LATIN).touch()
    except OSError:
        pytest.skip("this disk takes only text for names")
    return store


def newer_ref() -> bytes:
    """A header of a version that is not known yet."""
    before = b'{"coda_fs_session":2,"name":"later"'
    return b'%b,"id":"%b"}\n' % (before, line_id(before).encode())


def assert_usable(store: Path, names: list[str]) -> None:
    """Go through everything that lists files, twice: the second program begins with what the first one kept."""
    for _ in range(2):
        with open_store(store) as manager:
            assert sorted(info.name for info in manager.list_sessions()) == names
            assert manager.stats().sessions == len(names)
            say(manager, manager.load_session("chat"), 5)
            manager.sync(f"{store}.other")


@pytest.mark.parametrize("folder", ["refs", "refs/{replica}", f"refs/{LATIN}", "objects", "objects/00", "."])
@pytest.mark.parametrize("ending", ["", ".jsonl"])
def test_rubbish_under_such_a_name(store: Path, folder: str, ending: str) -> None:
    """Bug: one such file below refs/ made list_sessions, stats, sync and close raise TypeError."""
    where = store / folder.format(replica=ref_of(store, "chat").parent.name)
    where.mkdir(exist_ok=True)
    (where / f"{LATIN}{ending}").write_bytes(b"junk")
    assert_usable(store, ["chat"])


@pytest.mark.parametrize("folder", ["", LATIN])
def test_a_ref_under_such_a_name(store: Path, folder: str) -> None:
    """It is one more ref, in every list, and a sync takes it along."""
    path = ref_of(store, "chat")
    with open_store(store, state_path=f"{store}.elsewhere", replica="elsewhere") as manager:
        fill(manager, "another", 1)
    there = path.parent / folder / f"{LATIN}.jsonl"
    there.parent.mkdir(exist_ok=True)
    ref_of(store, "another").rename(there)
    assert_usable(store, ["another", "chat"])
    with open_store(Path(f"{store}.other")) as manager:
        assert manager.load_session("another").get_messages() == [message(0)]
    # What the last program kept is good for the next one: it reads no ref anew.
    with untouched(store), open_store(store) as manager:
        assert manager.load_session("another").get_messages() == [message(0)]


def test_an_error_of_such_a_file_can_be_printed(store: Path) -> None:
    """Its message is text that goes to any terminal; its path is the true one, which opens the file."""
    path = ref_of(store, "chat").with_name(f"{LATIN}.jsonl")
    path.write_bytes(newer_ref())
    with open_store(store) as manager:
        (info,) = [info for info in manager.list_sessions() if info.error]
        assert isinstance(info.error, StoreFormatError)
        assert "donn\\udce9es" in str(info.error).encode().decode()
        assert info.name.encode()
        assert info.error.path is not None
        assert info.error.path.read_bytes() == newer_ref()
        assert manager.load_session("chat").get_messages()
    with open_store(store) as manager:
        assert len(manager.list_sessions()) == 2


def test_a_repair_of_such_a_file(store: Path) -> None:
    """What a repair brings back is no finding that stays, and can be printed. It was once told as left."""
    path = ref_of(store, "chat")
    with open_store(store, state_path=f"{store}.elsewhere", replica="elsewhere") as manager:
        fill(manager, "another", 3)
    there = path.with_name(f"{LATIN}.jsonl")
    ref_of(store, "another").rename(there)
    data = there.read_bytes()
    there.write_bytes(data[:-20] + b"\0" + data[-19:])
    with open_store(store) as manager:
        report = manager.maintenance.repair()
        assert [str(each).isprintable() for each in report.mended] == [True]
        assert report.left == ()
