"""`coda-session cherry-pick`."""

from __future__ import annotations

import click

from ..points import exact, part_of, whole_name
from ..run import Run
from ..verb import verb


@verb("cherry-pick", "coda-session cherry-pick draft:2 trip", "coda-session cherry-pick draft:1-2 trip")
@click.argument("source", metavar="SESSION:NUMBER")
@click.argument("into")
@click.pass_obj
def command(run: Run, source: str, into: str) -> None:
    """Add messages of one session at the end of another one. A later merge does not bring them again."""
    manager = run.writing()
    way = exact(manager, source)
    into = whole_name(manager, into)
    if way.first is None:
        raise click.UsageError(f"say which messages, as in {way.name}:7 or {way.name}:3-9")
    if way.point is not None:
        raise click.UsageError(f"messages are picked from what a session is now: give {way.name}:{way.first}")
    if way.name == into:
        raise click.UsageError("messages cannot be picked from the session itself")
    chosen = part_of(manager, manager.load_session(way.name), way)
    report = manager.branches.cherry_pick(way.name, range(chosen.start, chosen.stop), into)
    run.out.note(f"added {report.added} messages of {run.named(way.name)} to {run.named(report.name)}")
