"""`coda-session branch`."""

from __future__ import annotations

import click

from ..exits import REFUSED, USAGE, CommandError
from ..points import exact, part_of
from ..run import Run
from ..verb import verb


@verb("branch", "coda-session branch trip 'trip by train'", "coda-session branch trip@40 'trip with mountains'")
@click.argument("session")
@click.argument("new")
@click.pass_obj
def command(run: Run, session: str, new: str) -> None:
    """Make a session that goes on from another one.

    trip@40 begins it with the first 40 messages, and trip~2 without the last two.
    """
    manager = run.writing()
    way = exact(manager, session)
    if way.first is not None:
        raise CommandError(f"a branch begins with all messages before it: give {way.name}@{way.first}", USAGE)
    at = None if way.is_plain else part_of(manager.load_session(way.name), way).stop
    if new in manager:
        raise CommandError(f"a session called {new!r} exists already: take another name", REFUSED)
    made = manager.create_session(new, branch_from=way.name, at=at)
    run.out.note(f"made {run.named(made.name)}, which goes on from {run.named(way.name)} after {len(made)}")
