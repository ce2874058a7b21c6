"""What the verbs that keep house say, and what they end with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .exits import DAMAGED, DONE, NOT_HERE, USAGE, CommandError

if TYPE_CHECKING:
    from .. import Finding, Lost

_COMMANDS = (
    ("repair(from_store=...)", "`coda-session repair --from STORE`"),
    ("repair()", "`coda-session repair`"),
    ("call retire(force=True)", "add `--force`"),
    ("replicas()", "`coda-session replicas`"),
    ("load_session(partial=True)", "`coda-session show --partial`"),
)


def as_command(text: str) -> str:
    """Return what the library says to do, as it is done with the command."""
    for call, command in _COMMANDS:
        text = text.replace(call, command)
    return text


@contextmanager
def usage() -> Iterator[None]:
    """Let it be an error of usage where what was named cannot be meant.

    Raises:
        CommandError: it cannot.
    """
    from .. import SessionError

    try:
        yield
    except ValueError as error:
        if isinstance(error, SessionError):
            raise
        raise CommandError(as_command(str(error)), USAGE) from error


def places(lost: Lost) -> str:
    """Say which messages are lost; people count from 1."""
    told = [f"{each.start + 1} to {each.stop}" if len(each) > 1 else str(each.stop) for each in lost.messages]
    return f"messages {', '.join(told)}" if told else "nobody can tell how many messages"


def code_of_findings(findings: Iterable[Finding]) -> int:
    """Return what a verb ends with: an earlier state that cannot be gone back to counts as a session does."""
    found = {each for finding in findings for each in (finding.severity, finding.rule)}
    if found & {"damage", "history-damaged"}:
        return DAMAGED
    return NOT_HERE if found & {"missing", "history-missing"} else DONE
