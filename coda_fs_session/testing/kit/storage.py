"""Everything that the manager expects of a `SessionStorage`, as tests to inherit."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest

from ...session.session import Session
from ...storage import SessionStorage
from .going_back import GoingBackTests
from .managing import ManagerTests
from .processes import process_to_kill, run_processes
from .storage_case import HOSTILE_NAMES, MESSAGES, METADATA, exact

LARGE = 3 * 1024 * 1024
MOMENT = datetime(2024, 2, 29, 23, 59, 59, 123456)


class SessionStorageTests(ManagerTests, GoingBackTests):
    """Subclass as ``Test...``, with the fixture `storage` and what else of `StorageCase` applies."""

    def test_nothing_kept(self, storage: SessionStorage) -> None:
        """What is not there is None, and no error."""
        assert not storage.list_all()
        assert storage.load("chat") is None
        assert storage.info("chat") is None
        assert not storage.exists("chat")

    def test_save_and_load(self, storage: SessionStorage) -> None:
        """Name, messages, metadata and times come back exactly: types, the order of keys, every character."""
        storage.save(session("chat"))
        kept = storage.load("chat")
        assert kept is not None
        assert (kept.name, kept.created_at, kept.updated_at) == ("chat", MOMENT, MOMENT + timedelta(days=1))
        assert exact(kept.get_messages()) == exact(MESSAGES)
        assert exact(kept.metadata) == exact(METADATA)
        assert storage.exists("chat")
        assert storage.load("other") is None

    def test_saving_again(self, storage: SessionStorage) -> None:
        """The last state is kept, in place of the one before, also where it is shorter or empty."""
        chat = session("chat")
        storage.save(chat)
        for messages in (MESSAGES[:1], [], [*MESSAGES, *MESSAGES]):
            chat.messages = json.loads(json.dumps(messages))
            chat.metadata = {"count": len(messages)}
            storage.save(chat)
            kept = storage.load("chat")
            assert kept is not None
            assert exact(kept.get_messages()) == exact(messages)
            assert kept.metadata == {"count": len(messages)}
            assert kept.updated_at == chat.updated_at
            assert [info.message_count for info in storage.list_all()] == [len(messages)]

    def test_parts(self, storage: SessionStorage) -> None:
        """A session that was loaded has parts, and can be cut at its end; what is saved then is what it holds."""
        storage.save(session("chat", messages=[*MESSAGES, *MESSAGES]))
        chat, count = storage.load("chat"), len(MESSAGES)
        assert chat is not None
        assert exact(chat.get_messages(start=1, stop=3)) == exact([*MESSAGES, *MESSAGES][1:3])
        assert exact([chat[-1], *chat[count:]]) == exact([MESSAGES[-1], *MESSAGES])
        chat.drop_last(count)
        chat.add_message(MESSAGES[0])
        storage.save(chat)
        kept = storage.load("chat")
        assert kept is not None
        assert exact(kept.get_messages()) == exact([*MESSAGES, MESSAGES[0]])
        kept.keep_first(0)
        storage.save(kept)
        assert [info.message_count for info in storage.list_all()] == [0]

    def test_what_is_kept_is_a_copy(self, storage: SessionStorage) -> None:
        """Nothing that a caller does to a session, or to what was loaded or listed, changes what is kept."""
        chat = session("chat")
        storage.save(chat)
        chat.messages.append({"role": "user"})
        chat.messages[0]["role"] = "changed"
        chat.metadata["topic"] = "changed"
        first = storage.load("chat")
        assert first is not None
        first.messages.clear()
        first.metadata["tags"].append("changed")
        storage.list_all()[0].metadata["tags"].append("changed")
        kept = storage.load("chat")
        assert kept is not None
        assert exact(kept.get_messages()) == exact(MESSAGES)
        assert exact(kept.metadata) == exact(METADATA)
        assert exact(storage.list_all()[0].metadata) == exact(METADATA)

    def test_list_all(self, storage: SessionStorage) -> None:
        """Every session is listed once, with what can be known without its messages."""
        for number, name in enumerate(["one", "two", "three"]):
            storage.save(session(name, messages=MESSAGES[:number], metadata={"number": number}))
        listed = {info.name: info for info in storage.list_all()}
        assert len(storage.list_all()) == 3
        assert listed.keys() == {"one", "two", "three"}
        for number, name in enumerate(["one", "two", "three"]):
            info = listed[name]
            assert (info.message_count, info.metadata, info.error) == (number, {"number": number}, None)
            assert (info.created_at, info.updated_at) == (MOMENT, MOMENT + timedelta(days=1))
            assert storage.info(name) == info
        assert listed["one"].size_bytes < listed["two"].size_bytes < listed["three"].size_bytes

    def test_delete(self, storage: SessionStorage) -> None:
        """Only that session is gone, and its name free for another one."""
        storage.save(session("one"))
        storage.save(session("two"))
        storage.delete("one")
        assert storage.load("one") is None
        assert not storage.exists("one")
        assert [info.name for info in storage.list_all()] == ["two"]
        storage.save(session("one", messages=[]))
        kept = storage.load("one")
        assert kept is not None
        assert kept.get_messages() == []

    @pytest.mark.parametrize("name", HOSTILE_NAMES)
    def test_hostile_names(self, storage: SessionStorage, name: str) -> None:
        """A name is only a name: whatever is in it, it is that session's and no other's."""
        similar = [each for each in (name.swapcase(), f"{name}.json", name.rstrip("./ ")) if each not in ("", name)]
        names = {name, *(each for each in similar if len(each) <= 255)}
        for number, each in enumerate(sorted(names)):
            storage.save(session(each, metadata={"number": number}))
        assert sorted(info.name for info in storage.list_all()) == sorted(names)
        for number, each in enumerate(sorted(names)):
            kept = storage.load(each)
            assert kept is not None
            assert (kept.name, kept.metadata) == (each, {"number": number})
        storage.delete(name)
        assert not storage.exists(name)
        assert {info.name for info in storage.list_all()} == names - {name}

    def test_large(self, storage: SessionStorage) -> None:
        """Many messages, and a long one."""
        messages = [{"role": "user", "content": f"message {number}"} for number in range(3000)]
        messages.insert(1000, {"role": "user", "content": "läng " * (LARGE // 6)})
        storage.save(session("chat", messages=messages))
        kept = storage.load("chat")
        assert kept is not None
        assert kept.get_messages() == messages
        assert storage.list_all()[0].size_bytes > LARGE // 2

    def test_threads(self, storage: SessionStorage) -> None:
        """Threads that each save and load their own sessions do not disturb each other."""

        def work(number: int) -> list[dict[str, Any]]:
            own = session(f"chat {number}", messages=[])
            storage.create(own)
            for step in range(10):
                own.add_message({"thread": number, "step": step})
                storage.save(own)
            kept = storage.load(f"chat {number}")
            return kept.get_messages() if kept is not None else []

        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(work, range(16)))
        assert found == [[{"thread": number, "step": step} for step in range(10)] for number in range(16)]
        assert len(storage.list_all()) == 16

    def test_damage(self, storage: SessionStorage) -> None:
        """What cannot be read is an error and never missing or empty; the other sessions are listed and loaded."""
        storage.save(session("good"))
        storage.save(session("bad"))
        self.damage(storage, "bad")
        # Which error is the storage's affair.
        with pytest.raises(Exception) as caught:
            storage.load("bad")
        assert not isinstance(caught.value, AssertionError)
        assert "good" in [info.name for info in storage.list_all() if info.error is None]
        assert "bad" not in [info.name for info in storage.list_all() if info.error is None]
        kept = storage.load("good")
        assert kept is not None
        assert exact(kept.get_messages()) == exact(MESSAGES)

    def test_reopened(self, storage: SessionStorage) -> None:
        """Whatever was saved is there for who opens the storage next, though nobody closed it."""
        self.need("persistent")
        storage.save(session("chat"))
        storage.save(session("empty", messages=[], metadata={}))
        storage.save(session("gone"))
        storage.delete("gone")
        again = self.reopen(storage)
        assert sorted(info.name for info in again.list_all()) == ["chat", "empty"]
        kept = again.load("chat")
        assert kept is not None
        assert exact(kept.get_messages()) == exact(MESSAGES)
        assert exact(kept.metadata) == exact(METADATA)
        assert (kept.created_at, kept.updated_at) == (MOMENT, MOMENT + timedelta(days=1))

    def test_processes(self, storage: SessionStorage) -> None:
        """Several processes that save sessions of their own at once lose nothing."""
        self.need("shared")
        storage.close()

        def work(number: int) -> None:
            own = self.reopen(storage)
            for step in range(10):
                own.save(session(f"chat {number} {step}", metadata={"by": number}))
            own.close()

        run_processes(4, work)
        listed = {info.name: info.metadata for info in storage.list_all()}
        assert listed == {f"chat {number} {step}": {"by": number} for number in range(4) for step in range(10)}

    @pytest.mark.parametrize(("steps", "part"), [(2, 0), (5, 0.5), (20, 0.8)])
    def test_killed_while_saving(self, storage: SessionStorage, steps: int, part: float) -> None:
        """A process that is killed leaves the last state that it saved, or the one that it was about to save."""
        self.need("persistent")
        storage.save(session("other"))
        storage.close()

        def work(acknowledge: Callable[[int], None]) -> None:
            own = self.reopen(storage)
            chat = session("chat", messages=[])
            for number in range(1_000_000):
                chat.add_message({"number": number, "content": "x" * 20_000})
                own.save(chat)
                acknowledge(number)

        with process_to_kill(work, part=part) as acknowledged:
            for _ in range(steps):
                last = acknowledged()
        again = self.reopen(storage)
        kept = again.load("chat")
        assert kept is not None
        numbers = [message["number"] for message in kept.get_messages()]
        assert numbers == list(range(len(numbers)))
        assert len(numbers) > last
        kept.messages = [{"number": 0}]
        again.save(kept)
        listed = {info.name: info.message_count for info in again.list_all()}
        assert listed == {"chat": 1, "other": len(MESSAGES)}


def session(name: str, messages: list[dict[str, Any]] = MESSAGES, metadata: dict[str, Any] = METADATA) -> Session:
    """Return a session with copies of these, made at `MOMENT` and changed a day later."""
    return Session(
        name,
        json.loads(json.dumps(messages)),
        json.loads(json.dumps(metadata)),
        created_at=MOMENT,
        updated_at=MOMENT + timedelta(days=1),
    )
