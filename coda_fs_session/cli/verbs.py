"""The verbs: what each is for, and where it is. None is loaded before it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class VerbLine(NamedTuple):
    """A verb in the table.

    Attributes:
        section: the heading that `--help` shows it under; short: what it is for.
    """

    section: str
    short: str


EVERYDAY, CHANGING, CARRYING, KEEPING = "See", "Change", "Bring in and take out", "Keep house"

VERBS: Mapping[str, VerbLine] = MappingProxyType(
    {
        "list": VerbLine(EVERYDAY, "List sessions, newest first."),
        "show": VerbLine(EVERYDAY, "Show a session, for reading."),
        "new": VerbLine(CHANGING, "Make a session."),
        "append": VerbLine(CHANGING, "Add messages to a session."),
    }
)
ALIASES: Mapping[str, str] = MappingProxyType({"ls": "list", "cat": "show"})


def module_of(verb: str) -> str:
    """Return the module of a verb, below `coda_fs_session.cli`; it has the verb as `command`."""
    return f"commands.{verb.replace('-', '_')}"
