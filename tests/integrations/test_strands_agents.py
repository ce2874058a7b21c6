"""The adapter of Strands Agents."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from storekit import Opener, open_store

from coda_fs_session import SessionManager

from .kit import AdapterKit, framework, run

framework("strands", "strands-agents")

from strands import Agent
from strands.models import Model
from strands.session import RepositorySessionManager
from strands.session.file_session_manager import FileSessionManager
from strands.session.session_repository import SessionRepository
from strands.types.exceptions import SessionException
from strands.types.session import Session, SessionAgent, SessionMessage, SessionType

from coda_fs_session.integrations.strands_agents import CodaSessionRepository


def said(text: str, place: int = 0, **more: Any) -> SessionMessage:
    return SessionMessage({"role": "user", "content": [{"text": text}, *more.get("parts", [])]}, place)


class TestKit(AdapterKit):
    shape = "strands-agents"

    def name(self, manager: SessionManager, key: str) -> str:
        return CodaSessionRepository(manager)._sessions.name(key, "agent")

    async def add(self, manager: SessionManager, key: str, text: str) -> None:
        await self.add_message(manager, key, {"role": "user", "content": [{"text": text}]})

    async def add_message(self, manager: SessionManager, key: str, message: Any) -> None:
        repository = CodaSessionRepository(manager)

        def step() -> None:
            with suppress(SessionException):
                repository.create_session(Session(key, SessionType.AGENT))
            with suppress(SessionException):
                repository.create_agent(key, SessionAgent("agent", {}, {}))
            while True:
                place = len(repository.list_messages(key, "agent"))
                try:
                    repository.create_message(key, "agent", SessionMessage(message, place))
                    return
                except SessionException:
                    # Another process was faster.
                    continue

        await repository._sessions.call(step)

    async def messages(self, manager: SessionManager, key: str) -> list[Any]:
        repository = CodaSessionRepository(manager)
        if repository.read_agent(key, "agent") is None:
            return []
        return [each.to_message()["content"][0] for each in repository.list_messages(key, "agent")]

    async def texts(self, manager: SessionManager, key: str) -> list[str]:
        return [part["text"] for part in await self.messages(manager, key)]

    async def add_value(self, manager: SessionManager, key: str, value: Any) -> None:
        call = {"toolUse": {"toolUseId": "1", "name": "tool", "input": value}}
        await self.add_message(manager, key, {"role": "assistant", "content": [call]})

    async def values(self, manager: SessionManager, key: str) -> list[Any]:
        return [part["toolUse"]["input"] for part in await self.messages(manager, key)]


@pytest.fixture
def manager(make: Opener) -> Iterator[SessionManager]:
    with make() as manager:
        yield manager


def test_it_does_as_the_one_over_files(manager: SessionManager, tmp_path: Path) -> None:
    """What is read, and what is refused, is as with `FileSessionManager`."""
    repositories: list[SessionRepository] = [
        FileSessionManager("other", str(tmp_path / "files")),
        CodaSessionRepository(manager),
    ]
    assert _story(repositories[0]) == _story(repositories[1])


def _story(repository: SessionRepository) -> list[object]:
    seen: list[object] = [repository.read_session("s"), repository.read_agent("s", "a")]
    repository.create_session(Session("s", SessionType.AGENT, created_at="then", updated_at="then"))
    repository.create_agent(
        "s", SessionAgent("a", {"n": 1}, {"bytes": b"\0\xff"}, created_at="then", updated_at="then")
    )
    seen += [repository.read_session("s"), repository.read_agent("s", "a"), repository.read_message("s", "a", 0)]
    for place in range(4):
        message = said(f"{place}", place, parts=[{"image": {"format": "png", "source": {"bytes": b"\x89PNG"}}}])
        message.created_at = message.updated_at = "then"
        repository.create_message("s", "a", message)
    repository.update_agent("s", SessionAgent("a", {"n": 2}, {}, created_at="later", updated_at="later"))
    redacted = said("1", 1)
    redacted.redact_message = {"role": "user", "content": [{"text": "gone"}]}
    redacted.updated_at = "later"
    repository.update_message("s", "a", redacted)
    seen += [repository.read_agent("s", "a"), repository.list_messages("s", "a")]
    seen += [repository.list_messages("s", "a", 2, 1), repository.list_messages("s", "a", offset=3)]
    seen += [repository.read_message("s", "a", 1), repository.read_message("s", "a", 9)]
    for refused in (
        lambda: repository.create_session(Session("s", SessionType.AGENT)),
        lambda: repository.update_agent("s", SessionAgent("b", {}, {})),
        lambda: repository.update_message("s", "a", said("9", 9)),
        lambda: repository.list_messages("s", "b"),
    ):
        with pytest.raises(SessionException):
            refused()
    return seen


def test_a_place_is_taken_once(manager: SessionManager) -> None:
    """The same message again is there once; another one in its place, or past the end, is refused."""
    repository = CodaSessionRepository(manager)
    repository.create_session(Session("s", SessionType.AGENT))
    repository.create_agent("s", SessionAgent("a", {}, {}))
    first = said("one")
    for _ in range(2):
        repository.create_message("s", "a", first)
    for wrong in (said("two"), said("two", 2)):
        with pytest.raises(SessionException, match="cannot be created"):
            repository.create_message("s", "a", wrong)
    with pytest.raises(ValueError, match="whole number"):
        repository.read_message("s", "a", -1)
    assert len(repository.list_messages("s", "a")) == 1
    assert [info.name for info in manager.list_sessions()] == ["strands-agents/s/a"]
    repository.delete_session("s")
    assert manager.list_sessions(hidden=True) == []
    with pytest.raises(SessionException, match="does not exist"):
        repository.delete_session("s")


class Several:
    """In the place of a graph of agents."""

    id = "graph"

    def __init__(self) -> None:
        self.state = {"at": "first"}

    def serialize_state(self) -> dict[str, Any]:
        return self.state


def test_several_agents(manager: SessionManager) -> None:
    """The state of a graph of agents is kept beside them."""
    repository, several = CodaSessionRepository(manager), Several()
    graph: Any = several
    assert repository.read_multi_agent("s", "graph") is None
    with pytest.raises(SessionException):
        repository.update_multi_agent("s", graph)
    repository.create_multi_agent("s", graph)
    several.state = {"at": "second"}
    repository.update_multi_agent("s", graph)
    assert repository.read_multi_agent("s", "graph") == {"at": "second"}


class Scripted(Model):
    """A model that always says the same."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def update_config(self, **config: Any) -> None: ...

    def get_config(self) -> Any:
        return {}

    def structured_output(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    async def stream(self, messages: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        self.seen.append(len(messages))
        yield {"messageStart": {"role": "assistant"}}
        yield {"contentBlockDelta": {"delta": {"text": "On Crete."}, "contentBlockIndex": 0}}
        yield {"contentBlockStop": {"contentBlockIndex": 0}}
        yield {"messageStop": {"stopReason": "end_turn"}}


def test_an_agent_goes_on(manager: SessionManager) -> None:
    """A new agent of the same session has what the one before has said."""

    async def main() -> None:
        model = Scripted()
        for question in ("Where?", "When?"):
            keeper = RepositorySessionManager("trip", CodaSessionRepository(manager))
            agent = Agent(model=model, session_manager=keeper, agent_id="guide", callback_handler=None)
            await agent.invoke_async(question)
        assert model.seen == [1, 3]
        assert len(manager.load_session("strands-agents/trip/guide")) == 4

    run(main())


@pytest.mark.filterwarnings("ignore::coda_fs_session.SessionWarning")
def test_agents_of_two_machines(tmp_path: Path) -> None:
    """The id of a message is its place, on both machines and after a merge: so an agent goes on from what is there."""
    with open_store(tmp_path / "0") as one, open_store(tmp_path / "1") as two:
        model = Scripted()

        async def ask(manager: SessionManager, question: str) -> None:
            keeper = RepositorySessionManager("trip", CodaSessionRepository(manager))
            await Agent(model=model, session_manager=keeper, agent_id="guide", callback_handler=None).invoke_async(
                question
            )

        def ids(manager: SessionManager) -> list[int]:
            return [each.message_id for each in CodaSessionRepository(manager).list_messages("trip", "guide")]

        async def main() -> None:
            await ask(one, "Where?")
            one.sync(tmp_path / "1")
            await ask(one, "When?")
            await ask(two, "Why?")
            await ask(two, "Who?")
            one.sync(tmp_path / "1")
            for manager in (one, two):
                count = len(ids(manager))
                await ask(manager, "And?")
                assert ids(manager) == list(range(count + 2))
                one.sync(tmp_path / "1")
            info = two.get_session_info("strands-agents/trip/guide")
            assert info is not None
            side = info.sides[0].rpartition("/")[2]
            other = CodaSessionRepository(two).read_agent("trip", side)
            assert other is not None
            assert other.agent_id == side
            two.branches.merge(info.sides[0], info.name)
            await ask(two, "So?")
            assert ids(two) == list(range(14))
            repository = CodaSessionRepository(two)
            assert [repository.read_message("trip", "guide", place) for place in range(14)] == (
                repository.list_messages("trip", "guide")
            )
            assert [each.message_id for each in repository.list_messages("trip", "guide", 3, 9)] == [9, 10, 11]
            assert model.seen == [1, 3, 3, 5, *model.seen[4:6], 13]

        run(main())
