"""What a row about frameworks compares."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

Call = Callable[[], Awaitable[object]]


class Verb(NamedTuple):
    """What both do, and how many times as long ours may take."""

    name: str
    ours: Call
    theirs: Call
    must: float
