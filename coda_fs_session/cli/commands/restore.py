"""`coda-session restore`."""

from __future__ import annotations

import click

from ..exits import REFUSED, USAGE, CommandError
from ..points import before_delete, moment_of, past_name, refuse_taken
from ..run import Run
from ..telling import counted
from ..verb import verb


@verb("restore", "coda-session restore gone", "coda-session restore trip --to '{1}' --as 'trip before'")
@click.argument("name")
@click.option(
    "--to", "point", metavar="POINT", help="The state: an id, a tag, '{1}', '{2 hours ago}', a number of messages."
)
@click.option("--as", "new", metavar="NEW", help="Make another session of it, and leave this one.")
@click.pass_obj
def command(run: Run, name: str, point: str | None, new: str | None) -> None:
    """Bring a session to a state that it was at; one that was deleted is there again.

    `history` shows the states. What it is now stays in the history.
    """
    from ... import SessionExistsError

    manager = run.writing()
    name = past_name(manager, name)
    if point is None and name in manager:
        raise CommandError(f"{name!r} is there: say with --to which state, as `coda-session history` shows them", USAGE)
    if new is not None:
        refuse_taken(manager, new)
        at = before_delete(manager, name) if point is None else moment_of(manager, name, point)
        made = manager.create_session(new, branch_from=name, at=at)
        run.out.note(f"made {run.named(made.name)} with {counted(len(made), 'message')}")
        return
    history = manager.history(name)
    try:
        entry = history.restore(None if point is None else moment_of(manager, name, point))
    except SessionExistsError as error:
        raise CommandError(f"the name is taken: --as NEW gives it another one ({error})", REFUSED) from error
    run.out.note(f"restored {run.named(name)}: {counted(entry.messages, 'message')}")
