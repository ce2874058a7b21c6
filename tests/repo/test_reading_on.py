"""Saves of several processes to one session read what is new, and all of it where more than that has happened."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from storekit import message, open_store, say

from coda_fs_session import Session, SessionManager
from coda_fs_session.backends.base import RefKey, Snapshot
from coda_fs_session.backends.files.backend import LocalBackend

Side = tuple[SessionManager, Session]


@pytest.fixture(params=["files", "sqlite", "memory"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def sides(store: Path, backend: str = "files", count: int = 3) -> list[Side]:
    """Return several managers with one session open, which have all saved to it before."""
    managers = [open_store(store, backend=backend)] * count
    if backend != "memory":
        managers = [open_store(store, backend=backend) for _ in range(count)]
    managers[0].create_session("chat")
    opened = [(manager, manager.load_session("chat")) for manager in managers]
    for number in range(2 * count):
        manager, session = opened[number % count]
        say(manager, session, number)
    return opened


def contents(session: Session) -> list[Any]:
    return [each["content"].split()[1] for each in session.get_messages()]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note each reading of a whole ref."""
    noted: list[str] = []
    real = LocalBackend.read_ref

    def read(self: LocalBackend, key: RefKey) -> Snapshot:
        noted.append(key.path)
        return real(self, key)

    monkeypatch.setattr(LocalBackend, "read_ref", read)
    return noted


def test_saves_in_turn(tmp_path: Path, backend: str) -> None:
    """Whatever each side adds, edits and notes comes after what the others did, in every kind of store."""
    opened = sides(tmp_path / "store", backend)
    for number in range(6, 400):
        manager, session = opened[number % 3]
        if number % 5 == 0:
            session.update_metadata({"last": number})
        if number % 7 == 0:
            # With a live list, which is to show what the others said.
            session.messages.append(message(number))
            manager.save_session(session)
        else:
            say(manager, session, number)
    expected = [str(number) for number in range(400)]
    for manager, session in opened:
        manager.save_session(session)
        session.reload()
        assert contents(session) == expected
        assert session.metadata == {"last": 395}


def test_only_what_is_new_is_read(tmp_path: Path, reads: list[str]) -> None:
    """In a session that several processes write to, no save reads the lines that its process has verified before."""
    opened = sides(tmp_path / "store")
    reads.clear()
    for number in range(6, 60):
        say(*opened[number % 3], number)
    assert reads == []
    _, session = opened[0]
    session.reload()
    assert contents(session) == [str(number) for number in range(60)]


def ref_of(store: Path) -> Path:
    (path,) = store.glob("refs/*/*.jsonl")
    return path


def another_file(path: Path) -> None:
    """As sync tools do: the same bytes, in another file under the name."""
    shutil.copyfile(path, path.with_name("copy"))
    path.with_name("copy").replace(path)


def older_copy(path: Path) -> None:
    """As `rsync --inplace` does: shorter, in the same file."""
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-3]))


def damaged_line(path: Path) -> None:
    """A byte of a message changes on the disk in what others have appended."""
    data = bytearray(path.read_bytes())
    data[data.rindex(b"message")] ^= 1
    path.write_bytes(data)


def damaged_front(path: Path) -> None:
    """A byte changes on the disk that every process has read before."""
    data = bytearray(path.read_bytes())
    data[data.index(b"message 0")] ^= 1
    path.write_bytes(data)


def torn_line(path: Path) -> None:
    """Another process was killed while it wrote."""
    with path.open("ab") as file:
        file.write(b'{"prev":"')


def other_end(path: Path) -> None:
    """The id of a line that this process knew is another one now."""
    lines = path.read_bytes().splitlines(keepends=True)
    lines[-3] = lines[-3][:-4] + (b"0" if lines[-3][-4:-3] != b"0" else b"1") + lines[-3][-3:]
    path.write_bytes(b"".join(lines))


@pytest.mark.parametrize("happens", [another_file, older_copy, damaged_front, damaged_line, torn_line, other_end])
def test_more_than_an_append_has_all_of_it_read(
    tmp_path: Path, reads: list[str], happens: Callable[[Path], None]
) -> None:
    """Whatever else happens to a ref is seen at the next save, and nothing that was acknowledged is lost."""
    store = tmp_path / "store"
    opened = sides(store)
    happens(ref_of(store))
    reads.clear()
    for number in range(6, 12):
        say(*opened[number % 3], number)
    assert reads
    for manager, _ in opened:
        manager.close()
    again = open_store(store)
    # Side by side where they cannot tell what the others had written.
    found = [set(contents(again.load_session(info.name))) for info in again.list_sessions()]
    assert set.union(*found) == {str(number) for number in range(12)}


def test_an_interrupt_while_the_messages_of_others_come_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever it comes, the session holds what the others said and what it saved itself, each once."""
    manager, session = sides(tmp_path / "store")[0]
    copy = session._state.copy
    advance, calls = copy.advance, []

    def interrupted(*arguments: Any) -> None:
        advance(*arguments)
        calls.append(arguments)
        if len(calls) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(copy, "advance", interrupted)
    session.add_message(message(6))
    with pytest.raises(KeyboardInterrupt):
        manager.save_session(session)
    assert len(calls) == 2
    assert not session.has_unsaved_changes
    say(manager, session, 7)
    assert contents(session) == [str(number) for number in range(8)]
    assert session._state.copy.size() == sum(len(line) + 1 for line in session._state.copy.lines())
    session.reload()
    assert contents(session) == [str(number) for number in range(8)]
