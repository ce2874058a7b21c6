"""`coda-session unset`."""

from __future__ import annotations

import click

from ..exits import NOT_FOUND, CommandError
from ..points import whole_name
from ..run import Run
from ..verb import verb


@verb("unset", "coda-session unset trip topic", "coda-session unset trip days")
@click.argument("name")
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@click.pass_obj
def command(run: Run, name: str, keys: tuple[str, ...]) -> None:
    """Remove metadata of a session."""
    manager = run.writing()
    session = manager.load_session(whole_name(manager, name))
    metadata = dict(session.metadata)
    for key in dict.fromkeys(keys):
        if key not in metadata:
            raise CommandError(
                f"{session.name!r} has no metadata {key!r}; it has: {', '.join(session.metadata) or 'none'}", NOT_FOUND
            )
        del metadata[key]
    session.metadata = metadata
    manager.save_session(session)
    run.out.note(f"removed {', '.join(keys)} of {run.named(session.name)}")
