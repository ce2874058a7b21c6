"""Reading a ref for the index."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, NamedTuple

from ...backends.base import Backend, Record, RefKey, Token
from ...errors import CorruptionError, SessionError, StoreFormatError, printable
from ...format.names import identity_of, key_of_ref
from ...process.loading import loading
from ..content.state import State
from .rows import Row, row_of

if TYPE_CHECKING:
    from .previews import Shown


class Found(NamedTuple):
    """What was read of a ref.

    Attributes:
        row: None where it is gone.
        may_pass: it has a problem that may be over though the file is the same.
    """

    row: Row | None
    may_pass: bool = False


class Reader:
    """Makes the rows of refs.

    Args:
        read: reads and folds one ref; raises KeyError where it is gone, SessionError where it is bad. It may be given a
            token that was told of the ref just now.

    Attributes:
        as_told: tokens are of now: a ref will do as it was under one.
        preview: makes what a list shows of messages; None as long as nobody lists.
    """

    def __init__(self, backend: Backend, record: Record, read: Callable[..., State]) -> None:
        self.backend = backend
        self.record = record
        self.preview: Callable[[State], Shown] | None = None
        self._read = read
        self.as_told = False

    def make_previews(self) -> None:
        """Let rows have previews from now on."""
        if self.preview is None:
            with loading():
                from .previews import preview_of
            self.preview = preview_of

    def read(self, key: RefKey, token: Token, before: Row | None, recorded: Collection[str] | None = None) -> Found:
        """Read a ref that has a token.

        Args:
            before: its row as it was known.
            recorded: the replicas of which anything is recorded, where somebody has found out.
        """
        try:
            # Before the ref: a save writes the record last.
            end = self.record.end(key) if recorded is None or key.replica in recorded else None
            head = self._read(key, token) if self.as_told else self._read(key)
            row = row_of(head)
            if end is not None and end != self.backend.ref_end(key):
                row = row._replace(differs=True)
            if before is not None and before.is_previewed and row.token.settled and row == before.plain():
                return Found(before)
            return Found(self._previewed(row, head))
        except KeyError:
            return Found(None)
        except SessionError as error:
            # Permissions, a disk's hiccup; or this version of the package, for what an earlier one has kept.
            may_pass = not isinstance(error, CorruptionError)
            guess = key_of_ref(key.path)
            if guess is None and not isinstance(error, StoreFormatError):
                # Garbage beside the refs: no name of ours, no header of ours.
                return Found(Row(key.path, token, "", "", problem="not a ref"), may_pass)
            name = guess or printable(key.path)
            return Found(Row(key.path, token, name, identity_of(name), problem=str(error), readable=False), may_pass)

    def row_of(self, head: State, *, inline: bool) -> Row:
        """Return the row of a state at hand.

        Args:
            inline: read no object for it.
        """
        return row_of(head) if inline and not head.has_all_inline else self._previewed(row_of(head), head)

    def _previewed(self, row: Row, head: State) -> Row:
        return row if self.preview is None or row.deleted else row.showing(*self.preview(head))

    def with_preview(self, row: Row) -> Row:
        """Return a row with its preview, reading its ref again, or as it is where that cannot be read now."""
        try:
            head = self._read(RefKey(row.path), row.token) if self.as_told else self._read(RefKey(row.path))
        except (KeyError, SessionError):
            return row
        self.make_previews()
        assert self.preview is not None
        shown = row.showing(*self.preview(head))
        # Of a ref that has changed since, the next look will tell.
        return shown if head.token == row.token else shown._replace(is_previewed=False)
