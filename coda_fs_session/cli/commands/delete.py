"""`coda-session delete`."""

from __future__ import annotations

import click

from ..run import Run
from ..several import confirm, each_of, named
from ..verb import verb


@verb("delete", "coda-session delete draft", "coda-session delete 'test/*' --dry-run")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--dry-run", is_flag=True, help="Say what it would do, and do nothing.")
@click.option("--yes", is_flag=True, help="Do not ask before more than one is deleted.")
@click.pass_context
def command(context: click.Context, names: tuple[str, ...], dry_run: bool, yes: bool) -> None:
    """Delete sessions. Their branches stay as they are.

    NAME is a whole name, or a glob such as 'test/*'. More than one session is asked about first.
    """
    run: Run = context.obj
    manager = run.reading() if dry_run else run.writing()
    found = named(manager, names)
    if dry_run:
        for name in found:
            run.out.write(f"would delete {run.named(name)}\n")
        return
    if len(found) > 1:
        confirm(f"Delete {len(found)} sessions?", yes=yes)

    def delete(name: str) -> str:
        manager.delete_session(name)
        return f"deleted {run.named(name)} (undo: coda-session restore {run.single(name)})"

    context.exit(each_of(run, found, delete))
