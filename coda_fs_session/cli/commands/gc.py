"""`coda-session gc`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..exits import DAMAGED
from ..run import Run
from ..safe import safe_line
from ..times import size
from ..verb import json_options, verb

if TYPE_CHECKING:
    from ... import GcAmount

_KEPT = {
    "sessions": "sessions need",
    "tags": "only states with a tag need",
    "history": "only history needs",
    "replicas": "lists and records of replicas are",
    "grace": "nothing needs, and stay until the grace has passed",
}


@verb("gc", "coda-session gc", "coda-session gc --yes")
@click.option("--yes", is_flag=True, help="Do the next step. Without this it only says what that is.")
@json_options
@click.pass_context
def command(context: click.Context, yes: bool) -> None:
    """Delete files of objects that nothing needs, step by step.

    What nothing has needed for gc_grace_days is condemned. As long after that it is deleted, and kept in the state
    folder as long once more. History counts as needed. It exits with 5 where damage hides what is needed.
    """
    from dataclasses import asdict

    run: Run = context.obj
    manager = run.writing() if yes else run.reading()
    report = manager.maintenance.gc(dry_run=not yes)
    if run.out.as_json:
        run.out.write_json(asdict(report))
    else:
        would = "" if yes else "would be "
        run.out.write(f"{_files(report.freed)} {would}deleted\n")
        run.out.write(f"{_files(report.condemned)} {would}condemned\n")
        for why, amount in report.kept.items():
            run.out.write(f"{_files(amount)} {_KEPT[why]}\n")
    since = f" of {report.waiting_since:%Y-%m-%d %H:%M}" if report.waiting_since else ""
    for replica in report.waiting_for:
        run.out.note(
            f"what was condemned{since} waits for the replica {safe_line(replica)}, which answers once this version "
            f"writes there; if it is gone for good, `coda-session retire {safe_line(replica)}`"
        )
    for what in report.blocked:
        run.out.note(f"nothing is deleted as long as this is so: {safe_line(what)}")
    context.exit(DAMAGED if report.blocked else 0)


def _files(amount: GcAmount) -> str:
    return f"{amount.files:,} file{'s' * (amount.files != 1)} ({size(amount.bytes)})"
