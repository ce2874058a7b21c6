"""The forms that sessions are written in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

from ..format.jsonl import encode_value
from ..format.names import session_key
from ..session.session import Session
from .export import export_document
from .markdown import markdown_of, text_of
from .own import FAMILY
from .page import page_of
from .pairs import PREFERENCES, pairs
from .training import OpenAILines, sharegpt_line


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


def writer(form: str, prefer: str = "continued") -> Writer:
    """Return the writer of a form.

    Args:
        prefer: which of two answers preference pairs take.

    Raises:
        ValueError: there is none, or no such preference.
    """
    if prefer not in PREFERENCES:
        raise ValueError(f"prefer must be one of {', '.join(PREFERENCES)}, not {prefer!r}")
    if form in _PAIRS:
        return Writer(".jsonl", partial(pairs, form=form, prefer=prefer), is_of_several=True)
    if form not in _WRITERS:
        raise ValueError(f"format must be one of {', '.join((*_WRITERS, *_PAIRS))}, not {form!r}")
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


def _lines(sessions: Iterable[Session]) -> Iterator[bytes]:
    return (line + b"\n" for session in sessions for line in session._state.copy.lines())


def _documents(sessions: Iterable[Session]) -> Iterator[bytes]:
    return (part for session in sessions for part in export_document(session))


def _openai(sessions: Iterable[Session]) -> Iterator[bytes]:
    lines = OpenAILines()
    return (lines.line(session) for session in sessions)


def _family(sessions: Iterable[Session]) -> Iterator[bytes]:
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
        yield b'\n],"metadata": %b,' % encode_value(session.metadata, "metadata")
        times = {"created_at": session.created.isoformat(), "updated_at": session.updated.isoformat()}
        yield encode_value(times, "")[1:]
    yield b"\n]\n}\n"


_WRITERS = {
    "json": Writer(".json", _documents),
    "jsonl": Writer(".jsonl", _lines),
    "md": Writer(".md", _each(markdown_of)),
    "txt": Writer(".txt", _each(text_of)),
    "html": Writer(".html", _each(page_of)),
    "openai": Writer(".jsonl", _openai, is_of_several=True),
    "sharegpt": Writer(".jsonl", lambda sessions: map(sharegpt_line, sessions), is_of_several=True),
    "family": Writer(".json", _family, is_of_several=True),
}
_PAIRS = ("dpo", "trl")
_OF_SEVERAL = (*_PAIRS, "family")
