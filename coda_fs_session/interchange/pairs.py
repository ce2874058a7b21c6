"""Preference pairs: two answers to one prompt, of which one was gone on with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..errors import UnsupportedError
from ..format.jsonl import encode_value
from ..session.imported import import_note
from ..session.session import Session
from .training import plain

PREFERENCES = ("continued", "current")
TAG = "tag:"
"""With a label after it, what prefers answers that are in the states of this label."""

States = Callable[[Session], list[Session]]
"""Returns a session as it was in states that count more than others."""


@dataclass(slots=True)
class _Side:
    """What follows on a prompt: the answer, with what tools said for it.

    Attributes:
        longest: how many messages follow in the session that has most of them.
        current: whether the source of a session that goes this way showed that one last.
        tagged: whether a state that has the label goes this way.
    """

    answer: list[dict[str, Any]]
    longest: int = 0
    current: bool = False
    tagged: bool = False


@dataclass(slots=True)
class _Fork:
    prompt: list[dict[str, Any]]
    sides: dict[bytes, _Side] = field(default_factory=dict)


def pairs(sessions: Iterable[Session], form: str, prefer: str, states: States) -> Iterator[bytes]:
    """Yield a line for each two answers to one prompt of which one is preferred; a tie makes none.

    Prompts that were edited never make one.

    Args:
        form: "dpo" for OpenAI's form, "trl" for that of the TRL library.
        prefer: "continued" takes the answer that more messages follow; "current" the one that its source shows last;
            "tag:NAME" the one that is in a state of this label.
        states: returns those of a session.

    Raises:
        UnsupportedError: a message is of a role that these forms do not have, or no session has the label.
    """
    forks, is_tagged = _forks(sessions, states)
    if prefer.startswith(TAG) and not is_tagged:
        raise UnsupportedError(f"none of these sessions has a tag {prefer.removeprefix(TAG)!r}: tag the better answers")
    for fork in forks.values():
        if len(fork.sides) < 2:
            continue
        sides = list(fork.sides.values())
        for place, one in enumerate(sides):
            for other in sides[place + 1 :]:
                chosen = _chosen(one, other, prefer)
                if chosen is not None:
                    yield _line(form, fork.prompt, *chosen)


def _forks(sessions: Iterable[Session], states: States) -> tuple[dict[bytes, _Fork], bool]:
    """Return the prompts that have answers, by what leads to them, and whether there was a state with the label."""
    forks: dict[bytes, _Fork] = {}
    is_tagged = False
    for session in sessions:
        _add(forks, session, tagged=False)
        for state in states(session):
            _add(forks, state, tagged=True)
            is_tagged = True
    return forks, is_tagged


def _add(forks: dict[bytes, _Fork], session: Session, *, tagged: bool) -> None:
    said = [one for each in session.iter_messages() if (one := plain(session, each)) is not None]
    for one in said:
        one.pop("weight", None)
    current = import_note(session.metadata).get("current") is True
    before = b""
    for place, one in enumerate(said):
        here = hashlib.sha256(before + encode_value(one, "message")).digest()
        if one["role"] == "assistant" and place and said[place - 1]["role"] == "user":
            fork = forks.setdefault(before, _Fork(said[:place]))
            end = next((n for n in range(place, len(said)) if said[n]["role"] not in ("assistant", "tool")), None)
            side = fork.sides.setdefault(here, _Side([]))
            side.current = side.current or current
            side.tagged = side.tagged or tagged
            if len(said) - place > side.longest:
                side.longest, side.answer = len(said) - place, said[place:end]
        before = here


def _chosen(one: _Side, other: _Side, prefer: str) -> tuple[_Side, _Side] | None:
    mine, its = (
        side.longest if prefer == "continued" else side.current if prefer == "current" else side.tagged
        for side in (one, other)
    )
    return None if mine == its else (one, other) if mine > its else (other, one)


def _line(form: str, prompt: list[dict[str, Any]], chosen: _Side, rejected: _Side) -> bytes:
    if form == "trl":
        made: dict[str, Any] = {"prompt": prompt, "chosen": chosen.answer, "rejected": rejected.answer}
    else:
        made = {
            "input": {"messages": prompt, "tools": [], "parallel_tool_calls": True},
            "preferred_output": chosen.answer,
            "non_preferred_output": rejected.answer,
        }
    return encode_value(made, "pair") + b"\n"
