"""The adapter of Google's ADK."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from storekit import Opener, open_store

from coda_fs_session import SessionManager

from .kit import VALUES, AdapterKit, framework, run

framework("google.adk", "google-adk")

from google.adk.errors._stale_session_error import StaleSessionError
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.sessions import BaseSessionService, InMemorySessionService
from google.adk.sessions.base_session_service import GetSessionConfig
from google.genai import types

from coda_fs_session.integrations.google_adk import CodaSessionService

OURS = {"app_name": "app", "user_id": "ann"}


def said(text: str, **delta: Any) -> Event:
    content = types.Content(role="user", parts=[types.Part(text=text)])
    return Event(author="user", content=content, actions=EventActions(state_delta=delta))


class TestKit(AdapterKit):
    shape = "google-adk"
    # What pydantic itself refuses to write, or writes as null, the framework cannot store in JSON.
    given: ClassVar[Any] = {"numbers": [2**70], "surrogate": VALUES["surrogate"]}
    depth = 180

    def name(self, manager: SessionManager, key: str) -> str:
        return CodaSessionService(manager)._sessions.name("app", "ann", key)

    async def add(self, manager: SessionManager, key: str, text: str) -> None:
        await self.add_event(manager, key, said(text))

    async def add_event(self, manager: SessionManager, key: str, event: Event) -> None:
        service = CodaSessionService(manager)
        while True:
            session = await service.get_session(**OURS, session_id=key)
            try:
                if session is None:
                    session = await service.create_session(**OURS, session_id=key)
                await service.append_event(session, event)
                return
            except (AlreadyExistsError, StaleSessionError):
                # What the framework says is to be done then.
                continue

    async def events(self, manager: SessionManager, key: str) -> list[Event]:
        session = await CodaSessionService(manager).get_session(**OURS, session_id=key)
        return [] if session is None else session.events

    async def texts(self, manager: SessionManager, key: str) -> list[str]:
        return [str(event.content.parts[0].text) for event in await self.events(manager, key)]  # type: ignore[index,union-attr]

    async def add_value(self, manager: SessionManager, key: str, value: Any) -> None:
        await self.add_event(manager, key, Event(author="user", custom_metadata={"value": value}))

    async def values(self, manager: SessionManager, key: str) -> list[Any]:
        return [(event.custom_metadata or {})["value"] for event in await self.events(manager, key)]

    def test_keys_that_are_alike(self, open_manager: Opener) -> None:
        """The framework takes blanks off a session's id; all else tells sessions apart."""
        with open_manager() as manager:
            keys = ["a", "A", "a/b", "a%2Fb", "é", "e\u0301", "…" * 300, "…" * 299 + "a", ".."]
            for key in keys:
                run(self.add(manager, key, key))
            assert [run(self.texts(manager, key)) for key in keys] == [[key] for key in keys]
            assert run(self.texts(manager, " a ")) == ["a"]


@pytest.fixture
def manager(make: Opener) -> Iterator[SessionManager]:
    with make() as manager:
        yield manager


@pytest.mark.parametrize("number", range(4))
def test_what_is_read_is_as_in_memory(make: Opener, seed: int, number: int) -> None:
    """Sessions, events, states of sessions, users and apps, listings: equal to `InMemorySessionService`."""
    draw = random.Random(f"{seed} {number}")

    async def main(manager: SessionManager) -> None:
        services: list[BaseSessionService] = [InMemorySessionService(), CodaSessionService(manager)]  # type: ignore[no-untyped-call]
        for step in range(30):
            chosen = draw.getrandbits(32)
            outcomes = [await _step(service, random.Random(chosen), step) for service in services]
            assert outcomes[0] == outcomes[1]
            if draw.random() < 0.2:
                services[1] = CodaSessionService(manager)

    with make() as manager:
        run(main(manager))


async def _step(service: BaseSessionService, draw: random.Random, step: int) -> object:
    whose = {"app_name": draw.choice(["app", "other"]), "user_id": draw.choice(["ann", "bob"])}
    name = draw.choice(["1", "2"])
    delta = dict.fromkeys(draw.sample(["a", "b", "user:c", "app:d", "temp:e"], draw.randint(0, 3)), step)
    action = draw.choice(["create", "append", "append", "append", "get", "list", "delete"])
    if action == "create":
        try:
            made = await service.create_session(**whose, state=delta, session_id=name)
        except AlreadyExistsError:
            return "exists"
        return made.state, made.events
    if action == "delete":
        return await service.delete_session(**whose, session_id=name)
    if action == "list":
        listed = await service.list_sessions(app_name=whose["app_name"], user_id=draw.choice([None, "ann"]))
        shown = [(each.user_id, each.id, each.state) for each in listed.sessions]
        return sorted(map(repr, shown)), await service.get_user_state(**whose)
    config = GetSessionConfig(num_recent_events=draw.choice([None, 0, 2]), after_timestamp=draw.choice([None, 5.0]))
    session = await service.get_session(**whose, session_id=name, config=config)
    if session is None or action == "get":
        return session and (session.state, [event.model_dump() for event in session.events])
    event = said(str(step), **delta)
    event.id, event.timestamp, event.partial = str(step), float(step), draw.random() < 0.1
    await service.append_event(session, event)
    return session.state, [event.model_dump() for event in session.events], event.partial or session.last_update_time


def test_who_read_an_older_state_is_refused(manager: SessionManager) -> None:
    """Of two that read the same, one appends, and the other one is told; nothing of its event is stored."""

    async def main() -> None:
        service = CodaSessionService(manager)
        session = await service.create_session(**OURS, session_id="1", state={"user:a": 1})
        other = await service.get_session(**OURS, session_id="1")
        assert other is not None
        await service.append_event(session, said("one"))
        await service.append_event(session, said("two", **{"app:b": 1}))
        for event in (said("late"), said("late", **{"user:a": 2})):
            with pytest.raises(StaleSessionError, match="get it again"):
                await service.append_event(other, event)
        assert await service.get_user_state(**OURS) == {"a": 1}
        again = await service.get_session(**OURS, session_id="1")
        assert again is not None
        assert len(again.events) == 2
        assert again.state == {"user:a": 1, "app:b": 1}
        assert [info.name for info in manager.list_sessions()] == ["google-adk/app/ann/1"]
        await service.delete_session(**OURS, session_id="1")
        with pytest.raises(SessionNotFoundError):
            await service.append_event(again, said("gone"))

    run(main())


@pytest.mark.filterwarnings("ignore::coda_fs_session.SessionWarning")
def test_states_that_two_machines_have_set(tmp_path: Path) -> None:
    """States of users and apps have what either machine has set; of one name, what was set last."""
    with open_store(tmp_path / "0") as one, open_store(tmp_path / "1") as two:
        services = CodaSessionService(one), CodaSessionService(two)

        async def main() -> None:
            await services[0].create_session(**OURS, session_id="1", state={"user:a": 0, "app:a": 0, "a": 0})
            one.sync(tmp_path / "1")
            for number, service in enumerate(services):
                names = {f"user:{number}": number, "user:a": number, f"app:{number}": number, f"{number}": number}
                session = await service.get_session(**OURS, session_id="1")
                assert session is not None
                await service.append_event(
                    session, said(f"{number}", **names, **{"user:" + "é/" * 200: 2**70 + number})
                )
                # A state that both begin.
                await service.create_session(app_name="b", user_id="b", state={f"app:{number}": number})
            one.sync(tmp_path / "1")
            for service in services:
                told = await service.get_user_state(**OURS)
                assert told == {"a": 1, "0": 0, "1": 1, "é/" * 200: 2**70 + 1}
                listed = (await service.list_sessions(app_name="app")).sessions
                assert [each.state["app:0"] for each in listed] == [0, 0]
                assert sorted("0" in each.state for each in listed) == [False, True]
                for each in (await service.list_sessions(app_name="b")).sessions:
                    assert each.state == {"app:0": 0, "app:1": 1}
            info = one.get_session_info("google-adk/app/ann/1")
            assert info is not None
            one.branches.merge(info.sides[0], info.name)
            merged = await services[0].get_session(**OURS, session_id="1")
            assert merged is not None
            assert {name: merged.state[name] for name in ("a", "0", "1")} == {"a": 0, "0": 0, "1": 1}
            assert len(merged.events) == 2
            await services[0].append_event(merged, said("on"))

        run(main())
