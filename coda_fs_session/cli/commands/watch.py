"""`coda-session watch`."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from ..lists import as_json
from ..points import find
from ..run import Run
from ..safe import safe_line
from ..telling import counted
from ..times import iso
from ..transcript import Transcript
from ..verb import json_options, verb

if TYPE_CHECKING:
    from ... import SessionEvent, SessionManager


@verb("watch", "coda-session watch --json", "coda-session watch trip --messages")
@click.argument("session", required=False)
@click.option("--messages", is_flag=True, help="Show what is added to the session, as tail -f does.")
@click.option("-n", "number", type=click.IntRange(1), metavar="N", help="End after so many lines, or messages.")
@json_options
@click.pass_obj
def command(run: Run, session: str | None, messages: bool, number: int | None) -> None:
    """Tell what happens to sessions from now on, by whatever program or machine. Ctrl-C ends it."""
    if messages and session is None:
        raise click.UsageError("--messages is about one session: name it")
    run.out.may_page = False
    manager = run.reading()
    if session is None:
        _events(run, manager, None, number)
    elif messages:
        _follow(run, manager, session, number)
    else:
        _events(run, manager, find(manager, session)[1].name, number)


def _events(run: Run, manager: SessionManager, name: str | None, number: int | None) -> None:
    with manager.watch(name=name) as watch:
        run.out.note("watching; Ctrl-C ends it")
        for count, event in enumerate(watch, 1):
            if run.out.as_json:
                run.out.write_json(_as_json(event))
            else:
                run.out.write(_line(event))
            _now(run)
            if count == number:
                return


def _line(event: SessionEvent) -> str:
    count = "" if event.info is None else str(event.info.message_count)
    before = "" if event.previous_name is None else f"was {event.previous_name}"
    cells = (iso(datetime.now()), event.kind, event.name, count, before)
    return "\t".join(map(safe_line, cells)).rstrip("\t") + "\n"


def _as_json(event: SessionEvent) -> dict[str, Any]:
    info = None if event.info is None else as_json(event.info)
    return {"kind": event.kind, "name": event.name, "previous_name": event.previous_name, "info": info}


def _follow(run: Run, manager: SessionManager, text: str, number: int | None) -> None:
    session = find(manager, text)[1]
    seen, told = len(session), 0
    transcript = Transcript(run.out)
    with manager.watch(name=session.name) as watch:
        run.out.note("watching; Ctrl-C ends it")
        for event in watch:
            if event.kind == "deleted":
                run.out.note(f"{run.named(event.name)} was deleted")
                return
            if event.name != session.name and event.kind == "diverged":
                run.out.note(f"a part of it goes by {run.named(event.name)} now")
                continue
            session.reload()
            if len(session) < seen:
                run.out.note(f"it has {counted(len(session), 'message')} now")
            for place, message in enumerate(session.iter_messages(min(seen, len(session))), seen + 1):
                if run.out.as_json:
                    run.out.write_json(message)
                else:
                    transcript.write(place, message)
                told += 1
            seen = len(session)
            _now(run)
            if number is not None and told >= number:
                return


def _now(run: Run) -> None:
    """Let what was written be read: nobody knows when there is more."""
    run.out.finish()
    if sys.stderr is not None:
        sys.stderr.flush()
