"""How files get from one machine of the model to another: sync tools that carry deletions, and an old stick."""

from __future__ import annotations

import random
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Object(NamedTuple):
    """A file of an object; `copy` tells its names apart. A tuple stands for a list node: it names what is below it."""

    id: Hashable
    copy: int


class Ref(NamedTuple):
    """A ref file; it holds its version, and the ids that it names."""

    replica: str
    number: int


class Said(NamedTuple):
    """The file in which a replica says what it condemned, acknowledged and did."""

    replica: str


class Listed(NamedTuple):
    """The file of a list."""

    key: Hashable


Name = Object | Ref | Said | Listed


@dataclass
class Folder:
    """The store of one machine, and what its tools remember of it.

    Attributes:
        versions: of each file who changed it how often, as Syncthing counts; of those that are gone too.
        seen: by the other machine and the file, what both had after the last sync, as Unison keeps it.
    """

    machine: str
    files: dict[Name, Any] = field(default_factory=dict)
    versions: dict[Name, dict[str, int]] = field(default_factory=dict)
    seen: dict[tuple[str, Name], Any] = field(default_factory=dict)

    def put(self, name: Name, value: Any) -> None:
        self.files[name] = value
        self._count(name)

    def remove(self, name: Name) -> None:
        if self.files.pop(name, None) is not None:
            self._count(name)

    def _count(self, name: Name) -> None:
        versions = self.versions.setdefault(name, {})
        versions[self.machine] = versions.get(self.machine, 0) + 1

    def take(self, name: Name, value: Any, versions: dict[str, int]) -> None:
        if value is None:
            self.files.pop(name, None)
        else:
            self.files[name] = value
        self.versions[name] = dict(versions)


def sync(tool: str, one: Folder, two: Folder, rng: random.Random, *, partly: bool = False) -> None:
    """Let a tool carry files between two machines, in any order, and only some where it is interrupted."""
    names = sorted({*one.files, *two.files, *one.versions, *two.versions}, key=repr)
    rng.shuffle(names)
    for name in names:
        if not (partly and rng.random() < 0.35):
            TOOLS[tool](one, two, name)


def _by_copying(one: Folder, two: Folder, name: Name) -> None:
    """What is not there, or older there, is copied one way; nothing is removed: rsync with `--update`."""
    if name in one.files and (name not in two.files or is_newer(one.files[name], two.files[name], name)):
        two.put(name, one.files[name])


def _by_versions(one: Folder, two: Folder, name: Name) -> None:
    """The later version counts, a removal like any other; of two that do not know each other a file wins: Syncthing."""
    first, second = one.versions.get(name, {}), two.versions.get(name, {})
    one_is_old = all(second.get(key, 0) >= count for key, count in first.items())
    two_is_old = all(first.get(key, 0) >= count for key, count in second.items())
    if one_is_old and two_is_old:
        return
    if one_is_old:
        one.take(name, two.files.get(name), second)
    elif two_is_old:
        two.take(name, one.files.get(name), first)
    else:
        both = {key: max(first.get(key, 0), second.get(key, 0)) for key in {*first, *second}}
        kept = winner(one.files.get(name), two.files.get(name), name)
        one.take(name, kept, both)
        two.take(name, kept, both)


def _by_comparing(one: Folder, two: Folder, name: Name) -> None:
    """What is as it was at the last sync gives way: Unison, `rclone bisync`, git. Equal bytes look unchanged."""
    was = one.seen.get((two.machine, name))
    mine, yours = one.files.get(name), two.files.get(name)
    kept = winner(mine, yours, name) if mine != was != yours else mine if mine != was else yours
    for folder in (one, two):
        if folder.files.get(name) != kept:
            if kept is None:
                folder.remove(name)
            else:
                folder.put(name, kept)
    one.seen[two.machine, name] = two.seen[one.machine, name] = kept


TOOLS = {"versions": _by_versions, "comparing": _by_comparing, "copying": _by_copying}


def winner(mine: Any, yours: Any, name: Name) -> Any:
    if mine is None or yours is None:
        return yours if mine is None else mine
    return mine if is_newer(mine, yours, name) else yours


def is_newer(value: Any, other: Any, name: Name) -> bool:
    return isinstance(name, Ref | Said) and value[0] > other[0]


def put_stick(folder: Folder, files: dict[Name, Any], rng: random.Random) -> None:
    """Copy an old state of some machine over a store, as from a stick or a backup, whatever it overwrites."""
    for name, value in files.items():
        missed = isinstance(name, Object) and rng.random() < 0.5
        if not missed and (name not in folder.files or (isinstance(name, Ref | Said) and rng.random() < 0.5)):
            folder.put(name, value)
