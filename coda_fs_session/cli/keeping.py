"""What the verbs that keep house say."""

from __future__ import annotations

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
