"""`coda-session branch`."""

from __future__ import annotations

from datetime import datetime

import click

from ..exits import USAGE, CommandError
from ..points import exact, moment_of, part_of, refuse_taken
from ..run import Run
from ..verb import verb


@verb("branch", "coda-session branch trip 'trip by train'", "coda-session branch trip@40 'trip with mountains'")
@click.argument("session")
@click.argument("new")
@click.pass_obj
def command(run: Run, session: str, new: str) -> None:
    """Make a session that goes on from another one.

    trip@40 begins it with the first 40 messages, and trip~2 without the last two. trip@{yesterday} is what it was then.
    """
    manager = run.writing()
    way = exact(manager, session)
    if way.first is not None:
        raise CommandError(f"a branch begins with all messages before it: give {way.name}@{way.first}", USAGE)
    at: int | str | datetime | None = None
    if way.point is not None and not way.point.isdecimal() and way.back is None:
        at = moment_of(manager, way.name, way.point)
    elif not way.is_plain:
        if way.point is not None and not way.point.isdecimal():
            raise CommandError(f"a branch begins at a state: give {way.name}@{way.point} without ~{way.back}", USAGE)
        at = part_of(manager, manager.load_session(way.name), way).stop
    refuse_taken(manager, new)
    made = manager.create_session(new, branch_from=way.name, at=at)
    run.out.note(f"made {run.named(made.name)}, which goes on from {run.named(way.name)} after {len(made)}")
