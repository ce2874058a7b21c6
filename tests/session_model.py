"""What sessions and stores should hold, as dicts and lists, and what may be put into them."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from coda_fs_session import Session
from coda_fs_session.format.chunks import Sizes

SMALL = Sizes(minimum=120, spread=300, large=400, full=600, fan_out=3, deferred=300)
NAMES = ["a", "b", "B", "naïve Name/..", "a~b"]

names = st.sampled_from(NAMES)
places = st.integers(0, 40)
odd_values = st.sampled_from(
    [1, True, 1.0, 0.0, -0.0, None, "1", [], {}, [None], {"b": 1, "a": 2}, {"a": 2, "b": 1}, "ü\t\n"]
)
messages = st.builds(
    lambda role, size, value: {"role": role, "content": "x" * size, "value": copy.deepcopy(value)},
    st.sampled_from(["user", "assistant"]),
    st.sampled_from([0, 10, 30, 60, 100, 450]),
    odd_values,
)


def text(value: Any) -> str:
    """Return JSON text, by which values compare with their types and key order."""
    return json.dumps(value)


@dataclass
class Stored:
    """What the store should hold under a name."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    parent: str | None = None
    forked_at: int | None = None
    version: int = 0


@dataclass(eq=False)
class Open:
    """A session object, and what it should hold: `base` is the stored state that it was last in step with."""

    manager: int
    session: Session
    messages: list[dict[str, Any]]
    metadata: dict[str, Any]
    base: Stored

    @property
    def changed(self) -> bool:
        return text(self.messages) != text(self.base.messages) or by_key(self.metadata) != by_key(self.base.metadata)

    @property
    def only_appends(self) -> bool:
        return text(self.messages[: len(self.base.messages)]) == text(self.base.messages)


def by_key(metadata: dict[str, Any]) -> dict[str, str]:
    """Return metadata so that it compares with types, but without the order of its own keys."""
    return {key: text(value) for key, value in metadata.items()}


def edit_in_place(edited: list[dict[str, Any]], at: int, message: dict[str, Any], how: str) -> None:
    """Change a list of messages as a user may change `session.messages`."""
    if how == "insert" or not edited:
        edited.insert(at % (len(edited) + 1), message)
        return
    at %= len(edited)
    if how == "delete":
        del edited[at]
    elif how == "replace":
        edited[at] = message
    elif how == "move":
        edited.append(edited.pop(at))
    elif how == "nested":
        edited[at]["value"] = message["value"]
    else:
        edited[at : at + 2] = [message]
