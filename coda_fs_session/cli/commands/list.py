"""`coda-session list`."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import click

from ..columns import Column, moments, write_table
from ..lists import SORTS, Choice, as_json, check_fields, chosen, is_hidden, origin
from ..points import matching
from ..run import Run
from ..times import size
from ..verb import json_options, verb

if TYPE_CHECKING:
    from ... import SessionInfo


@verb("list", "coda-session list 'trip*' --since 2d", "coda-session list --json --fields name,message_count")
@click.argument("globs", nargs=-1, metavar="[GLOB]...")
@click.option("-n", "number", type=click.IntRange(0), metavar="N", help="At most so many; 0 shows all.")
@click.option("--sort", type=click.Choice(SORTS), default="updated", help="The order; updated is the default.")
@click.option("--reverse", is_flag=True, help="Turn the order round.")
@click.option("-l", "--long", is_flag=True, help="Also when each was made, and what it begins with.")
@click.option("--errors", is_flag=True, help="Only those that cannot be read, and why.")
@click.option("--deleted", is_flag=True, help="Those that were deleted, and when; restore brings one back.")
@click.option("--all", "hidden", is_flag=True, help="Also those that their program hides.")
@click.option("--since", metavar="TIME", help="Only what changed at or after this: 2026-11-01, 2d, yesterday.")
@click.option("--until", metavar="TIME", help="Only what changed before this.")
@click.option("--where", metavar="KEY=VALUE", multiple=True, help="Only with this in the metadata: a.b=c.")
@json_options
@click.pass_obj
def command(
    run: Run,
    globs: tuple[str, ...],
    number: int | None,
    sort: str,
    reverse: bool,
    long: bool,
    errors: bool,
    deleted: bool,
    hidden: bool,
    since: str | None,
    until: str | None,
    where: tuple[str, ...],
) -> None:
    """List sessions, newest first.

    On a terminal it shows 20, and says how many there are. In a pipe, and with --json, it shows all.
    """
    from ... import SessionInfo

    out = run.out
    check_fields(out.fields, [field.name for field in fields(SessionInfo)])
    manager = run.reading()
    if deleted:
        if since or until or where or errors or reverse or sort != "updated":
            raise click.UsageError("--deleted lists the newest first: it takes names, -n, -l, --all and --json")
        found = matching(manager.deleted_sessions(), globs)
    else:
        found = chosen(manager, Choice(globs, since, until, where, sort=sort, reverse=reverse))
    unreadable = sum(info.error is not None for info in found)
    everything = len(found)
    if not hidden:
        found = [info for info in found if not info.metadata or not is_hidden(info)]
    concealed = everything - len(found)
    if errors:
        found = [info for info in found if info.error is not None]
    shown = found[: out.most(number)]
    if out.as_json:
        for info in shown:
            out.write_json(as_json(info, out.fields))
    else:
        _show(run, shown, long=long, errors=errors)
    left = ["all: -n 0"] if len(shown) < len(found) else []
    left += [f"{unreadable} unreadable: --errors"] if unreadable and not errors else []
    left += [f"{concealed} hidden: --all"] if concealed else []
    if left:
        out.finish()
        out.note(f"showing {len(shown):,} of {len(found):,} ({'; '.join(left)})")
    elif out.terminal and not shown:
        out.note("there is no such session" if globs or since or until or where or errors else "there is no session")


def _show(run: Run, infos: list[SessionInfo], *, long: bool, errors: bool) -> None:
    columns = [Column("NAME", cut=True)]
    if errors:
        columns.append(Column("PROBLEM", cut=True))
        write_table(run.out, columns, ((info.name, info.error) for info in infos))
        return
    columns += [
        Column("MSGS", "{:,}".format, right=True),
        moments("UPDATED"),
        Column("SIZE", size, right=True),
        Column("FROM", cut=True),
    ]
    if long:
        columns += [moments("CREATED"), Column("BEGINS", cut=True)]
    write_table(run.out, columns, (_row(info, long=long) for info in infos))


def _row(info: SessionInfo, *, long: bool) -> list[Any]:
    row: list[Any] = [info.name, info.message_count, info.updated_at, info.size_bytes, origin(info)]
    return [*row, info.created_at, info.preview.first or ""] if long else row
