"""The block in which many sessions are created and saved in a row."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType

from ..errors import SessionError
from ..process.operations import Operations, operation
from ..storage import SessionStorage


class Bulk(AbstractContextManager[None]):
    """See `SessionManager.bulk`; no generator, which an interrupt could leave without its end."""

    def __init__(self, storage: SessionStorage, operations: Operations) -> None:
        self._storage = storage
        self._operations = operations
        self._block: AbstractContextManager[None] | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether the block has begun and not ended."""
        return self._block is not None

    def __enter__(self) -> None:
        self._begin()

    @operation
    def _begin(self) -> None:
        block = self._storage.bulk()
        block.__enter__()
        self._block = block

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        block, self._block = self._block, None
        try:
            self._end(block)
        except Exception as failure:
            if error is None:
                raise
            error.add_note(f"what was saved in bulk() is not in the store yet: {failure}")
        except BaseException:
            # What was saved before the interrupt is saved; a second one ends that.
            self._end(block)
            raise

    @operation
    def _end(self, block: AbstractContextManager[None] | None) -> None:
        if block is not None:
            block.__exit__(None, None, None)


def refuse_nested(bulk: Bulk | None) -> None:
    """Raise SessionError where a block is under way."""
    if bulk is not None and bulk.is_under_way:
        raise SessionError(
            "a bulk() block of this manager is under way: save in that one, or begin another once it has ended"
        )
