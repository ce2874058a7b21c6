"""A block of changes in an event loop: its verbs are awaited, and its end does all of it or nothing."""

from __future__ import annotations

from inspect import iscoroutinefunction, signature

import anyio
import pytest

from coda_fs_session import SessionError, SessionExistsError, SessionNotFoundError, Transaction, UnsupportedError
from coda_fs_session.aio import AsyncSessionManager, AsyncTransaction

from .conftest import Config, Loop, hello


def test_every_verb_is_here() -> None:
    """A verb of `Transaction` is one of `AsyncTransaction`, with the same parameters."""
    for name in ("create_session", "save_session", "delete_session", "rename_session"):
        ours = getattr(AsyncTransaction, name)
        assert iscoroutinefunction(ours)
        assert signature(ours) == signature(getattr(Transaction, name)), name


@pytest.mark.parametrize("backend", ["files", "memory", "sqlite"])
def test_a_block_is_done_at_its_end(loop: Loop, config: Config, backend: str) -> None:
    """All of it then, and nothing before; an error in it drops it all."""
    config["session"]["backend"] = backend

    async def main() -> None:
        async with AsyncSessionManager(config) as manager:
            chat = await manager.create_session("chat")
            await manager.create_session("old")
            await manager.create_session("other")
            chat.add_message(hello())

            async def fail() -> None:
                async with manager.transaction() as change:
                    await change.delete_session("old")
                    raise ZeroDivisionError

            with pytest.raises(ZeroDivisionError):
                await fail()
            async with manager.transaction() as change:
                child = await change.create_session("child", branch_from="chat")
                child.add_message(hello(1))
                await change.save_session(chat)
                await change.delete_session("old")
                await change.rename_session("other", new="another")
                with pytest.raises(SessionNotFoundError):
                    await change.delete_session("old")
                with pytest.raises(UnsupportedError):
                    await manager.branches.merge("child", "chat")
                assert {info.name for info in await manager.list_sessions()} == {"chat", "old", "other"}
            infos = await manager.list_sessions()
            assert {info.name: info.message_count for info in infos} == {"chat": 1, "child": 2, "another": 0}
            assert not chat.has_unsaved_changes
            with pytest.raises(SessionError, match="is over"):
                await change.delete_session("chat")
            with pytest.raises(SessionError, match="has not begun"):
                await manager.transaction().delete_session("chat")

    loop(main)


def test_tasks_have_blocks_of_their_own(loop: Loop, config: Config) -> None:
    """Tasks may each have one at a time; a block in a block is refused."""

    async def main() -> None:
        async with AsyncSessionManager(config) as manager:

            async def make(number: int) -> None:
                async with manager.transaction() as change:
                    for each in ("a", "b"):
                        await change.create_session(f"{each}{number}")
                        await anyio.sleep(0)

            async with anyio.create_task_group() as group:
                for number in range(8):
                    group.start_soon(make, number)
            assert len(await manager.list_sessions()) == 16
            async with manager.transaction():
                with pytest.raises(SessionError, match="under way"):
                    async with manager.transaction():
                        raise AssertionError

    loop(main)


def test_a_block_that_is_cancelled_does_nothing(loop: Loop, config: Config) -> None:
    """Neither in its body nor at its end before that has begun; and the next one is not held up by it."""

    async def main() -> None:
        async with AsyncSessionManager(config) as manager:
            with anyio.CancelScope() as scope:
                async with manager.transaction() as change:
                    await change.create_session("never")
                    scope.cancel()
                    await anyio.sleep(0)
            with anyio.CancelScope() as scope:
                async with manager.transaction() as change:
                    await change.create_session("never")
                    scope.cancel()
            assert await manager.list_sessions() == []
            async with manager.transaction() as change:
                then = await change.create_session("then")
            assert not any(each.has(session) for each in manager.blocking._collecting for session in [then])

    loop(main)


def test_the_end_raises_what_is_not_possible(loop: Loop, config: Config) -> None:
    """A name that was taken meanwhile is an error of the end, and nothing is done."""

    async def main() -> None:
        async with AsyncSessionManager(config) as manager:

            async def run() -> None:
                async with manager.transaction() as change:
                    await change.create_session("first")
                    await change.create_session("late")
                    await manager.create_session("late")

            with pytest.raises(SessionExistsError):
                await run()
            assert [info.name for info in await manager.list_sessions()] == ["late"]

    loop(main)
