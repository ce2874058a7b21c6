"""Each call of a merge of two sides, and of its undo, fails once: nothing is lost, and doing it again ends it."""

from __future__ import annotations

import errno
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from faults.failing import FailingFiles, Fault, faults
from repo.machines import Machine, contents, said

from coda_fs_session import Session, SessionManager, StoreError
from coda_fs_session.backends.base import Backend, RefKey, Token
from coda_fs_session.repo.storage import RepoStorage

Act = Callable[[SessionManager, str], None]


def _merge(manager: SessionManager, derived: str) -> None:
    if derived in manager:
        manager.branches.merge(derived, "chat", strategy="append")


def _undo(manager: SessionManager, derived: str) -> None:
    for session in [each for each in _sessions(manager) if len(each) == 23]:
        manager.history(session.name).undo()


def _sessions(manager: SessionManager) -> list[Session]:
    return [manager.load_session(info.name) for info in manager.list_sessions()]


def shown(machine: Machine) -> dict[str, list[str]]:
    manager = machine.manager()
    return {info.name: contents(manager.load_session(info.name)) for info in manager.list_sessions()}


def failing(machine: Machine, fault: Fault | None) -> tuple[SessionManager, FailingFiles]:
    files = FailingFiles(machine.folder, fault)
    config = {"session": {"autosave_interval": 0, "storage_path": machine.store}}
    return SessionManager(config, storage=RepoStorage(machine.repository(files=files))), files


@pytest.mark.parametrize("act", [_merge, _undo], ids=["merge", "undo"])
def test_every_call_may_fail(here: Machine, derived: str, act: Act, tmp_path: Path, long_size: bool) -> None:
    """The error is a StoreError or the merge is done; every message of both sides is shown all the time; and doing it
    again, when the fault is gone, leads to what it leads to without one."""
    before = shown(here)
    if act is _undo:
        _merge(here.manager(), derived)
    start = shown(here)
    clean = Machine(tmp_path / "clean", here.replica)
    shutil.copytree(here.folder, clean.folder)
    manager, files = failing(clean, None)
    act(manager, derived)
    after = shown(clean)
    assert after == (before if act is _undo else {"chat": after["chat"]})
    every = {text for texts in before.values() for text in texts}
    tried = 0
    for fault in faults(files.names, every=long_size):
        trial = Machine(tmp_path / "trial", here.replica)
        shutil.copytree(here.folder, trial.folder)
        manager, failed = failing(trial, fault)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                act(manager, derived)
            except StoreError as error:
                assert isinstance(error.__cause__, OSError)  # noqa: PT017
            failed.fault = None
            found = shown(trial)
            assert every <= {text for texts in found.values() for text in texts}, f"{fault}: lost"
            assert found in (start, after) or act is _undo, f"{fault}: {found}"
            act(trial.manager(), derived)
            assert shown(trial) == after, f"{fault}: done again"
        shutil.rmtree(trial.folder)
        tried += 1
    assert tried > 10


@pytest.mark.parametrize("added", [(), ("more",)])
@pytest.mark.parametrize("taken", [False, True], ids=["into", "source"])
def test_a_save_that_landed_before_a_merge(
    here: Machine, derived: str, taken: bool, added: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A save reports an error and has landed; then another process merges, into that session or out of it. Saving again
    does not save it twice, and what was added meanwhile follows."""
    own, other = ("chat", derived) if here.head("chat").key.replica == here.replica else (derived, "chat")
    manager, files = failing(here, None)
    session = manager.load_session(other if taken else own)
    session.add_message(said("mine")[0])
    if taken:
        # What others have written is gone on with in a ref of our own.
        backend = backend_of(manager)
        create = backend.create_ref

        def landed(key: RefKey, data: bytes) -> Token:
            create(key, data)
            raise StoreError("landed")

        monkeypatch.setattr(backend, "create_ref", landed)
    else:
        files.fault = Fault(files.made + 2, errno.EIO, "before", 9)
    with pytest.raises(StoreError):
        manager.save_session(session)
    files.fault = None
    monkeypatch.undo()
    mine = next(name for name, texts in shown(here).items() if "mine" in texts)
    (others,) = set(here.names()) - {mine}
    source, into = (mine, others) if taken else (others, mine)
    assert here.manager().branches.merge(source, into).name == "chat"
    for text in added:
        session.add_message(said(text)[0])
    manager.save_session(session)
    assert here.names() == ["chat"]
    assert here.read("chat").count("mine") == 1
    assert here.read("chat")[24:] == list(added)
    assert contents(session) == here.read("chat")


@pytest.mark.parametrize("verb", ["merge", "undo"])
@pytest.mark.parametrize("swapped", [False, True])
def test_what_is_open_after_an_error_that_landed(
    here: Machine, derived: str, swapped: bool, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A merge, or an undo, reports an error and is in the store. What is open shows it, and the next save follows."""
    manager = here.manager()
    source, into = (derived, "chat") if swapped else ("chat", derived)
    taken, open_into = manager.load_session(source), manager.load_session(into)
    # So the result does not begin with what the open object knows.
    del taken.messages[3]
    manager.save_session(taken)
    backend = backend_of(manager)

    def landed(write: Callable[..., Token]) -> Callable[..., Token]:
        def run(*args: object) -> Token:
            write(*args)
            raise StoreError("landed")

        return run

    expected = contents(open_into)
    if verb == "merge":
        expected = [*contents(taken), *expected[20:]]
    else:
        del open_into.messages[4]
        manager.save_session(open_into)
    for name in ("create_ref", "replace_ref"):
        monkeypatch.setattr(backend, name, landed(getattr(backend, name)))
    with pytest.raises(StoreError):
        _ = manager.branches.merge(source, into) if verb == "merge" else manager.history(into).undo()
    monkeypatch.undo()
    names = here.names()
    assert names == (["chat"] if verb == "merge" else ["chat", derived])
    open_into.add_message(said("after")[0])
    manager.save_session(open_into)
    assert here.names() == names
    assert contents(open_into) == here.read(open_into.name)
    assert contents(open_into)[-1] == "after"
    assert sorted(contents(open_into)[:-1]) == sorted(expected)


def backend_of(manager: SessionManager) -> Backend:
    engine = manager._engine
    assert engine is not None
    return engine.repo.backend
