"""A row about agent frameworks: each adapter beside the framework's own store in SQLite, with a sync a save in both."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any

from . import graphs
from .contenders.ours import Ours
from .lab import Lab
from .measure import Row, interleave, milliseconds, ratio, ready
from .verbs import Call, Verb


def beside_their_own(lab: Lab) -> Row:
    """Add one, get the last 10, get all, pop and branch, after so many messages."""
    count = lab.scale.medium
    row = Row(f"agent frameworks beside their own SQLite, {count:,} messages", {}, [])
    for module, name, verbs in FRAMEWORKS:
        if not _is_there(module):
            row.notes.append(f"{name} is not installed: scripts/test --frameworks installs it")
            continue
        # One loop for each: sessions of frameworks may keep to the one that they began in.
        with asyncio.Runner() as runner:
            for verb in verbs(lab, count, runner.run):
                ours, theirs = f"{name}, {verb.name}, ours", f"{name}, {verb.name}, theirs"
                calls = {ours: ready(_call, runner, verb.ours), theirs: ready(_call, runner, verb.theirs)}
                times = interleave(calls, lab.rounds(5 if verb.name == "all" else 100))
                row.contenders |= milliseconds(times)
                row.checks.append(ratio(row.contenders, ours, theirs, must=verb.must))
    return row


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _call(runner: asyncio.Runner, call: Call) -> None:
    async def main() -> None:
        # Returned, it would be written out: asyncio looks at the text of a task that is done.
        await call()

    runner.run(main())


def openai_agents(lab: Lab, count: int, run: Callable[..., Any]) -> Iterator[Verb]:
    """The session of the OpenAI Agents SDK; its branches beside those of `AdvancedSQLiteSession`."""
    from agents import SQLiteSession
    from agents.extensions.memory import AdvancedSQLiteSession

    from coda_fs_session.integrations.openai_agents import CodaSession

    folder = lab.spare()
    ours = CodaSession("a", Ours(folder / "ours").manager)
    theirs = SQLiteSession("a", folder / "theirs.db")
    branching = AdvancedSQLiteSession(session_id="a", db_path=folder / "branching.db", create_tables=True)
    items: list[Any] = lab.messages.take(count)
    for each in (ours, theirs, branching):
        run(each.add_items(list(items)))

    def add(session: Any) -> Awaitable[object]:
        return session.add_items(lab.messages.take(1))

    async def branch(session: Any) -> None:
        await session.switch_to_branch("main")
        await session.create_branch_from_turn(count // 5, f"branch-{next(numbers)}")

    numbers = iter(range(10**9))
    yield Verb("add one", partial(add, ours), partial(add, theirs), 1.5)
    yield Verb("last 10", partial(ours.get_items, 10), partial(theirs.get_items, 10), 1.5)
    yield Verb("all", ours.get_items, theirs.get_items, 1.5)
    yield Verb("pop", ours.pop_item, theirs.pop_item, 1)
    yield Verb("branch", partial(branch, ours), partial(branch, branching), 1)


def google_adk(lab: Lab, count: int, run: Callable[..., Any]) -> Iterator[Verb]:
    """The session service of ADK; it has neither pop nor branches."""
    from google.adk.events.event import Event
    from google.adk.sessions.base_session_service import GetSessionConfig
    from google.adk.sessions.sqlite_session_service import SqliteSessionService
    from google.genai import types

    from coda_fs_session.integrations.google_adk import CodaSessionService

    folder = lab.spare()
    folder.mkdir(parents=True, exist_ok=True)
    services = CodaSessionService(Ours(folder / "ours").manager), SqliteSessionService(str(folder / "theirs.db"))
    key = {"app_name": "app", "user_id": "ann"}
    last = GetSessionConfig(num_recent_events=10)
    verbs: list[list[Call]] = []
    for service in services:
        session = run(service.create_session(**key, session_id="a"))

        async def add(service: Any = service, session: Any = session) -> None:
            text = lab.messages.next()["content"]
            content = types.Content(role="user", parts=[types.Part(text=text)])
            # What the object holds is no part of this: its list would grow in both.
            session.events.clear()
            await service.append_event(session, Event(author="user", content=content))

        async def fill(add: Call = add) -> None:
            for _ in range(count // 10):
                await add()

        run(fill())
        get = partial(service.get_session, **key, session_id="a")
        verbs.append([add, partial(get, config=last), get])
    for name, ours, theirs in zip(("add one", "last 10", "all"), *verbs, strict=True):
        yield Verb(name, ours, theirs, 1.5)


FRAMEWORKS: list[tuple[str, str, Callable[[Lab, int, Callable[..., Any]], Iterator[Verb]]]] = [
    ("agents", "OpenAI Agents", openai_agents),
    ("google.adk", "ADK", google_adk),
    ("langgraph", "LangGraph", graphs.langgraph),
    ("llama_index", "LlamaIndex", graphs.llama_index),
]
"""What each is imported as, what it is called, and what both do."""
