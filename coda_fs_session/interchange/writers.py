"""The forms that sessions are written in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

from ..errors import UnsupportedError
from ..format.jsonl import decode_all, encode_value
from ..format.names import session_key
from ..session.imported import import_note
from ..session.session import Session
from . import claude_code, gptme, pi
from .export import export_document
from .markdown import markdown_of, text_of
from .own import FAMILY
from .pairs import PREFERENCES, TAG, pairs
from .training import OpenAILines, sharegpt_line


class Tagged(NamedTuple):
    """A label, and the session as it was then."""

    label: str
    session: Session


class Writer(NamedTuple):
    """A form that sessions are written in.

    Attributes:
        ending: of file names.
        write: yields the bytes of sessions.
        is_of_several: whether several sessions go into one file.
    """

    ending: str
    write: Callable[[Iterable[Session]], Iterator[bytes]]
    is_of_several: bool = False


def _no_tags(_session: Session) -> list[Tagged]:
    return []


def writer(form: str, prefer: str = "continued", tags: Callable[[Session], list[Tagged]] = _no_tags) -> Writer:
    """Return the writer of a form.

    Args:
        prefer: which of two answers preference pairs take.
        tags: returns the tags of a session, for forms that have these.

    Raises:
        ValueError: there is none, or no such preference.
    """
    label = prefer.removeprefix(TAG) if prefer.startswith(TAG) else ""
    if prefer not in PREFERENCES and not label:
        raise ValueError(f"prefer must be one of {', '.join(PREFERENCES)}, or tag:NAME, not {prefer!r}")
    if form in _PAIRS:

        def states(session: Session) -> list[Session]:
            return [tag.session for tag in tags(session) if tag.label == label] if label else []

        return Writer(".jsonl", partial(pairs, form=form, prefer=prefer, states=states), is_of_several=True)
    if form == "family":
        return Writer(".json", partial(_family, tags=tags), is_of_several=True)
    if form not in _WRITERS:
        raise ValueError(f"format must be one of {', '.join((*_WRITERS, *_OF_SEVERAL))}, not {form!r}")
    return _WRITERS[form]


def writer_of_one(form: str) -> Writer:
    """Return the writer of a form for a session alone.

    Raises:
        ValueError: there is none, or the form is one of several sessions.
    """
    found = writer(form)
    if form in _OF_SEVERAL:
        raise ValueError(f"{form} is a form of several sessions: use export_sessions")
    return found


def file_name(name: str, form: str) -> str:
    """Return the name of a session's file in a folder: another one for each session, on every disk."""
    return f"{session_key(name)}{writer(form).ending}"


def _each(write: Callable[[Session], Iterator[str]]) -> Callable[[Iterable[Session]], Iterator[bytes]]:
    return lambda sessions: (part.encode() for session in sessions for part in write(session))


def _nothing(sessions: Iterable[Session]) -> Iterator[bytes]:
    return iter(())


def _lines(sessions: Iterable[Session]) -> Iterator[bytes]:
    return (line + b"\n" for session in sessions for line in session._state.copy.lines())


def _documents(sessions: Iterable[Session]) -> Iterator[bytes]:
    return (part for session in sessions for part in export_document(session))


def _native(sessions: Iterable[Session]) -> Iterator[bytes]:
    for session in sessions:
        note = import_note(session.metadata)
        lines_of = _NATIVE.get(str(note.get("format")))
        if lines_of is None:
            raise UnsupportedError(
                f"session {session.name!r} was not imported from {' or '.join(_NATIVE)}: no other form can be written "
                "as it was, choose another format"
            )
        source = session.metadata.get("source")
        about = (source if isinstance(source, dict) else {}) | {"id": note.get("id")}
        for line in lines_of(session.iter_messages(), about):
            yield encode_value(line, session.name) + b"\n"


def _openai(sessions: Iterable[Session]) -> Iterator[bytes]:
    lines = OpenAILines()
    return (lines.line(session) for session in sessions)


def _family(sessions: Iterable[Session], tags: Callable[[Session], list[Tagged]]) -> Iterator[bytes]:
    """Yield a document in which each message is once: a session has its own, and says what it has from another one."""
    yield b'{\n"%b": 1,\n"sessions": [' % FAMILY.encode()
    known: dict[bytes, tuple[str, int]] = {}
    separator = b"\n"
    for session in sessions:
        lines = list(session._state.copy.lines())
        hashed, ends = hashlib.sha256(), list[bytes]()
        for line in lines:
            hashed.update(line + b"\n")
            ends.append(hashed.digest())
        parent, at = next((known[end] for end in reversed(ends) if end in known), ("", 0))
        for count, end in enumerate(ends, 1):
            known.setdefault(end, (session.name, count))
        head = {"name": session.name} | ({"parent": parent, "at": at} if parent else {})
        yield separator + encode_value(head, "")[:-1] + b',"messages": ['
        separator = b",\n"
        yield b",".join(b"\n" + line for line in lines[at:])
        told = [_told(lines, tag) for tag in tags(session)]
        yield b'\n],"tags": %b' % encode_value(told, "") if told else b"\n]"
        yield b',"metadata": %b,' % encode_value(session.metadata, "metadata")
        times = {"created_at": session.created.isoformat(), "updated_at": session.updated.isoformat()}
        yield encode_value(times, "")[1:]
    yield b"\n]\n}\n"


def _told(lines: list[bytes], tag: Tagged) -> dict[str, Any]:
    """Say what a tag names: so many of the first messages of its session, and after these its own."""
    then = list(tag.session._state.copy.lines())
    at = next((place for place, pair in enumerate(zip(then, lines, strict=False)) if pair[0] != pair[1]), -1)
    at = min(len(then), len(lines)) if at < 0 else at
    return {"label": tag.label, "at": at} | ({"messages": decode_all(then[at:])} if then[at:] else {})


_NATIVE = {module.NAME: module.lines_of for module in (claude_code, gptme, pi)}
_WRITERS = {
    "json": Writer(".json", _documents),
    "jsonl": Writer(".jsonl", _lines),
    "md": Writer(".md", _each(markdown_of)),
    "txt": Writer(".txt", _each(text_of)),
    # What is written for it may be several files, with links between them: see manager/pages.py.
    "html": Writer(".html", _nothing),
    "native": Writer(".jsonl", _native),
    "openai": Writer(".jsonl", _openai, is_of_several=True),
    "sharegpt": Writer(".jsonl", lambda sessions: map(sharegpt_line, sessions), is_of_several=True),
}
_PAIRS = ("dpo", "trl")
_OF_SEVERAL = (*_PAIRS, "family")
