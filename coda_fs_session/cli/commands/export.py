"""`coda-session export`."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..exits import USAGE, CommandError
from ..run import Run
from ..safe import safe, safe_json
from ..several import each_of, named
from ..telling import counted
from ..verb import verb

if TYPE_CHECKING:
    from ... import SessionManager

_TEXTS = ("md", "txt", "html")
_LINES = ("openai", "sharegpt")
_ONE = ("json", "jsonl", "native", *_TEXTS, *_LINES)
_SEVERAL = ("dpo", "trl", "family")
_ENDINGS = {"native": "jsonl", "openai": "jsonl", "sharegpt": "jsonl"}
_LONGEST = 100
_UNUSUAL = re.compile(r"[^\w .,()+@=-]+")


@verb("export", "coda-session export trip -o trip.json", "coda-session export --all -o exported/")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("-o", "--output", metavar="PATH", default="-", help="A file, a folder for several, or - for stdout.")
@click.option("-f", "--format", "form", type=click.Choice([*_ONE, *_SEVERAL]), default="json", help="What to write.")
@click.option("--prefer", default="continued", help="For dpo and trl: continued, current or tag:NAME.")
@click.option("--branches", is_flag=True, help="Their branches too; as json and html, all are one file.")
@click.option("--redact", multiple=True, metavar="REGEX", help="Take out what matches; keys: what looks like one.")
@click.option("--all", "everything", is_flag=True, help="Every session.")
@click.option("--overwrite", is_flag=True, help="Replace files that are there.")
@click.pass_context
def command(
    context: click.Context,
    names: tuple[str, ...],
    output: str,
    form: Any,
    prefer: str,
    branches: bool,
    redact: tuple[str, ...],
    everything: bool,
    overwrite: bool,
) -> None:
    """Write sessions, one file a session, which only you may read.

    NAME is a whole name, or a glob such as 'trip/*'. openai, sharegpt, dpo, trl and family are one file of all.
    """
    from ... import Redact

    run: Run = context.obj
    if bool(names) == everything:
        raise click.UsageError("name the sessions, or give --all")
    if prefer not in ("continued", "current") and not re.match("tag:.", prefer):
        raise click.UsageError("--prefer takes continued, current or tag:NAME")
    patterns = list(redact) or None
    if patterns:
        try:
            Redact(patterns)
        except ValueError as error:
            raise click.UsageError(f"--redact: {error}") from error
    manager = run.reading()
    found = named(manager, names, all_of_them=everything)
    if branches:
        found, form = manager.branches.tree().with_branches(found), "family" if form == "json" else form
    in_one = form in _SEVERAL or (form == "html" and branches)
    if in_one or (form in _LINES and output != "-" and len(found) > 1):
        if output == "-" or output.endswith(("/", os.sep)):
            raise CommandError(f"{form} is one file of all sessions: give it with -o", USAGE)
        path, *_ = manager.export_sessions(
            found, output, format=form, branches=branches, prefer=prefer, redact=patterns, overwrite=overwrite
        )
        run.out.note(f"exported {counted(len(found), 'session')} to {path}")
        return
    if output == "-":
        for name in found:
            _to_stdout(run, manager, name, form, patterns)
        return
    in_folder = output.endswith(("/", os.sep)) or os.path.isdir(os.path.expanduser(output))
    if len(found) != 1 and not in_folder:
        raise CommandError(f"{output} is one file, and these are {len(found)} sessions: give a folder/", USAGE)
    folder = Path(output).expanduser()
    if in_folder:
        folder.mkdir(parents=True, exist_ok=True)
    taken: set[str] = set()

    def export(name: str) -> str:
        target = folder / _file_name(name, _ENDINGS.get(form, form), taken) if in_folder else folder
        path = manager.export_session(name, target, format=form, redact=patterns, overwrite=overwrite)
        return f"exported {run.named(name)} to {path}"

    context.exit(each_of(run, found, export))


def _to_stdout(run: Run, manager: SessionManager, name: str, form: Any, patterns: list[str] | None) -> None:
    with tempfile.TemporaryDirectory(prefix="coda-session-") as folder:
        path = manager.export_session(name, Path(folder) / "session", format=form, redact=patterns)
        if len(os.listdir(folder)) > 1:
            raise CommandError(f"{name!r} is too large for one page: give a file with -o", USAGE)
        text = path.read_text(encoding="utf-8")
        run.out.write(safe(text) if form in _TEXTS else safe_json(text))


def _file_name(name: str, ending: str, taken: set[str]) -> str:
    """Return the name of a file for a session, another one for each."""
    stem = _UNUSUAL.sub("_", name).strip(" .")[:_LONGEST] or "session"
    chosen, number = stem, 2
    while chosen.casefold() in taken:
        chosen, number = f"{stem}-{number}", number + 1
    taken.add(chosen.casefold())
    return f"{chosen}.{ending}"
