"""A second reader of the format, for tests to hold the engine against.

Written from FORMAT.md, and sharing no code with the engine: it compares message lists line by line where
the engine compares chain hashes, and reads a whole history where the engine takes short cuts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import zstandard

Files = Mapping[str, bytes]
"""The files of a store by their paths in it."""

Mark = tuple[str, int] | str
"""Names one moment of a conversation: first and present generation with the messages, or the id of a ref line."""

_FIRST_GENERATION = "0" * 64
_ZSTANDARD = b"\x28\xb5\x2f\xfd"
_ID_AND_END = len(b',"id":"0123456789abcdef"}')


class MissingObject(Exception):
    """An object is not among the files; its id is the argument."""


def marks_along(lines: Iterable[bytes]) -> list[int]:
    """Return a number for each beginning of a list of messages, the empty one first; equal lists have equal numbers."""
    mark = 0
    marks = [mark]
    for line in lines:
        mark = hash((mark, line))
        marks.append(mark)
    return marks


@dataclass(frozen=True, slots=True)
class StoredRef:
    """What one ref file says, with all that is known of how it came to that.

    Attributes:
        live: the messages shown, as lines; None where objects are missing.
        state, line: the present moment, by its messages and by the id of the last line.
        passed: every moment that it went through, the present one included.
        told: the marks of all beginnings of all message lists that were ever shown, hidden messages left out.
        edited: whether messages that were not in chunks were ever replaced.
        history: how many commits and, after them, edits in the file it has; of two refs that went through each
            other's present moments, the one with more is the newer.
        needed: the objects that were asked for; missing: those of them that are not here.
    """

    name: str
    former_names: tuple[str, ...]
    deleted: bool
    live: tuple[bytes, ...] | None
    state: Mark | None
    line: str
    passed: frozenset[Mark]
    told: frozenset[int]
    edited: bool
    history: tuple[int, int]
    needed: frozenset[str]
    missing: frozenset[str]

    def covers(self, other: StoredRef) -> bool:
        """Tell whether `other` is this state or came before it, as far as the objects that are here tell."""
        if other.name != self.name and other.name not in self.former_names:
            return False
        return other.line in self.passed or (other.state is not None and other.state in self.passed)


@dataclass(slots=True)
class _Gathering:
    """What is found while a ref is read."""

    files: Files
    first: str = _FIRST_GENERATION
    """The generation that the path began in: two sessions made anew from one tombstone may have an equal later one."""
    passed: set[Mark] = field(default_factory=set)
    told: set[int] = field(default_factory=set)
    edited: bool = False
    needed: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)

    def object(self, identity: str) -> bytes:
        self.needed.add(identity)
        try:
            return _object(identity, self.files)
        except MissingObject:
            self.missing.add(identity)
            raise

    def take(self, generation: str, lines: list[bytes], start: int) -> None:
        self.passed.update((self.first + generation, mark) for mark in marks_along(lines))
        self.told.update(marks_along(lines[start:]))


class StoreReader:
    """Reads refs; remembers what it has read where everything needed was there, by the refs' bytes."""

    def __init__(self) -> None:
        self._known: dict[bytes, StoredRef] = {}

    def refs(self, files: Files) -> dict[str, StoredRef]:
        """Return every ref among the files of a store, by path."""
        found = {}
        for path, data in files.items():
            if path.startswith("refs/") and "/." not in path:
                ref = self.ref(data, files)
                if ref is not None:
                    found[path] = ref
        return found

    def unpacked(self, data: bytes) -> bytes:
        """Return what the file of an object holds."""
        return zstandard.ZstdDecompressor().decompress(data) if data.startswith(_ZSTANDARD) else data

    def ref(self, data: bytes, files: Files) -> StoredRef | None:
        """Return what a ref file says, None where its first line is no header."""
        known = self._known.get(data)
        if known is not None and all(_copies(each, files) for each in known.needed):
            return known
        lines = list(_good_lines(data))
        # Beside the refs is what each replica says of itself, and what tools have made of that.
        if not lines or "base" not in json.loads(lines[0][1]):
            return None
        ref = _read(lines, files)
        if not ref.missing:
            self._known[data] = ref
        return ref


def newest(refs: Iterable[StoredRef]) -> list[StoredRef]:
    """Leave out every ref that another one covers; of equal ones, one stays. Tombstones are among what is left."""
    # Those with more history first: of two that cover each other, that one is the newer.
    order = sorted(refs, key=lambda each: (each.history, each.live or ()), reverse=True)

    def is_older(ref: StoredRef, place: int) -> bool:
        return any(
            other.covers(ref) and (before < place or not ref.covers(other))
            for before, other in enumerate(order)
            if before != place
        )

    return [ref for place, ref in enumerate(order) if not is_older(ref, place)]


def _good_lines(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield id and bytes of each line, up to the first that does not verify."""
    previous = None
    for line in data.split(b"\n")[:-1]:
        body, end = line[:-_ID_AND_END], line[-_ID_AND_END:]
        identity = sha256(body).hexdigest()[:16]
        if end != b',"id":"%b"}' % identity.encode():
            return
        if previous is None and not body.startswith(b'{"coda_fs_session":1,'):
            return
        if previous is not None and not body.startswith(b'{"prev":"%b",' % previous.encode()):
            return
        yield identity, line
        previous = identity


def _read(lines: list[tuple[str, bytes]], files: Files) -> StoredRef:
    header = json.loads(lines[0][1])
    generation = header.get("generation", {"id": _FIRST_GENERATION, "operation": None})
    base = header["base"]
    start = base.get("start", 0)
    found = _Gathering(files)
    found.passed.update(identity for identity, _ in lines)
    # Before the first message there is nothing to have gone another way from.
    found.take(_FIRST_GENERATION, [], 0)
    commits = _take_commits(header.get("commit"), generation, found)
    try:
        messages = _messages_of(base, found)
    except MissingObject:
        edits = sum(b'","replace":' in line.partition(b"\t")[0] for _, line in lines[1:])
        live, state = None, None
    else:
        edits = 0
        for _, line in lines[1:]:
            # A message stands between two tabs, and no tab occurs elsewhere.
            parts = line.split(b"\t")
            save = json.loads(parts[0] + parts[-1]) if len(parts) > 1 else json.loads(line)
            if "replace" in save:
                found.take(generation["id"], messages, start)
                del messages[save["replace"] :]
                edits += 1
            messages += parts[1::2]
        found.take(generation["id"], messages, start)
        live, state = tuple(messages[start:]), (found.first + generation["id"], marks_along(messages)[-1])
    return StoredRef(
        name=header["name"],
        former_names=tuple(header.get("former_names", [])),
        deleted=generation["operation"] == "delete",
        live=live,
        state=state,
        line=lines[-1][0],
        passed=frozenset(found.passed),
        told=frozenset(found.told),
        edited=found.edited or edits > 0,
        history=(commits, edits),
        needed=frozenset(found.needed),
        missing=frozenset(found.missing),
    )


def _take_commits(link: list[Any] | None, generation: dict[str, Any], found: _Gathering) -> int:
    """Gather the states that a chain of commits froze, before the present generation; return how many there are.

    What merges took in is gathered too: it came before, though it is no part of the path.
    """
    count = int(link[2]) + 1 if link else 0
    commits = []
    with suppress(MissingObject):
        while link:
            commits.append(json.loads(found.object(link[0])))
            link = commits[-1].get("previous")
    generations = [commit.get("generation", {"id": _FIRST_GENERATION}) for commit in commits]
    for merge in (generation, *generations):
        for *_, taken in merge.get("merged", []):
            if taken[0] not in found.needed:
                with suppress(MissingObject):
                    _take_commits(taken, {"id": _FIRST_GENERATION}, found)
    found.first = [generation, *generations][-1]["id"]
    with suppress(MissingObject):
        for commit, frozen_in in zip(commits, generations, strict=True):
            found.passed.add(commit["line"])
            found.edited |= bool(commit.get("edits"))
            frozen = _messages_of(commit["base"], found)
            found.take(frozen_in["id"], frozen, commit["base"].get("start", 0))
    return count


def _messages_of(base: dict[str, Any], found: _Gathering) -> list[bytes]:
    """Return the message lines of a base, hidden ones included, without their newlines.

    Raises:
        MissingObject: they are not all here.
    """
    lines: list[bytes] = []

    def walk(height: int, identity: str) -> None:
        data = found.object(identity).splitlines()
        if height:
            for entry in data:
                walk(height - 1, json.loads(entry)[0])
        else:
            lines.extend(data)

    for height, level in reversed(list(enumerate(base.get("spine", [])))):
        for entry in level:
            walk(height, entry[0])
    if "tail" in base:
        identity, _, count, _ = base["tail"]
        lines.extend(found.object(identity).splitlines()[:count])
    return lines


def _copies(identity: str, files: Files) -> list[str]:
    """Return the paths of all files that may be copies of an object, the two that are looked at first before others."""
    folder = f"objects/{identity[:2]}/{identity}"
    first = [path for path in (f"{folder}.jsonl", f"{folder}.jsonl.zst") if path in files]
    return first or [path for path in files if path.startswith(folder)]


def _object(identity: str, files: Files) -> bytes:
    for path in _copies(identity, files):
        data = files[path]
        if data.startswith(_ZSTANDARD):
            data = zstandard.ZstdDecompressor().decompress(data)
        if sha256(data).hexdigest() == identity:
            return data
        # One that is looked at first is good, or mended in place.
        assert path.removeprefix(f"objects/{identity[:2]}/{identity}") not in (".jsonl", ".jsonl.zst"), path
    raise MissingObject(identity)
