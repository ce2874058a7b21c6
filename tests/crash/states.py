"""A disk that forgets: every tree that a crash may leave behind, as far as POSIX promises no better.

What is promised: data that was synced is there; a name is there once its folder was synced; a rename
happens whole or not at all; a sector of 512 bytes is written whole or not at all. Anything else is taken
to happen: changes of names and of data that were not synced are lost in any combination, a write is cut
off at any byte, and where a file has grown, sectors that never arrived read as zeros.
"""

from __future__ import annotations

import copy
import itertools
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .recording import Call

Tree = dict[str, bytes | None]
"""Files by path with their bytes, folders with None."""

SECTOR = 512


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of what is possible to look at.

    Attributes:
        subsets: of lost changes of names, at any one moment; contents: of combinations of file contents for each.
        hidden: of such combinations where only files differ that have temporary names, which no reader looks at.
        every_byte: cut writes off at every byte, not only at the edges of writes, of sectors and in the middle.
    """

    subsets: int = 6
    contents: int = 48
    hidden: int = 1
    every_byte: bool = False


QUICK = Limits()
LONG = Limits(subsets=256, contents=8192, hidden=64, every_byte=True)


@dataclass(slots=True, eq=False)
class File:
    """A file: its durable bytes, and what happened to it since its last sync.

    Attributes:
        pending: writes as (offset, data), truncations as (size, None), in order.
    """

    kept: bytes = b""
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)

    def now(self) -> bytes:
        return _applied(self.kept, self.pending)

    def contents(self, limits: Limits, *, hidden: bool) -> list[bytes]:
        """Return what a crash may leave of the file, first everything lost, last nothing lost.

        Args:
            hidden: it has only a temporary name. Readers look at no byte of it, so a few contents do.
        """
        if not self.pending:
            return [self.kept]
        found = [self.kept]
        for number, (offset, data) in enumerate(self.pending):
            before = _applied(self.kept, self.pending[:number])
            for cut in _cuts(offset, len(data or b""), limits, hidden):
                found.append(_applied(before, [(offset, data[:cut] if data is not None else None)]))
            if len(self.pending) > 1:
                found.append(_applied(self.kept, self.pending[:number] + self.pending[number + 1 :]))
        now = self.now()
        if not hidden:
            found.extend(_without_sectors(self.kept, now))
        found.append(now)
        return list(dict.fromkeys(found))


@dataclass(slots=True, eq=False)
class Folder:
    """A folder: its durable names, its names as processes see them, and the changes since its last sync.

    Each change sets some names (None: removes) all at once.
    """

    kept: dict[str, File | Folder] = field(default_factory=dict)
    now: dict[str, File | Folder] = field(default_factory=dict)
    pending: list[dict[str, File | Folder | None]] = field(default_factory=list)

    def change(self, names: dict[str, File | Folder | None]) -> None:
        self.pending.append(names)
        _set_names(self.now, names)


class Disk:
    """The durable and the pending state of a folder tree; `apply` takes it one call further.

    Attributes:
        journals: a sync of any file makes every earlier change of names durable, as on the journaling file
            systems of today (ext4, xfs, btrfs); POSIX does not promise it.
    """

    def __init__(self, folder: Path) -> None:
        self.root = Folder()
        self.journals = False
        self._files: dict[int, File] = {}
        for path in sorted(folder.rglob("*")):
            node: File | Folder = Folder() if path.is_dir() else File(path.read_bytes())
            if isinstance(node, File):
                self._files[path.stat().st_ino] = node
            parent = self._folder(str(path.parent.relative_to(folder)))
            parent.kept[path.name] = parent.now[path.name] = node

    def apply(self, call: Call) -> None:
        """Take in one call."""
        parent, name = self._place(call.path)
        match call.name:
            case "create":
                self._files[call.file] = File()
                parent.change({name: self._files[call.file]})
            case "make_folder":
                parent.change({name: Folder()})
            case "write":
                file = self._files[call.file]
                file.pending.append((len(file.now()), call.data))
            case "truncate":
                self._files[call.file].pending.append((call.size, None))
            case "sync_data":
                file = self._files[call.file]
                file.kept, file.pending = file.now(), []
                for folder in _folders(self.root) if self.journals else ():
                    folder.kept, folder.pending = dict(folder.now), []
            case "sync_folder":
                folder = self._folder(call.path)
                folder.kept, folder.pending = dict(folder.now), []
            case "rename":
                # No protocol here moves a file from one folder to another.
                parent.change({name: None, self._place(call.target)[1]: parent.now[name]})
            case "link":
                parent.change({self._place(call.target)[1]: parent.now[name]})
            case "unlink":
                parent.change({name: None})
            case "open_append":
                pass
            case _:
                raise NotImplementedError(call.name)

    def crashes(self, limits: Limits, chance: random.Random) -> Iterator[Tree]:
        """Yield the trees that a crash right now may leave; some of them are equal."""
        changes = [change for folder in _folders(self.root) for change in folder.pending]
        for lost in _subsets(len(changes), limits.subsets, chance):
            gone = {id(changes[number]) for number in lost}
            nodes = dict(_walk(self.root, "", gone))
            contents = {
                path: node.contents(limits, hidden=_is_hidden(path))
                for path, node in nodes.items()
                if isinstance(node, File)
            }
            whole: Tree = {path: None for path, node in nodes.items() if isinstance(node, Folder)}
            visible = any(len(options) > 1 and not _is_hidden(path) for path, options in contents.items())
            for choice in _combinations(contents, limits.contents if visible else limits.hidden, chance):
                yield whole | choice

    def moved_to(self, folder: Path) -> Disk:
        """Write the tree that processes see now into a new folder, and return a disk in this one's state for it."""
        moved = copy.deepcopy(self)
        nodes = dict(_walk(moved.root, "", set()))
        write_tree(folder, {path: node.now() if isinstance(node, File) else None for path, node in nodes.items()})
        moved._files = {(folder / path).stat().st_ino: node for path, node in nodes.items() if isinstance(node, File)}
        return moved

    def _folder(self, path: str) -> Folder:
        node: File | Folder = self.root
        for name in path.split("/") if path not in ("", ".") else ():
            assert isinstance(node, Folder)
            node = node.now[name]
        assert isinstance(node, Folder)
        return node

    def _place(self, path: str) -> tuple[Folder, str]:
        parent, _, name = path.rpartition("/")
        return self._folder(parent), name


def read_tree(folder: Path) -> Tree:
    """Return the tree below a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


def write_tree(folder: Path, tree: Tree) -> None:
    """Put a tree into a new folder."""
    folder.mkdir()
    for path in sorted(tree):
        content = tree[path]
        if content is None:
            (folder / path).mkdir()
        else:
            (folder / path).write_bytes(content)


def _is_hidden(path: str) -> bool:
    return path.rpartition("/")[2].startswith(".")


def _folders(folder: Folder) -> Iterator[Folder]:
    yield folder
    for node in folder.now.values():
        if isinstance(node, Folder):
            yield from _folders(node)


def _walk(folder: Folder, prefix: str, gone: set[int]) -> Iterator[tuple[str, File | Folder]]:
    names = dict(folder.kept)
    for change in folder.pending:
        if id(change) not in gone:
            _set_names(names, change)
    for name, node in names.items():
        yield prefix + name, node
        if isinstance(node, Folder):
            yield from _walk(node, f"{prefix}{name}/", gone)


def _set_names(names: dict[str, File | Folder], change: dict[str, File | Folder | None]) -> None:
    for name, node in change.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


def _applied(content: bytes, steps: Iterable[tuple[int, bytes | None]]) -> bytes:
    for offset, data in steps:
        before = content[:offset].ljust(offset, b"\0")
        content = before if data is None else before + data + content[offset + len(data) :]
    return content


def _cuts(offset: int, length: int, limits: Limits, hidden: bool) -> Iterable[int]:
    if hidden:
        return (length // 2,)
    if limits.every_byte:
        return range(length + 1)
    edges = [0, length, length // 2, *range(-offset % SECTOR, length, SECTOR)]
    near = {edge + step for edge in edges for step in (-1, 0, 1)} | set(range(length - 24, length))
    return sorted(cut for cut in near if 0 <= cut <= length)


def _without_sectors(kept: bytes, now: bytes) -> Iterator[bytes]:
    """Yield a grown file with runs of its new sectors zero; also cut off after them."""
    starts = [len(kept), *range(len(kept) // SECTOR * SECTOR + SECTOR, len(now), SECTOR)]
    pieces = list(itertools.pairwise([*starts, len(now)])) if len(now) > len(kept) else []
    for first, last in itertools.combinations_with_replacement(range(len(pieces)), 2):
        start, end = pieces[first][0], pieces[last][1]
        holed = now[:start] + bytes(end - start) + now[end:]
        yield holed
        for _, stop in pieces[last:]:
            yield holed[:stop]


def _subsets(count: int, limit: int, chance: random.Random) -> Iterator[tuple[int, ...]]:
    """Yield sets of numbers below `count`: all of them, or the plain ones and then some at random."""
    everything = tuple(range(count))
    if 2**count <= limit:
        for size in range(count + 1):
            yield from itertools.combinations(everything, size)
        return
    yield from ((), everything)
    for number in everything:
        yield (number,)
        yield everything[number:]
        yield everything[:number] + everything[number + 1 :]
    for _ in range(limit):
        yield tuple(number for number in everything if chance.random() < 0.5)


def _combinations(contents: dict[str, list[bytes]], limit: int, chance: random.Random) -> Iterator[Tree]:
    """Yield choices of one content for each file: all, or each file's contents beside whole and lost others."""
    count = 1
    for options in contents.values():
        count *= len(options)
    if count <= limit:
        for choice in itertools.product(*contents.values()):
            yield dict(zip(contents, choice, strict=True))
        return
    for place in (0, -1):
        others: Tree = {path: options[place] for path, options in contents.items()}
        yield others
        for path, options in contents.items():
            if not _is_hidden(path):
                for content in chance.sample(options, min(len(options), limit)):
                    yield others | {path: content}
    for _ in range(limit):
        yield {path: chance.choice(options) for path, options in contents.items()}
