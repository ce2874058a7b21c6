"""Doing the same with several sessions: asked for first, told one by one, and counted at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .exits import DONE, IN_PART, REFUSED, CommandError, code_of
from .points import is_glob, matching, missing, whole_name

if TYPE_CHECKING:
    from .. import SessionManager
    from .run import Run


def named(manager: SessionManager, texts: Sequence[str], *, all_of_them: bool = False) -> list[str]:
    """Return the sessions that whole names and globs name, each once, in order; with `all_of_them` every one.

    Raises:
        CommandError: a name is none, or a glob matches none.
    """
    if all_of_them:
        return [info.name for info in manager.list_sessions(hidden=True, order="name")]
    found: dict[str, None] = {}
    for text in texts:
        if is_glob(text) and text not in manager:
            names = [info.name for info in matching(manager.list_sessions(hidden=True, order="name"), [text])]
            if not names:
                raise missing(manager, text)
            found |= dict.fromkeys(names)
        else:
            found[whole_name(manager, text)] = None
    return list(found)


def confirm(question: str, *, yes: bool) -> None:
    """Ask before what many would regret; without a terminal only `--yes` goes on.

    Raises:
        CommandError: the answer is no, or nobody can answer.
    """
    if yes:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise CommandError(f"{question} Without a terminal to ask on, it needs --yes", REFUSED)
    import click

    if not click.confirm(question, err=True):
        raise CommandError("nothing was done", REFUSED)


def each_of(run: Run, names: Sequence[str], act: Callable[[str], str]) -> int:
    """Do something with each session, and say what; an error of one does not keep it from the others.

    Returns:
        The exit code: 8 where some were done and others not.
    """
    from .telling import short

    failures: list[Exception] = []
    for name in names:
        try:
            run.out.note(act(name))
        except Exception as error:
            if len(names) == 1:
                raise
            run.out.problem(f"error: {short(error)}")
            failures.append(error)
    if not failures:
        return DONE
    return IN_PART if len(failures) < len(names) else code_of(failures[0])
