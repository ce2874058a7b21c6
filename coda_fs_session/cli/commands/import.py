"""`coda-session import`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import click

from ..exits import IN_PART, NOT_FOUND, USAGE, CommandError
from ..progress import Progress
from ..run import Run
from ..safe import safe
from ..verb import verb

PLACES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "claude-code": ("~/.claude/projects",),
        "codex": ("~/.codex/sessions", "~/.codex/archived_sessions"),
        "gemini": ("~/.gemini/tmp",),
        "pi": ("~/.pi/agent/sessions",),
        "opencode": ("~/.local/share/opencode/opencode.db", "~/.local/share/opencode/storage"),
        "gptme": ("~/.local/share/gptme/logs",),
        "llm": (
            "~/.config/io.datasette.llm/logs.db",
            "~/Library/Application Support/io.datasette.llm/logs.db",
            "~/AppData/Roaming/io.datasette.llm/logs.db",
        ),
    }
)
"""Where programs keep what they have, by format."""


@verb("import", "coda-session import export.zip", "coda-session import --format claude-code")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--format", "format_name", metavar="FORMAT", help="What the files are, where they do not tell.")
@click.option("--names", metavar="PATTERN", help="Names, with {format}, {project}, {title} and {id}.")
@click.option("--keep", type=click.Choice(["none", "rest", "all"]), default="rest", help="What to keep of records.")
@click.option("--assets", metavar="FOLDER", help="A folder for large images and files in messages.")
@click.option("--again", is_flag=True, help="Bring back what was deleted here.")
@click.option("--dry-run", is_flag=True, help="Say what would be done.")
@click.option("--notes", is_flag=True, help="Say also what was read in another way than it stood there.")
@click.pass_context
def command(
    context: click.Context,
    paths: tuple[str, ...],
    format_name: str | None,
    names: str | None,
    keep: Literal["none", "rest", "all"],
    assets: str | None,
    again: bool,
    dry_run: bool,
    notes: bool,
) -> None:
    """Bring in what other programs keep; run again, it adds what is new.

    PATH is a file, a folder or a zip file. Without one it looks where programs keep their files: it brings in those
    of the FORMAT, and without that only lists what is there.
    """
    run: Run = context.obj
    if not paths:
        paths = _of_places(run, format_name)
        if not paths:
            return
    from ... import ImportReport, SessionError

    manager = run.writing(create=not dry_run)
    try:
        with Progress(run) as progress:

            def tell(done: ImportReport) -> None:
                progress.show(f"conversations: {done.conversations:,}")

            report = manager.import_sessions(
                *paths,
                format=format_name,
                names=names,
                keep=keep,
                assets=assets,
                again=again,
                dry_run=dry_run,
                progress=tell if progress.is_shown else None,
            )
    except FileNotFoundError as error:
        raise CommandError(f"nothing is at {error.filename}", NOT_FOUND) from error
    except ValueError as error:
        if isinstance(error, SessionError):
            raise
        raise CommandError(str(error), USAGE) from error
    if not run.out.quiet:
        run.out.write(safe(f"{report}\n"))
    for note in report.notes if notes else ():
        run.out.note(note)
    for problem in report.unreadable:
        run.out.problem(f"not read: {problem}")
    if report.unreadable:
        context.exit(IN_PART)


def _of_places(run: Run, format_name: str | None) -> tuple[str, ...]:
    """Return the usual places of a format that are there; where none was asked for, say what is in all."""
    there = {
        kind: tuple(place for place in places if os.path.exists(os.path.expanduser(place)))
        for kind, places in PLACES.items()
    }
    if format_name is None:
        for kind, places in there.items():
            for place in places:
                run.out.write(f"{kind}: {place}: coda-session import --format {kind}\n")
        if not any(there.values()):
            run.out.note("nothing is in the usual places: name the files or folders to import")
        return ()
    if not there.get(format_name):
        usual = " or ".join(PLACES.get(format_name, ()))
        hint = f"nothing is at {usual}" if usual else f"{format_name!r} has no usual place"
        raise CommandError(f"{hint}: name the files or folders to import", NOT_FOUND)
    return there[format_name]
