"""Sessions: what users hold in their hands."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, Self

from ..errors import InvalidMessageError, UnsupportedError
from ..format.jsonl import no_message
from ..format.names import normalise_name
from ..format.records import local_time, utc_time
from .metadata import WorkingMetadata
from .sequence import MessageSequence
from .splice import Splice
from .state import ALMOST, SessionState
from .working_copy import WorkingCopy

if TYPE_CHECKING:
    from .counting import Counters, TokenCount


class SessionOwner(Protocol):
    """What a session asks of the manager that opened it; see `manager.open_sessions.OpenSessions`."""

    def touched(self, session: Session) -> None:
        """Note that the session may have unsaved changes."""
        ...

    def reload(self, session: Session) -> None: ...

    def revision(self, session: Session) -> str: ...


class SessionHooks(Protocol):
    """What a session, and the storage that saves it, ask of the hooks of its manager; see `hooks.hooks.Hooks`."""

    def message_added(self, session: Session, message: dict[str, Any]) -> dict[str, Any]: ...

    def before_save(
        self, session: Session, splice: Splice, metadata: dict[str, bytes | None]
    ) -> tuple[Splice, dict[str, bytes | None]]: ...

    def before_create(self, session: Session) -> tuple[list[bytes], dict[str, bytes]]: ...


class Session(MessageSequence):
    """A conversation: an ordered list of message dicts, and metadata.

    Nothing is written before `SessionManager.save_session`. Use one session from one thread at a time;
    autosave is safe beside it.

    `copy.deepcopy` and `pickle` give a session that no manager has opened, with all messages, the metadata and both
    times; `copy.copy` as well, with the very dicts in a list of its own. To save such a copy creates a session, so it
    raises `SessionExistsError` while its name is taken.

    Args:
        name: 1 to 255 characters, compared in Unicode NFC.
        messages: initial messages; the list itself becomes `messages`, it is not copied.
        metadata: initial metadata.
        created_at, updated_at: naive datetimes are local time; now where not given.

    Raises:
        InvalidNameError: the name is none.
        InvalidMessageError: `messages` or `metadata` hold what JSON cannot.
        ValueError: a time in year 1 or 9999, parts of which have no local time.
    """

    def __init__(
        self,
        name: str,
        messages: list[dict[str, Any]] | None = None,
        metadata: dict[str, Any] | None = None,
        *,
        created_at: datetime | None = None,
        updated_at: datetime | None = None,
    ) -> None:
        created = utc_time(created_at) if created_at else datetime.now(UTC)
        updated = utc_time(updated_at) if updated_at else created
        copy, values = WorkingCopy(), WorkingMetadata()
        self._be(SessionState(normalise_name(name), copy, values, created=created, updated=updated))
        if messages is not None:
            copy.assign(_checked_list(messages))
            for _ in copy.lines():
                pass
        if metadata is not None:
            # Not by the property: that would move updated_at.
            values.assign(metadata)

    @classmethod
    def _holding(cls, state: SessionState) -> Session:
        """Make the session of what a storage has."""
        session = cls.__new__(cls)
        session._be(state)
        return session

    def _be(self, state: SessionState) -> None:
        """Be a session that no manager has opened."""
        self._state = state
        self._owner: SessionOwner | None = None
        self._hooks: SessionHooks | None = None
        # The process that had unsaved changes when it forked this one, as long as they are unsaved; see `forks`.
        self._left_to = 0
        self._counters: Counters = (None, None)
        self._tokens: TokenCount | None = None
        self._lock = threading.RLock()

    @property
    def name(self) -> str:
        """The session's name, in Unicode NFC."""
        return self._state.name

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The conversation as one plain list of dicts; change it as you like, `save_session` stores what it holds then.

        Reading it loads every message; `get_messages` and `add_message` do not. A save takes longer while you
        hold the list or anything in it, or ask for it between two saves.
        """
        with self._lock:
            live = self._state.copy.live()
            self._touch()
            return live

    @messages.setter
    def messages(self, messages: list[dict[str, Any]]) -> None:
        with self._lock:
            self._state.copy.assign(_checked_list(messages))
            self._changed()

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata as one plain dict; change it as you like."""
        self._touch()
        return self._state.metadata.live

    @metadata.setter
    def metadata(self, metadata: dict[str, Any]) -> None:
        with self._lock:
            self._state.metadata.assign(metadata)
            self._changed()

    @property
    def created_at(self) -> datetime:
        """When the session was created, naive local time; `created` is the same moment in UTC."""
        return local_time(self._state.created)

    @property
    def created(self) -> datetime:
        """When the session was created, in UTC."""
        return self._state.created

    @property
    def updated_at(self) -> datetime:
        """When messages or metadata last changed, naive local time; `updated` is the same moment in UTC."""
        return local_time(self._state.updated)

    @property
    def updated(self) -> datetime:
        """When messages or metadata last changed, in UTC."""
        return self._state.updated

    @property
    def parent(self) -> str | None:
        """Name of the session that this one was branched from."""
        return self._state.parent

    @property
    def diverged_from(self) -> str | None:
        """The name under which the session was written, where it now goes by a derived one; see `SessionInfo`."""
        return self._state.diverged_from

    @property
    def revision(self) -> str:
        """Which saved state the session stands on, for `save_session(session, expected=…)`: an opaque text.

        It changes with the messages and the metadata that are saved, and is the same in every process and on every
        machine. Empty while the session is not stored.
        """
        with self._lock:
            return self._owner.revision(self) if self._owner is not None else ""

    @property
    def is_stored(self) -> bool:
        """True as long as a manager has it open: not before its first save, nor after it was deleted here."""
        return self._owner is not None

    @property
    def missing(self) -> int:
        """How many messages `load_session(name, partial=True)` had to leave out; such a session cannot be saved."""
        return self._state.missing

    @property
    def has_unsaved_changes(self) -> bool:
        """True when `save_session` would write something."""
        with self._lock:
            return self._state.changed()

    def add_message(self, message: dict[str, Any]) -> None:
        """Add a copy of a message at the end.

        Raises:
            InvalidMessageError: it is no dict, or holds a value that would not come back from JSON equal.
            SessionTooLargeError: the session would pass `max_session_size`; it is as before.
        """
        with self._lock:
            if self._hooks is not None:
                message = self._hooks.message_added(self, message)
            size = self._state.copy.append(message, limit=self._state.limit)
            if size < 0:
                raise self._state.too_large()
            self._changed()
            if size >= ALMOST * self._state.limit:
                self._state.warn_of_size()

    def clear_messages(self) -> None:
        """Remove all messages."""
        self.truncate_messages(0)

    def truncate_messages(self, max_messages: int) -> None:
        """Keep only the last `max_messages` messages; 0 removes all.

        Raises:
            ValueError: `max_messages` is negative.
        """
        if max_messages < 0:
            raise ValueError(f"max_messages must be 0 or more, not {max_messages}")
        with self._lock:
            if max_messages < len(self._state.copy):
                self._state.copy.keep_last(max_messages)
                self._changed()

    def drop_last(self, count: int = 1) -> None:
        """Remove the last `count` messages, or all where there are fewer, loading none.

        Raises:
            ValueError: `count` is negative.
        """
        if count < 0:
            raise ValueError(f"count must be 0 or more, not {count}")
        with self._lock:
            self.keep_first(max(len(self) - count, 0))

    def keep_first(self, count: int) -> None:
        """Remove all messages after the first `count`, loading none.

        Raises:
            ValueError: `count` is negative.
        """
        if count < 0:
            raise ValueError(f"count must be 0 or more, not {count}")
        with self._lock:
            if count < len(self):
                self._state.copy.keep_first(count)
                self._changed()

    def update_metadata(self, metadata: dict[str, Any]) -> None:
        """Set metadata keys to copies of the given values; other keys stay.

        Raises:
            InvalidMessageError: a value would not come back from JSON equal; nothing was changed.
        """
        with self._lock:
            if self._state.metadata.update(metadata):
                self._changed()

    def get_token_count(self) -> int:
        """Return about how many tokens the messages' text takes up: a quarter of its characters, rounded up.

        With a `token_counter` given to the manager, the sum of what that says of each message's text. The text is the
        content and the tool calls. What of these is no text counts as its JSON; base64, as of images, does not count.
        With a `message_counter`, the sum of what that says of each message.

        The first count reads the messages, a chunk in memory at a time; later ones read what is new. A counter is asked
        once about each message, and again where it has changed.

        Raises:
            StoreError: a message could not be read.
            InvalidMessageError: the live list holds something else than messages.
        """
        # Late: hardly any program comes here, and the patterns take time to make.
        from .counting import TokenCount

        with self._lock:
            held = self._state.copy.held()
            if held.live is not None:
                _checked_list(held.live)
            if self._tokens is None or self._tokens.counters is not self._counters:
                self._tokens = TokenCount(self._counters)
            count = self._tokens
        # Without the lock: a counter is code of the program's, and the first count may take long.
        return count.total(held)

    def reload(self) -> None:
        """Take the state that the storage has now; unsaved changes are dropped.

        Raises:
            SessionNotFoundError: the session is not stored any more.
            UnsupportedError: the session was not opened by a manager.
        """
        if self._owner is None:
            raise UnsupportedError(
                f"session {self._state.name!r} was not opened by a manager: there is nothing to reload it from"
            )
        with self._lock:
            self._owner.reload(self)

    def __copy__(self) -> Self:
        copied = type(self).__new__(type(self))
        with self._lock:
            # Both are to hold the same dicts, so there must be some; and what is edited here is then to be saved there.
            self._state.copy.live()
            copied.__setstate__(self.__getstate__())
            self._touch()
        return copied

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy has, in plain values: nothing of a manager or a storage."""
        with self._lock:
            lines, messages = self._state.copy.content()
            return {
                "name": self._state.name,
                "lines": lines,
                "messages": messages,
                "metadata": dict(self._state.metadata.live),
                "created": self._state.created,
                "updated": self._state.updated,
                "parent": self._state.parent,
                "diverged_from": self._state.diverged_from,
                "missing": self._state.missing,
                # What a program has put on it, or a class of its own.
                "more": {key: value for key, value in vars(self).items() if key not in _FIELDS},
            }

    def __setstate__(self, state: dict[str, Any]) -> None:
        metadata = WorkingMetadata()
        metadata.live = state["metadata"]
        held = WorkingCopy.holding(state["lines"], state["messages"])
        times = {"created": state["created"], "updated": state["updated"]}
        known = {key: state[key] for key in ("parent", "diverged_from", "missing")}
        self._be(SessionState(state["name"], held, metadata, **times, **known))
        vars(self).update(state["more"])

    def __bool__(self) -> bool:
        # An empty session is still a session: `if session:` must not depend on its length.
        return True

    def __repr__(self) -> str:
        left_out = f", {self._state.missing} more not here" if self._state.missing else ""
        return f"<Session {self._state.name!r}: {len(self)} messages{left_out}>"

    def _changed(self) -> None:
        self._state.moment = time.time_ns()
        if self._owner is not None:
            self._owner.touched(self)

    def _touch(self) -> None:
        if self._owner is not None:
            self._owner.touched(self)


_FIELDS = frozenset(vars(Session("a")))
"""What a session is made of: all but what others have put on it."""


def _checked_list(messages: Any) -> list[dict[str, Any]]:
    if not isinstance(messages, list):
        raise InvalidMessageError("messages", f"must be a list of dicts, not {type(messages).__name__}")
    if set(map(type, messages)) <= {dict}:
        return messages
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            raise InvalidMessageError(f"messages[{index}]", no_message(message))
    return messages
