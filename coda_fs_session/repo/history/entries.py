"""Entries: what a program is shown of the moments of a session."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from ...format.generations import Generation
from ...format.records import decode_time, local_time
from .moments import Moment


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """A state that a session was at, and what led there.

    Attributes:
        id: names it: for `History.at`, `restore` and `tag`, and for `create_session(new, branch_from=name, at=id)`.
        kind: "append" and "metadata" for saves, or the step: "create", "edit", "clear", "truncate", "rename", "delete",
            "undo", "restore", "merge", "part", "pick"; of what a tag names "tag".
        time: naive local time; see `when`.
        replica: which replica wrote it, "" where that is not known.
        messages: how many there were.
        added: how many more than before; less than 0 where there are fewer.
        note: for people: the names of a rename, the state that an undo went back to.
        expired: its messages are not in the store any more, and it cannot be gone back to.
        side: of an entry that came with a merge, the name that the session which was merged had then; "" for others.
        exact: one save led here from the entry before. Of many saves that are long ago, one entry is kept.
    """

    id: str
    kind: str
    time: datetime
    replica: str
    messages: int
    added: int
    note: str = ""
    expired: bool = False
    exact: bool = True
    side: str = ""

    @property
    def when(self) -> datetime:
        """`time` in UTC."""
        return self.time.astimezone(UTC)


def entry_of(moment: Moment, label: str = "") -> HistoryEntry:
    """Return what is shown of a moment; `label`: the tag that names it."""
    return HistoryEntry(
        id=moment.id,
        kind=moment.kind,
        time=local_time(decode_time(moment.time)),
        replica=moment.replica,
        messages=moment.live_count,
        added=moment.added,
        note=label or (_note(moment.stretch.generation) if moment.is_step and moment.kind != "edit" else ""),
        expired=moment.expired,
        exact=moment.saves == 1,
        side=moment.stretch.name if moment.side else "",
    )


def _note(generation: Generation | None) -> str:
    if generation is None:
        return ""
    if generation.operation == "rename":
        return f"to {generation.name!r}"
    if generation.to is not None:
        return f"to {generation.to.step[:12]}:{generation.to.messages}"
    return ""
