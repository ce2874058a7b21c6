"""Threads, processes and forks on one database."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
from pathlib import Path
from typing import Any

from storekit import message, say

from .databases import opened, rows


def test_more_threads_than_connections(store: Path) -> None:
    """With a pool of one connection many threads save and read, and none waits for ever."""
    with opened(store, connection_pool_size=1) as manager:
        problems: list[BaseException] = []

        def work(number: int) -> None:
            try:
                session = manager.create_session(f"chat-{number}")
                for serial in range(15):
                    say(manager, session, serial)
                    manager.list_sessions()
            except BaseException as error:
                problems.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert problems == []
        assert {info.message_count for info in manager.list_sessions()} == {15}


def test_forks_while_threads_save(store: Path) -> None:
    """A child forked at any moment can save and read with the objects that it inherited, and so can the parent."""
    with opened(store) as manager:
        mine, shared = manager.create_session("mine"), manager.create_session("shared")
        stop = threading.Event()

        def work() -> None:
            while not stop.is_set():
                say(manager, mine, len(mine))

        thread = threading.Thread(target=work)
        thread.start()
        children = []
        for number in range(5):
            child = os.fork()
            if child == 0:
                try:
                    say(manager, shared, number)
                    assert manager.load_session("mine").get_messages() is not None
                    os._exit(0)
                finally:
                    os._exit(1)
            children.append(child)
        codes = [os.waitpid(child, 0)[1] for child in children]
        stop.set()
        thread.join()
        assert codes == [0] * 5
    with opened(store) as manager:
        texts = sorted(each["content"] for each in manager.load_session("shared").get_messages())
        assert texts == [message(number)["content"] for number in range(5)]
        assert manager.load_session("mine").get_messages() == [message(number) for number in range(len(mine))]


def write_many(store: str, writer: int, count: int) -> None:
    """Save messages to two sessions that other processes save to."""
    with opened(Path(store), durability="full") as manager:
        sessions = [manager.create_session(name) for name in ("a", "b")]
        for serial in range(count):
            session = sessions[serial % 2]
            session.add_message({"writer": writer, "serial": serial, "content": "x" * (serial % 7) * 900})
            manager.save_session(session)


def test_four_processes(store: Path) -> None:
    """They make the database and save to the same sessions: every message is there once, in each one's order, and
    nobody is told that the database is locked."""
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_many, args=(str(store), number, 60)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0] * 4
    with opened(store) as manager:
        for place, name in enumerate(("a", "b")):
            messages = manager.load_session(name).get_messages()
            assert len(messages) == 120
            for number in range(4):
                assert [m["serial"] for m in messages if m["writer"] == number] == list(range(place, 60, 2))
        assert {info.replica for info in manager.list_sessions()} == {manager.list_sessions()[0].replica}


def save_until_killed(store: str, acknowledge: Any) -> None:
    with opened(Path(store), durability="full") as manager:
        session = manager.create_session("chat")
        while True:
            serial = len(session)
            session.add_message(message(serial, 0 if serial % 5 else 3000 * (serial % 11)))
            manager.save_session(session)
            acknowledge.send(serial + 1)
            if serial % 10 == 0:
                manager.create_session(f"branch-{serial}", branch_from="chat")


def test_killed_at_random(store: Path, long_size: bool) -> None:
    """A process that is killed at any moment leaves what it acknowledged, and at most the save in flight besides."""
    context = multiprocessing.get_context("forkserver")
    known = 0
    for turn in range(60 if long_size else 8):
        receive, send = context.Pipe(duplex=False)
        process = context.Process(target=save_until_killed, args=(str(store), send))
        process.start()
        send.close()
        # Some saves later, and then wherever it happens to be.
        for _ in range(1 + 7 * turn % 23):
            known = receive.recv()
        process.kill()
        process.join()
        with contextlib.suppress(EOFError):
            while receive.poll():
                known = receive.recv()
        with opened(store) as manager:
            messages = manager.load_session("chat").get_messages()
            serials = range(len(messages))
            assert messages == [message(n, 0 if n % 5 else 3000 * (n % 11)) for n in serials]
            assert len(messages) - known in (0, 1)
            assert all(info.error is None for info in manager.list_sessions())
        assert rows(store, "PRAGMA integrity_check") == [("ok",)]
