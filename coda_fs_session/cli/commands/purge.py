"""`coda-session purge`."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ..exits import USAGE, CommandError
from ..keeping import as_command
from ..run import Run
from ..safe import safe_line
from ..several import confirm, each_of, named
from ..verb import verb

if TYPE_CHECKING:
    from ... import PurgedPlace, PurgeReport, SessionManager


@verb("purge", "cat secret.txt | coda-session purge --dry-run", "coda-session purge draft --yes")
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option("--regex", is_flag=True, help="What is given is a regular expression of Python.")
@click.option("--dry-run", is_flag=True, help="Say where it stands, and do nothing.")
@click.option("--yes", is_flag=True, help="Do not ask first. Without a terminal this is needed.")
@click.pass_context
def command(context: click.Context, names: tuple[str, ...], regex: bool, dry_run: bool, yes: bool) -> None:
    """Take a text, or sessions, out of every state of the store, for good.

    Without a NAME it is a text, in whatever session. It is asked for without being shown, or read from stdin: in the
    arguments it would land in the history of the shell. Each byte of it becomes *, and nothing else changes. Make the
    secret worthless first: others may have read it.

    With a NAME it is that session, with its history. It may be deleted already. Its branches stay as they are. None of
    it can be taken back.
    """
    run: Run = context.obj
    if names and regex:
        raise CommandError("--regex is for a text, which is read from stdin and not from the arguments", USAGE)
    manager = run.reading() if dry_run else run.writing()
    if names:
        context.exit(_purge_sessions(run, manager, names, dry_run=dry_run, yes=yes))
    pattern = _pattern(_asked(), regex=regex)
    report = manager.maintenance.purge_text(pattern, dry_run=True)
    if not dry_run:
        if report.places:
            count = len(report.places)
            confirm(f"Take it out of {count} session{'s' if count > 1 else ''} for good?", yes=yes)
        report = manager.maintenance.purge_text(pattern)
    if not _tell(run, report):
        run.out.note("it stands nowhere in this store")


def _purge_sessions(run: Run, manager: SessionManager, names: Sequence[str], *, dry_run: bool, yes: bool) -> int:
    deleted = {info.name for info in manager.deleted_sessions()}
    gone = [name for name in names if name in deleted and name not in manager]
    found = [*named(manager, [name for name in names if name not in gone]), *gone]
    if not dry_run:
        what = run.named(found[0]) if len(found) == 1 else f"{len(found)} sessions"
        confirm(f"Take {what} out of the store for good?", yes=yes)

    def purge(name: str) -> str:
        _tell(run, manager.maintenance.purge(name, dry_run=dry_run))
        return ""

    return each_of(run, found, purge)


def _tell(run: Run, report: PurgeReport) -> bool:
    """Say what was done, and what others still hold; False where there was nothing."""
    for place in report.places:
        run.out.write(f"{'would purge' if report.dry_run else 'purged'}  {safe_line(_place(run, place))}\n")
    for each in report.elsewhere:
        run.out.write(f"elsewhere  {safe_line(as_command(each))}\n")
    for each in report.left:
        run.out.write(f"left  {safe_line(as_command(each))}\n")
    there = bool(report.places or report.elsewhere or report.left)
    if there:
        run.out.note("backups, the history of git, and programs that have it in memory are not looked at")
    return there


def _asked() -> str:
    if sys.stdin is not None and sys.stdin.isatty():
        text = click.prompt("Text to purge (not shown)", hide_input=True, err=True, default="", show_default=False)
    else:
        # A file that an editor or `echo` has made ends with a newline, which no secret does.
        text = (sys.stdin.read() if sys.stdin is not None else "").removesuffix("\n").removesuffix("\r")
    if not text:
        raise CommandError("there is no text to purge: type it, or give it on stdin", USAGE)
    return str(text)


def _pattern(text: str, *, regex: bool) -> str | re.Pattern[str]:
    if not regex:
        return text
    try:
        pattern = re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise CommandError(f"this is no regular expression: {error}", USAGE) from error
    if pattern.search(""):
        raise CommandError("the pattern matches empty text, which stands everywhere", USAGE)
    return pattern


def _place(run: Run, place: PurgedPlace) -> str:
    """Say where it stands; people count from 1."""
    places = ", ".join(str(each + 1) for each in place.messages)
    what = [f"messages {places}"] if places else []
    what += ["metadata"] if place.metadata else []
    what += ["earlier states"] if place.earlier else []
    return f"{run.named(place.session)}: {', '.join(what)}"
