"""Which sessions a verb is about: what chooses them, and how they are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from ..session.imported import import_note
from .exits import USAGE, CommandError
from .points import is_glob, matching
from .times import moment

if TYPE_CHECKING:
    from .. import SessionInfo, SessionManager

HIDDEN = "coda_fs_session.hidden"
SORTS = ("updated", "created", "name", "size", "messages")


class Choice(NamedTuple):
    """What a verb was told of the sessions that it is about."""

    globs: tuple[str, ...] = ()
    since: str | None = None
    until: str | None = None
    where: tuple[str, ...] = ()
    sort: str = "updated"
    reverse: bool = False


def chosen(manager: SessionManager, choice: Choice) -> list[SessionInfo]:
    """Return the sessions that were chosen, those that are hidden among them.

    Raises:
        CommandError: a time or a condition is none.
    """
    now = datetime.now()
    by_count = choice.sort == "messages"
    order: Any = f"{'-' if choice.reverse else ''}{'updated' if by_count else choice.sort}"
    one = choice.globs[0] if len(choice.globs) == 1 else ""
    infos = manager.list_sessions(
        prefix=_beginning(one) or None,
        where=_where(choice.where),
        since=None if choice.since is None else moment(choice.since, now),
        until=None if choice.until is None else moment(choice.until, now),
        order=order,
        hidden=True,
    )
    if by_count:
        infos.sort(key=lambda info: info.message_count, reverse=not choice.reverse)
    return matching(infos, choice.globs) if choice.globs else infos


def is_hidden(info: SessionInfo) -> bool:
    return bool(info.metadata.get(HIDDEN))


def _where(texts: tuple[str, ...]) -> Callable[[SessionInfo], bool] | None:
    """Return a function that tells whether the metadata of a session have all of these, None for no condition.

    ``a.b`` is a key of that name, or b in the dict at a. ``=3`` is the number too, and ``:=3`` only the number.

    Raises:
        CommandError: a text is no condition.
    """
    wanted = [(*assignment(text), ":" not in text.partition("=")[0][-1:]) for text in texts]
    if not wanted:
        return None
    return lambda info: all(
        any(_equal(found, value, loose=loose) for found in _found(info.metadata, key)) for key, value, loose in wanted
    )


def _found(metadata: dict[str, Any], key: str) -> Iterator[Any]:
    if key in metadata:
        yield metadata[key]
    holder: Any = metadata
    for part in key.split("."):
        if not isinstance(holder, dict) or part not in holder:
            return
        holder = holder[part]
    yield holder


def _equal(found: Any, value: Any, *, loose: bool) -> bool:
    same = isinstance(found, bool) is isinstance(value, bool) and found == value
    if not same and loose and not isinstance(found, str):
        import json

        same = json.dumps(found) == value
    return bool(same)


def assignment(text: str) -> tuple[str, Any]:
    """Return key and value of ``key=text`` or ``key:=JSON``.

    Raises:
        CommandError: it is none.
    """
    key, sign, value = text.partition("=")
    is_json = key.endswith(":")
    key = key.removesuffix(":")
    if not sign or not key:
        raise CommandError(f"{text!r} must be KEY=TEXT, or KEY:=JSON", USAGE)
    if not is_json:
        return key, value
    import json

    try:
        return key, json.loads(value)
    except ValueError as error:
        raise CommandError(f"{text!r} has no JSON behind := ({error}); {key}={value} is text", USAGE) from None


def _beginning(glob: str) -> str:
    """Return what every name begins with that a glob matches."""
    if not is_glob(glob):
        return glob
    return glob[: min(place for sign in "*?[" if (place := glob.find(sign)) >= 0)]


def as_json(info: SessionInfo, fields: Sequence[str] | None = None) -> dict[str, Any]:
    """Return what is known of a session, times in UTC; a preview only if it is asked for, since it costs time."""
    known = {
        "name": info.name,
        "message_count": info.message_count,
        "created_at": info.created.isoformat(),
        "updated_at": info.updated.isoformat(),
        "metadata": info.metadata,
        "size_bytes": info.size_bytes,
        "parent": info.parent,
        "forked_at": info.forked_at,
        "replica": info.replica,
        "error": None if info.error is None else str(info.error),
        "diverged_from": info.diverged_from,
        "undecided": info.undecided,
        "survived_delete": info.survived_delete,
        "reverted": info.reverted,
        "sides": list(info.sides),
        "diverged_at": info.diverged_at,
    }
    if fields is None or "preview" in fields:
        known["preview"] = info.preview._asdict()
    return known


def origin(info: SessionInfo) -> str:
    """Say where a session comes from, "" for one that began here."""
    if info.error is not None:
        return "cannot be read"
    if info.diverged_from is not None or info.sides:
        after = "" if info.diverged_at is None else f" after {info.diverged_at}"
        return f"diverged{after}, by {info.replica}"
    if info.parent is not None:
        return f"{info.parent}@{info.forked_at}" if info.forked_at is not None else info.parent
    source = import_note(info.metadata).get("format")
    return source if isinstance(source, str) else ""


def check_fields(fields: Sequence[str] | None, known: Sequence[str]) -> None:
    """Refuse `--fields` that a verb does not have.

    Raises:
        CommandError: one is unknown; the error names all.
    """
    unknown = [field for field in fields or () if field not in known]
    if unknown:
        raise CommandError(f"there is no field {unknown[0]!r}; there are: {', '.join(known)}", USAGE)
