"""`coda-session tree`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from ..points import find
from ..run import Run
from ..safe import safe
from ..verb import json_options, verb

if TYPE_CHECKING:
    from ... import Branch


@verb("tree", "coda-session tree trip", "coda-session tree --json")
@click.argument("session", required=False)
@json_options
@click.pass_obj
def command(run: Run, session: str | None) -> None:
    """Show which session came from which, and what was merged: the family of one session, or all."""
    manager = run.reading()
    tree = manager.branches.tree()
    if session is not None:
        name = find(manager, session)[1].name
        tree = type(tree)(tuple(root for root in tree.roots if any(each.name == name for each in root)))
    if not run.out.as_json:
        drawn = str(tree)
        run.out.write(f"{safe(drawn)}\n" if drawn else "")
        return
    for root in tree.roots:
        for value in _values(root):
            run.out.write_json(value)


def _values(root: Branch) -> Iterator[dict[str, Any]]:
    pending: list[tuple[Branch, str | None]] = [(root, None)]
    while pending:
        each, parent = pending.pop()
        yield {
            "name": each.name,
            "message_count": each.messages,
            "parent": parent,
            "forked_at": each.forked_at,
            "merged": [{"source": joint.source, "at": joint.at, "picked": joint.picked} for joint in each.joints],
        }
        pending += [(child, each.name) for child in reversed(each.branches)]
