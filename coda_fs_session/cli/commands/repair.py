"""`coda-session repair`."""

from __future__ import annotations

import click

from ..exits import DAMAGED
from ..keeping import as_command, code_of_findings, places, usage
from ..run import Run
from ..safe import safe_line
from ..verb import verb


@verb("repair", "coda-session repair", "coda-session repair --yes")
@click.option("--from", "source", metavar="STORE", help="Take what is missing here from this store.")
@click.option("--without-lost", is_flag=True, help="Let sessions go on without messages that nothing has any more.")
@click.option("--yes", is_flag=True, help="Do it. Without this it only says what it would do.")
@click.pass_context
def command(context: click.Context, source: str | None, without_lost: bool, yes: bool) -> None:
    """Bring back what is intact of damaged files.

    What is lost is named by session and message. Nothing that is good is overwritten, and damaged files stay as they
    are. It may be interrupted and run again.
    """
    run: Run = context.obj
    manager = run.writing() if yes else run.reading()
    with usage():
        report = manager.maintenance.repair(dry_run=not yes, from_store=source, without_lost=without_lost)
    for mended in report.mended:
        run.out.write(f"{'mended' if yes else 'would mend'}  {safe_line(mended.path)}: {safe_line(mended.what)}\n")
    for lost in report.lost:
        run.out.write(f"lost  {safe_line(f'{run.named(lost.session)}: {places(lost)}: {as_command(lost.why)}')}\n")
    for finding in report.left:
        run.out.write(f"left  {safe_line(f'{finding.path}: {finding.what}; {as_command(finding.remedy)}')}\n")
    if not (report.mended or report.lost or report.left):
        run.out.note("there is nothing to repair")
    elif not yes:
        run.out.note("nothing was done: --yes does it")
    context.exit(DAMAGED if report.lost else code_of_findings(report.left))
