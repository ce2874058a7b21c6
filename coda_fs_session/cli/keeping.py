"""What the verbs that keep house say, and what they end with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .exits import DAMAGED, DONE, NOT_HERE

if TYPE_CHECKING:
    from .. import Finding

_COMMANDS = (
    ("repair(from_store=...)", "`coda-session repair --from STORE`"),
    ("repair()", "`coda-session repair`"),
    ("load_session(partial=True)", "`coda-session show --partial`"),
)


def as_command(text: str) -> str:
    """Return what the library says to do, as it is done with the command."""
    for call, command in _COMMANDS:
        text = text.replace(call, command)
    return text


def code_of_findings(findings: Iterable[Finding]) -> int:
    """Return what a verb ends with: an earlier state that cannot be gone back to counts as a session does."""
    found = {each for finding in findings for each in (finding.severity, finding.rule)}
    if found & {"damage", "history-damaged"}:
        return DAMAGED
    return NOT_HERE if found & {"missing", "history-missing"} else DONE
