"""The command `coda-session`: it parses, calls `SessionManager`, and formats. Nothing else imports it."""

from __future__ import annotations


def main() -> None:
    """Run the command with the arguments of this process, and end it with the exit code."""
    import sys

    from .app import run

    sys.exit(run(sys.argv[1:]))
