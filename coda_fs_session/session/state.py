"""What a session holds, as its storage sees it: read for a save, and told what is saved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from ..errors import InvalidMessageError, SessionTooLargeError, tell, warn
from .metadata import WorkingMetadata, encode_metadata
from .prints import FoundMessages
from .splice import MessageSource, Splice
from .working_copy import WorkingCopy

NO_LIMIT = 2**62
ALMOST = 0.8
"""How much of its greatest size a session has when it is told of that."""

_EPOCH = datetime.fromtimestamp(0, UTC)
_MAKE_ROOM = "raise the option (0 is no limit), truncate_messages(), or go on in a new session"


class Found(NamedTuple):
    """What a session held when its changes were found, for a save of them."""

    messages: FoundMessages
    metadata: dict[str, bytes]


class SessionState:
    """What a session holds, and what its storage knows of it.

    Attributes:
        copy, metadata: what the program has put in, against what is saved.
        moment: when that last changed: nanoseconds, or the text of a save. Each as it came, since every save sets it
            and few ask for it.
        missing: how many messages are left out; see `Session.missing`.
        past: which state it shows of what the session was; "" for what it is.
        limit: the greatest size in bytes.
    """

    __slots__ = (
        *("_is_size_told", "copy", "created", "diverged_from", "limit", "metadata", "missing", "moment"),
        *("name", "parent", "past"),
    )

    def __init__(
        self,
        name: str,
        copy: WorkingCopy,
        metadata: WorkingMetadata,
        *,
        created: datetime,
        updated: datetime,
        parent: str | None = None,
        diverged_from: str | None = None,
        missing: int = 0,
    ) -> None:
        self.name, self.copy, self.metadata = name, copy, metadata
        self.created = created
        self.moment: datetime | str | int = updated
        self.parent, self.diverged_from, self.missing = parent, diverged_from, missing
        self.past = ""
        self.limit = NO_LIMIT
        self._is_size_told = False

    @property
    def updated(self) -> datetime:
        moment = self.moment
        if isinstance(moment, int):
            return _EPOCH + timedelta(microseconds=moment // 1000)
        return datetime.fromisoformat(moment) if isinstance(moment, str) else moment

    @updated.setter
    def updated(self, moment: datetime) -> None:
        self.moment = moment

    @contextmanager
    def dated(self, updated: datetime | None) -> Iterator[None]:
        """Have a time in a block that stores the session, and after it unless that fails; None: leave it as it is."""
        before = self.moment
        try:
            if updated is not None:
                self.moment = updated
            yield
        except BaseException:
            if updated is not None:
                self.moment = before
            raise

    def changed(self) -> bool:
        """Tell whether there is something to save."""
        if self.copy.changed():
            return True
        try:
            return bool(self.metadata.change())
        except InvalidMessageError:
            return True

    def seems_changed(self) -> bool:
        """Do as `changed`, without reading what is saved: True also where only that could tell."""
        try:
            return self.copy.seems_changed() or bool(self.metadata.change())
        except Exception:
            # Whatever a program has put in: right after a fork nobody could be told.
            return True

    def unsaved(self) -> str:
        """Tell how much of it is unsaved."""
        count = self.copy.unsaved()
        return f"{count} unsaved message{'' if count == 1 else 's'}"

    def too_large(self) -> SessionTooLargeError:
        return SessionTooLargeError(
            f"session {self.name!r} would pass max_session_size ({self.limit / 2**20:g} MB); nothing was changed: "
            f"{_MAKE_ROOM}"
        )

    def warn_of_size(self) -> None:
        """Warn, once, that there is little room left below `max_session_size`."""
        if self._is_size_told:
            return
        self._is_size_told = True
        text = (
            f"session {self.name!r} has reached {ALMOST:.0%} of max_session_size ({self.limit / 2**20:g} MB), and "
            f"what would pass it is refused: {_MAKE_ROOM}"
        )
        try:
            warn(text)
        except Warning:
            # Warnings are errors here; but the message is in, and its caller must not take it for refused.
            tell(text)

    def splice(self) -> Splice:
        """Return how the messages changed.

        Raises:
            InvalidMessageError, SessionTooLargeError: they cannot be saved as they are.
        """
        splice = self.copy.splice()
        if splice.lines and splice.size >= ALMOST * self.limit:
            if splice.size > self.limit:
                raise self.too_large()
            self.warn_of_size()
        return splice

    def splice_all(self) -> Iterator[bytes]:
        """Yield every message as a line, for a storage that has none of them yet.

        Raises:
            InvalidMessageError, SessionTooLargeError: they cannot be saved as they are.
        """
        size = 0
        for line in self.copy.lines():
            size += len(line) + 1
            if size > self.limit:
                raise self.too_large()
            yield line
        if size >= ALMOST * self.limit:
            self.warn_of_size()

    def check(self) -> None:
        """Make sure that everything can be saved, before anything is.

        Raises:
            InvalidMessageError, SessionTooLargeError: it cannot.
        """
        for _ in self.splice_all():
            pass
        encode_metadata(self.metadata.live)

    def rebase(
        self, source: MessageSource, metadata: dict[str, bytes], sent: Mapping[str, bytes | None] | None
    ) -> None:
        """Compare with a state that has changes of this session's in it; what the session holds of its own stays.

        Args:
            sent: the metadata in those changes; what else is new in `metadata` others have set, and shows here too.
                None: everything in `metadata` is this session's.
        """
        self.copy.rebase(source)
        self.metadata.rebase(metadata, sent)

    def show(
        self,
        source: MessageSource,
        metadata: dict[str, bytes],
        *,
        created: datetime,
        updated: datetime,
        parent: str | None,
    ) -> None:
        """Take the state of the storage, dropping everything unsaved; the live list and dict keep their identity."""
        self.copy.show(source)
        self.metadata.show(metadata)
        self.created, self.updated, self.parent = created, updated, parent

    def advance(self, count: int, found: FoundMessages, updated: str) -> None:
        """Take the messages as saved at the end of the same source; nothing else was to be saved.

        Args:
            count, found: see `WorkingCopy.advance`.
        """
        self.copy.advance(count, found)
        self.moment = updated

    def mark_saved(
        self,
        source: MessageSource,
        metadata: dict[str, bytes],
        updated: datetime,
        found: Found,
        *,
        merged: bool = False,
    ) -> None:
        """Take what a save has found as saved; see `WorkingCopy.mark_saved`."""
        self.copy.mark_saved(source, found.messages, merged=merged)
        self.metadata.mark_saved(metadata, found.metadata)
        self.updated = updated

    def mark_all_saved(self, found: Found | None = None) -> None:
        """Take what a save has found, or everything, as kept by a storage that has a copy of its own."""
        self.copy.mark_saved(None, found.messages if found else None)
        self.metadata.saved = found.metadata if found else encode_metadata(self.metadata.live)

    def found(self) -> Found:
        """Return what changes were last looked for in: what comes into the session from now on is no part of it."""
        return Found(self.copy.found, self.metadata.found)
