"""The manager for asyncio and trio: the verbs of `SessionManager` in worker threads, in order."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from functools import partial
from inspect import iscoroutinefunction, signature
from pathlib import Path

import anyio
import pytest

from coda_fs_session import (
    ConfigError,
    Session,
    SessionInfo,
    SessionManager,
    SessionNotFoundError,
    SessionStorage,
)
from coda_fs_session.aio import AsyncSessionManager
from coda_fs_session.aio.branches import AsyncBranches
from coda_fs_session.aio.maintenance import AsyncMaintenance
from coda_fs_session.manager.branches import Branches
from coda_fs_session.manager.maintenance import Maintenance

from .conftest import LIMIT, Config, Loop, hello


@pytest.mark.parametrize("backend", ["files", "memory", "sqlite"])
def test_the_verbs_do_what_they_do_elsewhere(loop: Loop, config: Config, backend: str, tmp_path: Path) -> None:
    """Over each backend: what is created, saved, branched, renamed, listed, exported and deleted is as without loop."""
    config["session"]["backend"] = backend

    async def main() -> None:
        async with AsyncSessionManager(config) as manager:
            session = await manager.create_session("chat")
            session.add_message(hello())
            await manager.save_session(session)
            branch = await manager.create_session("other", branch_from="chat")
            assert await manager.call(branch.get_messages, limit=1) == [hello()]
            await manager.rename_session("other", new="renamed")
            assert {info.name for info in await manager.list_sessions()} == {"chat", "renamed"}
            path = await manager.export_session("chat", tmp_path / "chat.json")
            await manager.delete_session(name="chat")
            assert await manager.get_session_info("chat") is None
            assert len(await manager.import_session(path)) == 1
            assert (await manager.stats()).sessions == 2
            with pytest.raises(SessionNotFoundError):
                await manager.load_session("nowhere")

    loop(main)


def test_every_verb_is_here() -> None:
    """A verb or an option of `SessionManager` is one of `AsyncSessionManager`, with the same parameters."""
    others = {"bulk", "templates", "watch", "close", "from_toml", "branches", "history", "transaction", "maintenance"}
    for name in {name for name in vars(SessionManager) | dir_of_bases() if not name.startswith("_")} - others:
        ours = getattr(AsyncSessionManager, name)
        assert iscoroutinefunction(ours), name
        assert signature(ours) == signature(getattr(SessionManager, name)), name
        assert ours.__doc__ == getattr(SessionManager, name).__doc__, name
    for name in ("__init__", "from_toml"):
        ours, theirs = (signature(getattr(each, name)).parameters for each in (AsyncSessionManager, SessionManager))
        wanted = [(each.name, each.kind, each.default) for each in theirs.values()]
        assert [(each.name, each.kind, each.default) for each in ours.values() if each.name != "threads"] == wanted, (
            name
        )


def test_over_a_manager_that_is_there(loop: Loop, config: Config) -> None:
    """The verbs work on the very sessions of a manager that a program has, and closing one closes the other."""

    async def main() -> None:
        manager = SessionManager(config)
        session = manager.create_session("chat")
        session.add_message(hello())
        async with AsyncSessionManager.over(manager, threads=2) as over:
            assert over.blocking is manager
            assert await over.load_session("chat") is session
        assert not session.has_unsaved_changes
        with pytest.raises(ConfigError):
            AsyncSessionManager.over(manager, threads=0)

    loop(main)


def test_every_verb_across_sessions_is_here() -> None:
    """A verb of `SessionManager.branches` is one of `AsyncSessionManager.branches`, with the same parameters."""
    for name in {name for name in vars(Branches) if not name.startswith("_")}:
        ours = getattr(AsyncBranches, name)
        assert iscoroutinefunction(ours), name
        assert signature(ours) == signature(getattr(Branches, name)), name
        assert ours.__doc__ == getattr(Branches, name).__doc__, name


def test_every_verb_that_keeps_house_is_here() -> None:
    """A verb of `SessionManager.maintenance` is one of `AsyncSessionManager.maintenance`, with the same parameters."""
    for name in {name for name in vars(Maintenance) if not name.startswith("_")}:
        ours = getattr(AsyncMaintenance, name)
        assert iscoroutinefunction(ours), name
        assert signature(ours) == signature(getattr(Maintenance, name)), name
        assert ours.__doc__ == getattr(Maintenance, name).__doc__, name


def test_keeping_house(loop: Loop, config: Config) -> None:
    """A store is checked and repaired in a worker thread, after what was saved before."""

    async def main() -> None:
        async with AsyncSessionManager(config) as manager:
            session = await manager.create_session("chat")
            session.add_message(hello())
            await manager.save_session(session)
            assert (await manager.maintenance.check(full=True)).is_whole
            assert (await manager.maintenance.repair(dry_run=False)).mended == ()

    loop(main)


def test_merging(loop: Loop, config: Config) -> None:
    """A branch is merged in a worker thread, in its turn: what was saved before is in it."""

    async def main() -> None:
        async with AsyncSessionManager(config) as manager:
            trunk = await manager.create_session("trunk")
            trunk.add_message({"content": "a"})
            twig = await manager.create_session("twig", branch_from="trunk")
            twig.add_message({"content": "b"})
            report = await manager.branches.merge("twig", "trunk")
            assert (report.name, report.added, len(trunk)) == ("trunk", 1, 2)
            assert [each.name for each in await manager.branches.tree()] == ["trunk", "twig"]
            assert not await manager.branches.diff("twig", "trunk")
            await manager.branches.cherry_pick("twig", iter([0]), "trunk")
            assert [info.name for info in await manager.branches.of("trunk")] == ["twig"]
            assert len(trunk) == 3

    loop(main)


def dir_of_bases() -> dict[str, object]:
    return {name: each for base in SessionManager.__mro__ for name, each in vars(base).items()}


def test_calls_about_one_session_keep_their_order(loop: Loop, config: Config) -> None:
    """The second call about a session begins when the first has ended, a call about another one goes on meanwhile."""
    done: list[str] = []

    async def main() -> None:
        async with AsyncSessionManager(config) as manager:
            one, two = await manager.create_session("one"), await manager.create_session("two")
            gate = threading.Event()

            def held(session: Session) -> None:
                assert gate.wait(LIMIT)
                done.append("first")

            async with anyio.create_task_group() as group:
                group.start_soon(manager.call, held, one)
                await anyio.wait_all_tasks_blocked()
                for number in range(20):
                    group.start_soon(manager.call, lambda session, number: done.append(str(number)), one, number)
                    await anyio.wait_all_tasks_blocked()
                await manager.call(lambda session: done.append("other"), two)
                gate.set()

    loop(main)
    assert done == ["other", "first", *map(str, range(20))]


def test_calls_that_become_ready_together_run_together(loop: Loop, config: Config) -> None:
    """One call held up calls about two sessions: when it ends, neither of these waits for the other."""

    async def main() -> None:
        async with AsyncSessionManager(config) as manager:
            one, two = await manager.create_session("one"), await manager.create_session("two")
            gate, both = threading.Event(), threading.Barrier(2, timeout=LIMIT / 3)
            async with anyio.create_task_group() as group:
                group.start_soon(manager.call, lambda first, second: gate.wait(LIMIT), one, two)
                await anyio.wait_all_tasks_blocked()
                for session in (one, two):
                    group.start_soon(manager.call, lambda session: both.wait(), session)
                await anyio.wait_all_tasks_blocked()
                gate.set()

    loop(main)


def test_many_tasks_save_many_sessions(loop: Loop, config: Config) -> None:
    """Tasks that add to shared sessions and save lose nothing, with fewer threads than tasks."""

    def turn(manager: SessionManager, session: Session, number: int) -> None:
        session.add_message(hello(number))
        manager.save_session(session)

    async def main() -> None:
        async with AsyncSessionManager(config, threads=3) as manager:
            sessions = [await manager.create_session(f"chat-{number}") for number in range(5)]
            async with anyio.create_task_group() as group:
                for number in range(100):
                    group.start_soon(manager.call, turn, manager.blocking, sessions[number % 5], number)

    loop(main)
    with SessionManager(config) as manager:
        said = [each["content"] for info in manager.list_sessions() for each in manager.load_session(info.name)]
    assert sorted(said) == sorted(f"hello {number}" for number in range(100))


def test_messages_are_iterated_over(loop: Loop, config: Config) -> None:
    """`async for` gives what `Session.iter_messages` does; the loop may be left in the middle."""

    async def main() -> None:
        async with AsyncSessionManager(config) as manager:
            session = await manager.create_session("chat")
            session.messages = [hello(number) for number in range(200)]
            await manager.save_session(session)
            assert [each async for each in manager.iter_messages(session)] == [hello(n) for n in range(200)]
            assert [each async for each in manager.iter_messages(session, -3, -1)] == [hello(197), hello(198)]
            assert [each async for each in manager.iter_messages(session, stop=64)] == [hello(n) for n in range(64)]
            async for each in manager.iter_messages(session, 5):
                assert each == hello(5)
                break

    loop(main)


def test_events_are_iterated_over(loop: Loop, config: Config) -> None:
    """A watch tells what happens; a task that is cancelled while it waits takes no event with it; a stop ends it."""

    async def main() -> None:
        async with AsyncSessionManager(config) as manager, manager.watch(name="chat") as watch:
            with anyio.move_on_after(0.01) as scope:
                await anext(watch)
            assert scope.cancelled_caught
            await manager.create_session("other")
            await manager.create_session("chat")
            async for event in watch:
                assert (event.kind, event.name) == ("created", "chat")
                break
            await watch.stop()
            assert [event async for event in watch] == []
        with pytest.raises(RuntimeError, match="async with"):
            await anext(manager.watch())

    loop(main)


def test_several_event_loops_use_one_manager(config: Config) -> None:
    """One after the other, of either kind, and at the same time in threads."""
    manager = AsyncSessionManager(config)

    async def add(name: str) -> None:
        session = await manager.create_session(name)
        for number in range(20):
            session.add_message(hello(number))
            await manager.save_session(session)

    for backend in ("asyncio", "trio"):
        anyio.run(add, backend, backend=backend)
    threads = [
        threading.Thread(target=anyio.run, args=(add, f"at once {backend}"), kwargs={"backend": backend})
        for backend in ("asyncio", "trio")
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    anyio.run(manager.close)
    with SessionManager(config) as reader:
        assert [info.message_count for info in reader.list_sessions()] == [20] * 4


class Failing(SessionStorage):
    """A storage of somebody's own, which raises what it likes."""

    def save(self, session: Session) -> None:
        raise ZeroDivisionError("mine")

    def load(self, name: str) -> Session | None:
        return None

    def delete(self, name: str) -> None: ...

    def list_all(self) -> list[SessionInfo]:
        return []


def test_errors_pass_unchanged(loop: Loop) -> None:
    """What a storage of one's own raises arrives as it is; what is no session is refused by the verb."""

    async def main() -> None:
        manager = AsyncSessionManager({"session": {"autosave_interval": 0}}, storage=Failing())
        with pytest.raises(ZeroDivisionError, match="mine"):
            await manager.create_session("chat")
        with pytest.raises(TypeError, match="takes a Session"):
            await manager.save_session("chat")  # type: ignore[arg-type]
        await manager.close()

    loop(main)


def test_bad_options_are_refused(tmp_path: Path) -> None:
    """`threads` is a whole number of at least 1; TOML is read as by `SessionManager`."""
    for threads in (0, 1.5, True, "4"):
        with pytest.raises(ConfigError, match="threads must be"):
            AsyncSessionManager({"session": {"backend": "memory"}}, threads=threads)  # type: ignore[arg-type]
    (tmp_path / "coda.toml").write_text('[session]\nbackend = "memory"\n')
    manager = AsyncSessionManager.from_toml(tmp_path / "coda.toml", threads=2)
    assert repr(manager) == "<AsyncSessionManager: memory>"
    anyio.run(manager.close)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no os.fork here")
def test_a_child_has_threads_of_its_own(config: Config) -> None:
    """After `os.fork`, the child's calls run, though the threads were the parent's."""
    manager = AsyncSessionManager(config, threads=1)
    anyio.run(manager.create_session, "parent")
    reached, gate = threading.Event(), threading.Event()

    def hold() -> None:
        reached.set()
        gate.wait(LIMIT)

    busy = threading.Thread(target=anyio.run, args=(manager.call, hold))
    busy.start()
    assert reached.wait(LIMIT)
    child = os.fork()
    if child == 0:
        signal.alarm(LIMIT // 3)
        try:
            anyio.run(manager.create_session, "child")
            os._exit(0)
        finally:
            os._exit(1)
    gate.set()
    busy.join()
    assert os.waitpid(child, 0)[1] == 0
    assert {info.name for info in anyio.run(manager.list_sessions)} == {"parent", "child"}
    anyio.run(manager.close)


def test_anyio_is_needed_here_alone() -> None:
    """The package does not import anyio; where it is missing, the error says what to install."""
    script = """
        import sys
        import coda_fs_session
        coda_fs_session.SessionManager({"session": {"backend": "memory"}}).create_session("chat")
        assert "anyio" not in sys.modules
        sys.modules["anyio"] = None
        import coda_fs_session.aio
    """
    script = "\n".join(line.strip() for line in script.splitlines())
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "ImportError: coda_fs_session.aio needs anyio" in done.stderr
    assert "pip install 'coda-fs-session[aio]'" in done.stderr


def test_calls_that_wait_for_all(config: Config) -> None:
    """`save_all` and `close` come after the calls before them, whatever these are about."""
    done: list[str] = []

    async def main() -> None:
        manager = AsyncSessionManager(config)
        session = await manager.create_session("chat")
        gate = threading.Event()
        calls = [
            manager.call(partial(gate.wait, LIMIT)),
            manager.call(lambda session: gate.wait(LIMIT) and done.append("call"), session),
        ]
        tasks = [asyncio.create_task(each) for each in calls]
        await anyio.wait_all_tasks_blocked()
        session.add_message(hello())
        saving = asyncio.create_task(manager.save_all())
        await anyio.wait_all_tasks_blocked()
        assert session.has_unsaved_changes
        gate.set()
        await asyncio.gather(saving, *tasks)
        assert not session.has_unsaved_changes
        await manager.close()

    asyncio.run(main())
    assert done == ["call"]
