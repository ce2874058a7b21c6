"""Preference pairs: two answers to one prompt, of which one was gone on with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..format.jsonl import encode_value
from ..session.imported import import_note
from ..session.session import Session
from .training import plain

PREFERENCES = ("continued", "current")


@dataclass(slots=True)
class _Side:
    """What follows on a prompt: the answer, with what tools said for it.

    Attributes:
        longest: how many messages follow in the session that has most of them.
        current: whether the source of a session that goes this way showed that one last.
    """

    answer: list[dict[str, Any]]
    longest: int = 0
    current: bool = False


@dataclass(slots=True)
class _Fork:
    prompt: list[dict[str, Any]]
    sides: dict[bytes, _Side] = field(default_factory=dict)


def pairs(sessions: Iterable[Session], form: str, prefer: str) -> Iterator[bytes]:
    """Yield a line for each two answers to one prompt of which one is preferred; a tie makes none.

    Prompts that were edited never make one.

    Args:
        form: "dpo" for OpenAI's form, "trl" for that of the TRL library.
        prefer: "continued" takes the answer that more messages follow; "current" the one that its source shows last.

    Raises:
        UnsupportedError: a message is of a role that these forms do not have.
    """
    for fork in _forks(sessions).values():
        sides = list(fork.sides.values())
        for place, one in enumerate(sides):
            for other in sides[place + 1 :]:
                chosen = _chosen(one, other, prefer)
                if chosen is not None:
                    yield _line(form, fork.prompt, *chosen)


def _forks(sessions: Iterable[Session]) -> dict[bytes, _Fork]:
    """Return the prompts that have several answers, by what leads to them."""
    forks: dict[bytes, _Fork] = {}
    for session in sessions:
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
                if len(said) - place > side.longest:
                    side.longest, side.answer = len(said) - place, said[place:end]
            before = here
    return {key: fork for key, fork in forks.items() if len(fork.sides) > 1}


def _chosen(one: _Side, other: _Side, prefer: str) -> tuple[_Side, _Side] | None:
    mine, its = (one.longest, other.longest) if prefer == "continued" else (one.current, other.current)
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
