"""Lists of some sessions: held against a plain filter in Python, over every backend and a storage of one's own."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from storekit import Opener, fill, message, open_store
from test_custom_storage import NothingStorage, manage

from coda_fs_session import Session, SessionAnalytics, SessionInfo, SessionManager
from coda_fs_session.repo.lookup import listing

START = datetime(2024, 5, 17, 12, 30, tzinfo=UTC)
HIDDEN = "coda_fs_session.hidden"
ORDERS: dict[str, tuple[Callable[[SessionInfo], Any], bool]] = {
    "updated": (lambda info: info.updated, True),
    "created": (lambda info: info.created, True),
    "size": (lambda info: info.size_bytes, True),
    "name": (lambda info: info.name, False),
}
"""By the order: what it goes by, and whether the greatest is first."""

BAD: list[tuple[type[Exception], dict[str, Any]]] = [
    *((TypeError, {"prefix": each}) for each in (5, b"a", ["a"])),
    *((TypeError, {"where": each}) for each in ("a", 5, [("a", 1)], {5: 1}, {(): 1}, {("a", 5): 1})),
    *((TypeError, {field: each}) for field in ("since", "until") for each in ("2024-05-17", START.date(), 5)),
    *((ValueError, {field: each}) for field in ("since", "until") for each in (datetime.min, datetime.max)),
    *((ValueError, {"order": each}) for each in ("", "-", "newest", "--name", "Name")),
    *((TypeError, {"order": each}) for each in (None, 5, ["name"])),
    *((TypeError, {"limit": each}) for each in ("5", 1.0, True)),
    (ValueError, {"limit": -1}),
    *((TypeError, {"after": each}) for each in (5, b"1.2.3.chat")),
    *((ValueError, {"after": each}) for each in ("", "chat", "1.2.chat", "1.x.3.chat")),
]


def expected(infos: list[SessionInfo], order: str = "updated", hidden: bool = False, **wanted: Any) -> list[str]:
    """Return the names that a list is to have, of all sessions."""
    of, greatest_first = ORDERS[order.removeprefix("-")]
    found = [info for info in infos if hidden or not info.metadata.get(HIDDEN)]
    found = [info for info in found if info.name.startswith(wanted.get("prefix", ""))]
    found = [info for info in found if wanted.get("since", info.updated) <= info.updated]
    found = [info for info in found if "until" not in wanted or info.updated < wanted["until"]]
    where = wanted.get("where", {})
    found = [info for info in found if (where(info) if callable(where) else _has(info.metadata, where))]
    found = sorted(sorted(found, key=lambda info: info.name), key=of, reverse=greatest_first != order.startswith("-"))
    return names(found)[: wanted.get("limit")]


def _has(metadata: dict[str, Any], where: dict[Any, Any]) -> bool:
    flat = {key: value for key, value in metadata.items() if not isinstance(value, dict)}
    flat |= {("of", key): value for key, value in metadata.get("of", {}).items()}
    return all(key in flat and flat[key] == value for key, value in where.items())


def names(infos: list[SessionInfo]) -> list[str]:
    return [info.name for info in infos]


def steps(chance: random.Random, manager: SessionManager) -> None:
    """Do something to the sessions of a manager."""
    name = chance.choice(["a", "b", "proj/", "proj/x", "prä"]) + str(chance.randrange(6))
    match chance.randrange(8):
        case 0:
            manager.delete_session(name, missing_ok=True)
        case 1 if name in manager and f"new-{name}" not in manager:
            manager.rename_session(name, f"new-{name}")
        case _:
            session = manager.create_session(name, created_at=START + timedelta(hours=chance.randrange(5)))
            session.update_metadata({"topic": chance.choice(["x", "y"]), "of": {"kind": chance.choice([1, "1", None])}})
            session.update_metadata({HIDDEN: chance.random() < 0.2})
            session.add_message(message(1, chance.randrange(200)))
            manager.save_session(session, updated_at=START + timedelta(hours=chance.randrange(9)))


def question(chance: random.Random) -> dict[str, Any]:
    """Return arguments of a list."""
    choices: dict[str, list[Any]] = {
        "prefix": ["", "a", "proj/", "proj/x3", "new-", "nobody", "pra\u0308"],
        "where": [{}, {"topic": "x"}, {("of", "kind"): None}, {"topic": "y", ("of", "kind"): 1}, {"none": None}],
        "since": [START + timedelta(hours=chance.randrange(9))],
        "until": [START + timedelta(hours=chance.randrange(9))],
        "order": [sign + order for sign in ("", "-") for order in ORDERS],
        "limit": [0, 1, 3, 1000],
        "hidden": [True, False],
    }
    choices["where"].append(lambda info: info.message_count > 1)
    return {key: chance.choice(of) for key, of in choices.items() if chance.random() < 0.35}


def test_lists_are_what_a_filter_of_all_gives(again: Opener, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is saved, renamed and deleted in between, by this manager or another one."""
    chance = random.Random(seed)
    with again() as here, again() as there:
        for _ in range(60):
            steps(chance, chance.choice([here, there]))
            infos = again().list_sessions(hidden=True)
            for _ in range(4):
                # Names are looked up where they are few of all, and here at any time.
                monkeypatch.setattr(listing, "_SHARE", chance.choice([0, 1]))
                asked = question(chance)
                plain = {**asked, "prefix": "prä"} if asked.get("prefix") == "pra\u0308" else asked
                found = chance.choice([here, there]).list_sessions(**asked)
                assert names(found) == expected(infos, **plain), asked
                assert all(info in infos for info in found)


@pytest.mark.parametrize("order", [sign + order for sign in ("", "-") for order in ORDERS])
def test_pages(again: Opener, order: Any, seed: int) -> None:
    """One after the other they are the whole list, each session once; also where many are alike in the order."""
    chance = random.Random(seed)
    with again() as manager:
        for number in range(20):
            moment = START + timedelta(hours=chance.randrange(4))
            manager.save_session(Session(f"s{number}.{chance.random()}", created_at=moment, updated_at=moment))
        whole = manager.list_sessions(order=order)
        for size in (1, 7, 20):
            found: list[SessionInfo] = []
            while page := again().list_sessions(order=order, limit=size, after=found[-1].cursor if found else None):
                assert len(page) <= size
                found += page
                assert len(found) <= len(whole)
            assert found == whole


@pytest.mark.parametrize("order", ["updated", "-updated", "name", "-size"])
def test_pages_while_others_save(again: Opener, order: Any, seed: int) -> None:
    """A session that did not change is on exactly one page, though the last one of a page was saved or deleted."""
    chance = random.Random(seed)
    with again() as manager, again() as other:
        for number in range(30):
            moment = START + timedelta(hours=number % 7)
            manager.save_session(Session(f"s{number}", [message(number)], created_at=moment, updated_at=moment))
        seen: list[str] = []
        changed: set[str] = set()
        cursor = None
        while page := manager.list_sessions(order=order, limit=4, after=cursor):
            seen += names(page)
            cursor = page[-1].cursor
            for name in (page[-1].name, f"s{chance.randrange(30)}"):
                changed.add(name)
                if chance.random() < 0.5:
                    other.delete_session(name, missing_ok=True)
                elif name in other:
                    session = other.load_session(name)
                    session.add_message(message(50))
                    other.save_session(session)
        still = [name for name in seen if name not in changed]
        assert sorted(still) == sorted({f"s{number}" for number in range(30)} - changed)


@pytest.mark.parametrize(("error", "arguments"), BAD, ids=str)
def test_arguments_that_are_not_possible(make: Opener, error: type[Exception], arguments: dict[str, Any]) -> None:
    """They are refused at once, also where there is nothing to list."""
    with make() as manager, pytest.raises(error, match=f"{next(iter(arguments))}|in UTC, a time must be"):
        manager.list_sessions(**arguments)


def test_a_value_is_what_it_is(again: Opener) -> None:
    """True is no 1, a key that is missing is no None, and a key with a dot is no path."""
    with again() as manager:
        kept: dict[str, Any] = {"true": {"a": True}, "one": {"a": 1}, "dot": {"a.b": 1}, "deep": {"a": {"b": 1}}}
        for name, metadata in kept.items():
            manager.save_session(Session(name, metadata=metadata))
        for where, found in [
            ({"a": True}, {"true"}),
            ({"a": 1}, {"one"}),
            ({"a.b": 1}, {"dot"}),
            ({("a", "b"): 1}, {"deep"}),
            ({("a",): 1}, {"one"}),
            ({"a": {"b": 1}}, {"deep"}),
            ({"z": None}, set()),
            ({"a": None}, set()),
        ]:
            assert set(names(manager.list_sessions(where=where))) == found, where


def test_what_a_function_is_given(again: Opener) -> None:
    """The info of each session, which it may keep; what it raises comes through."""
    given: list[SessionInfo] = []
    with again() as manager:
        fill(manager, "chat", 2)
        assert names(manager.list_sessions(where=lambda info: info.message_count == 2)) == ["chat"]
        assert manager.list_sessions(where=given.append) == []
        assert names(given) == ["chat"]
        with pytest.raises(ZeroDivisionError):
            manager.list_sessions(where=lambda info: 1 / 0 > info.message_count)


def test_hidden_sessions(again: Opener) -> None:
    """A list and analytics leave them out; stats, names and a watch do not. A false value hides nothing."""
    with again() as manager:
        fill(manager, "chat", 2)
        watch = manager.watch()
        for name, value in (("secret", True), ("shown", False)):
            fill(manager, name, 3)
            manager.load_session(name).update_metadata({HIDDEN: value})
            manager.save_session(manager.load_session(name))
        assert sorted(names(manager.list_sessions())) == ["chat", "shown"]
        assert sorted(names(manager.list_sessions(hidden=True))) == ["chat", "secret", "shown"]
        assert names(manager.list_sessions(prefix="sec")) == []
        assert SessionAnalytics(manager).get_statistics()["total_messages"] == 5
        assert manager.stats().messages == 8
        assert "secret" in manager
        assert manager.get_session_info("secret") is not None
        event = watch.next(timeout=30)
        assert event is not None
        assert {event.name, *(each.name for each in iter(lambda: watch.next(timeout=0), None))} == {"secret", "shown"}
        watch.stop()


def test_a_storage_that_lists_nothing() -> None:
    """Where each method is `pass`, there is nothing to list."""
    assert manage(NothingStorage()).list_sessions(prefix="a", where={"a": 1}, order="name", limit=5) == []


def test_a_storage_with_times_of_no_zone() -> None:
    """A time at the very end, which a storage may tell for want of one, is ordered and can be gone on from."""

    class Odd(NothingStorage):
        def list_all(self) -> list[SessionInfo]:
            times = (datetime.max, START.replace(tzinfo=None), datetime.min)
            return [SessionInfo(str(number), 0, moment, moment, {}, 0) for number, moment in enumerate(times)]

    manager = manage(Odd())
    infos = manager.list_sessions()
    assert names(infos) == ["0", "1", "2"]
    assert names(manager.list_sessions(after=infos[0].cursor)) == ["1", "2"]


def test_a_prefix_among_many_looks_at_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The refs of other sessions are neither read nor looked at; what others did to these is seen."""
    here, there = open_store(tmp_path / "store"), open_store(tmp_path / "store")
    with here.bulk():
        for number in range(400):
            here.create_session(f"p{number:03}")
    assert len(here.list_sessions(prefix="p00")) == 10
    engine: Any = here._engine
    monkeypatch.setattr(type(engine.repo.backend), "ref_tokens", lambda *_: pytest.fail("all refs were looked at"))
    session = there.load_session("p007")
    session.add_message(message(0))
    there.save_session(session)
    # Which changes no folder.
    assert [info.name for info in here.list_sessions(prefix="p00") if info.message_count] == ["p007"]
    there.rename_session("p008", "q008")
    there.delete_session("p009")
    there.create_session("p00new")
    found = {info.name: info.message_count for info in here.list_sessions(prefix="p00")}
    assert found == {**{f"p00{number}": int(number == 7) for number in range(8)}, "p00new": 0}


@pytest.mark.parametrize("prefix", ["chat", "chat~", "cha"])
def test_sides_have_names_that_begin_so(tmp_path: Path, prefix: str) -> None:
    """A session that goes by a derived name is found by that, as in a list of all."""
    one, two = tmp_path / "one", tmp_path / "two"
    for place in (one, two):
        manager = open_store(place)
        fill(manager, "chat", 2, size=len(place.name) * 7)
        for number in range(30):
            manager.create_session(f"other{number}")
        session = manager.load_session("chat")
        session.add_message({"at": place.name})
        manager.save_session(session)
        manager.close()
    for path in two.rglob("*"):
        target = one / path.relative_to(two)
        if path.is_file() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    wanted = [info for info in open_store(one).list_sessions() if info.name.startswith(prefix)]
    assert wanted
    assert open_store(one).list_sessions(prefix=prefix) == wanted
