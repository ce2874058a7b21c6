"""Token counts are kept up to date: right after every change, at the cost of what is new."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from storekit import open_store
from test_custom_storage import DictStorage, manage

from coda_fs_session import ConfigError, Session, SessionAnalytics, SessionManager
from coda_fs_session.repo.source import CursorSource
from coda_fs_session.session import counting


def talk(number: int, size: int = 40) -> dict[str, Any]:
    return {"role": "user" if number % 2 else "assistant", "content": f"{number} " + "x" * (number * 7 % size)}


def counted_anew(session: Session, counters: counting.Counters = (None, None)) -> int:
    """Count as if nobody had counted before."""
    amounts = [counting.amount_of(message, counters) for message in session.get_messages()]
    return counting.tokens(sum(amounts), counters)


COUNTERS: dict[str, dict[str, Any]] = {
    "characters": {},
    "text": {"token_counter": lambda text: 3 * len(text) + 1},
    "message": {"message_counter": lambda message: len(str(message.pop("content", ""))) + 2},
}


class Run:
    """Random changes of one session, by its manager, in its live list, and by another manager."""

    def __init__(self, folder: Path, kind: str, counters: dict[str, Any], seed: int) -> None:
        self.random = random.Random(seed)
        self.kept = DictStorage()
        self.folder, self.kind, self.counters = folder, kind, counters
        self.number = 0
        self.manager = self.open()
        self.session = self.manager.create_session("chat")

    def open(self) -> SessionManager:
        if self.kind == "custom":
            return manage(self.kept, **self.counters)
        places = {"storage_path": str(self.folder / "store"), "state_path": str(self.folder / "state")}
        options = {"session": {"backend": self.kind, **places, "autosave_interval": 0}}
        return SessionManager(options, **self.counters)

    def next(self) -> dict[str, Any]:
        self.number += 1
        return talk(self.number)

    def add(self) -> None:
        for _ in range(self.random.choice((1, 1, 2, 40))):
            self.session.add_message(self.next())

    def save(self) -> None:
        self.manager.save_session(self.session)

    def edit(self) -> None:
        live = self.session.messages
        if live:
            self.random.choice(live)["content"] += "edited"

    def replace(self) -> None:
        self.session.messages = [self.next() for _ in range(self.random.randrange(8))]

    def reorder(self) -> None:
        self.random.shuffle(self.session.messages)

    def truncate(self) -> None:
        self.session.truncate_messages(self.random.randrange(len(self.session) + 1))

    def drop(self) -> None:
        self.session.drop_last(self.random.randrange(4))

    def keep(self) -> None:
        self.session.keep_first(self.random.randrange(len(self.session) + 1))

    def reload(self) -> None:
        if self.kind != "custom":
            self.session.reload()

    def open_anew(self) -> None:
        self.manager.save_session(self.session)
        del self.session
        self.session = self.manager.load_session("chat")

    def other(self) -> None:
        """Another process has added to it, or changed it."""
        if self.kind == "custom" or self.session.has_unsaved_changes:
            return
        with self.open() as other:
            theirs = other.load_session("chat")
            if self.random.random() < 0.5 and len(theirs):
                theirs.messages[self.random.randrange(len(theirs))]["content"] = "theirs"
            for _ in range(self.random.randrange(3)):
                theirs.add_message(self.next())
        self.session = self.manager.load_session("chat")

    def other_between(self) -> None:
        """Another process adds to it, and its messages come before those that are not saved yet."""
        if self.kind == "custom" or self.session._state.copy.is_live:
            return
        self.save()
        with self.open() as other:
            other.load_session("chat").add_message(self.next())
        self.add()
        self.save()


STEPS: list[Callable[[Run], None]] = [
    *(
        Run.add,
        Run.add,
        Run.add,
        Run.save,
        Run.save,
        Run.edit,
        Run.replace,
        Run.reorder,
        Run.truncate,
        Run.drop,
        Run.drop,
    ),
    *(Run.keep, Run.reload, Run.open_anew, Run.other, Run.other_between, Run.other_between),
]


@pytest.mark.parametrize("kind", ["files", "sqlite", "custom"])
@pytest.mark.parametrize("counters", COUNTERS)
@pytest.mark.parametrize("seed", range(3))
def test_never_stale(kind: str, counters: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After any changes, in any order, the count is what one from nothing gives."""
    monkeypatch.setattr(counting, "_FAR", 16)
    monkeypatch.setattr(counting, "_NEAR", 4)
    run = Run(tmp_path, kind, COUNTERS[counters], seed)
    for _ in range(120):
        run.random.choice(STEPS)(run)
        if run.random.random() < 0.7:
            assert run.session.get_token_count() == counted_anew(run.session, run.session._counters), f"seed {seed}"


class Reads:
    """How many messages are read of a session's saved ones."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        read = CursorSource.read

        def noted(source: CursorSource, start: int, stop: int) -> Any:
            for line in read(source, start, stop):
                self.count += 1
                yield line

        monkeypatch.setattr(CursorSource, "read", noted)

    def by(self, call: Callable[[], object]) -> int:
        before = self.count
        call()
        return self.count - before


def test_only_what_is_new_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first count reads all, later ones what was saved since; after a cut, what is behind the mark before it."""
    with open_store(tmp_path / "store") as filling:
        filled = filling.create_session("chat")
        for number in range(10_000):
            filled.add_message(talk(number))
    manager = open_store(tmp_path / "store")
    session = manager.load_session("chat")
    reads = Reads(monkeypatch)
    assert reads.by(session.get_token_count) == 10_000
    assert reads.by(session.get_token_count) == 0
    session.add_message(talk(1))
    assert reads.by(session.get_token_count) == 0
    manager.save_session(session)
    assert reads.by(session.get_token_count) == 1
    session.drop_last(3)
    assert reads.by(session.get_token_count) <= 256
    manager.save_session(session)
    assert reads.by(session.get_token_count) == 0
    assert session.get_token_count() == counted_anew(session)
    branch = manager.create_session("branch", branch_from="chat", at=5000)
    assert reads.by(branch.get_token_count) == 5000
    assert branch.get_token_count() == counted_anew(branch)


def test_the_messages_are_never_held(tmp_path: Path) -> None:
    """The first count of a session takes the memory of a chunk, not that of the messages."""
    with open_store(tmp_path / "store") as filling:
        filled = filling.create_session("chat")
        for number in range(8000):
            filled.add_message(talk(number, 1000))
    session = open_store(tmp_path / "store").load_session("chat")
    session.get_messages(limit=1)
    tracemalloc.start()
    try:
        session.get_token_count()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000


@pytest.mark.parametrize("by", ["token_counter", "message_counter"])
def test_a_counter_is_asked_about_what_is_new(by: str) -> None:
    """A slow counter is asked once about each message, saved or not, live or not, and again where it has changed."""
    asked: list[Any] = []

    def count(given: Any) -> int:
        asked.append(given if by == "token_counter" else given["content"])
        return 5

    manager = SessionManager({"session": {"backend": "memory"}}, **{by: count})  # type: ignore[arg-type]
    session = manager.create_session("chat")
    for number in range(3):
        session.add_message({"content": str(number)})
    assert (session.get_token_count(), asked) == (15, ["0", "1", "2"])
    manager.save_session(session)
    session.add_message({"content": "3"})
    assert (session.get_token_count(), asked) == (20, ["0", "1", "2", "3"])
    asked.clear()
    live = session.messages
    assert session.get_token_count() == 20
    asked.clear()
    live[1]["content"] = "new"
    assert (session.get_token_count(), asked) == (20, ["new"])
    assert (session.get_token_count(), asked) == (20, ["new"])


def test_a_message_counter_gets_a_message_of_its_own() -> None:
    """What it does to the message it was given stays with it, live list or not, and also for what JSON refuses."""

    def count(message: dict[str, Any]) -> int:
        message["content"] = "gone"
        message.setdefault("list", []).append(1)
        return len(message)

    manager = SessionManager({"session": {"backend": "memory"}}, message_counter=count)
    session = manager.create_session("chat")
    session.add_message({"content": "a", "list": []})
    assert session.get_token_count() == 2
    session.messages.append({"content": "b", "list": [(1, 2)]})
    assert session.get_token_count() == 4
    assert session.messages == [{"content": "a", "list": []}, {"content": "b", "list": [(1, 2)]}]
    session.messages.pop()
    manager.save_session(session)
    assert SessionAnalytics(manager).get_breakdown()["tokens"] == 2


def test_two_counters_are_refused(tmp_path: Path) -> None:
    """Which of the two would count nobody could tell."""
    with pytest.raises(ConfigError, match="message_counter"):
        SessionManager({"session": {"backend": "memory"}}, token_counter=len, message_counter=len)
    path = tmp_path / "settings.toml"
    path.write_text('[session]\nbackend = "memory"\n')
    with pytest.raises(ConfigError, match="message_counter"):
        SessionManager.from_toml(path, token_counter=len, message_counter=len)
    session = SessionManager.from_toml(path, message_counter=lambda message: 7).create_session("chat")
    session.add_message({})
    assert session.get_token_count() == 7


def test_a_counter_that_fails(tmp_path: Path) -> None:
    """What it raises goes to the caller, and the next count is right."""
    broken = True

    def count(text: str) -> int:
        if broken and text == "b":
            raise RuntimeError
        return 1

    store = open_store(tmp_path / "store")
    with SessionManager(store._config.storage_path, token_counter=count) as manager:
        session = manager.create_session("chat")
        for text in "abc":
            session.add_message({"content": text})
        with pytest.raises(RuntimeError):
            session.get_token_count()
        manager.save_session(session)
        with pytest.raises(RuntimeError):
            session.get_token_count()
        broken = False
        assert session.get_token_count() == 3


def test_a_session_moves_to_another_manager() -> None:
    """It is counted as its manager counts."""
    session = SessionManager({"session": {"backend": "memory"}}).create_session("chat")
    session.add_message({"content": "12345678"})
    assert session.get_token_count() == 2
    SessionManager({"session": {"backend": "memory"}}, token_counter=len).save_session(session)
    assert session.get_token_count() == 8
