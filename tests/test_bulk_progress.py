"""What `SessionManager.bulk` tells of its progress."""

from __future__ import annotations

from pathlib import Path

import pytest
from storekit import Opener, open_store, say

from coda_fs_session import UnsupportedError
from coda_fs_session.backends import staged


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold back ten sessions, not a thousand."""
    monkeypatch.setattr(staged, "MOST_REFS", 10)


def test_it_tells_how_many_are_durable(again: Opener) -> None:
    """The numbers grow, the last one is of all; what is told of is there for others."""
    manager = again()
    manager.create_session("before")
    told: list[int] = []

    def tell(made: int) -> None:
        told.append(made)
        assert len(again().list_sessions()) >= made + 1

    with manager.bulk(progress=tell):
        for number in range(35):
            say(manager, manager.create_session(f"chat {number}"), 1)
    assert told == sorted(set(told))
    assert told[-1] == 35
    told.clear()
    # The next block counts anew, and an earlier one is not told of it.
    with manager.bulk():
        manager.create_session("more")
    with manager.bulk(progress=tell):
        manager.create_session("and more")
    assert told == [1]


def test_after_every_few(tmp_path: Path) -> None:
    """Also while the block is under way."""
    told: list[int] = []
    with open_store(tmp_path / "store") as manager, manager.bulk(progress=told.append):
        for number in range(35):
            say(manager, manager.create_session(f"chat {number}"), 1)
        assert told[:2] == [11, 21]
    assert (len(told), told[-1]) == (4, 35)


def test_an_error_in_it(again: Opener) -> None:
    """It comes out of the call or of the block. What was told is there, the rest of the block is saved, and it ends."""
    manager = again()
    manager.create_session("before")
    told: list[int] = []

    def fail(made: int) -> None:
        told.append(made)
        raise ZeroDivisionError

    def work() -> None:
        with manager.bulk(progress=fail):
            for number in range(35):
                manager.create_session(f"chat {number}")

    with pytest.raises(ZeroDivisionError):
        work()
    names = {info.name for info in again().list_sessions()}
    assert len(names) > told[0]
    with manager.bulk():
        manager.create_session("more")
    assert {info.name for info in again().list_sessions()} == names | {"more"}


def test_it_cannot_use_the_manager(again: Opener) -> None:
    """It is called in the middle of a verb, which may hold anything: it is told so at once, and all else goes on."""
    manager = again()
    told: list[int] = []

    def use(made: int) -> None:
        told.append(made)
        for act in (manager.list_sessions, lambda: manager.create_session("other")):
            with pytest.raises(UnsupportedError, match="under way"):
                act()

    with manager.bulk(progress=use):
        for number in range(35):
            say(manager, manager.create_session(f"chat {number}"), 1)
    assert told[-1] == 35
    assert {info.name for info in again().list_sessions()} == {f"chat {number}" for number in range(35)}
