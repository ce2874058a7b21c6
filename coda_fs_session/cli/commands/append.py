"""`coda-session append`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import IO, Any

import click

from ..exits import USAGE, CommandError
from ..points import whole_name
from ..run import Run
from ..verb import verb

_END = "end with Ctrl-D"


@verb(
    "append",
    "coda-session append trip -m 'Where is it warm in March?'",
    "echo 'In Oman.' | coda-session append trip -r assistant",
)
@click.argument("name")
@click.option(
    "-m", "--message", "text", metavar="TEXT", help="The text; without it, and with -, it is read from stdin."
)
@click.option("-r", "--role", default="user", show_default=True, help="Who says it.")
@click.option("--jsonl", is_flag=True, help="Read messages from stdin, a JSON object a line.")
@click.option("--create", is_flag=True, help="Make the session, if there is none.")
@click.pass_obj
def command(run: Run, name: str, text: str | None, role: str, jsonl: bool, create: bool) -> None:
    """Add messages to a session, and print how many it has then."""
    if jsonl and text is not None:
        raise click.UsageError("--jsonl reads messages from stdin, and -m gives one: give one of the two")
    manager = run.writing(create=create)
    if not create:
        name = whole_name(manager, name)
    # Before the session is opened: a person may take their time.
    if jsonl:
        messages = list(_lines(_stdin(run)))
    else:
        said = _stdin(run).read() if text in (None, "-") else text
        messages = [{"role": role, "content": (said or "").removesuffix("\n")}]
        if not messages[0]["content"]:
            raise CommandError("there is nothing to add: the text is empty", USAGE)
    session = manager.create_session(name) if create else manager.load_session(name)
    for message in messages:
        session.add_message(message)
    manager.save_session(session)
    if not run.out.quiet:
        run.out.write(f"{len(session)}\n")


def _stdin(run: Run) -> IO[str]:
    stream = sys.stdin
    if stream is None:
        raise CommandError("stdin is closed: give the text with -m", USAGE)
    stream.reconfigure(encoding="utf-8", errors="strict")  # type: ignore[union-attr]
    if stream.isatty():
        run.out.note(_END)
    return stream


def _lines(stream: IO[str]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        try:
            message = json.loads(line)
        except ValueError as error:
            raise CommandError(f"line {number} of stdin is not JSON: {error}; nothing was added", USAGE) from None
        if not isinstance(message, dict):
            raise CommandError(f"line {number} of stdin is no JSON object; nothing was added", USAGE)
        yield message
