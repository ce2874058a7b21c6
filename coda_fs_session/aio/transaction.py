"""The block of a transaction for event loops."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from functools import partial
from typing import Any, Self

from anyio import sleep

from ..manager.checks import OnConflict
from ..manager.manager import SessionManager
from ..manager.transaction import Transaction
from ..process.uncopied import Uncopied
from ..session.session import Session

InTurn = Callable[[Callable[[], Any], Iterable[object]], Awaitable[Any]]
"""Makes a call in a worker thread, after those that are about the same sessions or names."""


class AsyncTransaction(Uncopied):
    """What `AsyncSessionManager.transaction` gives to its block: the verbs of `Transaction` as coroutines.

    A block that is cancelled, or left by another error, does nothing. At its end all is done in a worker thread; where
    that is cancelled once it has begun, it is waited for, and its error, if it has one, is raised.
    """

    def __init__(self, manager: SessionManager, in_turn: InTurn) -> None:
        self._manager = manager
        self._in_turn = in_turn
        self._block: Transaction | None = None

    async def __aenter__(self) -> Self:
        block: Transaction = await self._in_turn(self._manager.transaction, ())
        # Not in the thread, whose context is a copy: a task knows of the blocks that it is in.
        block.__enter__()
        self._block = block
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        block = self._begun()
        steps = block.leave()
        try:
            if error is None:
                # What was cancelled in the block does not begin.
                await sleep(0)
                about = [each for step in steps for each in step.about]
                await self._in_turn(partial(block.apply, steps), about)
        finally:
            block.forget()

    async def create_session(
        self,
        name: str,
        branch_from: str | None = None,
        *,
        at: int | None = None,
        created_at: datetime | None = None,
        updated_at: datetime | None = None,
    ) -> Session:
        """Do as `Transaction.create_session`."""
        create = partial(self._begun().create_session, name, branch_from, at=at)
        made = partial(create, created_at=created_at, updated_at=updated_at)
        session: Session = await self._in_turn(made, [name, branch_from])
        return session

    async def save_session(
        self,
        session: Session,
        *,
        on_conflict: OnConflict | None = None,
        expected: str | None = None,
        updated_at: datetime | None = None,
    ) -> None:
        """Do as `Transaction.save_session`."""
        save = partial(self._begun().save_session, session, on_conflict=on_conflict)
        await self._in_turn(partial(save, expected=expected, updated_at=updated_at), [session])

    async def delete_session(self, name: str, *, missing_ok: bool = False) -> None:
        """Do as `Transaction.delete_session`."""
        await self._in_turn(partial(self._begun().delete_session, name, missing_ok=missing_ok), [name])

    async def rename_session(self, old: str, new: str) -> None:
        """Do as `Transaction.rename_session`."""
        await self._in_turn(partial(self._begun().rename_session, old, new), [old, new])

    def _begun(self) -> Transaction:
        if self._block is None:
            # It says that it takes changes in its block alone.
            return Transaction(self._manager)
        return self._block
