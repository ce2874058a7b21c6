"""`coda-session stats`."""

from __future__ import annotations

from typing import Any

import click

from ..columns import Column, write_table
from ..exits import IN_PART
from ..run import Run
from ..times import size
from ..verb import json_options, verb

_DAYS = 30


@verb("stats", "coda-session stats", "coda-session stats --by model")
@click.option("--by", type=click.Choice(["role", "model", "day"]), help="Who said how much, or what changed when.")
@click.option("--days", type=click.IntRange(1), default=_DAYS, show_default=True, help="With --by day: so many.")
@json_options
@click.pass_context
def command(context: click.Context, by: str | None, days: int) -> None:
    """Show how many sessions and messages there are, and what they take on the disk.

    --by role and --by model read every message. Tokens are estimates.
    """
    from ... import SessionAnalytics

    run: Run = context.obj
    analytics = SessionAnalytics(run.reading())
    if by is None:
        _totals(run, analytics.get_statistics(), analytics.get_sharing())
    elif by == "day":
        timeline = analytics.get_activity_timeline(days)
        _rows(run, "day", ("messages",), [(day.isoformat(), count) for day, count in timeline.items()])
    else:
        found: Any = analytics.get_breakdown()
        messages, tokens = found[f"messages_by_{by}"], found[f"tokens_by_{by}"]
        rows = [(key, count, tokens.get(key, 0)) for key, count in sorted(messages.items(), key=lambda each: -each[1])]
        _rows(run, by, ("messages", "tokens"), rows)
        if found["unreadable"]:
            run.out.note(f"without what cannot be read: {', '.join(map(run.named, found['unreadable']))}")
            context.exit(IN_PART)


def _totals(run: Run, statistics: dict[str, Any], sharing: Any) -> None:
    values: dict[str, Any] = {
        "sessions": statistics["total_sessions"],
        "branches": statistics["total_branches"],
        "messages": statistics["total_messages"],
        "tokens": statistics["token_estimate"],
        "logical_bytes": sharing.logical_bytes,
        "stored_bytes": sharing.stored_bytes,
        "shared_bytes": sharing.shared_bytes,
        "unreadable": len(statistics["damaged_sessions"]),
    }
    if run.out.as_json:
        run.out.write_json(values)
        return
    for name, value in values.items():
        shown = f"{value:,}" if run.out.terminal else str(value)
        if run.out.terminal and name.endswith("_bytes"):
            shown = size(value)
        run.out.write(f"{name:15}{shown:>12}\n" if run.out.terminal else f"{name}\t{shown}\n")


def _rows(run: Run, key: str, numbers: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    if run.out.as_json:
        for row in rows:
            run.out.write_json(dict(zip((key, *numbers), row, strict=True)))
        return
    columns = [Column(key.upper(), cut=True), *(Column(each.upper(), "{:,}".format, right=True) for each in numbers)]
    write_table(run.out, columns, rows)
