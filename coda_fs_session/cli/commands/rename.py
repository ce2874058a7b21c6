"""`coda-session rename`."""

from __future__ import annotations

import click

from ..points import whole_name
from ..run import Run
from ..verb import verb


@verb("rename", "coda-session rename draft 'trip to Oman'", "coda-session rename 'trip to Oman' draft")
@click.argument("old")
@click.argument("new")
@click.pass_obj
def command(run: Run, old: str, new: str) -> None:
    """Give a session another name."""
    manager = run.writing()
    old = whole_name(manager, old)
    manager.rename_session(old, new)
    run.out.note(f"renamed {run.named(old)} to {run.named(new)} (undo: coda-session rename {run.pair(new, old)})")
