"""`coda-session diff`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..exits import FAILED, NOT_FOUND, CommandError
from ..points import find
from ..run import Run
from ..safe import safe, safe_line
from ..telling import counted, short
from ..transcript import heading, text_of_message
from ..verb import json_options, verb

if TYPE_CHECKING:
    from ... import Diff, Difference

_COULD_NOT = 7
"""The exit code where 1 means that they differ."""


@verb("diff", "coda-session diff trip draft", "coda-session diff trip draft --stat")
@click.argument("session")
@click.argument("other", required=False)
@click.option("--stat", is_flag=True, help="Only how many messages differ.")
@click.option("--exit-code", is_flag=True, help="End with 1 where they differ; what fails ends with 7 then.")
@json_options
@click.pass_context
def command(context: click.Context, session: str, other: str | None, stat: bool, exit_code: bool) -> None:
    """Show what tells two sessions apart, down to the words of a message that was changed.

    Without OTHER it is the other side of a session that was continued apart.
    """
    run: Run = context.obj
    try:
        differ = _compare(run, session, other, stat=stat)
    except Exception as error:
        if not exit_code:
            raise
        raise CommandError(short(error), _COULD_NOT) from error
    if exit_code and differ:
        context.exit(FAILED)


def _compare(run: Run, session: str, other: str | None, *, stat: bool) -> bool:
    """Show what tells the two apart; true if anything does."""
    manager = run.reading()
    name = find(manager, session)[1].name
    if other is None:
        info = manager.get_session_info(name)
        sides = () if info is None else info.sides
        if not sides:
            raise CommandError(f"{name!r} was not continued apart: name the session to compare it with", NOT_FOUND)
        other = sides[0]
    else:
        other = find(manager, other)[1].name
    found = manager.branches.diff(name, other)
    if run.out.as_json:
        for each in found.differences:
            run.out.write_json(_as_json(each))
    else:
        _write(run, name, other, found, stat=stat)
    return bool(found)


def _as_json(each: Difference) -> dict[str, Any]:
    return {
        "kind": each.kind,
        "at": each.at,
        "there": each.there,
        "removed": each.removed,
        "added": each.added,
        "before": list(each.before),
        "after": list(each.after),
    }


def _write(run: Run, name: str, other: str, found: Diff, *, stat: bool) -> None:
    out = run.out
    out.write(f"common: the first {counted(found.common, 'message')}\n")
    for each, count in (
        (name, sum(difference.removed for difference in found.differences)),
        (other, sum(difference.added for difference in found.differences)),
    ):
        out.write(f"{run.named(each)}: {count:,} of its own\n")
    for difference in () if stat else found.differences:
        out.write(out.tint(f"@@ message {difference.at + 1}, there {difference.there + 1} @@", 6) + "\n")
        if difference.kind == "changed":
            out.write(f"  {safe_line(heading(difference.before[0]))}: {_words(run, difference)}\n")
            continue
        if difference.kind == "replaced":
            out.write(f"  {counted(difference.removed, 'message')} for {difference.added:,}\n")
        for sign, color, messages in (("-", 1, difference.before), ("+", 2, difference.after)):
            for message in messages:
                text = f"{sign} {heading(message)}: {text_of_message(message)}"
                out.write(out.tint(safe_line(text), color) + "\n")


def _words(run: Run, difference: Difference) -> str:
    shown = []
    for sign, words in difference.words():
        text = safe(words)
        if sign == "-":
            text = run.out.tint(f"[-{text}-]", 1)
        elif sign == "+":
            text = run.out.tint(f"{{+{text}+}}", 2)
        shown.append(text)
    return "".join(shown)
