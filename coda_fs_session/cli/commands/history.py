"""`coda-session history`."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from ..columns import Column, moments, write_table
from ..points import past_name
from ..run import Run
from ..verb import json_options, verb

if TYPE_CHECKING:
    from ... import HistoryEntry


@verb("history", "coda-session history trip", "coda-session history trip -n 5 --json")
@click.argument("name")
@click.option("-n", "number", type=click.IntRange(0), metavar="N", help="At most so many; 0 shows all.")
@json_options
@click.pass_obj
def command(run: Run, name: str, number: int | None) -> None:
    """Show what a session was, the newest state first; of a deleted one too.

    What stands under ID is for NAME@ID, and for restore --to and tag. NAME@{1} is the second line.
    """
    out = run.out
    manager = run.reading()
    history = manager.history(past_name(manager, name))
    most = out.most(number)
    found = list(islice(history, None if most is None else most + 1))
    shown = found[:most]
    if out.as_json:
        for entry in shown:
            out.write_json(_as_json(entry))
        return
    columns = [
        Column("ID"),
        Column("KIND"),
        moments("WHEN"),
        Column("MSGS", right=True),
        Column("ADDED", "{:+}".format, str, right=True),
        Column("BY", cut=True),
        Column("NOTE", cut=True),
    ]
    write_table(out, columns, map(_row, shown))
    if len(found) > len(shown):
        out.finish()
        out.note("there is more (all: -n 0)")


def _row(entry: HistoryEntry) -> tuple[Any, ...]:
    note = ", ".join(
        filter(None, (entry.note, "expired" if entry.expired else "", "" if entry.exact else "some saves"))
    )
    return entry.id, entry.kind, entry.time, entry.messages, entry.added, entry.replica, note


def _as_json(entry: HistoryEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "kind": entry.kind,
        "time": entry.when.isoformat(),
        "replica": entry.replica,
        "messages": entry.messages,
        "added": entry.added,
        "note": entry.note,
        "expired": entry.expired,
        "exact": entry.exact,
        "side": entry.side,
    }
