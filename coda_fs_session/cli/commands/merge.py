"""`coda-session merge`."""

from __future__ import annotations

import click

from ..points import whole_name
from ..run import Run
from ..verb import verb


@verb("merge", "coda-session merge draft trip", "coda-session merge draft trip --strategy theirs")
@click.argument("source")
@click.argument("into")
@click.option(
    "--strategy",
    type=click.Choice(["append", "interleave", "ours", "theirs"]),
    default="append",
    show_default=True,
    help="For the places where both added messages.",
)
@click.option("--dry-run", is_flag=True, help="Say what it would do, and do nothing.")
@click.pass_obj
def command(run: Run, source: str, into: str, strategy: str, dry_run: bool) -> None:
    """Bring what one session has into another one.

    Messages that either took away are gone, and what either added is there once. SOURCE stays as it is, unless it is a
    side of the same session: then this ends the divergence.
    """
    manager = run.reading() if dry_run else run.writing()
    source, into = whole_name(manager, source), whole_name(manager, into)
    if source == into:
        raise click.UsageError("a session cannot be merged with itself")
    report = manager.branches.merge(source, into, strategy=strategy, dry_run=dry_run)  # type: ignore[arg-type]
    removed = f", {report.removed} removed" if report.removed else ""
    text = f"{run.named(source)} into {run.named(report.name)}: {report.added} added{removed}"
    if dry_run:
        run.out.write(f"would merge {text}\n")
    else:
        run.out.note(f"merged {text}")
