"""What is told of a session that nobody has loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import SessionError

_EPOCH = datetime.fromtimestamp(0, UTC)
_MICROSECOND = timedelta(microseconds=1)


class Preview(NamedTuple):
    """What a list shows of a session: one line each of two messages, of 80 characters at most, nothing unseen in it.

    Attributes:
        first: the first words of the first message of a user, if it is among the first hundred messages.
        last: the first words of the last message; role: whose that is, as "user", "assistant" or "tool".
    """

    first: str | None = None
    last: str | None = None
    role: str | None = None

    @classmethod
    def of(cls, messages: Iterable[dict[str, Any]]) -> Preview:
        """Return the preview of a session with these messages, for storages of a program's own."""
        from .shapes import preview, role

        first = last = None
        for number, last in enumerate(messages):
            if first is None and number < SEARCHED and role(last) == "user":
                first = preview(last)
        return cls(first, None, None) if last is None else cls(first, preview(last), role(last))


_NO_PREVIEW = Preview()
SEARCHED = 100
"""Messages among which the first one of a user is looked for."""


class _Previewed:
    """Holds a preview, or what tells it by the name of the session: most lists are long, and show no previews."""

    __slots__ = ("_preview",)
    if TYPE_CHECKING:
        _preview: Preview | Callable[[str], Preview]


@dataclass
class SessionInfo(_Previewed):
    """What is known of a session without loading its messages.

    `created` and `updated` are the two times in UTC.

    Attributes:
        created_at, updated_at: naive local time; see `created` for the hour that comes twice.
        size_bytes: logical size of the messages as JSON lines; `SessionManager.stats` tells the use of the disk.
        parent: the session it was branched from; forked_at: how many messages it took over.
        replica: which replica wrote the newest state.
        error: why the session cannot be loaded, or may lack what a damaged file held; None for a good one.
        diverged_from: the name that the session was written under, where it goes by a derived one because another
            machine continued that name differently.
        undecided: something that has not arrived yet would tell whether it continues another session, or that it.
        survived_delete: it was deleted on one machine, and continued on another that did not know.
        reverted: this machine had saved more, and an older copy has come to stand in the store; what is missing is put
            back when a manager opens the store or writes to the session.
        sides: what the other sides of the same conversation go by, the one that kept the name first: sessions of one
            name, or of a name that one of them had, that were continued (or begun) apart on several machines.
        diverged_at: how many messages the last state had that it and all its sides went through; None where there are
            none. A branch is no side: `forked_at` is where that began.
        preview: the first words of the first user message and of the last message. What of it there is not, or cannot
            be read, is None.
    """

    name: str
    message_count: int
    created_at: datetime
    updated_at: datetime
    metadata: dict[str, Any]
    size_bytes: int
    parent: str | None = None
    forked_at: int | None = None
    replica: str | None = None
    error: SessionError | None = None
    diverged_from: str | None = None
    undecided: bool = False
    survived_delete: bool = False
    reverted: bool = False
    sides: tuple[str, ...] = ()
    diverged_at: int | None = None
    preview: Preview = _NO_PREVIEW

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "preview": self.preview}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)

    @property
    def created(self) -> datetime:
        """When the session was created, in UTC.

        It is made of `created_at`. Where a local time comes twice, as when summer time ends, its `fold` tells which of
        the two is meant: what a manager returns has that. Without it, as from text, it is the first one.
        """
        return self.created_at.astimezone(UTC)

    @property
    def cursor(self) -> str:
        """What tells `SessionManager.list_sessions` to go on after this session: an opaque text, for `after`."""
        times = f"{microseconds_of(self.created_at)}.{microseconds_of(self.updated_at)}"
        return f"{times}.{self.size_bytes}.{self.name}"

    @property
    def updated(self) -> datetime:
        """When messages or metadata last changed, in UTC; made of `updated_at` as `created` is of `created_at`."""
        return self.updated_at.astimezone(UTC)


def _preview_of(info: SessionInfo) -> Preview:
    """What a list shows of the messages."""
    found = info._preview
    if not isinstance(found, Preview):
        found = info._preview = found(info.name)
    return found


# Set from outside: for a dataclass, it is a field like any other. What sets it is no function of Python, for speed.
SessionInfo.preview = property(_preview_of, vars(_Previewed)["_preview"].__set__)  # type: ignore[assignment]


def microseconds_of(moment: datetime) -> int:
    """Return a moment counted from 1970-01-01 UTC; a naive one is local time."""
    try:
        return (moment.astimezone(UTC) - _EPOCH) // _MICROSECOND
    except (OverflowError, ValueError, OSError):
        # A storage of a program's own may tell times that no zone has.
        return (moment.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
