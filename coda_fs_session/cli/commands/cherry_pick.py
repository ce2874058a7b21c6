"""`coda-session cherry-pick`."""

from __future__ import annotations

import click

from ..points import exact, part_of, whole_name
from ..run import Run
from ..telling import counted
from ..verb import verb


@verb("cherry-pick", "coda-session cherry-pick draft:2 trip", "coda-session cherry-pick draft:1-2 trip")
@click.argument("source", metavar="SESSION:NUMBER")
@click.argument("into")
@click.option("--dry-run", is_flag=True, help="Say what it would do, and do nothing.")
@click.pass_obj
def command(run: Run, source: str, into: str, dry_run: bool) -> None:
    """Add messages of one session at the end of another one. A later merge does not bring them again."""
    manager = run.reading() if dry_run else run.writing()
    way = exact(manager, source)
    into = whole_name(manager, into)
    if way.first is None:
        raise click.UsageError(f"say which messages, as in {way.name}:7 or {way.name}:3-9")
    if way.point is not None:
        raise click.UsageError(f"messages are picked from what a session is now: give {way.name}:{way.first}")
    if way.name == into:
        raise click.UsageError("messages cannot be picked from the session itself")
    chosen = part_of(manager, manager.load_session(way.name), way)
    report = manager.branches.cherry_pick(way.name, range(chosen.start, chosen.stop), into, dry_run=dry_run)
    text = f"{counted(report.added, 'message')} of {run.named(way.name)} to {run.named(report.name)}"
    if dry_run:
        run.out.write(f"would add {text}\n")
    else:
        run.out.note(f"added {text}")
