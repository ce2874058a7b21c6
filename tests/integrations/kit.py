"""What every adapter keeps, whatever the framework: a test class of an adapter inherits these tests.

Each test has a store of files or a database, and the adapter adds items that say a given text.
"""

from __future__ import annotations

import asyncio
import importlib
import math
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from storekit import ROOT, Opener, open_store

from coda_fs_session import PendingSave, Session, SessionAnalytics, SessionError, SessionHook, SessionManager

WRITES = 12
LIMIT = 60  # seconds; only a failure waits that long
KEY = "Ann/1 é"
VALUES = {
    "surrogate": "half \ud800 of é",
    "numbers": [math.inf, -math.inf, 2**70, -(2**70)],
    "keys": {"\ufffd": 2} | {"\udbff": {"\udcff": 1}},
    "coda_fs_session.escapes": [["a"]],
}
"""Values that the JSON of Python has, and a session does not take as they are."""
SECRET = "sk-sesame-12345678"


def framework(module: str, package: str) -> ModuleType:
    """Return a framework's module, or skip the file of tests, saying how to get it."""
    found: ModuleType = pytest.importorskip(
        module, reason=f"{package} is not installed: scripts/test --frameworks installs it, and runs these tests"
    )
    return found


def run_two(*command: str) -> None:
    """Run a program twice, with "a" and with "b" as its last argument; both go on once both are ready."""
    both = [
        subprocess.Popen([*command, who], cwd=ROOT / "tests", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for who in ("a", "b")
    ]
    for each in both:
        assert each.stdout is not None
        assert each.stdout.readline() == b"ready\n"
    for each in both:
        assert each.stdin is not None
        each.stdin.close()
    assert [each.wait(LIMIT) for each in both] == [0, 0]
    for each in both:
        assert each.stdout is not None
        each.stdout.close()


class AdapterKit(ABC):
    """The tests; what is abstract an adapter's own test class gives."""

    shape: str
    given: Any = VALUES
    """Values that the framework's items may hold; None for a framework whose items hold text alone."""

    depth = 300
    """How deep they may be nested."""

    merges = True
    """Whether a conversation goes on with what a merge has brought into its session."""

    @abstractmethod
    async def add(self, manager: SessionManager, key: str, text: str) -> None:
        """Add an item of the user that says a text to the conversation of a key, by a new adapter."""

    @abstractmethod
    async def texts(self, manager: SessionManager, key: str) -> list[str]:
        """Return what the items of a conversation say, in order, by a new adapter; [] where there is none."""

    @abstractmethod
    def name(self, manager: SessionManager, key: str) -> str:
        """Return the name of the session that has the conversation."""

    async def add_value(self, manager: SessionManager, key: str, value: Any) -> None:
        """Add an item that holds a value."""
        raise NotImplementedError

    async def values(self, manager: SessionManager, key: str) -> list[Any]:
        """Return what `add_value` was given, as the items have it."""
        raise NotImplementedError

    @pytest.fixture(params=["files", "sqlite"])
    def open_manager(self, request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
        return partial(open_store, tmp_path / "store", backend=request.param)

    def test_it_is_shown_searched_exported_and_counted(self, open_manager: Opener, tmp_path: Path) -> None:
        """What was said is in lists, in searches, in an export, and its tokens and roles are counted."""
        with open_manager() as manager:
            assert run(self.texts(manager, KEY)) == []
            assert manager.list_sessions(hidden=True) == []
            run(self.add(manager, KEY, "Where is it warm in March?"))
            name = self.name(manager, KEY)
            (info,) = manager.list_sessions()
            assert info.name == name
            assert info.metadata["coda_fs_session.shape"] == self.shape
            assert info.preview.first == "Where is it warm in March?"
            (hit,) = manager.search("warm march").hits
            assert hit.session == name
            assert manager.load_session(name).get_token_count() >= 6
            assert SessionAnalytics(manager).get_breakdown()["messages_by_role"] == {"user": 1}
            path = manager.export_session(name, tmp_path / "chat.md")
            assert "Where is it warm in March?" in path.read_text(encoding="utf-8")
        with open_manager() as manager:
            assert run(self.texts(manager, KEY)) == ["Where is it warm in March?"]

    def test_two_processes(self, open_manager: Opener, tmp_path: Path) -> None:
        """Two processes add to one conversation at the same time: each item is there exactly once, in its order."""
        place = str(tmp_path / "store"), open_manager.keywords["backend"]  # type: ignore[attr-defined]
        command = [sys.executable, "-c", _PROGRAM, type(self).__module__, type(self).__qualname__, *place]
        run_two(*command)
        with open_manager() as manager:
            found = run(self.texts(manager, KEY))
        assert sorted(found) == sorted(f"{who} {number}" for who in ("a", "b") for number in range(WRITES))
        for who in ("a", "b"):
            assert [text for text in found if text[0] == who] == [f"{who} {number}" for number in range(WRITES)]

    def test_two_machines_take_turns(self, open_manager: Opener, tmp_path: Path) -> None:
        """A conversation goes on on another machine after a sync, and back: each has all of it, in order."""
        other = partial(open_store, tmp_path / "other")
        said = []
        for turn in range(4):
            with (open_manager, other)[turn % 2]() as manager:
                run(self.add(manager, KEY, f"turn {turn}"))
                said.append(f"turn {turn}")
                assert run(self.texts(manager, KEY)) == said
            with open_manager() as manager:
                manager.sync(tmp_path / "other")

    @pytest.mark.filterwarnings("ignore::coda_fs_session.SessionWarning")
    def test_two_machines_apart(self, open_manager: Opener, tmp_path: Path) -> None:
        """Both go on before they sync: one side keeps the name on both, the other stands beside, and both go on."""
        other = partial(open_store, tmp_path / "other")
        with open_manager() as here:
            run(self.add(here, KEY, "first"))
            here.sync(tmp_path / "other")
            with other() as there:
                run(self.add(there, KEY, "there"))
                run(self.add(here, KEY, "here"))
                here.sync(tmp_path / "other")
                said = run(self.texts(there, KEY))
                assert said in (["first", "here"], ["first", "there"])
            for text in ("first", "here", "there"):
                assert here.search(text).hits
            assert run(self.texts(here, KEY)) == said
            run(self.add(here, KEY, "on"))
            here.sync(tmp_path / "other")
        with other() as there:
            assert run(self.texts(there, KEY)) == [*said, "on"]
            info = there.get_session_info(self.name(there, KEY))
            assert info is not None
            (side,) = info.sides
            there.branches.merge(side, info.name)
            merged = run(self.texts(there, KEY))
            assert sorted(merged) == sorted(["first", "here", "there", "on"] if self.merges else [*said, "on"])
            run(self.add(there, KEY, "last"))
            assert run(self.texts(there, KEY)) == [*merged, "last"]

    def test_many_tasks(self, open_manager: Opener) -> None:
        """Tasks of one process that add at the same time: each item is there exactly once."""

        async def main(manager: SessionManager) -> None:
            await asyncio.gather(*(self.add(manager, KEY, f"{number}") for number in range(WRITES)))

        with open_manager() as manager:
            run(self.add(manager, KEY, "first"))
            run(main(manager))
            assert sorted(run(self.texts(manager, KEY))) == sorted(["first", *map(str, range(WRITES))])

    def test_a_failed_save_and_a_retry(self, open_manager: Opener) -> None:
        """What could not be saved is not there, in memory neither; tried again, it is there once."""
        with open_manager() as manager:
            run(self.add(manager, KEY, "before"))
            before = manager.list_sessions(hidden=True)
            held = manager.load_session(self.name(manager, KEY))
            stop = manager.use(_Refuse())
            with pytest.raises(Exception, match="refused by a test"):
                run(self.add(manager, KEY, "again"))
            assert not held.has_unsaved_changes
            assert run(self.texts(manager, KEY)) == ["before"]
            stop()
            manager.save_all()
            assert manager.list_sessions(hidden=True) == before
            run(self.add(manager, KEY, "again"))
            assert run(self.texts(manager, KEY)) == ["before", "again"]

    def test_a_first_save_that_fails(self, open_manager: Opener) -> None:
        """A conversation that could not be begun is not there; tried again, it has the item once."""
        with open_manager() as manager:
            stop = manager.use(_Refuse())
            with pytest.raises(Exception, match="refused by a test"):
                run(self.add(manager, KEY, "first"))
            stop()
            assert run(self.texts(manager, KEY)) == []
            run(self.add(manager, KEY, "first"))
            assert run(self.texts(manager, KEY)) == ["first"]

    def test_cancellation(self, open_manager: Opener) -> None:
        """A call that is cancelled in its save is done when the cancellation comes out, or nothing of it is."""
        with open_manager() as manager:
            run(self.add(manager, KEY, "before"))
            hold = _Hold()

            async def cancelled() -> None:
                task = asyncio.create_task(self.add(manager, KEY, "cancelled"))
                await asyncio.to_thread(hold.reached.wait, LIMIT)
                task.cancel()
                await asyncio.sleep(0)
                hold.go_on.set()
                with pytest.raises(asyncio.CancelledError):
                    await task

            stop = manager.use(hold)
            run(cancelled())
            stop()
            assert not any(session.has_unsaved_changes for session in [manager.load_session(self.name(manager, KEY))])
            assert run(self.texts(manager, KEY)) in (["before"], ["before", "cancelled"])
            run(self.add(manager, KEY, "after"))
            assert run(self.texts(manager, KEY))[-1] == "after"

    def test_values_that_json_refuses(self, open_manager: Opener) -> None:
        """Lone surrogates, infinities, integers over 64 bits and deep values come back as they were."""
        if self.given is None:
            pytest.skip("items of this framework hold no values of any type")
        deep: Any = "end"
        for _ in range(self.depth):
            deep = [deep]
        with open_manager() as manager:
            run(self.add_value(manager, KEY, self.given))
            run(self.add_value(manager, KEY, {"deep": deep}))
        with open_manager() as manager:
            assert run(self.values(manager, KEY)) == [self.given, {"deep": deep}]

    def test_redaction(self, open_manager: Opener, tmp_path: Path) -> None:
        """What matches a pattern reaches neither the store nor the framework again, and the adapter works on."""
        with open_manager(redact=[r"sk-[\w-]+"]) as manager:
            run(self.add(manager, KEY, f"the key is {SECRET}"))
            run(self.add(manager, KEY, f"half \ud800 {SECRET}" if self.given else SECRET))
            first, second = run(self.texts(manager, KEY))
            assert first.startswith("the key is ")
            assert SECRET not in first + second
            run(self.add(manager, KEY, "more"))
            assert run(self.texts(manager, KEY))[2:] == ["more"]
        with open_manager() as manager:
            for info in manager.list_sessions(hidden=True):
                session = manager.load_session(info.name)
                assert SECRET not in f"{session.get_messages()} {session.metadata}"

    def test_messages_of_others_are_refused(self, open_manager: Opener) -> None:
        """A session that another framework's adapter has written, or none, is neither read nor changed."""
        with open_manager() as manager:
            run(self.add(manager, KEY, "mine"))
            session = manager.load_session(self.name(manager, KEY))
            for shape in ("some-framework", None):
                session.metadata["coda_fs_session.shape"] = shape
                manager.save_session(session)
                for call in (self.texts(manager, KEY), self.add(manager, KEY, "more")):
                    with pytest.raises(SessionError, match=shape or "no adapter"):
                        run(call)
                assert len(session) == 1

    def test_keys_that_are_alike(self, open_manager: Opener) -> None:
        """Keys that differ are different conversations, whatever is in them."""
        keys = ["a", "A", "a/b", "a%2Fb", "é", "e\u0301", "…" * 300, "…" * 299 + "a", "..", " "]
        with open_manager() as manager:
            for key in keys:
                run(self.add(manager, key, f"of {key[:3]} {len(key)}"))
        with open_manager() as manager:
            assert [run(self.texts(manager, key)) for key in keys] == [[f"of {key[:3]} {len(key)}"] for key in keys]


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


class _Refuse(SessionHook):
    def before_save(self, session: Session, pending: PendingSave) -> None:
        raise SessionError("refused by a test")


class _Hold(SessionHook):
    """Holds a save up until it is told to go on."""

    def __init__(self) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()

    def before_save(self, session: Session, pending: PendingSave) -> None:
        self.reached.set()
        self.go_on.wait(LIMIT)


_PROGRAM = """
import sys
from integrations import kit
kit.add_many(*sys.argv[1:])
"""


def add_many(module: str, kit: str, store: str, backend: str, who: str) -> None:
    """Add items by the adapter of a test class, when stdin is closed; what one of two processes does."""
    made: AdapterKit = getattr(importlib.import_module(module), kit)()

    async def main(manager: SessionManager) -> None:
        for number in range(WRITES):
            await made.add(manager, KEY, f"{who} {number}")

    with open_store(Path(store), backend=backend) as manager:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.read()
        run(main(manager))
