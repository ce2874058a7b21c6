"""`coda-session discard`."""

from __future__ import annotations

import click

from ..keeping import as_command, places, usage
from ..run import Run
from ..safe import safe_line
from ..verb import verb


@verb("discard", "coda-session discard store/notes.txt", "coda-session discard store/notes.txt --yes")
@click.argument("path")
@click.option("--yes", is_flag=True, help="Do it. Without this it only says what would be lost.")
@click.pass_obj
def command(run: Run, path: str, yes: bool) -> None:
    """Throw a file away that a check has named.

    It may be damaged, stray, or a spare copy: everything else stays. Repair the store first. The bytes are kept in the
    state folder until gc has counted a grace.
    """
    manager = run.writing() if yes else run.reading()
    with usage():
        report = manager.maintenance.discard(path, dry_run=not yes)
    for finding in report.findings:
        run.out.write(f"{'discarded' if yes else 'would discard'}  {safe_line(f'{finding.path}: {finding.what}')}\n")
    if report.lost is not None:
        told = f"{run.named(report.lost.session)}: {places(report.lost)}: {as_command(report.lost.why)}"
        run.out.write(f"lost  {safe_line(told)}\n")
    run.out.note(f"its bytes are kept as {safe_line(report.kept)}" if yes else "nothing was done: --yes does it")
