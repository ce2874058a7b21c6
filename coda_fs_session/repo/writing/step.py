"""Steps: the one way in which a session changes otherwise than by messages at its end.

Each freezes the state before, begins a generation with a computed list of messages, and replaces the ref.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...backends.base import NewObject
from ...format.generations import Operation
from ...format.marks import Mark
from ...format.records import Base
from ...format.refs import Header
from ..content.messages import MessageList
from ..content.state import Attempt, State
from ..repository import Repository
from .commits import NO_FACTS, Facts, freeze, next_generation, unused_generation
from .refs import Content, publish


def step(
    repo: Repository,
    head: State,
    operation: Operation,
    content: Content | None,
    target: State | None,
    *,
    now: str,
    header: Header | None = None,
    result: Base | None = None,
    facts: Facts = NO_FACTS,
    past: Sequence[State] = (),
    objects: Sequence[NewObject] = (),
    attempted: dict[str, Attempt] | None = None,
    attempt: Attempt | None = None,
) -> State:
    """Freeze a head, and publish what an operation makes of it as a new generation.

    The name's lock must be held.

    Args:
        content: the messages with metadata and tags, whose objects are written; None: all of the head's.
        target: the ref of our own that is replaced, None to make one.
        now: when it is done.
        header: for what of the head's own header changes besides.
        result: the state right after the operation, if the same write adds messages to that.
        facts: what the operation says besides.
        past: heads in whose history the new generation must not be.
        objects: what the facts name and is not written yet.
        attempted, attempt: as for `publish`.

    Raises:
        StoreError: nothing was changed, or it cannot be told.
    """
    frozen = freeze(repo, head, operation, now)
    content = content or Content(frozen.base, [])
    messages = MessageList(repo.objects, repo.sizes, content.base, content.lines)
    result = result or Base(messages.count, 0, messages.chain_at(messages.count), content.base.start)
    generation = unused_generation(next_generation(head, operation, result, facts), past)
    header = header or head.header
    marks = [Mark(result.messages, now, 0)]
    if messages.count > result.messages:
        marks.append(Mark(messages.count, now))
    header = replace(header, base=content.base, generation=generation, commit=frozen.commit, marks=tuple(marks))
    objects = [*objects, *frozen.objects]
    return publish(repo, header, content.lines, target, objects=objects, attempted=attempted, attempt=attempt)
