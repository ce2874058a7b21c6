"""What a merge tells about itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MergeReport:
    """What a merge or a pick led to.

    Attributes:
        name: what the session is called now. That is the plain name where the source had it, and was a side of the same
            session: there is one session left then.
        added, removed: how many messages more it shows, and how many it does not show any more.
        entry: the id of the state that it led to, for `SessionManager.history`.
        interleaved: messages of both sides are in the order of their times.
    """

    name: str
    added: int
    removed: int
    entry: str
    interleaved: bool = False
