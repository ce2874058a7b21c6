"""`coda-session retire`."""

from __future__ import annotations

import click

from ..keeping import usage
from ..run import Run
from ..safe import safe_line
from ..verb import verb


@verb("retire", "coda-session retire desk-1b2c3d4e", "coda-session retire desk-1b2c3d4e --yes")
@click.argument("replica")
@click.option("--force", is_flag=True, help="Also one that has written lately.")
@click.option("--yes", is_flag=True, help="Do it. Without this it only says what it would do.")
@click.pass_obj
def command(run: Run, replica: str, force: bool, yes: bool) -> None:
    """Let nobody wait for a machine that is gone.

    REPLICA is its id, as `coda-session replicas` shows it. Its sessions stay. It is only asked no longer whether it
    needs what gc wants to delete. That cannot be taken back.
    """
    manager = run.writing() if yes else run.reading()
    with usage():
        report = manager.maintenance.retire(replica, force=force, dry_run=not yes)
    info = report.replica
    told = f"{info.refs:,} refs, which stay"
    if report.last_session is not None and info.updated is not None:
        told += f"; the last is of {run.named(report.last_session)}, {info.updated:%Y-%m-%d %H:%M}"
    run.out.write(f"{'retired' if yes else 'would retire'}  {safe_line(f'{info.id}: {told}')}\n")
    if info.retired:
        run.out.note("it was retired before")
    elif not yes:
        run.out.note("nothing was done: --yes does it")
