"""Which refs decide together what is shown: those that have names in common, now or before renames."""

from __future__ import annotations

from collections.abc import Iterable

from .rows import Row


def groups(rows: Iterable[Row]) -> list[list[Row]]:
    """Group rows that have a name in common, or each with a third one, and so on; those that cannot be read by key."""
    rows = list(rows)
    names = _Names()
    for row in rows:
        for former in row.former_names:
            names.join(row.name, former)
    found: dict[str, list[Row]] = {}
    unreadable: list[Row] = []
    for row in rows:
        if not row.readable:
            unreadable.append(row)
        elif row.name:
            name = names.first(row.name) if names else row.name
            group = found.get(name)
            if group is None:
                found[name] = [row]
            else:
                group.append(row)
    if unreadable:
        names_of_keys = {row.key: name for name, group in found.items() for row in group}
        for row in unreadable:
            found.setdefault(names_of_keys.get(row.key, row.name), []).append(row)
    return list(found.values())


class _Names:
    """Sets of names that were joined, each known by one of them (a disjoint-set forest)."""

    def __init__(self) -> None:
        self._towards: dict[str, str] = {}

    def __bool__(self) -> bool:
        return bool(self._towards)

    def first(self, name: str) -> str:
        towards = self._towards
        while (other := towards.get(name, name)) != name:
            towards[name] = towards.get(other, other)
            name = other
        return name

    def join(self, one: str, other: str) -> None:
        self._towards[self.first(other)] = self.first(one)
