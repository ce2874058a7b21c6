"""What a sync tells: while it runs, and at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from typing import Literal

from ...errors import StoreError
from ...format.names import origin
from ..events.changes import SessionEvent, label_of

Direction = Literal["both", "push", "pull"]

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class SyncProgress:
    """How far a sync is.

    Attributes:
        phase: "objects" go first, then "refs".
        done, total: objects or refs that were looked at, and that are to be, in both directions; more can turn up.
        bytes: how many bytes of them were moved so far.
    """

    phase: Literal["objects", "refs"]
    done: int
    total: int
    bytes: int


ProgressCallback = Callable[[SyncProgress], object]


@dataclass(frozen=True, slots=True)
class SyncTransfer:
    """What went one way.

    Attributes:
        new, advanced, diverged, deleted, renamed: names of sessions, sorted, by what happened to them on the side
            that received; see `SessionEvent` for what each means.
        refs, objects: files, or their equivalent, that were written there; bytes: the size of what was written.
    """

    new: tuple[str, ...] = ()
    advanced: tuple[str, ...] = ()
    diverged: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    renamed: tuple[str, ...] = ()
    refs: int = 0
    objects: int = 0
    bytes: int = 0

    def __bool__(self) -> bool:
        """True if anything was written."""
        return bool(self.refs or self.objects)

    def __str__(self) -> str:
        if not self:
            return "nothing"
        sessions = [
            f"{len(names)} {each.name} ({', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''})"
            for each in fields(self)
            if isinstance(names := getattr(self, each.name), tuple) and names
        ]
        return ", ".join([*sessions, f"{self.refs} refs, {self.objects} objects, {self.bytes:,} bytes"])


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a sync did. ``print(report)`` shows it in a few lines.

    Attributes:
        pushed: what went to the target; pulled: what came from it.
        problems: refs and objects that are damaged or cannot be read, each with its path; they were left alone.
    """

    pushed: SyncTransfer = field(default_factory=SyncTransfer)
    pulled: SyncTransfer = field(default_factory=SyncTransfer)
    problems: tuple[StoreError, ...] = ()

    def __str__(self) -> str:
        return "\n".join(
            [f"pushed: {self.pushed}", f"pulled: {self.pulled}", *(f"left alone: {error}" for error in self.problems)]
        )


def transfer_of(
    events: Iterable[SessionEvent], touched: set[str], *, refs: int, objects: int, size: int
) -> SyncTransfer:
    """Sum up what happened on a side, as far as it happened to sessions whose refs were `touched`."""
    names: dict[str, list[str]] = {}
    for event in events:
        label = label_of(event.info) if event.info is not None else event.name
        # Others may be at work in the same store. Of a derived name that is gone only the name itself is left.
        if touched & {label, event.previous_name, origin(event.name)}:
            names.setdefault(event.kind, []).append(event.name)
    created, advanced, diverged, deleted, renamed = (
        tuple(names.get(kind, ())) for kind in ("created", "advanced", "diverged", "deleted", "renamed")
    )
    return SyncTransfer(created, advanced, diverged, deleted, renamed, refs, objects, size)
