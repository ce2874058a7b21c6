"""`coda-session undo`."""

from __future__ import annotations

import click

from ..exits import NOT_FOUND, CommandError
from ..points import past_name
from ..run import Run
from ..telling import counted
from ..verb import verb


@verb("undo", "coda-session undo trip", "coda-session undo draft")
@click.argument("name")
@click.pass_obj
def command(run: Run, name: str) -> None:
    """Take the last change of a session back: a save, a rename, a merge, a delete. Again goes further back.

    Nothing is lost by it: an undo can be taken back by restore.
    """
    manager = run.writing()
    name = past_name(manager, name)
    entry = manager.history(name).undo()
    if entry is None:
        raise CommandError(f"there is nothing left to take back: {name!r} began there", NOT_FOUND)
    note = f" ({entry.note})" if entry.note else ""
    run.out.note(f"took the last change of {run.named(name)} back: {counted(entry.messages, 'message')}{note}")
