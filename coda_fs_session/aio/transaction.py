"""The block of a transaction for event loops."""

from __future__ import annotations

from functools import partial
from typing import Self

from anyio import sleep

from ..manager.manager import SessionManager
from ..manager.transaction import Transaction
from ..process.uncopied import Uncopied
from .verbs import Host, Part, verb


class AsyncTransaction(Part, Uncopied):
    """What `AsyncSessionManager.transaction` gives to its block: the verbs of `Transaction` as coroutines.

    A block that is cancelled, or left by another error, does nothing. At its end all is done in a worker thread; where
    that is cancelled once it has begun, it is waited for, and its error, if it has one, is raised.
    """

    def __init__(self, manager: Host[SessionManager]) -> None:
        super().__init__(manager)
        self._block: Transaction | None = None

    async def __aenter__(self) -> Self:
        block = await self._in_turn(self._manager._blocking.transaction, ())
        # Not in the thread, whose context is a copy: a task knows of the blocks that it is in.
        block.__enter__()
        self._block = block
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        block = self._blocking
        steps = block.leave()
        try:
            if error is None:
                # What was cancelled in the block does not begin.
                await sleep(0)
                about = [each for step in steps for each in step.about]
                await self._in_turn(partial(block.apply, steps), about)
        finally:
            block.forget()

    create_session = verb(Transaction.create_session, "name", "branch_from")
    save_session = verb(Transaction.save_session, "session")
    delete_session = verb(Transaction.delete_session, "name")
    rename_session = verb(Transaction.rename_session, "old", "new")

    @property
    def _blocking(self) -> Transaction:
        if self._block is None:
            # It says that it takes changes in its block alone.
            return Transaction(self._manager._blocking)
        return self._block
