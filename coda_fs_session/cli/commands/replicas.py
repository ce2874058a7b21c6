"""`coda-session replicas`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from ..columns import Column, moments, write_table
from ..run import Run
from ..times import iso, size
from ..verb import json_options, verb

if TYPE_CHECKING:
    from ... import ReplicaInfo


@verb("replicas", "coda-session replicas", "coda-session replicas --json")
@json_options
@click.pass_obj
def command(run: Run) -> None:
    """Show which machines have written into the store.

    Each row has the id of a replica, "own" for that of this machine or "retired", when a session that it wrote last
    changed, how many refs it has, and their size.
    """
    found = run.reading().maintenance.replicas()
    if run.out.as_json:
        for each in found:
            run.out.write_json({**asdict(each), "updated": each.updated and iso(each.updated)})
        return
    columns = [
        Column("REPLICA", cut=True),
        Column("STATE"),
        moments("CHANGED"),
        Column("REFS", "{:,}".format, right=True),
        Column("SIZE", size, right=True),
    ]
    rows = [(each.id, _state(each), each.updated, each.refs, each.bytes) for each in found]
    write_table(run.out, columns, rows)
    unreadable = sum(each.unreadable for each in found)
    if unreadable:
        run.out.note(f"{unreadable} of the refs cannot be read: see `coda-session list`")


def _state(replica: ReplicaInfo) -> str:
    return "own" if replica.is_own else "retired" if replica.retired else ""
