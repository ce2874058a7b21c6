"""Rows about programs of event loops: a task must get on as well as a thread."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from coda_fs_session import Session
from coda_fs_session.aio import AsyncSessionManager

from .contenders import Message
from .contenders.ours import Ours
from .lab import Lab
from .measure import Prepare, Row, Summary, interleave, ratio

THREADS = 40
SESSIONS = 100


def tasks_and_threads(lab: Lab) -> Row:
    """Each adds a message to one of the sessions and saves it, under a lock of the session, all at once."""
    number = 1000 // lab.scale.slower

    def contender(run: Callable[[AsyncSessionManager, list[Session], list[Message]], object]) -> Prepare:
        manager = AsyncSessionManager(Ours(lab.spare()).config, threads=THREADS)
        sessions = [manager.blocking.create_session(f"session-{each}") for each in range(SESSIONS)]

        def prepare(_turn: int) -> Callable[[], object]:
            messages = lab.messages.take(number)
            return lambda: run(manager, sessions, messages)

        return prepare

    times = interleave({"tasks": contender(in_tasks), "threads": contender(in_threads)}, lab.rounds(15))
    results = {name: Summary.of_rate(number, seconds, "per s") for name, seconds in times.items()}
    checks = [ratio(results, "tasks", "threads", must=0.5, aim=1, at_least=True)]
    return Row(f"{number:,} saves of {SESSIONS} sessions, a task each, and by {THREADS} threads", results, checks)


def in_tasks(manager: AsyncSessionManager, sessions: list[Session], messages: list[Message]) -> None:
    async def main() -> None:
        locks = [asyncio.Lock() for _ in sessions]

        async def save(serial: int, message: Message) -> None:
            async with locks[serial % SESSIONS]:
                session = sessions[serial % SESSIONS]
                session.add_message(message)
                await manager.save_session(session)

        await asyncio.gather(*(save(serial, message) for serial, message in enumerate(messages)))

    asyncio.run(main())


def in_threads(manager: AsyncSessionManager, sessions: list[Session], messages: list[Message]) -> None:
    locks = [threading.Lock() for _ in sessions]

    def save(serial: int, message: Message) -> None:
        with locks[serial % SESSIONS]:
            session = sessions[serial % SESSIONS]
            session.add_message(message)
            manager.blocking.save_session(session)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(save, range(len(messages)), messages))
