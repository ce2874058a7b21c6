"""The history of a session in an event loop: its verbs are awaited, and its entries come by `async for`."""

from __future__ import annotations

import threading
from inspect import iscoroutinefunction, signature

import anyio
import pytest

from coda_fs_session import HistoryError, InvalidNameError, Session
from coda_fs_session.aio import AsyncSessionManager
from coda_fs_session.aio.history import AsyncHistory
from coda_fs_session.manager.history import History

from .conftest import LIMIT, Config, Loop, hello


def test_every_verb_is_here() -> None:
    """A verb of `History` is one of `AsyncHistory`, with the same parameters."""
    for name in {name for name in vars(History) if not name.startswith("_")}:
        ours = getattr(AsyncHistory, name)
        assert iscoroutinefunction(ours), name
        assert signature(ours) == signature(getattr(History, name)), name
        assert ours.__doc__ == getattr(History, name).__doc__, name


def test_going_back(loop: Loop, config: Config) -> None:
    """What each verb does is what `History` does; the entries are the same, also where they are many."""

    async def main() -> None:
        async with AsyncSessionManager(config) as manager:
            chat = await manager.create_session("chat")
            for number in range(70):
                chat.add_message(hello(number))
                await manager.save_session(chat)
            history = manager.history("chat")
            entries = [entry async for entry in history]
            assert len(entries) > 70
            assert [entry.id for entry in entries] == [entry.id for entry in manager.blocking.history("chat")]
            assert len(await history.at(entries[1].id)) == 69
            assert (await history.tag("first", 1)).messages == 1
            assert {label: entry.messages for label, entry in (await history.tags()).items()} == {"first": 1}
            entry = await history.undo()
            assert (entry is not None, len(chat)) == (True, 69)
            assert (await history.restore("first")).messages == len(chat) == 1
            await history.untag("first")
            assert await history.tags() == {}
            with pytest.raises(HistoryError):
                await history.at("first")
            with pytest.raises(InvalidNameError):
                manager.history("")

    loop(main)


def test_it_waits_for_calls_about_the_session(loop: Loop, config: Config) -> None:
    """An undo does not begin before the calls about its session that came before; cancelled until then, it is none."""
    begun, go = threading.Event(), threading.Event()

    def hold(session: Session) -> int:
        begun.set()
        assert go.wait(LIMIT)
        return len(session)

    async def main() -> None:
        async with AsyncSessionManager(config) as manager:
            chat = await manager.create_session("chat")
            chat.add_message(hello())
            await manager.save_session(chat)
            async with anyio.create_task_group() as group:
                group.start_soon(manager.call, hold, chat)
                await manager.call(begun.wait, LIMIT)
                async with anyio.create_task_group() as others:
                    others.start_soon(manager.history("chat").undo)
                    # With no turn to wait for, it would have begun by then.
                    for _ in range(3):
                        await manager.list_sessions()
                    others.cancel_scope.cancel()
                go.set()
            assert len(chat) == 1

    loop(main)
