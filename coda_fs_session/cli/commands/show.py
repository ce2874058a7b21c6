"""`coda-session show`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from ...session.shapes import role
from ..exits import NOT_FOUND, CommandError
from ..points import Part, find, part_of
from ..run import Run
from ..safe import safe, safe_line
from ..telling import counted
from ..transcript import Transcript, code_blocks
from ..verb import json_options, verb

if TYPE_CHECKING:
    from ... import Session


@verb("show", "coda-session show trip -n 6", "coda-session show trip:3-5")
@click.argument("session")
@click.option("-n", "number", type=click.IntRange(1), metavar="N", help="Only the last N messages.")
@click.option("--head", type=click.IntRange(1), metavar="N", help="Only the first N messages.")
@click.option("-r", "--role", "roles", multiple=True, metavar="ROLE", help="Only messages of this role.")
@click.option(
    "--tools", type=click.Choice(["full", "short", "none"]), default="short", help="Calls and results of tools."
)
@click.option("--reasoning", is_flag=True, help="Also what a model thought.")
@click.option("--md", "markdown", is_flag=True, help="As Markdown.")
@click.option("--meta", is_flag=True, help="The metadata, and no messages.")
@click.option("-x", "first_block", is_flag=True, help="The first code block alone.")
@click.option("--xl", "last_block", is_flag=True, help="The last code block alone.")
@click.option("--partial", is_flag=True, help="What there is, where messages have not arrived or are damaged.")
@json_options
@click.pass_obj
def command(
    run: Run,
    session: str,
    number: int | None,
    head: int | None,
    roles: tuple[str, ...],
    tools: str,
    reasoning: bool,
    markdown: bool,
    meta: bool,
    first_block: bool,
    last_block: bool,
    partial: bool,
) -> None:
    """Show a session, for reading.

    SESSION is its name, the beginning of it, or @ for the one that changed last. trip@40 is what it was with 40
    messages, trip~2 without the last two, trip:7 its message 7, trip:3-9 the messages 3 to 9, and trip:-1 the last one.
    """
    if number is not None and head is not None:
        raise click.UsageError("-n is for the last messages and --head for the first: give one of the two")
    manager = run.reading()
    way, found = find(manager, session)
    if partial:
        found = manager.load_session(found.name, partial=True)
        if found.missing:
            run.out.note(f"note: {counted(found.missing, 'message')} of it cannot be read here")
    chosen = part_of(manager, found, way)
    if meta:
        _show_metadata(run, chosen.session)
        return
    start, stop = chosen.start, chosen.stop
    if number is not None:
        start = max(start, stop - number)
    if head is not None:
        stop = min(stop, start + head)
    messages = _numbered(chosen._replace(start=start, stop=stop), roles)
    if first_block or last_block:
        _show_code(run, messages, last=last_block)
    elif run.out.as_json:
        for _, message in messages:
            run.out.write_json(message)
    else:
        transcript = Transcript(run.out, markdown=markdown, tools=tools, reasoning=reasoning)
        for place, message in messages:
            transcript.write(place, message)


def _numbered(part: Part, roles: tuple[str, ...]) -> Iterator[tuple[int, dict[str, Any]]]:
    for place, message in enumerate(part.session.iter_messages(part.start, part.stop), part.start + 1):
        if not roles or role(message) in roles:
            yield place, message


def _show_code(run: Run, messages: Iterator[tuple[int, dict[str, Any]]], *, last: bool) -> None:
    block: str | None = None
    for _, message in messages:
        blocks = code_blocks(message)
        if blocks:
            block = blocks[-1 if last else 0]
            if not last:
                break
    if block is None:
        raise CommandError("there is no code block in these messages", NOT_FOUND)
    # Raw in a pipe, where a program reads it.
    run.out.write(safe(block) if run.out.terminal else block)


def _show_metadata(run: Run, session: Session) -> None:
    if run.out.as_json:
        run.out.write_json(session.metadata)
        return
    import json

    for key, value in session.metadata.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        run.out.write(f"{safe_line(key)}\t{safe_line(text)}\n")
