"""The rows of the index, folder by folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from itertools import chain
from zlib import crc32

from ...backends.base import MachineState, folder_of
from .file import (
    NAMES,
    NOT_KEPT,
    SUMMARY,
    KeptPart,
    Paths,
    Summary,
    Views,
    decode_names,
    decode_part,
    decode_summary,
    encode_names,
    encode_part,
    encode_summary,
    hash_of,
    topic_of,
)
from .rows import Row

_FEW_PARTS = 8
"""To read so many takes no longer than to write down all names."""


class Part:
    """The rows of the refs in one folder.

    Args:
        kept: what is known of one that is yet to be read; None for a new one.

    Attributes:
        rows: by path; None as long as they were not read.
        kept: what was last known of the file.
        is_dirty: the rows are others than those in the file.
    """

    __slots__ = ("is_dirty", "kept", "rows")

    def __init__(self, kept: KeptPart | None = None) -> None:
        self.kept = kept
        self.rows: dict[str, Row] | None = None
        self.is_dirty = False

    def __len__(self) -> int:
        if self.rows is not None:
            return len(self.rows)
        return self.kept.rows if self.kept is not None else 0

    def is_file(self, known: tuple[int, str]) -> bool:
        """Tell whether the rows are those of the file with a CRC, which is known with the names in it."""
        return not self.is_dirty and self.kept is not None and self.kept.crc == known[0]

    def put(self, row: Row) -> None:
        """Take a row in, in the place of none."""
        assert self.rows is not None
        self.rows[row.path] = row
        self.is_dirty = True

    def pop(self, path: str) -> Row | None:
        """Drop a row, and return it."""
        row = self.rows.pop(path, None) if self.rows is not None else None
        if row is not None:
            self.is_dirty = True
        return row

    def identities(self) -> dict[str, int]:
        """Return the identities of the refs by path; see `Look.contents`."""
        return {path: row.token.identity for path, row in (self.rows or {}).items()}

    def summary(self, crc: int) -> KeptPart:
        """Return what to keep of this part beside its file; the state of the folder is still to come."""
        rows = (self.rows or {}).values()
        hashes = b"".join(hash_of(name) for row in rows for name in names_of(row))
        return KeptPart(None, len(rows), crc, any(row.problem for row in rows), hashes)


class Names:
    """The paths of rows by the names that they have or had."""

    def __init__(self, machine: MachineState) -> None:
        self._machine = machine
        self._paths: dict[str, dict[str, None]] | None = None
        self._text: str | None = None  # all names in it, each after a newline
        self._unread: str | None = None  # those of parts that had not been read when names were first looked for

    def paths(self, name: str, parts: Iterable[Part]) -> Iterable[str]:
        """Return the paths of the rows of a name, of parts whose rows were all taken in."""
        if self._paths is None:
            # Made when it is first asked for, as listing does not need it.
            self._paths = {}
            for part in parts:
                self.add((part.rows or {}).values())
        return self._paths.get(name, ())

    def starting(
        self, prefix: str, parts: Mapping[str, Part], read: Callable[[str], Part], keep: Callable[[], None]
    ) -> tuple[list[str], int]:
        """Return the names that begin with a text, and how many names there are in all, or some more.

        Names of parts that were not read are those that were kept beside the parts.

        Args:
            read: reads a part; keep: keeps the parts that changed.
        """
        if self._unread is None:
            kept = decode_names(self._machine.recall(NAMES))
            stale = [folder for folder, part in parts.items() if not part.is_file(kept.get(folder, (0, "")))]
            for folder in stale:
                read(folder)
            self._unread = "".join(kept[each][1] for each, part in parts.items() if part.rows is None and len(part))
            if len(stale) > _FEW_PARTS:
                keep()
                self._keep(parts, kept)
        self.paths("", parts.values())
        if self._text is None:
            # No name has a newline in it. One search is quicker than a loop of our own over all names.
            self._text = "".join(f"\n{name}" for name in self._paths or ())
        # A part may have been read since, and names may be gone: these have no refs.
        names = dict.fromkeys(chain(_starting(prefix, self._text), _starting(prefix, self._unread)))
        return list(names), len(self._paths or ()) + sum(len(part) for part in parts.values() if part.rows is None)

    def _keep(self, parts: Mapping[str, Part], kept: Mapping[str, tuple[int, str]]) -> None:
        names = {}
        for folder, part in parts.items():
            if not len(part) or part.is_dirty or part.kept is None or part.kept.crc is None:
                continue
            if part.rows is None:
                names[folder] = kept[folder]
            else:
                text = "".join(f"\n{name}" for row in part.rows.values() for name in names_of(row))
                names[folder] = part.kept.crc, text
        self._machine.remember(NAMES, encode_names(names))

    def add(self, rows: Iterable[Row]) -> None:
        if self._paths is not None:
            for row in rows:
                for name in names_of(row):
                    if name not in self._paths:
                        self._paths[name], self._text = {}, None
                    self._paths[name][row.path] = None

    def drop(self, row: Row) -> None:
        if self._paths is not None:
            for name in names_of(row):
                self._paths[name].pop(row.path)


def _starting(prefix: str, text: str) -> Iterator[str]:
    """Yield the names that begin with a prefix, of a text that has a newline before each."""
    place = -1
    while (place := text.find(f"\n{prefix}", place + 1)) >= 0:
        end = text.find("\n", place + 1)
        yield text[place + 1 : end if end >= 0 else len(text)]


def names_of(row: Row) -> Iterator[str]:
    """Yield the names that a ref has or had, each once."""
    return iter(dict.fromkeys((row.name, *row.former_names))) if row.former_names else iter((row.name,))


def load_part(machine: MachineState, folder: str, kept: KeptPart | None) -> tuple[str, dict[str, Row], Views, bool]:
    """Return what was kept of a folder: the horizon of the views, rows, views, and whether it is what `kept` is of.

    Where it is not, it was damaged, or another process has kept it since.
    """
    if kept is not None and kept.is_empty:
        return "", {}, {}, True
    data = machine.recall(topic_of(folder))
    decoded = decode_part(data)
    if decoded is None:
        return "", {}, {}, kept is None
    horizon, rows, views = decoded
    if kept is not None and kept.crc == crc32(data or b""):
        return horizon, rows, views, True
    # It may be the file of another folder, the rows of which are no business of this one.
    return horizon, {path: row for path, row in rows.items() if folder_of(path) == folder}, views, False


def drop_view(views: Views, parts: Mapping[str, Part], paths: Paths) -> None:
    """Forget what a group of refs adds up to, and keep it no longer: something of it may have been purged since."""
    part = parts.get(folder_of(paths[0]))
    if views.pop(paths, None) is not None and part is not None:
        part.is_dirty = True


def keep_parts(
    machine: MachineState,
    known: Summary,
    parts: Mapping[str, Part],
    states: Mapping[str, object],
    gone: Set[str],
    horizon: str,
    views: Views,
) -> None:
    """Keep the parts that changed, and the summary of all.

    Args:
        known: the summary as it was read earlier.
        states: of all folders, as the rows are.
        gone: folders that were there, and are not.
    """
    # Another process may have kept other parts meanwhile. Each holds by itself.
    data = machine.recall(SUMMARY)
    others = (known if data == known.data else decode_summary(data)).parts
    summary = dict(others)
    for folder, part in parts.items():
        other = others.get(folder)
        if part.rows is not None and (part.is_dirty or other is None or other.crc is None):
            summary[folder] = _keep_part(machine, folder, part, horizon, views)._replace(state=states.get(folder))
        elif other is None:
            # Its file may be anything.
            summary[folder] = NOT_KEPT
        elif part.kept is not None and part.kept.crc == other.crc:
            summary[folder] = other._replace(state=states.get(folder))
        else:
            summary[folder] = other
    for folder in gone & others.keys() - parts.keys():
        around = summary.get(folder_of(folder), NOT_KEPT)
        if around.state is not None and around.state == states.get(folder_of(folder)):
            del summary[folder]
        else:
            # It may be there again, which another process has seen and we have not: the next one has to look.
            summary[folder] = NOT_KEPT
    # Last: it tells which parts belong to the states in it.
    machine.remember(SUMMARY, encode_summary(summary))


def _keep_part(machine: MachineState, folder: str, part: Part, horizon: str, views: Views) -> KeptPart:
    crc = 0
    if part.rows:
        data = encode_part(
            horizon, part.rows, {paths: view for paths, view in views.items() if folder_of(paths[0]) == folder}
        )
        machine.remember(topic_of(folder), data)
        crc = crc32(data)
    part.kept, part.is_dirty = part.summary(crc), False
    return part.kept
