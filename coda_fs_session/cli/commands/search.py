"""`coda-session search`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from ..columns import Column, write_table
from ..exits import NOT_FOUND, NOT_HERE
from ..points import find
from ..progress import Progress
from ..run import Run
from ..times import moment
from ..verb import json_options, verb

if TYPE_CHECKING:
    from ... import SearchHit, SearchProgress, SearchResult

_ALSO = 3


@verb("search", "coda-session search 'warm in March'", "coda-session search Oman -r assistant --json")
@click.argument("words", nargs=-1, required=True, metavar="TEXT...")
@click.option(
    "-n", "number", type=click.IntRange(0), default=20, show_default=True, metavar="N", help="So many; 0: all."
)
@click.option("--in", "session", metavar="SESSION", help="Only in this session.")
@click.option("-r", "--role", metavar="ROLE", help="Only messages of this role.")
@click.option("--since", metavar="TIME", help="Only messages of this time or later.")
@click.option("--until", metavar="TIME", help="Only messages before this.")
@click.option("-l", "names_only", is_flag=True, help="Only the names of the sessions.")
@json_options
@click.pass_context
def command(
    context: click.Context,
    words: tuple[str, ...],
    number: int,
    session: str | None,
    role: str | None,
    since: str | None,
    until: str | None,
    names_only: bool,
) -> None:
    """Find messages that have all words of a text, in every session; the best first.

    Words in double quotes must follow each other. A message that branches share is there once. What begins with a dash
    comes after two: `search -- '->'`.
    """
    run: Run = context.obj
    out, now = run.out, datetime.now()
    manager = run.reading()
    name = None if session is None else find(manager, session)[1].name
    with Progress(run) as progress:

        def tell(done: SearchProgress) -> None:
            progress.show(f"reading sessions: {done.done:,} of {done.total:,}")

        found = manager.search(
            " ".join(words),
            session=name,
            role=role,
            since=None if since is None else moment(since, now),
            until=None if until is None else moment(until, now),
            limit=number or None,
            progress=tell if progress.is_shown else None,
        )
    if out.as_json:
        for hit in found:
            out.write_json(_as_json(hit))
    elif names_only:
        write_table(out, [Column("NAME")], ((each,) for each in dict.fromkeys(hit.session for hit in found)))
    else:
        _show(run, list(found))
    out.finish()
    out.note(_count(found))
    if not found.hits:
        context.exit(NOT_FOUND if found.complete else NOT_HERE)


def _count(found: SearchResult) -> str:
    total = "" if found.total is None or found.total == len(found) else f" of {found.total:,}"
    if not found.complete:
        left = "; not everything was looked at"
    else:
        left = "; there may be more" if found.total is None else ""
    return f"{len(found):,}{total} found{left}"


def _show(run: Run, hits: list[SearchHit]) -> None:
    columns = [Column("PLACE", cut=True), Column("ROLE"), Column("TEXT", cut=True), Column("ALSO IN", cut=True)]
    write_table(run.out, columns, map(_row, hits))


def _row(hit: SearchHit) -> tuple[str, ...]:
    others = [place.session for place in hit.places[1:]]
    also = ", ".join(others[:_ALSO]) + (f" and {len(others) - _ALSO} more" if len(others) > _ALSO else "")
    return f"{hit.session}:{hit.index + 1}", hit.role, hit.snippet, also


def _as_json(hit: SearchHit) -> dict[str, Any]:
    return {
        "session": hit.session,
        "index": hit.index,
        "place": f"{hit.session}:{hit.index + 1}",
        "role": hit.role,
        "snippet": hit.snippet,
        "rank": hit.rank,
        "places": [{"session": each.session, "index": each.index} for each in hit.places],
    }
