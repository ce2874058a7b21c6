"""`coda-session tag`."""

from __future__ import annotations

import click

from ..columns import Column, moments, write_table
from ..exits import USAGE, CommandError
from ..points import exact, moment_of
from ..run import Run
from ..telling import counted
from ..verb import json_options, verb


@verb("tag", "coda-session tag trip booked", "coda-session tag trip")
@click.argument("session")
@click.argument("label", required=False)
@click.option("-d", "--delete", "remove", is_flag=True, help="Take the tag away; the state stays in the history.")
@json_options
@click.pass_obj
def command(run: Run, session: str, label: str | None, remove: bool) -> None:
    """Have a label name a state of a session: the present one, or that of NAME@POINT. Without LABEL, list the tags.

    NAME@LABEL is that state from then on.
    """
    manager = run.reading() if label is None else run.writing()
    way = exact(manager, session)
    history = manager.history(way.name)
    if way.first is not None or way.back is not None:
        raise CommandError(f"a tag names a state: give {way.name} or {way.name}@POINT", USAGE)
    if label is None:
        if remove:
            raise click.UsageError("-d takes a tag away: name it")
        found = history.tags()
        if run.out.as_json:
            for each, entry in found.items():
                run.out.write_json(
                    {"label": each, "id": entry.id, "time": entry.when.isoformat(), "messages": entry.messages}
                )
            return
        columns = [
            Column("LABEL", cut=True),
            Column("ID"),
            moments("WHEN"),
            Column("MSGS"),
        ]
        write_table(run.out, columns, ((each, entry.id, entry.time, entry.messages) for each, entry in found.items()))
    elif remove:
        history.untag(label)
        run.out.note(f"took the tag {run.named(label)} of {run.named(way.name)} away")
    elif label.isdecimal():
        raise CommandError("a label is not all digits: NAME@40 is a number of messages", USAGE)
    else:
        entry = history.tag(label, None if way.point is None else moment_of(manager, way.name, way.point))
        run.out.note(f"{run.named(f'{way.name}@{label}')} is the state of {counted(entry.messages, 'message')}")
