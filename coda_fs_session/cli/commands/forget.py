"""`coda-session forget`."""

from __future__ import annotations

import click

from ..keeping import usage
from ..run import Run
from ..safe import safe_line
from ..times import size
from ..verb import verb


@verb("forget", "coda-session forget /mnt/stick/chats", "coda-session forget /mnt/stick/chats --yes")
@click.argument("path")
@click.option("--yes", is_flag=True, help="Do it. Without this it only says what nothing else has.")
@click.pass_obj
def command(run: Run, path: str, yes: bool) -> None:
    """Forget what is recorded of a store that is gone.

    PATH is the folder that it had. A disk that is not plugged in looks the same: forget a store only if it never comes
    back. It also forgets what is kept aside of another store that stood at the place.
    """
    manager = run.writing(create=True) if yes else run.reading(new=True)
    with usage():
        report = manager.maintenance.forget(path, dry_run=not yes)
    for each in report.sessions:
        if each.problem:
            told = each.problem
        elif each.only:
            told = f"only the record has the last {len(each.only):,} of {each.messages:,} messages"
        else:
            told = f"{each.messages:,} messages, none of which only the record has"
        line = safe_line(f"{run.named(each.session)}: {told}")
        run.out.write(f"{'forgot' if yes else 'would forget'}  {line}\n")
    if not report.bytes:
        run.out.note(f"nothing is recorded of a store that was at {safe_line(path)}")
    elif yes:
        run.out.note(f"{size(report.bytes)} of records are gone")
    else:
        run.out.note(f"{size(report.bytes)} of records; nothing was done: --yes does it")
