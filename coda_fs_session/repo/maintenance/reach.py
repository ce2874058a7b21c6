"""From refs to objects: one walk, that tells what each object is needed for."""

from __future__ import annotations

from collections.abc import Container
from typing import Literal, NamedTuple

from ...errors import CorruptionError, StoreError
from ...format.commits import Commit
from ...format.generations import FIRST_GENERATION, Generation, GenerationId
from ...format.ids import Chain, ObjectId
from ...format.records import Base, CommitLink, Tags, Tail
from ...format.refs import Ref
from ...format.tree import Entry, Spine, matches
from ..content.objects import Objects

Kind = Literal["chunk", "node", "tail", "commit"]
Why = Literal["sessions", "tags", "history"]
_ORDER: tuple[Why, ...] = ("sessions", "tags", "history")


class Named(NamedTuple):
    """What a ref, a list node or a commit says of an object that it names.

    Attributes:
        messages: that it holds; of a tail 0, and of a commit its depth. bytes: of the object; of a list node those of
            the messages below it.
        height: of a list node, else 0.
    """

    id: ObjectId
    kind: Kind
    messages: int
    bytes: int
    height: int = 0


class Use(NamedTuple):
    """An object that is needed.

    Attributes:
        by: the path of the ref that leads to it first.
        why: sessions as they are need it, or a state that a tag names, or else only their history.
    """

    named: Named
    by: str
    why: Why

    @property
    def now(self) -> bool:
        return self.why == "sessions"


class TailUse(NamedTuple):
    """What a base says of its tail, with the chain hashes before and after what it uses of it."""

    tail: Tail
    before: Chain
    after: Chain


class Frozen(NamedTuple):
    """What is kept of a commit that was read.

    Attributes:
        replaced: how many messages its edits replaced, but for the first one; kept: how many of these it has.
    """

    previous: CommitLink | None
    skip: CommitLink | None
    generation: Generation | None
    messages: int
    chain: Chain
    reason: str
    replaced: int
    kept: int

    @property
    def generation_id(self) -> GenerationId:
        return self.generation.id if self.generation else FIRST_GENERATION

    @property
    def depth(self) -> int:
        return self.previous.depth + 1 if self.previous else 0


class Reach:
    """What refs need: give it every ref, then `follow`.

    Args:
        known: of what these objects name, nothing is to be told.

    Attributes:
        uses: of each object, each thing that is said of it, and where first.
        tails: of each tail object, what bases use of it.
        nodes, commits: what was read on the way; unread: why others could not be read.
        spines: each list tree that has list nodes, with the path of the ref that led there.
    """

    def __init__(self, objects: Objects, known: Container[ObjectId] = ()) -> None:
        self.objects = objects
        self._known = known
        self.uses: dict[ObjectId, dict[Named, Use]] = {}
        self.tails: dict[ObjectId, dict[TailUse, str]] = {}
        self.nodes: dict[ObjectId, list[Entry]] = {}
        self.commits: dict[ObjectId, Frozen] = {}
        self.unread: dict[ObjectId, StoreError] = {}
        self.spines: list[tuple[Spine, str]] = []
        self._nodes: dict[Why, list[tuple[Named, str]]] = {why: [] for why in _ORDER}
        self._commits: dict[Why, list[tuple[Named, str]]] = {why: [] for why in _ORDER}

    def add_ref(self, ref: Ref, path: str) -> None:
        """Take in what a ref names, up to its damage if it has any; nothing is read."""
        header = ref.header
        self._add_base(header.base, path, "history" if header.deleted else "sessions", "tags")
        self._add_commit(header.commit, path)
        self._add_generation(header.generation, path)
        for save in ref.saves:
            self.add_tags(save.tags, path)

    def add_tags(self, tags: Tags, by: str, why: Why = "tags") -> None:
        """Take in what tags name."""
        for tag in tags.values():
            self._add_commit(tag.commit, by, why)

    def follow(self) -> None:
        """Read list nodes and commits until nothing new is named: what sessions need now, then tags, then history."""
        while True:
            for why in _ORDER:
                if self._nodes[why]:
                    self._follow_node(*self._nodes[why].pop(), why)
                elif self._commits[why]:
                    self._follow_commit(*self._commits[why].pop(), why)
                else:
                    continue
                break
            else:
                return

    def follow_once(self) -> bool:
        """Read those list nodes and commits that are known by now; False where there are none."""
        nodes = {why: self._nodes[why] for why in _ORDER}
        commits = {why: self._commits[why] for why in _ORDER}
        self._nodes, self._commits = {why: [] for why in _ORDER}, {why: [] for why in _ORDER}
        for why in _ORDER:
            for node in nodes[why]:
                self._follow_node(*node, why)
            for commit in commits[why]:
                self._follow_commit(*commit, why)
        return any(nodes.values()) or any(commits.values())

    def is_history(self, identity: ObjectId) -> bool:
        """Tell whether an object holds messages that only earlier states need, of which none has a tag."""
        return all(use.why == "history" and use.named.kind != "commit" for use in self.uses[identity].values())

    def has_expired(self, identity: ObjectId) -> bool:
        """Tell whether an object is not here because only history needed it, and it was let go.

        A session that was deleted, and brought back, may have tags of states that have expired meanwhile.
        """
        uses = self.uses[identity].values()
        needed = any(use.why == "sessions" or use.named.kind == "commit" for use in uses)
        return not needed and self.objects.is_gone(identity)

    def _add(self, named: Named, by: str, why: Why) -> bool:
        """Note a use; False where it is known, for this or for something that counts more."""
        if named.id in self._known:
            return False
        uses = self.uses.setdefault(named.id, {})
        if named in uses and _ORDER.index(uses[named].why) <= _ORDER.index(why):
            return False
        uses[named] = Use(named, by, why)
        return True

    def _add_base(self, base: Base, by: str, why: Why, why_tags: Why = "history") -> None:
        if len(base.spine.levels) > 1:
            self.spines.append((base.spine, by))
        for height, entry in base.spine.entries():
            self._add_entry(entry, height, by, why)
        if base.tail:
            self._add(Named(base.tail.id, "tail", 0, base.tail.size), by, why)
            use = TailUse(base.tail, base.spine.end_chain(), base.chain)
            self.tails.setdefault(base.tail.id, {}).setdefault(use, by)
        self.add_tags(base.tags, by, why_tags)

    def _add_entry(self, entry: Entry, height: int, by: str, why: Why) -> None:
        named = Named(entry.id, "node" if height else "chunk", entry.messages, entry.bytes, height)
        if self._add(named, by, why) and height:
            self._nodes[why].append((named, by))

    def _add_commit(self, link: CommitLink | None, by: str, why: Why = "history") -> None:
        if link is not None:
            named = Named(link.id, "commit", link.depth, link.size)
            if self._add(named, by, why):
                self._commits[why].append((named, by))

    def _add_generation(self, generation: Generation | None, by: str) -> None:
        for taken in generation.merged if generation else ():
            self._add_commit(taken.commit, by)

    def _follow_node(self, named: Named, by: str, why: Why) -> None:
        if self.uses[named.id][named].why != why:
            # It is read for something that counts more.
            return
        entry = Entry(named.id, named.messages, named.bytes)
        try:
            entries = self.objects.node(entry)
            if not matches(entry, entries):
                raise CorruptionError("the list node does not add up to what names it")
        except StoreError as error:
            if not self.has_expired(named.id):
                self.unread.setdefault(named.id, error)
            return
        self.nodes[named.id] = entries
        for each in entries:
            # Of another height than it must be, it would be read as what it is not; `node_height` tells.
            if (each.chain is None) == (named.height == 1):
                self._add_entry(each, named.height - 1, by, why)

    def _follow_commit(self, named: Named, by: str, why: Why) -> None:
        if self.uses[named.id][named].why != why:
            return
        try:
            commit = self.objects.commit(CommitLink(named.id, named.bytes, named.messages))
        except StoreError as error:
            self.unread.setdefault(named.id, error)
            return
        base, self.commits[named.id] = commit.base, _frozen(commit)
        if self._ends_at(commit):
            return
        # What a tag's commit holds is needed as long as the tag is; what came before it is history.
        self._add_base(base, by, why)
        for entry in commit.replaced:
            self._add_entry(entry, 0, by, "history")
        self._add_commit(commit.previous, by)
        self._add_commit(commit.skip, by)
        self._add_generation(commit.generation, by)

    def _ends_at(self, commit: Commit) -> bool:
        """Tell whether nothing that a commit leads to is to count."""
        return False


def _frozen(commit: Commit) -> Frozen:
    replaced = sum(len(edit.chains) for edit in commit.edits[1:])
    kept = sum(entry.messages for entry in commit.replaced)
    base = commit.base
    return Frozen(
        *(commit.previous, commit.skip, commit.generation, base.messages, base.chain, commit.reason), replaced, kept
    )
