"""Which sessions a list is to have, in which order, and from where on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any
from unicodedata import normalize

from ..format.records import given_time
from .info import SessionInfo, microseconds_of

HIDDEN = "coda_fs_session.hidden"
"""Metadata key of sessions that a list leaves out, unless it is asked for them."""

Where = Mapping[str | tuple[str, ...], Any] | Callable[[SessionInfo], object]

_NUMBERS: dict[str, Callable[[SessionInfo], int]] = {
    "updated": lambda info: -microseconds_of(info.updated_at),
    "created": lambda info: -microseconds_of(info.created_at),
    "size": lambda info: -info.size_bytes,
    "name": lambda info: 0,
}
"""By the order: what comes before the name in it, the least first."""


class Query:
    """The arguments of `SessionManager.list_sessions`, which says what they mean; raises as that."""

    def __init__(
        self,
        *,
        prefix: str | None = None,
        where: Where | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        order: str = "updated",
        limit: int | None = None,
        after: str | None = None,
        hidden: bool = False,
    ) -> None:
        _expect("prefix", prefix, str)
        _expect("order", order, str, optional=False)
        _expect("limit", limit, int)
        _expect("after", after, str)
        if order.removeprefix("-") not in _NUMBERS:
            raise ValueError(f"order must be one of {', '.join(_NUMBERS)}, perhaps after a -, not {order!r}")
        if limit is not None and limit < 0:
            raise ValueError(f"limit must be 0 or more, not {limit}")
        self.prefix = normalize("NFC", prefix) if prefix else ""
        self.order, self._by, self._is_turned = order, order.removeprefix("-"), order.startswith("-")
        self._limit, self._hidden = limit, hidden
        self._since, self._until = (
            None if moment is None else microseconds_of(moment)
            for moment in (given_time(since, "since"), given_time(until, "until"))
        )
        self._where = _condition(where)
        self._after = None if after is None else self._place_of(after)

    def select(self, infos: Iterable[SessionInfo], *, ordered: bool = False) -> list[SessionInfo]:
        """Return those of some sessions that are asked for.

        Args:
            ordered: they come in the order "updated".
        """
        conditions = (self._since, self._until, self._after, self._where)
        if not self.prefix and all(each is None for each in conditions):
            # All that are not hidden, as nearly every list is, spelled out: of ten thousand it is a part of the time.
            found = [info for info in infos if self._hidden or not info.metadata or not info.metadata.get(HIDDEN)]
        else:
            found = [info for info in infos if self._has(info)]
        if not ordered or self.order != "updated":
            # Ties go by name in both directions; only a list by name is turned with it.
            found.sort(key=self._place, reverse=self._is_turned and self._by == "name")
        if self._limit is None:
            return found
        del found[self._limit :]
        for info in found:
            # A few of many are not to keep the previews of all in memory.
            _ = info.preview
        return found

    def _has(self, info: SessionInfo) -> bool:
        if self.prefix and not info.name.startswith(self.prefix):
            return False
        if not self._hidden and HIDDEN in info.metadata and info.metadata[HIDDEN]:
            return False
        if self._since is not None or self._until is not None:
            moment = microseconds_of(info.updated_at)
            if self._since is not None and moment < self._since:
                return False
            if self._until is not None and moment >= self._until:
                return False
        if self._after is not None and not self._comes_after(self._place(info), self._after):
            return False
        return self._where is None or bool(self._where(info))

    def _place(self, info: SessionInfo) -> tuple[int, str]:
        number = _NUMBERS[self._by](info)
        return -number if self._is_turned else number, info.name

    def _comes_after(self, place: tuple[int, str], other: tuple[int, str]) -> bool:
        return place < other if self._is_turned and self._by == "name" else place > other

    def _place_of(self, cursor: str) -> tuple[int, str]:
        """Return the place of the session that a cursor was made of, as it was then."""
        try:
            created, updated, size, name = cursor.split(".", 3)
            numbers = {"created": -int(created), "updated": -int(updated), "size": -int(size), "name": 0}
        except ValueError:
            raise ValueError(f"after must be the cursor of a session in an earlier list, not {cursor!r}") from None
        number = numbers[self._by]
        return -number if self._is_turned else number, name


def _expect(argument: str, value: object, kind: type, *, optional: bool = True) -> None:
    if (value is None and optional) or (isinstance(value, kind) and not isinstance(value, bool)):
        return
    raise TypeError(f"{argument} must be {'text' if kind is str else 'a whole number'}, not {type(value).__name__}")


def _condition(where: Where | None) -> Callable[[SessionInfo], object] | None:
    if where is None or callable(where):
        return where
    if not isinstance(where, Mapping):
        raise TypeError(f"where must be a dict of metadata values, or a function, not {type(where).__name__}")
    wanted = []
    for key, value in where.items():
        path = key if isinstance(key, tuple) else (key,)
        if not path or not all(isinstance(part, str) for part in path):
            raise TypeError(f"where: a key must be text, or a tuple of texts, not {key!r}")
        wanted.append((path, value))
    return lambda info: all(_is_at(info.metadata, path, value) for path, value in wanted)


def _is_at(metadata: Any, path: tuple[str, ...], value: object) -> bool:
    for key in path:
        if not isinstance(metadata, dict) or key not in metadata:
            return False
        metadata = metadata[key]
    # True is no 1.
    return bool(metadata == value) and isinstance(metadata, bool) == isinstance(value, bool)
