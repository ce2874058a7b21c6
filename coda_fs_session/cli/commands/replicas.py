"""`coda-session replicas`."""

from __future__ import annotations

from dataclasses import asdict

import click

from ..columns import Column, moments, write_table
from ..run import Run
from ..times import iso, size
from ..verb import json_options, verb


@verb("replicas", "coda-session replicas", "coda-session replicas --json")
@json_options
@click.pass_obj
def command(run: Run) -> None:
    """Show which machines have written into the store.

    Each row has the id of a replica, "own" for that of this machine, when a session that it wrote last changed, how
    many refs it has, and their size.
    """
    found = run.reading().maintenance.replicas()
    if run.out.as_json:
        for each in found:
            run.out.write_json({**asdict(each), "updated": each.updated and iso(each.updated)})
        return
    columns = [
        Column("REPLICA", cut=True),
        Column("OWN"),
        moments("CHANGED"),
        Column("REFS", "{:,}".format, right=True),
        Column("SIZE", size, right=True),
    ]
    rows = [(each.id, "own" if each.is_own else "", each.updated, each.refs, each.bytes) for each in found]
    write_table(run.out, columns, rows)
    unreadable = sum(each.unreadable for each in found)
    if unreadable:
        run.out.note(f"{unreadable} of the refs cannot be read: see `coda-session list`")
