"""What goes out in files: which sessions, and what of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..format.names import checked_name
from ..hooks.redact import Redact
from ..patterns import of_option
from ..session.session import Session
from .branches import tree_of_all
from .core import Manager

_IDS = ("id", "tool_call_id")
"""Keys of messages and calls that say which one it is: without these a result is of no call any more."""


def outgoing(manager: Manager, names: Iterable[str] | None, *, branches: bool) -> list[Session]:
    """Return the sessions of some names, each once; with `branches` each before what was branched from it.

    Args:
        names: None for all, by name.

    Raises:
        SessionNotFoundError: there is none of a name.
    """
    if names is None:
        names = sorted(info.name for info in manager._storage.list_all() or ())
    if branches:
        tree = tree_of_all(manager._storage, manager._engine)
        names = tree.with_branches([manager._load(checked_name(name)).name for name in names])
    return [manager._load(checked_name(name)) for name in dict.fromkeys(names)]


def redaction(manager: Manager, given: str | list[str] | None) -> Callable[[Session], Session]:
    """Return what makes of a session what may go out, by the patterns that are given and those of the option.

    Raises:
        ValueError: what is given is neither "keys" nor a list of regular expressions, or has none.
    """
    try:
        asked = [] if given is None else of_option(given)
    except ValueError:
        asked = []
    if given is not None and not asked:
        raise ValueError(f'redact takes "keys", or a list of regular expressions, not {given!r}')
    patterns = of_option(manager._config.redact or []) + asked
    if not patterns:
        return lambda session: session
    hook = Redact(patterns)
    return lambda session: _redacted(session, hook)


def _redacted(session: Session, hook: Redact) -> Session:
    """Return a copy of a session without what matches; ids stay, and so does the name."""
    messages = [_without(message, session, hook) for message in session.iter_messages()]
    metadata = hook.in_metadata(session.metadata)
    return Session(session.name, messages, metadata, created_at=session.created, updated_at=session.updated)


def _without(message: dict[str, Any], session: Session, hook: Redact) -> dict[str, Any]:
    ids = {key: message[key] for key in _IDS if key in message}
    redacted = hook.message_added(session, {key: value for key, value in message.items() if key not in ids}) | ids
    before, after = message.get("tool_calls"), redacted.get("tool_calls")
    if isinstance(before, list) and isinstance(after, list):
        for call, made in zip(before, after, strict=True):
            if isinstance(call, dict) and "id" in call:
                made["id"] = call["id"]
    # With its keys in their order, where nothing was taken out.
    return message if redacted == message else redacted
