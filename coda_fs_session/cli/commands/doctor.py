"""`coda-session doctor`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from ..exits import DAMAGED, NO_STORE, CommandError
from ..run import Run, user_config
from ..safe import safe_line
from ..telling import counted
from ..verb import json_options, verb

if TYPE_CHECKING:
    from ... import SessionInfo, SessionManager

_MARKS = (".stfolder", ".dropbox.cache", ".nextcloudsync.log", ".owncloudsync.log", ".sync")
_NAMES = ("dropbox", "nextcloud", "onedrive", "google drive", "icloud drive", "syncthing", "mega")


@verb("doctor", "coda-session doctor", "coda-session doctor --json")
@json_options
@click.pass_context
def command(context: click.Context) -> None:
    """Say where everything is, which versions these are, and what is wrong. `check` looks closer at the store."""
    from ... import __version__

    run: Run = context.obj
    told: dict[str, object] = {
        "version": __version__,
        "python": f"{sys.version.split()[0]} at {sys.executable}",
        "config": run.config_path() or f"none (it would be {user_config()})",
    }
    try:
        manager = run.reading()
    except CommandError as error:
        if error.code == NO_STORE:
            _write(run, {**told, "store": f"none yet at {run.place()}"}, [])
        raise
    infos = manager.list_sessions(hidden=True)
    place = manager.describe()
    messages = sum(info.message_count for info in infos)
    others = {info.replica for info in infos if info.replica} - {place.replica}
    told |= {
        "store": f"{place.path} ({place.backend})",
        "state": place.state or "none",
        "replica": place.replica or "none yet: nothing was written here",
        "others": ", ".join(sorted(others)) or "none",
        "sessions": f"{len(infos):,} with {counted(messages, 'message')}",
    }
    problems = [
        *_problems(run, infos),
        *_aside(run, manager.kept_aside()),
        *_strays(manager),
        *_in_a_synced_folder(place.state),
    ]
    _write(run, told, problems)
    if any(info.error is not None for info in infos):
        context.exit(DAMAGED)


def _write(run: Run, told: dict[str, object], problems: list[str]) -> None:
    if run.out.as_json:
        run.out.write_json({**told, "problems": problems})
        return
    for key, value in told.items():
        run.out.write(f"{key:10}{safe_line(str(value))}\n")
    for problem in problems:
        run.out.write(f"problem   {safe_line(problem)}\n")


def _problems(run: Run, infos: Iterable[SessionInfo]) -> Iterator[str]:
    for info in infos:
        name = run.named(info.name)
        if info.error is not None:
            yield f"{name} cannot be read: {info.error}"
        if info.sides:
            yield f"{name} was continued apart: it goes on as {', '.join(map(run.named, info.sides))} too"
        if info.reverted:
            yield f"{name} lacks what was saved here, since an older copy came back; a program that writes mends it"


def _aside(run: Run, infos: Iterable[SessionInfo]) -> Iterator[str]:
    for info in infos:
        yield f"{run.named(info.name)} was saved here, and the store has nothing of it: it is kept aside"


def _strays(manager: SessionManager) -> Iterator[str]:
    for finding in manager.maintenance.check().findings:
        if finding.rule == "stray-file":
            yield f"{finding.path}: {finding.what}; {finding.remedy}"


def _in_a_synced_folder(state: str | None) -> Iterator[str]:
    """Tell of a state folder that a sync tool carries: it must not leave this machine."""
    folder = os.path.realpath(state) if state else ""
    while folder and folder != os.path.dirname(folder):
        parent = os.path.dirname(folder)
        marked = any(os.path.lexists(os.path.join(parent, mark)) for mark in _MARKS)
        if marked or os.path.basename(parent).lower().startswith(_NAMES):
            yield f"the state folder is within {parent}, which a sync tool seems to carry: set state_path elsewhere"
            return
        folder = parent
