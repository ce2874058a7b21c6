"""What adapters share, by itself: no framework is needed for these."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from storekit import ROOT, open_store

from coda_fs_session import Session, SessionManager, UnsupportedError
from coda_fs_session.integrations.escapes import ESCAPES, add, escaped, restored
from coda_fs_session.integrations.names import name_of, parts_of
from coda_fs_session.integrations.sessions import KEY, SHAPE, FrameworkSessions

from .kit import VALUES, AdapterKit

SHARED = {"extras", "names", "escapes", "sessions"}
ADAPTERS = sorted(
    path.stem
    for path in (ROOT / "coda_fs_session" / "integrations").iterdir()
    if (path.suffix == ".py" or (path / "__init__.py").exists()) and path.stem not in SHARED | {"__init__"}
)


class TestFrame(AdapterKit):
    """The kit holds for the least that an adapter can be: so a test of it that fails elsewhere is about that one."""

    shape = "frame"

    def sessions(self, manager: SessionManager) -> FrameworkSessions:
        return FrameworkSessions(manager, self.shape)

    def name(self, manager: SessionManager, key: str) -> str:
        return self.sessions(manager).name(key)

    async def add(self, manager: SessionManager, key: str, text: str) -> None:
        await self.add_item(manager, key, {"role": "user", "content": text})

    async def add_value(self, manager: SessionManager, key: str, value: Any) -> None:
        await self.add_item(manager, key, {"value": value})
        await self.add_item(manager, key, value)

    async def add_item(self, manager: SessionManager, key: str, item: Any) -> None:
        ours = self.sessions(manager)
        await ours.call(lambda: ours.change(key, step=lambda session: add(session, item)))

    async def items(self, manager: SessionManager, key: str) -> list[Any]:
        ours = self.sessions(manager)
        session = await ours.call(ours.find, ours.name(key))
        return [] if session is None else list(map(restored, await ours.call(session.get_messages)))

    async def texts(self, manager: SessionManager, key: str) -> list[str]:
        return [item["content"] for item in await self.items(manager, key)]

    async def values(self, manager: SessionManager, key: str) -> list[Any]:
        found = await self.items(manager, key)
        assert found[1::2] == [item["value"] for item in found[::2]]
        return found[1::2]


_TEXT = some.text(some.characters(codec=None), max_size=6)
_JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | _TEXT,
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=12,
)


@given(_JSON)
def test_escapes_are_undone(value: Any) -> None:
    """Whatever `json.dumps` takes, a session takes in its escaped form, and it comes back equal."""
    session = Session("a")
    made = escaped(value)
    session.add_message(made)
    back = restored(session[0])
    assert repr(back) == repr(json.loads(json.dumps(value)))
    if isinstance(value, dict):
        add(session, value)
        assert repr(restored(session[1])) == repr(back)


def test_an_item_may_have_the_key_of_escapes() -> None:
    """What a framework's item has under that key is no instruction: it comes back as it was."""
    session = Session("a")
    for item in ({ESCAPES: [[["text"], "int"]], "text": "0x10"}, {ESCAPES: 1}, {ESCAPES: None, "text": "\ud800"}):
        add(session, item)
        assert restored(session[-1]) == item


def test_what_is_edited_stays_edited() -> None:
    """Redaction of an escaped text is not undone, be it that a place in the text is not there any more."""
    made = escaped({"a": "key \ud800", "b": [2**70], "\ud800": {"\udfff": 1}})
    assert made["a"] == "key \ufffd"
    assert ESCAPES in made
    made |= {"a": "***", "b": [], "\ufffd": "gone"}
    assert restored(made) == {"a": "***", "b": [], "\ud800": "gone"}
    assert restored(escaped(VALUES)) == VALUES


@given(some.lists(_TEXT | _TEXT.map(lambda text: text * 60), min_size=1, max_size=4), some.data())
def test_names_tell_keys_apart(parts: list[str], data: some.DataObject) -> None:
    """A name has 255 ASCII characters at most, tells its key unless it is cut, and no two keys have one name."""
    name = name_of("some/", *parts)
    assert len(name) <= 255
    assert name.isascii()
    Session(name)
    assert parts_of("some/", name) in (tuple(parts), None)
    other = data.draw(some.lists(some.sampled_from(["", "/", "%", "%.", *parts]), min_size=1, max_size=4))
    assert (name_of("some/", *other) == name) == (other == parts)


def test_the_key_of_a_cut_name_is_in_the_metadata() -> None:
    """So listings tell the key of every session."""
    with SessionManager({"session": {"backend": "memory"}}) as manager:
        ours = FrameworkSessions(manager, "frame")
        long, short = ("é" * 200, "b"), ("a", "")
        for parts in (long, short, ("c",)):
            ours.change(*parts, step=lambda session: session.add_message({}))
        manager.create_session("frame/of-another")
        assert sorted(map(ours.key, ours.infos()), key=str) == sorted([long, short, ("c",)], key=str)
        assert [ours.key(info) for info in ours.infos("a")] == [short]
        assert [ours.key(info) for info in ours.infos(long[0])] == [long]
        assert manager.load_session(ours.name(*long)).metadata == {SHAPE: "frame", KEY: list(long)}
        assert FrameworkSessions(manager, "frame", prefix="")._refuse_others(manager.load_session("frame/a/%")) is None
        with pytest.raises(UnsupportedError, match="items of 'frame', not those of 'other'"):
            FrameworkSessions(manager, "other", prefix="frame/").find("frame/c")


def test_a_step_is_done_anew_where_another_one_saved() -> None:
    """What a step has read still holds when it is saved, also where the option of the manager is to append."""
    with SessionManager({"session": {"backend": "memory"}}) as manager:
        ours = FrameworkSessions(manager, "frame")
        ours.change("a", step=lambda session: session.add_message({"number": 0}))
        tries = []

        def step(session: Session) -> int:
            tries.append(len(session))
            if len(tries) == 1:
                elsewhere = manager.history(session.name)
                elsewhere.tag("before")
                manager._storage.save_if(_appended(manager, session.name), on_conflict=None, expected=None)
            session.add_message({"number": len(session)})
            return len(session)

        assert ours.change("a", step=step) == 3
        assert tries == [1, 2]
        assert manager.load_session(ours.name("a")).get_messages() == [{"number": 0}, {"number": -1}, {"number": 2}]


def test_steps_on_one_session_take_turns() -> None:
    """While a step of one thread is under way, no other one of the same session begins, by another adapter neither."""
    with SessionManager({"session": {"backend": "memory"}}) as manager:
        under_way, go_on, seen = threading.Event(), threading.Event(), []

        def slow(session: Session) -> None:
            under_way.set()
            seen.append(go_on.wait(30))
            session.add_message({"who": "slow"})

        def quick(session: Session) -> None:
            seen.append("quick")

        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(lambda: FrameworkSessions(manager, "frame").change("a", step=slow))
            assert under_way.wait(30)
            second = pool.submit(lambda: FrameworkSessions(manager, "frame").change("a", step=quick))
            FrameworkSessions(manager, "frame").change("b", step=lambda session: seen.append("another session"))
            assert not wait([second], timeout=0.05).done
            go_on.set()
            assert first.result() is second.result() is None
        assert seen[:3] == ["another session", True, "quick"]


def test_a_step_that_only_looks_sees_what_is_stored(tmp_path: Path) -> None:
    """No save tells that what is open here is not the newest, so it is read again before the step counts."""
    with open_store(tmp_path / "store") as one, open_store(tmp_path / "store") as two:
        ours, theirs = FrameworkSessions(one, "frame"), FrameworkSessions(two, "frame")
        ours.change("a", step=lambda session: session.add_message({"number": 0}))
        theirs.change("a", step=lambda session: session.add_message({"number": 1}))
        assert ours.change("a", step=len) == 2
        theirs.manager.delete_session(theirs.name("a"))
        assert ours.change("a", step=len, create=False) is None


def test_what_was_deleted_does_not_come_back(tmp_path: Path) -> None:
    """A step on a session that was deleted, here or by another program, begins with an empty one."""
    with open_store(tmp_path / "store") as one, open_store(tmp_path / "store") as two:
        ours = FrameworkSessions(one, "frame")
        for deleting in (one, two):
            ours.change("a", step=lambda session: session.add_message({"number": 0}))
            deleting.delete_session(ours.name("a"))
            ours.change("a", step=lambda session: session.add_message({"number": 1}))
            assert one.load_session(ours.name("a")).get_messages() == [{"number": 1}]
            deleting.delete_session(ours.name("a"))
            assert ours.change("a", step=lambda session: session.drop_last(), create=False) is None
            assert not one.list_sessions()


def _appended(manager: SessionManager, name: str) -> Session:
    """Return what another program would hold of a session, with a message more."""
    loaded = manager._storage.load_meant(name)
    assert loaded is not None
    loaded.add_message({"number": -1})
    return loaded


@pytest.mark.parametrize("name", ADAPTERS or ["none"])
def test_without_its_package(name: str) -> None:
    """Importing an adapter says what to install, and which extra of this package does."""
    if name == "none":
        pytest.skip("there is no adapter")
    program = f"""
import importlib.abc, sys
from importlib.machinery import PathFinder

class Without(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in {{*sys.stdlib_module_names, "coda_fs_session", "anyio", "sniffio", "idna", "typing_extensions",
                        "orjson", "zstandard", "platformdirs", "watchdog", "filelock", "click"}}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Without())
import coda_fs_session.integrations.{name}
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.returncode
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: this adapter needs ")
    extra = last.partition("coda-fs-session[")[2].partition("]")[0]
    assert f"\n{extra} = [" in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_every_adapter_has_tests() -> None:
    """Each module or folder beside what is shared has a file of tests of its name, with the kit in it."""
    for name in ADAPTERS:
        found = [path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob(f"test_{name}*.py")]
        assert any("AdapterKit" in text for text in found), name
    assert SHARED <= {path.stem for path in Path(importlib.import_module(_ROOM).__path__[0]).iterdir()}


_ROOM = "coda_fs_session.integrations"
