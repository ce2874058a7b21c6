"""Calls that are cancelled, and programs that are interrupted: what has begun ends, and nothing is lost."""

from __future__ import annotations

import asyncio
import signal
import threading

import anyio
import pytest

from coda_fs_session import PendingSave, Session, SessionManager, StoreError
from coda_fs_session.aio import AsyncSessionManager

from .conftest import LIMIT, Config, Loop, hello


class Gate:
    """A hook that holds a save up until it is let through."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()
        self.error: Exception | None = None

    def before_save(self, session: Session, pending: PendingSave) -> None:
        self.reached.set()
        assert self.opened.wait(LIMIT)
        if self.error is not None:
            raise self.error

    async def wait(self) -> None:
        """Wait until a save has come here."""
        await anyio.to_thread.run_sync(self.reached.wait, LIMIT)


def test_a_save_that_began_ends_before_the_cancellation_goes_on(loop: Loop, config: Config) -> None:
    """A scope that is cancelled while a save is under way is left when that is done."""

    async def main() -> None:
        gate = Gate()
        async with AsyncSessionManager(config) as manager:
            await manager.use(gate)
            session = await manager.create_session("chat")
            session.add_message(hello())
            left = anyio.Event()

            async def save(scope: anyio.CancelScope) -> None:
                with scope:
                    await manager.save_session(session)
                left.set()

            async with anyio.create_task_group() as group:
                scope = anyio.CancelScope()
                group.start_soon(save, scope)
                await gate.wait()
                scope.cancel()
                await anyio.wait_all_tasks_blocked()
                assert not left.is_set()
                gate.opened.set()
            assert scope.cancelled_caught
            assert not session.has_unsaved_changes

    loop(main)


def test_a_task_of_asyncio_may_be_cancelled_again_and_again(config: Config) -> None:
    """`Task.cancel`, from which no scope shields, does not leave a save alone either."""

    async def main() -> None:
        gate = Gate()
        async with AsyncSessionManager(config) as manager:
            await manager.use(gate)
            session = await manager.create_session("chat")
            session.add_message(hello())
            task = asyncio.create_task(manager.save_session(session))
            await gate.wait()
            for _ in range(3):
                task.cancel()
                await anyio.wait_all_tasks_blocked()
                assert not task.done()
            gate.opened.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not session.has_unsaved_changes

    asyncio.run(main())


def test_a_save_that_fails_while_it_is_cancelled_tells(config: Config) -> None:
    """Its error comes in place of the cancellation: nothing is silent."""

    async def main() -> None:
        gate = Gate()
        gate.error = StoreError("no room")
        async with AsyncSessionManager(config) as manager:
            remove = await manager.use(gate)
            session = await manager.create_session("chat")
            session.add_message(hello())
            task = asyncio.create_task(manager.save_session(session))
            await gate.wait()
            task.cancel()
            await anyio.wait_all_tasks_blocked()
            gate.opened.set()
            with pytest.raises(StoreError) as caught:
                await task
            assert caught.value is gate.error
            remove()

    asyncio.run(main())


def test_a_call_that_is_cancelled_before_it_began_does_nothing(loop: Loop, config: Config) -> None:
    """A call that waits for its turn is dropped, and those behind it come."""
    done: list[str] = []

    async def main() -> None:
        async with AsyncSessionManager(config) as manager:
            session = await manager.create_session("chat")
            gate = threading.Event()

            async def dropped(scope: anyio.CancelScope) -> None:
                with scope:
                    await manager.call(lambda session: done.append("dropped"), session)

            async with anyio.create_task_group() as group:
                group.start_soon(manager.call, lambda session: gate.wait(LIMIT), session)
                await anyio.wait_all_tasks_blocked()
                scope = anyio.CancelScope()
                group.start_soon(dropped, scope)
                await anyio.wait_all_tasks_blocked()
                group.start_soon(manager.call, lambda session: done.append("behind"), session)
                await anyio.wait_all_tasks_blocked()
                scope.cancel()
                await anyio.wait_all_tasks_blocked()
                gate.set()

    loop(main)
    assert done == ["behind"]


def test_the_end_of_a_block_saves_also_when_cancelled(loop: Loop, config: Config) -> None:
    """`async with` closes the manager, whatever ends its body."""

    async def main() -> None:
        with anyio.CancelScope() as scope:
            async with AsyncSessionManager(config) as manager:
                session = await manager.create_session("chat")
                session.add_message(hello())
                scope.cancel()
                await anyio.sleep(LIMIT)
        assert scope.cancelled_caught

    loop(main)
    with SessionManager(config) as manager:
        assert list(manager.load_session("chat")) == [hello()]


def test_ctrl_c_saves(loop: Loop, config: Config) -> None:
    """A program that Ctrl-C ends has saved what its block held."""

    async def main() -> None:
        async with AsyncSessionManager(config) as manager:
            session = await manager.create_session("chat")
            session.add_message(hello())
            signal.raise_signal(signal.SIGINT)
            await anyio.sleep(LIMIT)

    with pytest.raises(KeyboardInterrupt):
        loop(main)
    with SessionManager(config) as manager:
        assert list(manager.load_session("chat")) == [hello()]
