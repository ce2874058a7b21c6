"""Doing an operation with a fault in it, and holding what comes of it against what is promised."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crash.scenarios import Scenario, prepare
from crash.stores import REPLICA, Content, content, message, open_store
from layouts import path_of

from coda_fs_session import Session, SessionError, StoreError, StoreFullError
from coda_fs_session.backends.disk.files import Files

from .failing import ONCE, FailingFiles, Fault
from .operations import Operation, Step


@dataclass(frozen=True, slots=True)
class Reference:
    """An operation as it goes without a fault.

    Attributes:
        start: the store before it; contents: what is in it at the start and after each step; names: the calls made.
    """

    operation: Operation
    start: Path
    contents: list[Content]
    names: list[str]


def refer(operation: Operation, folder: Path) -> Reference:
    """Do an operation without a fault, in a new store below `folder`."""
    start = folder / "start"
    start.mkdir(parents=True)
    with open_store(start / "store", folder / "state", files=Files(durable=False), sizes=operation.sizes) as manager:
        prepare(Scenario(lambda manager: iter(()), before=operation.before), manager)
    if operation.torn:
        with open(start / "store/refs" / path_of(REPLICA, "chat"), "ab") as ref:
            ref.write(operation.torn)
    reference = Reference(operation, start, [], [])
    trial = Trial(reference, folder / "reference", None)
    reference.contents.append(trial.read())
    for step in trial.steps():
        trial.result = step.do()
        reference.contents.append(trial.read())
    trial.close()
    reference.names.extend(trial.files.names)
    shutil.rmtree(folder / "reference")
    return reference


class Trial:
    """One run of an operation on a disk of its own.

    Args:
        more: add a message to the session whose save failed before it is saved again.
    """

    def __init__(self, reference: Reference, folder: Path, fault: Fault | None, *, more: bool = False) -> None:
        self.reference = reference
        self.folder = folder
        self.more = more
        shutil.copytree(reference.start, folder / "disk")
        self.files = FailingFiles(folder / "disk", fault)
        operation = reference.operation
        self.manager = open_store(
            folder / "disk/store",
            folder / "state",
            files=self.files,
            replica=operation.replica,
            sizes=operation.sizes,
            # The tests call what the timer calls, and never wait for it.
            autosave_interval=86400,
        )
        self.result: Any = None
        self.failed = False

    def steps(self) -> Iterator[Step]:
        work = self.reference.operation.work(self.manager, self.folder)
        step = next(work)
        try:
            while True:
                yield step
                step = work.send(self.result)
        except StopIteration:
            return

    def read(self) -> Content:
        """Return what a process sees that opens the store now."""
        with open_store(
            self.folder / "disk/store", self.folder / "reader", sizes=self.reference.operation.sizes
        ) as manager:
            return content(manager)

    def close(self) -> None:
        self.manager._autosave.stop()
        self.manager.close()

    def run(self) -> None:
        """Do the operation.

        Raises:
            AssertionError, SessionError: something is not as promised.
        """
        try:
            contents = self.reference.contents
            for number, step in enumerate(self.steps()):
                if self._attempt(step, contents[number], contents[number + 1]) and self.more:
                    break
            else:
                assert self.read() == contents[-1]
            assert not self.files.resynced, f"synced again after a failed sync: {self.files.resynced}"
        finally:
            self.files.fault = None
            self.close()

    def _attempt(self, step: Step, before: Content, after: Content) -> bool:
        """Do one step; return True where it failed at first and a message was added to its session meanwhile."""
        held = self._held(step)
        if not self._fails(step, step.do, before, after, held):
            return False
        again = step.again or step.do
        assert self.files.fault is not None, "it fails without a fault"
        if self.files.fault.lasting > ONCE and not self._fails(step, again, before, after, held):
            return False
        self.files.fault = None
        added = self.more and step.session is not None
        if added and step.session is not None:
            step.session.add_message(message(900))
        self.result = again()
        found = self.read()
        if added and step.session is not None:
            messages, metadata, parent = after[step.session.name]
            after = {**after, step.session.name: ([*messages, message(900)], metadata, parent)}
        assert found == after, f"after it was done again: {_shown(found)}, not {_shown(after)}"
        assert not any(session.has_unsaved_changes for session in self._held(step) if session is step.session)
        return added

    def _fails(self, step: Step, do: Any, before: Content, after: Content, held: list[Session]) -> bool:
        """Do a step; tell whether it failed, and make sure that nothing is lost by it then."""
        memory = [(session.get_messages(), dict(session.metadata)) for session in held]
        made = self.files.made
        try:
            self.result = do()
        except SessionError as error:
            self._check_kind(error)
        else:
            if not step.silent or not any(session.has_unsaved_changes for session in held):
                assert self.read() == after, "what was acknowledged is not there"
                return False
        assert self.files.made > made, "it fails without having tried"
        found = self.read()
        for session, was in zip(held, memory, strict=True):
            now = (session.get_messages(), dict(session.metadata))
            stored = found[session.name][:2] if step.beside and session.name in found else was
            assert now in (was, stored), "memory changed"
        if step.apart:
            allowed = all(found.get(name) in (before.get(name), after.get(name)) for name in before | after | found)
        else:
            allowed = found in (before, after)
        assert allowed, f"after it failed: {_shown(found)}, not {_shown(before)} or {_shown(after)}"
        for session in held:
            if not session.has_unsaved_changes and session.name in found and not step.beside:
                assert found[session.name][0] == session.get_messages(), f"{session} passes for saved"
        return True

    def _held(self, step: Step) -> list[Session]:
        held = {id(session): session for session in self.manager._sessions}
        if step.session is not None:
            held[id(step.session)] = step.session
        return list(held.values())

    def _check_kind(self, error: SessionError) -> None:
        assert self.files.fault is not None, f"it fails without a fault: {error}"
        wanted = StoreFullError if self.files.fault.error == errno.ENOSPC else StoreError
        assert type(error) is wanted, f"{type(error).__name__} instead of {wanted.__name__}: {error}"
        assert isinstance(error.__cause__, OSError)


def _shown(found: Content) -> str:
    return str({name: [m["content"][:5] for m in messages] for name, (messages, _, _) in found.items()})
