"""Finding a text in a store, and what objects and metadata are without it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Protocol

import orjson

from ...backends.base import OBJECT_LIMIT, RefKey
from ...errors import StoreError
from ...format.commits import decode_commit, encode_commit
from ...format.ids import CHAIN_START, Chain, ObjectId, chain_cut, object_id
from ...format.masks import Matches, Sieve, mask, unescaped
from ...format.purge_records import Change, changed, is_purge_record
from ...format.records import Base, Metadata, Stamped, Tags
from ...format.refs import Header, Ref, parse_ref
from ...format.tree import Entry, Spine
from ..content.objects import Objects
from ..repository import Repository
from .reach import Reach, Why

_PARTS = re.compile(rb"[\t\n]")


class Wanted(Protocol):
    """What is looked for."""

    def may_hold(self, data: bytes) -> bool:
        """Tell whether it may be in there; True where only a closer look tells."""

    def masked(self, line: bytes) -> bytes:
        """Return JSON without it; as it is, where it is no JSON."""

    def in_metadata(self, metadata: Metadata) -> dict[str, Stamped]:
        """Return metadata without it."""

    def in_tags(self, tags: Tags) -> Tags:
        """Return tags whose labels are without it, where labels are not to stay."""

    def is_in(self, text: str) -> bool:
        """Tell whether it is in what something is called."""

    def is_among(self, data: bytes) -> bool:
        """Tell whether bytes that need not be JSON hold it as it is, or as it stands in JSON."""


@dataclass(frozen=True, slots=True)
class ByText:
    """A text, or what a pattern matches."""

    matches: Matches
    sieve: Sieve

    def may_hold(self, data: bytes) -> bool:
        return self.sieve.may_hold(data)

    def masked(self, line: bytes) -> bytes:
        if not self.sieve.may_hold(line):
            return line
        try:
            orjson.loads(line)
        except ValueError:
            return line
        return mask(line, self.matches)

    def in_metadata(self, metadata: Metadata) -> dict[str, Stamped]:
        """Do so in keys and in values."""
        keys = [orjson.dumps(key) for key in metadata]
        values = [b"null" if item.value is None else item.value for item in metadata.values()]
        line = b"{%b}" % b",".join(b"%b:%b" % pair for pair in zip(keys, values, strict=True))
        masked = self.masked(line)
        if masked == line:
            return dict(metadata)
        found: dict[str, Stamped] = {}
        place = 1
        for key, value, item in zip(keys, values, metadata.values(), strict=True):
            middle = place + len(key) + 1
            end = middle + len(value)
            stored = None if item.value is None else masked[middle:end]
            found[orjson.loads(masked[place : middle - 1])] = Stamped(item.stamp, stored)
            place = end + 1
        return found

    def in_tags(self, tags: Tags) -> Tags:
        return tags

    def is_in(self, text: str) -> bool:
        return any(first < last for first, last in self.matches(text))

    def is_among(self, data: bytes) -> bool:
        if not self.sieve.may_hold(data):
            return False
        text = data.decode(errors="replace")
        return self.is_in(text) or any(self.is_in(each) for each in unescaped(text))


@dataclass(frozen=True, slots=True)
class ByHash:
    """Message lines and values of metadata that another replica has changed: nobody here knows what was in them.

    Attributes:
        lines: see `PurgeRecord.lines`.
    """

    lines: Mapping[str, Change]

    def may_hold(self, data: bytes) -> bool:
        return True

    def masked(self, line: bytes) -> bytes:
        change = self.lines.get(object_id(line))
        return line if change is None else changed(line, change)

    def in_metadata(self, metadata: Metadata) -> dict[str, Stamped]:
        return {
            key: item if item.value is None else item._replace(value=self.masked(item.value))
            for key, item in metadata.items()
        }

    def in_tags(self, tags: Tags) -> Tags:
        return tags

    def is_in(self, text: str) -> bool:
        return False

    def is_among(self, data: bytes) -> bool:
        # Lines of objects end with a newline, and those in refs stand between tabs.
        return any(object_id(part) in self.lines for part in _PARTS.split(data))


@dataclass(slots=True)
class Found:
    """Where it stands.

    Attributes:
        refs: those that hold it themselves, as read; objects: the messages and commits that do.
        named: what is called by it, and so cannot be masked.
        unread: the paths of what is damaged, so that nobody can tell.
    """

    refs: dict[RefKey, Ref] = field(default_factory=dict)
    objects: list[ObjectId] = field(default_factory=list)
    named: set[str] = field(default_factory=set)
    unread: list[str] = field(default_factory=list)


def find(repo: Repository, wanted: Wanted) -> Found:
    """Look through every ref and object of a store.

    Raises:
        StoreError: they cannot be listed.
    """
    found, backend = Found(), repo.backend
    # Refs first: what a save puts from a ref into an object is in one of them then.
    for path in sorted(backend.ref_tokens()):
        key = RefKey(path)
        with suppress(KeyError):
            data = backend.read_ref(key).data
            if wanted.may_hold(data):
                _look_at_ref(found, key, data, wanted, backend.locate(key))
    for name, _ in sorted(backend.objects()):
        identity = ObjectId(name)
        try:
            data = backend.get_object(identity, size=None, limit=OBJECT_LIMIT)
        except StoreError:
            found.unread.append(backend.locate(identity))
            continue
        if wanted.may_hold(data) and without(data, wanted) != data:
            found.objects.append(identity)
    return found


def _look_at_ref(found: Found, key: RefKey, data: bytes, wanted: Wanted, path: str) -> None:
    try:
        ref = parse_ref(data, path)
    except StoreError:
        found.unread.append(path)
        return
    header = ref.header
    found.named.update(name for name in _names(header) if wanted.is_in(name))
    found.named.update(label for save in ref.saves for label in save.tags if wanted.is_in(label))
    texts = [header.base.metadata, *(save.metadata for save in ref.saves)]
    lines = (line for save in ref.saves for line in save.messages)
    if any(wanted.masked(line) != line for line in lines) or any(wanted.in_metadata(each) != each for each in texts):
        found.refs[key] = ref
    if ref.damage is not None or ref.torn:
        found.unread.append(path)


def _names(header: Header) -> Iterator[str]:
    yield header.name
    yield from header.former_names
    yield from header.base.tags
    if header.parent is not None:
        yield header.parent.name


def is_commit(data: bytes) -> bool:
    """Tell whether an object is a commit: messages may look like one."""
    if not data.startswith(b'{"coda_fs_session":'):
        return False
    try:
        decode_commit(data)
    except (ValueError, StoreError):
        return False
    return True


def without(data: bytes, wanted: Wanted) -> bytes:
    """Return the bytes of an object without it, of the same length."""
    if data.startswith(b"[") or is_purge_record(data):
        return data
    if is_commit(data):
        commit = decode_commit(data)
        if encode_commit(commit) != data:
            # Of a later version, which has more in it than this one knows.
            return data
        base = commit.base
        base = replace(base, metadata=wanted.in_metadata(base.metadata), tags=wanted.in_tags(base.tags))
        return encode_commit(commit._replace(base=base))
    return b"\n".join(map(wanted.masked, data.split(b"\n")))


class Contexts(Reach):
    """Reach that keeps of each object of messages which chain hashes there are before it."""

    def __init__(self, objects: Objects) -> None:
        super().__init__(objects)
        self._spines: set[Spine] = set()

    def _add_base(self, base: Base, by: str, why: Why, why_tags: Why = "history") -> None:
        self._spines.add(base.spine)
        super()._add_base(base, by, why, why_tags)

    def paths_to(self, wanted: Iterable[ObjectId]) -> set[str]:
        """Return the paths of the refs that lead to these objects first."""
        names = self._names_of(wanted)
        return {use.by for identity in names for use in self.uses.get(identity, {}).values()}

    def before(self, wanted: Iterable[ObjectId]) -> dict[ObjectId, set[Chain]]:
        """Return the chain hashes before each of these objects, in every list that has it; `follow` was called."""
        names = self._names_of(wanted)
        by_name = self._before(names)
        found: dict[ObjectId, set[Chain]] = {identity: set() for identity in wanted}
        for name, identity in names.items():
            found[identity] |= by_name[name]
        return found

    def _names_of(self, wanted: Iterable[ObjectId]) -> dict[ObjectId, ObjectId]:
        """Return by what names lists have these objects: also those of what they stand for."""
        purged = self.objects.purged
        names = {identity: identity for identity in wanted}
        for gone in purged.objects:
            stand_in = purged.stand_in(gone)
            if stand_in in names:
                names[gone] = stand_in
        return names

    def _before(self, wanted: Iterable[ObjectId]) -> dict[ObjectId, set[Chain]]:
        found: dict[ObjectId, set[Chain]] = {identity: set() for identity in wanted}
        for identity in found:
            found[identity].update(use.before for use in self.tails.get(identity, ()))
        hot = self._above(found)
        seen: set[tuple[ObjectId, Chain]] = set()

        def walk(chain: Chain, height: int, entry: Entry) -> None:
            if entry.id not in hot or (entry.id, chain) in seen:
                return
            seen.add((entry.id, chain))
            if not height:
                found[entry.id].add(chain)
                return
            for each in self.nodes.get(entry.id, ()):
                walk(chain, height - 1, each)
                chain = each.chain or chain_cut(chain, each.id)

        for spine in self._spines:
            chain = CHAIN_START
            for height, entry in spine.entries():
                walk(chain, height, entry)
                chain = entry.chain or chain_cut(chain, entry.id)
        return found

    def _above(self, wanted: Iterable[ObjectId]) -> set[ObjectId]:
        """Return these objects, and every list node that leads to one."""
        hot = set(wanted)
        grown = True
        while grown:
            above = {
                identity
                for identity, entries in self.nodes.items()
                if identity not in hot and any(each.id in hot for each in entries)
            }
            hot |= above
            grown = bool(above)
        return hot
