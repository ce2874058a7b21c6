"""The manager whose verbs are coroutines: each is the one of `SessionManager` in a worker thread."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext, suppress
from contextvars import copy_context
from functools import partial
from typing import Any, ParamSpec, Self, TypeVar

from anyio import CancelScope, Event, get_cancelled_exc_class

from ..manager.manager import SessionManager
from ..process.uncopied import Uncopied
from ..repo.events.watch import Watch
from ..session.session import Session
from ..storage import SessionStorage
from .branches import AsyncBranches
from .history import AsyncHistory
from .iterators import AsyncWatch, MessageIterator
from .maintenance import AsyncMaintenance
from .transaction import AsyncTransaction
from .turns import Turns
from .verbs import verb as _verb
from .waiting import Bell, running_loop

_P = ParamSpec("_P")
_R = TypeVar("_R")


class AsyncSessionManager(Uncopied):
    """The verbs of `SessionManager` as coroutines, for asyncio and trio.

    Each runs in a worker thread. Calls about one session run one after the other, in the order in which they were
    awaited; `save_all` and `close` run after all calls before them. A call that is cancelled before it has begun does
    nothing. One that has begun is waited for; then its error is raised, if it has one, and else the cancellation goes
    on. So what was saved is known: `Session.has_unsaved_changes` tells.

    Sessions are the same objects as everywhere. What they do in memory needs no thread: `add_message`, `metadata`,
    `len`. What reads messages may wait for the disk, and goes through `call` or `iter_messages`.

    Use it in ``async with``, or await `close`, to have everything saved at the end. It may be used from several event
    loops. Hooks, counters and a storage of your own are called in worker threads.

    Args:
        config, storage, token_counter, message_counter, read_only: as for `SessionManager`. Making it looks at a few
            small files, as there.
        threads: as many calls run at a time.

    Raises:
        ConfigError, StoreFormatError: as `SessionManager` does.
    """

    _bell: Bell | None
    _blocking: SessionManager

    def __init__(
        self,
        config: Mapping[str, Any] | str | os.PathLike[str] | None = None,
        *,
        storage: SessionStorage | None = None,
        token_counter: Callable[[str], int] | None = None,
        message_counter: Callable[[dict[str, Any]], int] | None = None,
        read_only: bool | None = None,
        threads: int = 40,
    ) -> None:
        self._turns, self._bell = Turns(threads), None
        self._blocking = SessionManager(
            config,
            storage=storage,
            token_counter=token_counter,
            message_counter=message_counter,
            read_only=read_only,
        )

    @classmethod
    def from_toml(
        cls,
        path: str | os.PathLike[str],
        *,
        storage: SessionStorage | None = None,
        token_counter: Callable[[str], int] | None = None,
        message_counter: Callable[[dict[str, Any]], int] | None = None,
        read_only: bool | None = None,
        threads: int = 40,
    ) -> Self:
        """Make a manager with the options in the ``[session]`` table of a TOML file.

        Raises:
            ConfigError: the file cannot be read or is no TOML, or an option is not accepted.
        """
        manager = cls.__new__(cls)
        manager._turns, manager._bell = Turns(threads), None
        manager._blocking = SessionManager.from_toml(
            path,
            storage=storage,
            token_counter=token_counter,
            message_counter=message_counter,
            read_only=read_only,
        )
        return manager

    @classmethod
    def over(cls, manager: SessionManager, *, threads: int = 40) -> Self:
        """Return the verbs of a manager that is there already, as coroutines.

        Calls that wait for each other are those of one such object. To close it closes that manager.

        Args:
            threads: as many calls run at a time.

        Raises:
            ConfigError: `threads` is not possible.
        """
        made = cls.__new__(cls)
        made._turns, made._bell = Turns(threads), None
        made._blocking = manager
        return made

    @property
    def blocking(self) -> SessionManager:
        """The manager that does the work: for functions that you give to `call`, and for other threads."""
        return self._blocking

    create_session = _verb(SessionManager.create_session, "name", "branch_from")
    load_session = _verb(SessionManager.load_session, "name")
    save_session = _verb(SessionManager.save_session, "session")
    save_all = _verb(SessionManager.save_all, last=True)
    delete_session = _verb(SessionManager.delete_session, "name")
    rename_session = _verb(SessionManager.rename_session, "old", "new")
    list_sessions = _verb(SessionManager.list_sessions)
    get_session_info = _verb(SessionManager.get_session_info, "name")
    deleted_sessions = _verb(SessionManager.deleted_sessions)
    export_session = _verb(SessionManager.export_session, "name")
    export_sessions = _verb(SessionManager.export_sessions)
    import_session = _verb(SessionManager.import_session, "name")
    import_sessions = _verb(SessionManager.import_sessions)
    kept_aside = _verb(SessionManager.kept_aside)
    bring_back = _verb(SessionManager.bring_back, "name")
    sync = _verb(SessionManager.sync)
    search = _verb(SessionManager.search)
    stats = _verb(SessionManager.stats)
    describe = _verb(SessionManager.describe)
    store_exists = _verb(SessionManager.store_exists)
    use = _verb(SessionManager.use)

    @property
    def branches(self) -> AsyncBranches:
        """Sessions beside each other: `SessionManager.branches`, its verbs as coroutines."""
        return AsyncBranches(self)

    @property
    def maintenance(self) -> AsyncMaintenance:
        """Keeping the store in order: `SessionManager.maintenance`, its verbs as coroutines."""
        return AsyncMaintenance(self)

    async def call(self, function: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Call a function in a worker thread: ``await manager.call(session.get_messages, limit=10)``.

        What has a session as an argument, or is a method of one, runs after the calls about it that came before, and
        before those that come after. So a function that adds to a session and saves it is not disturbed by others.

        Returns:
            What the function returns.
        """
        about = [getattr(function, "__self__", None), *args, *kwargs.values()]
        sessions = [each for each in about if isinstance(each, Session)]
        return await self._in_turn(partial(function, *args, **kwargs), sessions)

    def iter_messages(self, session: Session, start: int | None = None, stop: int | None = None) -> MessageIterator:
        """Return the messages from `start` up to `stop` for ``async for``, as `Session.iter_messages` does.

        Which messages these are is settled when the first one is asked for.

        Raises:
            StoreError: in the loop, where a message cannot be read.
        """
        return MessageIterator(partial(session.iter_messages, start, stop), lambda work: self._in_turn(work, [session]))

    def history(self, name: str) -> AsyncHistory:
        """Return the history of a session, or of a deleted one: what it was, undo, restore and tags.

        Raises:
            InvalidNameError: the name is not possible.
        """
        return AsyncHistory(self, name)

    def watch(self, *, name: str | None = None) -> AsyncWatch:
        """Return what tells of changes: ``async with manager.watch() as watch``, then ``async for event in watch``.

        Args:
            name: as for `SessionManager.watch`.

        Raises:
            StoreError: at the beginning of the block, where the store cannot be listed.
        """
        begin = partial(self._blocking.watch, name=name)
        return AsyncWatch(
            lambda: self._in_turn(begin, ()), lambda watch: self._in_turn(partial(Watch.stop, watch), (), must=True)
        )

    def transaction(self) -> AsyncTransaction:
        """Return a block whose changes are made in one go: ``async with manager.transaction() as change:``.

        As `SessionManager.transaction`, whose errors the end of the block raises; its verbs are awaited.
        """
        return AsyncTransaction(self)

    async def close(self) -> None:
        """Do as `SessionManager.close` after all calls that came before; done also where this is cancelled.

        Raises:
            SessionError: a session could not be saved.
        """
        await self._close(self._blocking.close)

    async def __aenter__(self) -> Self:
        await self._in_turn(self._blocking.__enter__, ())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Do as `close`, also where the block was left by an error or cancelled; see `SessionManager.__exit__`."""
        await self._close(partial(self._blocking.__exit__, kind, error, trace))

    async def _close(self, close: Callable[[], None]) -> None:
        try:
            await self._in_turn(close, (), last=True, must=True)
        finally:
            self._turns.rest()

    async def _in_turn(
        self, work: Callable[[], _R], about: Iterable[object], *, last: bool = False, must: bool = False
    ) -> _R:
        """Return what a call returns, which a thread makes in its turn.

        Args:
            last: it waits for all calls that came before it.
            must: it is made, however often this is cancelled.
        """
        names = [name for name in map(_name_of, about) if name is not None]
        loop = running_loop()
        bell = self._bell if self._bell is not None and self._bell.loop is loop else Bell(loop)
        self._bell = bell
        over = Event()
        # As `asyncio.to_thread` does: what the task has in its context, its hooks have too.
        work = partial(copy_context().run, work)
        turn = self._turns.submit(work, partial(bell.ring, over), names, last=last)
        try:
            with CancelScope(shield=True) if must else nullcontext():
                await over.wait()
        except get_cancelled_exc_class():
            if not must and self._turns.drop(turn):
                raise
            with CancelScope(shield=True):
                while not turn.done:
                    # A scope shields from other scopes; `Task.cancel` of asyncio comes through, as often as it likes.
                    with suppress(get_cancelled_exc_class()):
                        await over.wait()
            turn.result()
            raise
        return turn.result()

    def __repr__(self) -> str:
        return f"<Async{repr(self._blocking)[1:]}"


def _name_of(about: object) -> str | None:
    """Return by which name a session stands in line; what is no name is for the verb to refuse."""
    if isinstance(about, Session):
        return about.name
    return unicodedata.normalize("NFC", about) if isinstance(about, str) else None
