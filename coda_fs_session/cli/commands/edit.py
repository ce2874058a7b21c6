"""`coda-session edit`."""

from __future__ import annotations

import json
import os
import tempfile
from typing import Any

import click

from ..exits import REFUSED, USAGE, CommandError
from ..points import exact, part_of
from ..run import Run
from ..verb import verb


@verb("edit", "coda-session edit trip:7 -m 'Where is it warm in April?'", "coda-session edit trip:-1")
@click.argument("place", metavar="SESSION:NUMBER")
@click.option("-m", "--message", "given", metavar="TEXT", help="The new text, in place of what an editor makes of it.")
@click.option("--raw", is_flag=True, help="The whole message as JSON, in place of its text.")
@click.pass_obj
def command(run: Run, place: str, given: str | None, raw: bool) -> None:
    """Change one message, in $VISUAL or $EDITOR.

    If the session changes meanwhile, nothing is saved: the text is kept in a file, which is named.
    """
    from ... import SessionConflictError

    manager = run.writing()
    way = exact(manager, place)
    if way.first is None or way.last is not None or way.point is not None:
        raise CommandError(f"say which message, as in {way.name}:7 or {way.name}:-1", USAGE)
    session = manager.load_session(way.name)
    revision = session.revision
    index = part_of(manager, session, way).start
    message = session[index]
    as_json = raw or not isinstance(message.get("content"), str)
    old = json.dumps(message, ensure_ascii=False, indent=2) if as_json else message["content"]
    new = given if given is not None else _edited(old, ".json" if as_json else ".md")
    if new == old:
        run.out.note("nothing was changed")
        return
    changed = _message(new, way.name, index) if as_json else {**message, "content": new}
    session.messages[index] = changed
    try:
        manager.save_session(session, expected=revision, on_conflict="raise")
    except SessionConflictError as error:
        kept = "" if given is not None else f"; your text is in {_keep(new)}"
        raise CommandError(f"{way.name!r} was changed meanwhile, and nothing was saved{kept}", REFUSED) from error
    except BaseException:
        if given is None:
            run.out.note(f"your text is in {_keep(new)}")
        raise
    run.out.note(
        f"changed {run.named(f'{session.name}:{index + 1}')} (undo: coda-session undo {run.single(session.name)})"
    )


def _edited(text: str, ending: str) -> str:
    """Return what the user makes of a text."""
    edited = click.edit(text, extension=ending)
    if edited is None:
        return text
    # Editors put a newline at the end.
    return edited if text.endswith("\n") else edited.removesuffix("\n")


def _message(text: str, name: str, index: int) -> dict[str, Any]:
    try:
        message = json.loads(text)
    except ValueError as error:
        problem = f"is no JSON: {error}"
    else:
        if isinstance(message, dict):
            return message
        problem = "is no JSON object"
    raise CommandError(f"what you wrote for {name}:{index + 1} {problem}; it is in {_keep(text)}", USAGE)


def _keep(text: str) -> str:
    """Write a text into a file that only this user may read, and return its path."""
    descriptor, path = tempfile.mkstemp(prefix="coda-session-", suffix=".txt")
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogatepass") as file:
        file.write(text)
    return path
