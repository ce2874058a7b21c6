"""Leaving a `with` block: everything is saved, whatever ends the body, and no error takes the place of another."""

# ruff: noqa: PT012  # what a block with several statements does is what is tested

from __future__ import annotations

import asyncio
import gc
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

import pytest
from storekit import Opener, message, open_store, run_python, say

from coda_fs_session import InvalidMessageError, Session, SessionManager, StoreFullError

LIMIT = 20.0
ENDS: tuple[type[BaseException], ...] = (ZeroDivisionError, KeyboardInterrupt, SystemExit, GeneratorExit)


def stored(store: Path, name: str = "chat") -> list[dict[str, Any]]:
    return open_store(store).load_session(name).get_messages()


def leave(manager: SessionManager, error: BaseException) -> NoReturn:
    with manager:
        raise error


@pytest.mark.parametrize("interval", [0, 10_000])
@pytest.mark.parametrize("end", ENDS)
def test_every_way_out_saves(make: Opener, end: type[BaseException], interval: float) -> None:
    """Bug: an exception in the body lost what was not saved, while the same program without `with` kept it.

    The exception goes on as it is, also where autosave is off, which is about saving that nobody asked for.
    """
    manager, error = make(autosave_interval=interval), end()
    with pytest.raises(end) as caught, manager:
        kept = manager.create_session("chat")
        say(manager, kept, 1)
        kept.add_message(message(2))
        kept.update_metadata({"topic": "tea"})
        raise error
    assert caught.value is error
    assert not hasattr(error, "__notes__")
    assert not kept.has_unsaved_changes
    kept.reload()
    assert (kept.get_messages(), kept.metadata) == ([message(1), message(2)], {"topic": "tea"})


def test_a_session_of_a_function_that_raised_is_saved(tmp_path: Path) -> None:
    """What only the frames of the error hold is saved, too."""

    def work() -> None:
        manager.create_session("chat").messages.append(message(1))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), open_store(tmp_path / "store", autosave_interval=10_000) as manager:
        work()
    assert stored(tmp_path / "store") == [message(1)]


@pytest.mark.parametrize("interval", [0, 10_000])
def test_a_session_that_nobody_holds_is_saved(tmp_path: Path, interval: float) -> None:
    """The block holds what was changed in it, also without autosave; and no longer than the block."""
    with open_store(tmp_path / "store", autosave_interval=interval) as manager:
        manager.create_session("chat").messages.append(message(1))
        gc.collect()
    assert stored(tmp_path / "store") == [message(1)]
    assert manager._autosave.held() == []


def test_what_is_half_made_can_be_dropped(tmp_path: Path) -> None:
    """`reload` in the body takes back what is not to be saved."""
    with pytest.raises(ZeroDivisionError), open_store(tmp_path / "store") as manager:
        session = manager.create_session("chat")
        say(manager, session, 1)
        try:
            session.add_message(message(2))
            raise ZeroDivisionError
        except ZeroDivisionError:
            session.reload()
            raise
    assert stored(tmp_path / "store") == [message(1)]


def test_an_error_while_saving_is_a_note_on_the_bodys(tmp_path: Path) -> None:
    """The body's error stays what is raised; its notes name each session that was not saved, and why."""
    manager = open_store(tmp_path / "store")
    bad, good = manager.create_session("bad"), manager.create_session("good")
    bad.messages.append({"score": float("nan")})
    good.add_message(message(1))
    error = ZeroDivisionError("in the body")
    with pytest.raises(ZeroDivisionError) as caught:
        leave(manager, error)
    assert caught.value is error
    assert error.__notes__ == [
        "session 'bad' was not saved (1 unsaved message): messages[0].score: nan has no JSON form: use None or text"
    ]
    assert stored(tmp_path / "store", "good") == [message(1)]
    bad.messages[0]["score"] = None
    manager.close()
    assert stored(tmp_path / "store", "bad") == [{"score": None}]


def test_without_an_error_in_the_body_that_of_the_save_is_raised(tmp_path: Path) -> None:
    """It is `close` that fails then, with all that it tells."""
    with pytest.raises(InvalidMessageError, match="nan") as caught, open_store(tmp_path / "store") as manager:
        kept = manager.create_session("bad")
        kept.messages.append({"score": float("nan")})
    assert kept.has_unsaved_changes
    assert len(caught.value.__notes__) == 1


def test_a_save_that_failed_in_the_body_is_told_once(tmp_path: Path) -> None:
    """Where the body ends because something could not be saved, the second try adds nothing to what is known."""
    with pytest.raises(InvalidMessageError) as caught, open_store(tmp_path / "store") as manager:
        kept = manager.create_session("bad")
        kept.messages.append({"score": float("nan")})
        manager.save_all()
    assert len(caught.value.__notes__) == 1


def test_an_error_of_the_release_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else of `close` fails is told in the same way, after what was not saved."""
    manager = open_store(tmp_path / "store")
    bad = manager.create_session("bad")
    bad.messages.append({"score": float("nan")})

    def fail() -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(manager._storage, "close", fail)
    with pytest.raises(ZeroDivisionError) as caught:
        leave(manager, ZeroDivisionError())
    unsaved, release = caught.value.__notes__
    assert unsaved.startswith("session 'bad' was not saved (1 unsaved message): ")
    assert release == "the manager could not be closed: OSError: the disk is gone"


@pytest.mark.parametrize("end", ENDS[1:])
def test_what_python_does_not_show_is_on_stderr(
    tmp_path: Path, end: type[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    """`sys.exit`, a closed generator and a cancelled task end without a traceback, where a note would be seen."""
    manager = open_store(tmp_path / "store")
    session = manager.create_session("bad")
    session.messages.append({"score": float("nan")})
    with pytest.raises(end) as caught:
        leave(manager, end())
    (note,) = caught.value.__notes__
    assert capsys.readouterr().err == f"coda_fs_session: {note}\n"


@pytest.mark.parametrize("second", [KeyboardInterrupt, SystemExit])
def test_a_second_interrupt_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, second: type[BaseException]
) -> None:
    """Ctrl-C while the block saves ends it: the saving is given up, the session holds everything and can be saved."""
    manager = open_store(tmp_path / "store")
    session = manager.create_session("chat")
    session.add_message(message(1))
    real = manager._storage.save

    def interrupt(saved: Session) -> None:
        raise second

    monkeypatch.setattr(manager._storage, "save", interrupt)
    first = KeyboardInterrupt("the first")
    with pytest.raises(second) as caught:
        leave(manager, first)
    assert caught.value is not first
    assert caught.value.__context__ is first
    monkeypatch.setattr(manager._storage, "save", real)
    assert session.has_unsaved_changes
    manager.close()
    assert stored(tmp_path / "store") == [message(1)]


def test_a_real_second_interrupt(tmp_path: Path) -> None:
    """The same with signals: the second one does not wait for the disk, and stderr tells what is not saved."""
    script = """
        import os, signal, sys
        from pathlib import Path
        from storekit import message, open_store
        manager = open_store(Path(sys.argv[1]), autosave_interval=10_000)
        chat = manager.create_session("chat")
        real, calls = manager._storage.save, []
        def save(session):
            calls.append(1)
            if len(calls) == 1:
                os.kill(os.getpid(), signal.SIGINT)
            real(session)
        manager._storage.save = save
        with manager:
            chat.add_message(message(1))
            os.kill(os.getpid(), signal.SIGINT)
    """
    done = run_python(script, tmp_path / "store")
    assert done.returncode == -signal.SIGINT, done.stderr
    assert done.stderr.count("KeyboardInterrupt") == 2
    # Python still ends by itself, and there autosave stores it.
    assert stored(tmp_path / "store") == [message(1)]


class _Refuse:
    def before_save(self, session: Session, pending: Any) -> None:
        raise PermissionError("not with that word")


def test_a_hook_that_refuses(make: Opener) -> None:
    """What a hook raises in that save is a note like any other error; nothing is stored past the hook."""
    manager = make()
    session = manager.create_session("chat")
    manager.use(_Refuse())
    session.add_message(message(1))
    error = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        leave(manager, error)
    assert error.__notes__ == ["session 'chat' was not saved (1 unsaved message): not with that word"]
    info = manager.get_session_info("chat")
    assert info is not None
    assert info.message_count == 0


def test_a_child_leaves_to_its_parent_what_was_unsaved(tmp_path: Path) -> None:
    """A child of os.fork that leaves the block by an error saves its own sessions. Those that had changes at the fork
    are the parent's, and stderr says so."""
    script = """
        import os, sys
        from pathlib import Path
        from storekit import message, open_store
        with open_store(Path(sys.argv[1])) as manager:
            session = manager.create_session("chat")
            session.add_message(message(1))
            child = os.fork()
            if child == 0:
                own = manager.create_session("own")
                own.add_message(message(2))
                sys.exit(3)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
            raise SystemExit(4)
    """
    done = run_python(script, tmp_path / "store")
    assert done.returncode == 4, done.stderr
    assert done.stderr.count("session 'chat' was not saved by process ") == 1
    assert done.stderr.count("\n") == 1
    assert (stored(tmp_path / "store"), stored(tmp_path / "store", "own")) == ([message(1)], [message(2)])


def test_a_generator_that_is_not_finished(tmp_path: Path) -> None:
    """A block in a generator is left when that is closed, or when nobody holds it any more."""
    store = tmp_path / "store"

    def talk(name: str) -> Iterator[int]:
        with open_store(store) as manager:
            session = manager.create_session(name)
            for number in range(10):
                session.add_message(message(number))
                yield number

    closed, dropped = talk("closed"), talk("dropped")
    assert (next(closed), next(closed), next(dropped)) == (0, 1, 0)
    closed.close()  # type: ignore[attr-defined]
    del dropped
    assert [len(stored(store, name)) for name in ("closed", "dropped")] == [2, 1]


def test_a_task_that_is_cancelled(tmp_path: Path) -> None:
    """A cancelled task saves what it has while a save that it began in a thread may still be under way: once each."""
    store = tmp_path / "store"

    async def talk(begun: asyncio.Event) -> None:
        with open_store(store) as manager:
            session = await asyncio.to_thread(manager.create_session, "chat")
            number = 0
            while True:
                session.add_message(message(number))
                number += 1
                begun.set()
                await asyncio.to_thread(manager.save_session, session)

    async def main() -> None:
        begun = asyncio.Event()
        task = asyncio.create_task(talk(begun))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    found = stored(store)
    assert len(found) >= 1
    assert found == [message(number) for number in range(len(found))]


def test_other_threads_may_be_at_work(tmp_path: Path) -> None:
    """Leaving the block waits for the saves of other threads. What they do afterwards is saved by them."""
    store = tmp_path / "store"
    manager = open_store(store)
    begun, left = threading.Event(), threading.Event()

    def work() -> None:
        session = manager.create_session("other")
        say(manager, session, 1)
        session.add_message(message(2))
        begun.set()
        assert left.wait(LIMIT)
        say(manager, session, 3)

    thread = threading.Thread(target=work)
    with pytest.raises(ZeroDivisionError), manager:
        thread.start()
        assert begun.wait(LIMIT)
        raise ZeroDivisionError
    assert stored(store, "other") == [message(1), message(2)]
    left.set()
    thread.join(LIMIT)
    assert stored(store, "other") == [message(1), message(2), message(3)]


def test_two_managers_in_one_statement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each one saves what is its own, whatever happens to the other."""
    with pytest.raises(ZeroDivisionError) as caught, ExitStack() as stack:
        one, other = (stack.enter_context(open_store(tmp_path / name)) for name in ("one", "other"))
        kept = [manager.create_session("chat") for manager in (one, other)]
        for session in kept:
            session.add_message(message(1))

        def full(session: Session) -> None:
            raise StoreFullError("no space left")

        monkeypatch.setattr(other._storage, "save", full)
        raise ZeroDivisionError
    assert len(caught.value.__notes__) == 1
    assert "no space left" in caught.value.__notes__[0]
    assert stored(tmp_path / "one") == [message(1)]
