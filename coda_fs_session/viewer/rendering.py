"""The templates, the stylesheet and the script: what pages are made with, whichever way they go out."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from .text import visible

_HERE = Path(__file__).parent
_PLAIN = re.compile(r"[\w@%+=:,./-]+", re.ASCII)
_DOTS = (".", "..")
_END = "\0"
_IN_FILE = (
    "default-src 'none'; script-src {script}; style-src {style}; img-src data:; connect-src 'none'; base-uri 'none'; "
    "form-action 'none'"
)
_SERVED = (
    "default-src 'none'; script-src {script}; style-src {style}; img-src data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


def policy(*, served: bool) -> str:
    """Return what a page may load and run: our stylesheet and script, by their hashes, and images within it."""
    hashes = {"script": _hash_of(_asset("view.js")), "style": _hash_of(_asset("view.css"))}
    return (_SERVED if served else _IN_FILE).format(**hashes)


def render(template: str, **values: Any) -> str:
    """Return a page."""
    return _environment().get_template(template).render(values)


def stream(template: str, **values: Any) -> Iterator[str]:
    """Yield a page in parts."""
    found = _environment().get_template(template).stream(values)
    found.enable_buffering(100)
    return iter(found)


def in_address(name: str) -> str:
    """Return the name of a session as a part of an address.

    Browsers take a part of dots, even a quoted one, for a way up: such a name gets a sign at its end that no name has.
    """
    return quote(name + _END if name in _DOTS else name, safe="")


def name_of(part: str) -> str:
    """Return the name that `in_address` made a part of."""
    return part.removesuffix(_END)


def command_for(name: str, verb: str = "show", place: str = "") -> str:
    """Return a line for a shell that shows a session, or a message of it."""
    given = name + place
    if given != visible(given):
        inner = json.dumps(given)[1:-1].replace('\\"', '"').replace("'", "\\'")
        shown = f"$'{inner}'"
    elif _PLAIN.fullmatch(given):
        shown = given
    else:
        shown = "'" + given.replace("'", "'\"'\"'") + "'"
    return f"coda-session {verb} {'-- ' if given.startswith('-') else ''}{shown}"


@cache
def _asset(name: str) -> str:
    return (_HERE / "templates" / name).read_text(encoding="utf-8")


def _hash_of(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        # Every text passes here, so that no template can forget it; of what is HTML already, `Passage` has seen to it.
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    environment.filters |= {"moment": _moment, "iso": _iso, "count": _count, "in_address": in_address, "size": _size}
    environment.globals |= {
        "style": Markup(_asset("view.css")),
        "script": Markup(_asset("view.js")),
        "policy": policy,
        "command_for": command_for,
    }
    return environment


def _moment(when: datetime | None) -> str:
    """Return a time as people read it: local, to the minute."""
    return "" if when is None else _local(when).strftime("%Y-%m-%d %H:%M")


def _iso(when: datetime | None) -> str:
    return "" if when is None else when.astimezone(UTC).isoformat(timespec="seconds")


def _local(when: datetime) -> datetime:
    try:
        return when.astimezone()
    except (OverflowError, ValueError, OSError):
        return when


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _size(number: int) -> str:
    amount, unit = float(number), "B"
    for bigger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, bigger
    return f"{amount:.0f} {unit}" if unit == "B" or amount >= 10 else f"{amount:.1f} {unit}"
