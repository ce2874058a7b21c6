"""What sync tools do to the files of a store: carry some, in some order, and make copies where they see a conflict."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

from .places import Place
from .reader import Files

ConflictName = Callable[[str, random.Random], str]
"""Makes the name of a conflict copy of a file from the file's name."""


def _before_ending(text: str) -> ConflictName:
    def name(original: str, rng: random.Random) -> str:
        stem, _, ending = original.rpartition(".")
        return f"{stem}{text.format(digits=f'{rng.randrange(10**6):06}', number=rng.randrange(1, 4))}.{ending}"

    return name


def _after_ending(text: str) -> ConflictName:
    return lambda original, rng: original + text.format(number=rng.randrange(1, 4))


def _unknown(original: str, rng: random.Random) -> str:
    stem = original.partition(".")[0]
    number = rng.randrange(1, 4)
    choices = (f"Copy of {original}", f"{stem}.{number + 1}.jsonl", f"{stem}~", f"{number}", f"x/{number}/{original}")
    return rng.choice(choices)


CONFLICT_NAMES: dict[str, ConflictName] = {
    "Syncthing": _before_ending(".sync-conflict-20240102-{digits}-ABCDEFG"),
    "Dropbox": _before_ending(" (Host's conflicted copy 2024-01-0{number})"),
    "Nextcloud": _before_ending(" (conflicted copy 2024-01-02 {digits})"),
    "rclone bisync": _after_ending(".conflict{number}"),
    "rclone bisync, newer": _before_ending(".conflict{number}"),
    "Unison": _before_ending(" (Unison conflict: other on 2024-01-0{number})"),
    "OneDrive": _before_ending("-HOST{number}"),
    "OneDrive, lower case": _before_ending("-host-{number}"),
    "Google Drive": _before_ending(" ({number})"),
    "iCloud": _before_ending(" {number}"),
    "unknown": _unknown,
}
"""How tools call the copy that they make of a file that was changed on both sides; no rule knows the last kind."""


def _renumbered(folder: str, rng: random.Random) -> str:
    return f"{folder[:-8]}{rng.getrandbits(32):08x}"


FOLDER_NAMES: tuple[Callable[[str, random.Random], str], ...] = (
    lambda folder, rng: f"Copy of {folder}",
    lambda folder, rng: f"{folder} ({rng.randrange(2, 4)})",
    lambda folder, rng: f"{folder}.bak/refs/{folder}",
    lambda folder, rng: f"{rng.choice('0z')}/{folder}",
    lambda folder, rng: f"{folder[:5]}",
    # Such an id no machine has; and such a name nobody ever gave.
    _renumbered,
    lambda folder, rng: f"{rng.choice('0Aaz~é')}{rng.getrandbits(16):x}",
)
"""Names that a copy of a whole folder may have; the order of paths is to decide nothing that a user sees."""


def any_name(rng: random.Random) -> str:
    """Return a path below `refs/` such as nobody who knows the format would choose for a ref."""
    stem = f"{rng.choice('0Aaz~é')}{rng.getrandbits(16):x}"
    folder = rng.choice(("", "x/", f"{stem}/", "host9-00000009/", "deep/er/"))
    return f"{folder}{stem}{rng.choice(('', '.jsonl', '.2.jsonl', '.txt', ' 1.JSONL', '.json'))}"


class What(IntEnum):
    """Which of a source's files a transfer carries."""

    EVERYTHING = 0
    SOURCES_OWN = 1
    REFS = 2
    OBJECTS = 3
    HALF = 4
    ONE = 5


class Wins(IntEnum):
    """What becomes of a file that both sides have, and that differs."""

    SOURCE = 0
    TARGET = 1
    COPY_OF_SOURCE = 2
    COPY_OF_TARGET = 3


@dataclass(slots=True)
class Carried:
    """What a transfer did.

    Attributes:
        written: paths that are new or changed at the target; before: what those that were there held.
        own: changed paths at which the target itself writes.
    """

    written: list[str] = field(default_factory=list)
    before: dict[str, bytes] = field(default_factory=dict)
    own: list[str] = field(default_factory=list)


def carry(
    source: Files,
    target: Place,
    what: What,
    wins: Wins,
    conflict: ConflictName,
    rng: random.Random,
    *,
    own: str = "",
    reverts: bool = False,
) -> Carried:
    """Copy files into a place.

    Args:
        own: the replica whose files `What.SOURCES_OWN` means.
        reverts: whether even a file that the target itself writes is replaced, or removed, by what the source has.
    """
    there = target.files()
    done = Carried()
    for path in _chosen(source, what, own, rng):
        data = source[path]
        if there.get(path) == data:
            continue
        destination = path
        if path in there:
            protected = target.is_own(path) and not reverts
            if wins is Wins.TARGET:
                continue
            if wins is Wins.COPY_OF_SOURCE or protected:
                if wins is Wins.SOURCE:
                    continue
                destination = _beside(path, conflict, rng)
            elif wins is Wins.COPY_OF_TARGET:
                _put(target, there, _beside(path, conflict, rng), there[path], rng, done)
        if target.is_own(destination) and destination in there and not reverts:
            continue
        _put(target, there, destination, data, rng, done)
    return done


def _put(target: Place, there: dict[str, bytes], path: str, data: bytes, rng: random.Random, done: Carried) -> None:
    if there.get(path) == data:
        return
    if path in there:
        done.before.setdefault(path, there[path])
        if target.is_own(path):
            done.own.append(path)
    target.put(path, data, in_place=rng.random() < 0.25)
    there[path] = data
    done.written.append(path)


def _chosen(source: Files, what: What, own: str, rng: random.Random) -> list[str]:
    paths = sorted(source)
    if what is What.REFS:
        paths = [path for path in paths if path.startswith("refs/")]
    elif what is What.OBJECTS:
        paths = [path for path in paths if path.startswith("objects/")]
    elif what is What.SOURCES_OWN:
        paths = [path for path in paths if path.startswith((f"refs/{own}/", "objects/"))]
    elif what is What.HALF:
        paths = [path for path in paths if rng.random() < 0.5]
    rng.shuffle(paths)
    return paths[:1] if what is What.ONE else paths


def _beside(path: str, conflict: ConflictName, rng: random.Random) -> str:
    folder, _, name = path.rpartition("/")
    # Objects with one name are equal; where a damaged one differs, no reader looks for the copy.
    return f"{folder}/{conflict(name, rng)}"


def copy_folder(
    source: Files, folder: str, target: Place, name: str, rng: random.Random, *, reverts: bool = False
) -> Carried:
    """Copy all of a replica's refs into a folder of another name, as people and cloud clients do."""
    there = target.files()
    done = Carried()
    for path in sorted(source):
        if path.startswith(f"refs/{folder}/"):
            copy = f"refs/{name}/{path.removeprefix(f'refs/{folder}/')}"
            # What is there already is left as it is, and nobody puts anything among what the target writes.
            if copy not in there and not target.is_own(copy):
                _put(target, there, copy, source[path], rng, done)
    return done


def exchange(places: list[Place]) -> bool:
    """Bring every file to every place, each replica's own files as that replica has them.

    Returns:
        Whether anything had to be copied.
    """
    sets = [place.files() for place in places]
    union: dict[str, bytes] = {}
    for files in sets:
        for path, data in files.items():
            # Versions of a file that its writer does not have (conflict copies): any, but everywhere the same one.
            union[path] = max(union.get(path, b""), data, key=lambda each: (len(each), each))
    for place, files in zip(places, sets, strict=True):
        union.update({path: data for path, data in files.items() if place.is_own(path)})
    changed = False
    for place, files in zip(places, sets, strict=True):
        for path, data in union.items():
            if files.get(path) != data:
                place.put(path, data)
                changed = True
    return changed
