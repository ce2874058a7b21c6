"""`coda-session set`."""

from __future__ import annotations

import click

from ..lists import assignment
from ..points import whole_name
from ..run import Run
from ..verb import verb


@verb("set", "coda-session set trip topic=travel", "coda-session set trip 'days:=14' coda_fs_session.hidden:=true")
@click.argument("name")
@click.argument("values", nargs=-1, required=True, metavar="KEY=TEXT...")
@click.pass_obj
def command(run: Run, name: str, values: tuple[str, ...]) -> None:
    """Set metadata of a session. KEY:=JSON is for anything but text."""
    given = dict(map(assignment, values))
    manager = run.writing()
    session = manager.load_session(whole_name(manager, name))
    session.update_metadata(given)
    manager.save_session(session)
    run.out.note(f"set {', '.join(given)} of {run.named(session.name)}")
