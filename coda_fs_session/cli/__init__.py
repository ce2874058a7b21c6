"""The command `coda-session`: it parses, calls `SessionManager`, and formats. Nothing else imports it."""

from __future__ import annotations


def main() -> None:
    """Run the command with the arguments of this process, and end it with the exit code."""
    import gc
    import os
    import sys

    # A list makes many objects and no garbage; to look through them again and again takes a tenth of the time.
    gc.set_threshold(100_000, 10, 10)
    if os.environ.get("_CODA_SESSION_COMPLETE"):
        from .completing import complete as run
    else:
        from .app import run

    sys.exit(run(sys.argv[1:]))
