"""The block in which many sessions are created and saved in a row."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType

from ..errors import SessionError
from ..process.operations import Operations, operation
from ..storage import SessionStorage


class Bulk(AbstractContextManager[None]):
    """See `SessionManager.bulk`; no generator, which an interrupt could leave without its end.

    Args:
        lock: held for a moment when a block begins, so that only one does.
    """

    def __init__(self, storage: SessionStorage, operations: Operations, lock: AbstractContextManager[bool]) -> None:
        self._storage = storage
        self._operations = operations
        self._lock = lock
        self._block: AbstractContextManager[None] | None = None

    def refuse_nested(self) -> None:
        """Raise SessionError where a block is under way."""
        if self._block is not None:
            raise SessionError(
                "a bulk() block of this manager is under way: save in that one, or begin another once it has ended"
            )

    def __enter__(self) -> None:
        self.begin()

    def begin(self, *progress: Callable[[int], object]) -> None:
        """Begin a block, which may tell of its progress."""
        try:
            self._begin(*progress)
        except SessionError:
            raise
        except BaseException as error:
            # It may have begun, and nobody would end it.
            self.__exit__(type(error), error, None)
            raise

    @operation
    def _begin(self, *progress: Callable[[int], object]) -> None:
        with self._lock:
            self.refuse_nested()
            # A storage of a program's own may not know that there is something to tell.
            self._block = block = self._storage.bulk(*progress)
        try:
            block.__enter__()
        except BaseException:
            self._block = None
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._end()
        except Exception as failure:
            if error is None:
                raise
            error.add_note(f"what was saved in bulk() is not in the store yet: {failure}")
        except BaseException:
            # What was saved before the interrupt is saved; a second one ends that.
            self._end()
            raise
        finally:
            # Not before: the next block begins once this one has ended.
            self._block = None

    @operation
    def _end(self) -> None:
        if self._block is not None:
            self._block.__exit__(None, None, None)


class Reporting(AbstractContextManager[None]):
    """A block that tells of its progress."""

    def __init__(self, bulk: Bulk, progress: Callable[[int], object]) -> None:
        self._bulk = bulk
        self._progress = progress

    def __enter__(self) -> None:
        self._bulk.begin(self._progress)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bulk.__exit__(kind, error, trace)
