"""Hooks: code of the user's that sees messages on their way in, sessions before a save and after a load."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidMessageError, SessionConflictError
from ..format.jsonl import decode, decode_all, encode_all, encode_message
from ..session.metadata import encode_metadata
from ..session.session import Session
from ..session.splice import Splice
from .amend import amend, bring

_ATTEMPTS = 50


@dataclass(slots=True)
class PendingSave:
    """What is about to be stored; change it as you like, the session follows once every hook has agreed.

    Attributes:
        messages: copies of the messages that are new or changed, in order; all of them for a session that its storage
            does not have yet, and for a storage of one's own.
        metadata: a copy of all metadata.
    """

    messages: list[dict[str, Any]]
    metadata: dict[str, Any]


class SessionHook:
    """What `SessionManager.use` takes: any object with one of these methods, which do nothing here.

    Hooks are called in the order in which they were registered, with what the one before left, and in the thread that
    adds, saves or loads; with autosave that is a thread of the package. What a hook raises goes to that caller
    as it is (autosave logs it and tries again), and then nothing has changed, in memory or in the store.
    """

    def raw_message(self, session: Session, message: Any) -> dict[str, Any] | None:
        """Look at what is given to `Session.add_message`, before it is checked and copied: it may be anything.

        Called too for a message in `Session.messages` that a save found not to be storable.

        Args:
            message: the caller's own: not to be changed.

        Returns:
            What to add instead, or to put in its place; None to leave it as it is.
        """
        return None

    def message_added(self, session: Session, message: dict[str, Any]) -> dict[str, Any] | None:
        """Look at a message given to `Session.add_message`.

        Args:
            message: the hook's own copy, to be changed as it likes.

        Returns:
            What to add; None for `message`, with what was changed in it.
        """
        return None

    def before_save(self, session: Session, pending: PendingSave) -> None:
        """Look at what a save or a branch is about to store, however it got into the session.

        Called again for the same messages where a save is repeated, and not called where there is nothing to store.

        Args:
            session: whose save it is; change `pending` rather than this.
        """

    def after_load(self, session: Session) -> None:
        """Look at a session whose state was read from the storage: when it was opened, refreshed or reloaded.

        It may be changed; that is an unsaved change like any other. Where a hook refuses one by raising, the manager
        lets go of it.
        """


_NAMES = ("raw_message", "message_added", "before_save", "after_load")


class Hooks:
    """The hooks of one manager, as its sessions and storage call them (`session.session.SessionHooks`)."""

    def __init__(self, calling: AbstractContextManager[None]) -> None:
        self._hooks: dict[object, object] = {}
        # Called after all others, whenever they come.
        self._last: list[object] = []
        # Entered while hooks are called within an operation: they may begin operations of their own.
        self._calling = calling
        self._arrange()

    def add(self, hook: object) -> object:
        """Register a hook as the last one and return its place; one registered twice has two."""
        if isinstance(hook, type) or not any(callable(getattr(hook, name, None)) for name in _NAMES):
            raise TypeError(f"a hook is an object with one of the methods {', '.join(_NAMES)}, not {hook!r}")
        place = object()
        self._hooks[place] = hook
        self._arrange()
        return place

    def add_last(self, hook: object) -> None:
        """Register a hook that stays, and that sees what all others have left."""
        self._last.append(hook)
        self._arrange()

    def remove(self, place: object) -> None:
        """Take out the hook that has this place, if it still has."""
        self._hooks.pop(place, None)
        self._arrange()

    def _arrange(self) -> None:
        self._raw, self._adding, self._saving, self._loading = (self._methods(name) for name in _NAMES)

    def _methods(self, name: str) -> tuple[Callable[..., Any], ...]:
        methods = [getattr(hook, name, None) for hook in (*self._hooks.values(), *self._last)]
        nothing = getattr(SessionHook, name)
        # A method that does nothing must not cost what the others do.
        return tuple(each for each in methods if callable(each) and getattr(each, "__func__", None) is not nothing)

    def message_added(self, session: Session, message: dict[str, Any]) -> dict[str, Any]:
        """Return what the hooks make of a message that is to be added."""
        if self._raw:
            message = _answered("raw_message", self._raw, session, message)
        if not self._adding:
            return message
        message = decode(encode_message(message, f"messages[{len(session)}]"))
        return _answered("message_added", self._adding, session, message)

    def make_storable(self, session: Session) -> bool:
        """Show hooks the messages of the live list that cannot be stored, and put what they return into these.

        Returns:
            Whether a hook looks at such messages at all.

        Raises:
            InvalidMessageError: one cannot be stored as the hooks have left it; none was changed.
        """
        if not (self._raw and session._state.copy.is_live):
            return False
        live: list[Any] = session._state.copy.live()
        storable: list[tuple[int, dict[str, Any]]] = []
        for position, message in enumerate(list(live)):
            try:
                encode_message(message, f"messages[{position}]")
            except InvalidMessageError:
                with self._calling:
                    answer = _answered("raw_message", self._raw, session, message)
                storable.append((position, decode(encode_message(answer, f"messages[{position}]"))))
        for position, message in storable:
            held = live[position]
            if isinstance(held, dict):
                # In place: others hold this very dict.
                held.clear()
                held.update(message)
            else:
                live[position] = message
        return True

    def after_load(self, session: Session) -> None:
        """Show the hooks a session that was read."""
        with self._calling:
            for call in self._loading:
                call(session)

    def before_save(
        self, session: Session, splice: Splice, metadata: dict[str, bytes | None]
    ) -> tuple[Splice, dict[str, bytes | None]]:
        """Return the changes to save after the hooks have seen them; the session holds them, too.

        Args:
            splice, metadata: the changes that were found, with this session's lock held.

        Raises:
            InvalidMessageError, SessionTooLargeError: hooks made of it what cannot be saved; nothing was changed.
            SessionConflictError: another thread kept changing what the hooks had seen; nothing was saved.
        """
        if not self._saving or (splice.empty and not metadata):
            return splice, metadata
        for _ in range(_ATTEMPTS):
            passed = self._pass(session, splice.lines, splice.keep - splice.drop, splice.size)
            # What was put back to what is stored, such as a secret into a redacted message, is no change any more. What
            # another thread changed meanwhile, hooks have not seen: only what came from them may be stored.
            splice, metadata = session._state.splice(), session._state.metadata.change()
            if passed.covers(splice.lines, metadata):
                return splice, metadata
        raise _restless(session)

    def before_create(self, session: Session) -> tuple[list[bytes], dict[str, bytes]]:
        """Return everything in a session after the hooks have seen it, as `before_save` does with changes."""
        if self._saving and session._state.copy.source is not None:
            session._state.copy.live()
        lines, metadata = list(session._state.splice_all()), session._state.metadata.everything()
        if not self._saving:
            return lines, metadata
        for _ in range(_ATTEMPTS):
            passed = self._pass(session, lines, 0, sum(map(len, lines)) + len(lines))
            lines, metadata = list(session._state.splice_all()), session._state.metadata.everything()
            if passed.covers(lines, metadata):
                return lines, metadata
        raise _restless(session)

    def as_stored(self, session: Session) -> Session:
        """Return a copy of a session for a storage that reads it by itself, after the hooks have seen it.

        A copy, because what a storage reads at its leisure another thread might change after the hooks looked.
        """
        lines, metadata = self.before_create(session)
        values = {key: decode(value) for key, value in metadata.items()}
        copy = Session(
            session.name,
            decode_all(lines),
            values,
            created_at=session._state.created,
            updated_at=session._state.updated,
        )
        copy._state.parent = session._state.parent
        return copy

    def _pass(self, session: Session, lines: list[bytes], first: int, size: int) -> _Passed:
        """Call the hooks, and let the session have what they made of it.

        Args:
            lines: the messages to be stored, the first of which is message `first` of the session.
            size: bytes of all messages of the session.
        """
        before = dict(session._state.metadata.everything())
        pending = PendingSave(decode_all(lines), {key: decode(value) for key, value in before.items()})
        with self._calling:
            for call in self._saving:
                call(session, pending)
        new, metadata = encode_all(pending.messages, first), encode_metadata(pending.metadata)
        size += sum(map(len, new)) + len(new) - sum(map(len, lines)) - len(lines)
        if new and new != lines and size > session._state.limit:
            raise session._state.too_large()
        if new != lines and not session._state.copy.replace_added(new):
            amend(session._state.copy.live(), lines, new, first)
        if metadata != before:
            old = {key: decode(value) for key, value in before.items()}
            bring(session._state.metadata.live, old, {key: decode(value) for key, value in metadata.items()})
        return _Passed(frozenset(new), metadata)


@dataclass(slots=True)
class _Passed:
    """What came out of the hooks."""

    lines: frozenset[bytes]
    metadata: dict[str, bytes]

    def covers(self, lines: list[bytes], metadata: dict[str, Any]) -> bool:
        """Tell whether all of this did."""
        kept = all(value is None or self.metadata.get(key) == value for key, value in metadata.items())
        return kept and self.lines.issuperset(lines)


def _answered(
    verb: str, calls: Iterable[Callable[..., Any]], session: Session, message: dict[str, Any]
) -> dict[str, Any]:
    """Return what methods of hooks make of a message, one after the other."""
    for call in calls:
        answer = call(session, message)
        if not (answer is None or isinstance(answer, dict)):
            raise TypeError(f"{verb} of a hook returns a dict or None, not {type(answer).__name__}")
        message = message if answer is None else answer
    return message


def _restless(session: Session) -> SessionConflictError:
    return SessionConflictError(
        f"session {session.name!r} is being changed by another thread faster than hooks can look at it; nothing was "
        "saved: save again"
    )
