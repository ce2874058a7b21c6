"""What sync tools do between the folders of two real stores; as in `gc_tools`, they carry deletions too."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from simulator.transport import CONFLICT_NAMES

Hash = str | None
"""Of what a file holds; None: it is not there."""


@dataclass
class Folder:
    """The store of one machine, and what its tools remember of it.

    Attributes:
        known: what each file held at the last scan.
        versions: of each file who changed it how often, as Syncthing counts; of those that are gone too.
        seen: by the other machine and the file, what both had after the last sync, as Unison keeps it.
        touched: the files that tools have changed here since somebody last asked.
    """

    name: str
    root: Path
    known: dict[str, Hash] = field(default_factory=dict)
    versions: dict[str, dict[str, int]] = field(default_factory=dict)
    seen: dict[tuple[str, str], Hash] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)

    def scan(self) -> dict[str, Hash]:
        """Look at all files, count what changed since the last look, and return what each holds."""
        there: dict[str, Hash] = {
            path.relative_to(self.root).as_posix(): sha256(path.read_bytes()).hexdigest()
            for path in self.root.rglob("*")
            if path.is_file() and not path.name.startswith(".")
        }
        for path in {*there, *self.known}:
            if there.get(path) != self.known.get(path):
                versions = self.versions.setdefault(path, {})
                versions[self.name] = versions.get(self.name, 0) + 1
        self.known = dict(there)
        return there

    def time(self, path: str) -> int:
        with suppress(OSError):
            return (self.root / path).stat().st_mtime_ns
        return 0

    def receive(self, path: str, source: Folder, *, name: str = "") -> None:
        """Let a file be as it is at the source: there with its time, or gone."""
        there, here = source.root / path, self.root / (name or path)
        self.touched.add(name or path)
        if not there.exists():
            here.unlink(missing_ok=True)
            with suppress(OSError):
                here.parent.rmdir()
            self.known.pop(name or path, None)
            return
        data, time = there.read_bytes(), source.time(path)
        here.parent.mkdir(parents=True, exist_ok=True)
        new = here.with_name(f".{here.name}.tmp")
        new.write_bytes(data)
        os.utime(new, ns=(time, time))
        new.replace(here)
        if not name:
            self.known[path] = sha256(data).hexdigest()


def sync(tool: str, one: Folder, two: Folder, rng: random.Random, *, partly: bool = False) -> None:
    """Let a tool carry files between two stores, in any order, and only some where it is interrupted."""
    mine, yours = one.scan(), two.scan()
    paths = sorted({*mine, *yours, *one.versions, *two.versions})
    rng.shuffle(paths)
    for path in paths:
        if not (partly and rng.random() < 0.35):
            TOOLS[tool](one, two, path, rng)


def _by_copying(one: Folder, two: Folder, path: str, rng: random.Random) -> None:
    """What is not there, or older there, is copied one way; nothing is removed: rsync with `--update`."""
    is_new = path in one.known and (path not in two.known or one.time(path) > two.time(path))
    if is_new and one.known[path] != two.known.get(path):
        two.receive(path, one)
        _count(two, path)


def _by_versions(one: Folder, two: Folder, path: str, rng: random.Random) -> None:
    """The later version counts, a removal like any other; of two that do not know each other a file wins: Syncthing."""
    first, second = one.versions.get(path, {}), two.versions.get(path, {})
    one_is_old = all(second.get(key, 0) >= count for key, count in first.items())
    two_is_old = all(first.get(key, 0) >= count for key, count in second.items())
    both = {key: max(first.get(key, 0), second.get(key, 0)) for key in {*first, *second}}
    if one.known.get(path) != two.known.get(path):
        if one_is_old or two_is_old:
            _give(*((two, one) if one_is_old else (one, two)), path)
        else:
            _give(*_winner_first(one, two, path, rng), path)
    one.versions[path], two.versions[path] = dict(both), dict(both)


def _by_comparing(one: Folder, two: Folder, path: str, rng: random.Random) -> None:
    """What is as it was at the last sync gives way: Unison, `rclone bisync`, git. Equal bytes look unchanged."""
    was = one.seen.get((two.name, path))
    mine, yours = one.known.get(path), two.known.get(path)
    if mine != yours:
        if mine != was != yours:
            source, target = _winner_first(one, two, path, rng)
        else:
            source, target = (one, two) if mine != was else (two, one)
        _give(source, target, path)
        _count(target, path)
    one.seen[two.name, path] = two.seen[one.name, path] = one.known.get(path)


TOOLS: dict[str, Callable[[Folder, Folder, str, random.Random], None]] = {
    "versions": _by_versions,
    "comparing": _by_comparing,
    "copying": _by_copying,
}


def _give(source: Folder, target: Folder, path: str) -> None:
    target.receive(path, source)


def _count(folder: Folder, path: str) -> None:
    """Note a change that another tool has made, as the next scan of this one would."""
    versions = folder.versions.setdefault(path, {})
    versions[folder.name] = versions.get(folder.name, 0) + 1


def _winner_first(one: Folder, two: Folder, path: str, rng: random.Random) -> tuple[Folder, Folder]:
    """Return first the folder whose file stays; of two files the newer one, and perhaps the other one as a copy."""
    if path not in one.known or path not in two.known:
        return (one, two) if path in one.known else (two, one)
    winner, loser = (one, two) if one.time(path) >= two.time(path) else (two, one)
    if rng.random() < 0.5:
        folder, _, name = path.rpartition("/")
        loser.receive(path, loser, name=f"{folder}/{CONFLICT_NAMES['Syncthing'](name, rng)}")
    return winner, loser


def put_stick(folder: Folder, backup: Path, rng: random.Random) -> None:
    """Copy an old state of some machine over a store, as from a stick or a backup, whatever it overwrites."""
    source = Folder("stick", backup)
    for path in sorted(source.scan()):
        is_object = path.startswith("objects/")
        if (is_object and rng.random() < 0.5) or ((folder.root / path).exists() and (is_object or rng.random() < 0.5)):
            continue
        folder.receive(path, source)
