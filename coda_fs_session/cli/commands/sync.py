"""`coda-session sync`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from ..exits import IN_PART, USAGE, CommandError
from ..progress import Progress
from ..run import Run
from ..safe import safe
from ..times import size
from ..verb import verb

if TYPE_CHECKING:
    from ... import SyncProgress


@verb(
    "sync",
    "coda-session sync /media/stick/chats",
    "coda-session sync s3://my-chats/home",
)
@click.argument("target")
@click.option("--push", is_flag=True, help="Only write there.")
@click.option("--pull", is_flag=True, help="Only write here.")
@click.option("--dry-run", is_flag=True, help="Say what it would do, and do nothing.")
@click.option("--only", "names", multiple=True, metavar="NAME", help="Only this session; may be given again.")
@click.pass_context
def command(context: click.Context, target: str, push: bool, pull: bool, dry_run: bool, names: tuple[str, ...]) -> None:
    """Bring this store and another one to hold the same sessions.

    TARGET is the folder of another store, made if it is not there, or HOST:PATH, which rsync reaches, usually by ssh,
    or a place in a bucket: s3://bucket/prefix, gs:// or az://.
    Nothing is ever removed, and it may be interrupted and run again.
    """
    if push and pull:
        raise click.UsageError("--push and --pull: without both it goes both ways")
    from ... import SessionError

    run: Run = context.obj
    direction: Literal["both", "push", "pull"] = "push" if push else "pull" if pull else "both"
    manager = run.reading(new=not push) if push or dry_run else run.writing(create=True)
    with Progress(run) as progress:

        def tell(done: SyncProgress) -> None:
            progress.show(f"{done.phase}: {done.done:,} of {done.total:,}, {size(done.bytes)}")

        try:
            report = manager.sync(
                target,
                direction=direction,
                names=names or None,
                progress=tell if progress.is_shown else None,
                dry_run=dry_run,
            )
        except ValueError as error:
            if isinstance(error, SessionError):
                raise
            # The target is none.
            raise CommandError(str(error), USAGE) from error
    if not run.out.quiet:
        would = "would be " if dry_run else ""
        run.out.write(safe(f"{would}pushed: {report.pushed}\n{would}pulled: {report.pulled}\n"))
    for problem in report.problems:
        run.out.problem(f"left alone: {problem}")
    if report.problems:
        context.exit(IN_PART)
