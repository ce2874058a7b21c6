"""The rules of objects: each a function, which yields what breaks it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from ...backends.base import Backend, StoredObject
from ...errors import CorruptionError, ObjectNotYetHereError, StoreError, StoreFormatError
from ...format.chunks import LARGEST_RUN
from ...format.commits import skip_link
from ...format.ids import CHAIN_START, Chain, ObjectId, chain_cut
from ...format.tree import Entry
from ..content.messages import chained_over
from .findings import Finding
from .message_rules import bad_message
from .reach import Named, Reach, TailUse, Use

_OF_NOW = {"missing": "object-missing", "damaged": "object-damaged"}
_OF_HISTORY = {"missing": "history-missing", "damaged": "history-damaged"}


def missing_object(backend: Backend, identity: ObjectId, uses: Collection[Use]) -> Iterator[Finding]:
    """Each object that is named is there."""
    rule = _rule("missing", uses)
    yield Finding.of(rule, backend.locate(identity), f"the object is not here: {_needed(uses)}")


def unread_object(backend: Backend, identity: ObjectId, uses: Collection[Use], error: StoreError) -> Iterator[Finding]:
    """An object can be read, and is what its name and what names it say."""
    where = backend.locate(identity)
    if isinstance(error, ObjectNotYetHereError):
        yield from missing_object(backend, identity, uses)
    elif isinstance(error, StoreFormatError):
        yield Finding.of("newer-version", where, error)
    elif not isinstance(error, CorruptionError):
        yield Finding.of("object-unreadable", where, error)
    elif uses:
        found = f"expected {error.expected}, found {error.actual}" if error.expected is not None else str(error)
        yield Finding.of(_rule("damaged", uses), where, f"{found}: {_needed(uses)}")
    else:
        yield Finding.of("unused-damaged", where, "it is damaged, and nothing names it")


def has_wrong_size(uses: Collection[Named], places: Sequence[StoredObject]) -> bool:
    """Tell whether an object has another size than what names it says, as far as that shows without reading it."""
    return any(
        named.kind != "node" and all(place.plain and place.bytes != named.bytes for place in places) for named in uses
    )


def other_content(path: str, uses: Collection[Use], data: bytes) -> Iterator[Finding]:
    """A chunk holds as many messages as is said of it, and none that is too large for a chunk; so does a tail."""
    *lines, rest = data.split(b"\n")
    count = len(lines)
    for use in uses:
        named, problem = use.named, None
        if rest or not lines:
            problem = "it does not end with a newline"
        elif named.kind == "chunk" and (count, len(data)) != (named.messages, named.bytes):
            held = f"it holds {count} messages of {len(data)} bytes"
            problem = f"{held}, and {use.by} needs {named.messages} of {named.bytes}"
        elif named.kind == "tail" and len(data) != named.bytes:
            problem = f"it has {len(data)} bytes, and {use.by} needs {named.bytes}"
        elif count > 1 and len(data) > LARGEST_RUN:
            problem = f"it has {count} messages, and more than {LARGEST_RUN} bytes"
        if problem:
            yield Finding.of("object-content", path, problem)
            return
    number = data[: data.find(b"\t")].count(b"\n") if b"\t" in data else bad_message(lines)
    if number is not None:
        yield Finding.of("message-line", path, "the line is no message", number + 1)


def other_tail(path: str, uses: Collection[TailUse], data: bytes, reach: Reach) -> Iterator[Finding]:
    """What a base uses of its tail has the size and the chain hash that it says."""
    if not uses or any(use.tail.id in reach.objects.purged.objects for use in uses):
        return
    lines = data.split(b"\n")[:-1]
    for before in {use.before for use in uses}:
        wanted = {use.tail.messages: use for use in uses if use.before == before}
        chain, size = before, 0
        for count, line in enumerate(lines[: max(wanted)], 1):
            chain, size = chained_over(chain, [line], reach.objects), size + len(line) + 1
            use = wanted.pop(count, None)
            if use is not None and (size, chain) != (use.tail.bytes, use.after):
                by = reach.tails[use.tail.id][use]
                yield Finding.of("tail-chain", path, f"its first {count} messages are not those that {by} means")
        for use in wanted.values():
            by = reach.tails[use.tail.id][use]
            yield Finding.of("tail-chain", path, f"{by} needs {use.tail.messages} messages of it")


def compressed_record(uses: Collection[Use], places: Sequence[StoredObject]) -> Iterator[Finding]:
    """List nodes and commits are kept as they are."""
    if any(use.named.kind in ("node", "commit") for use in uses):
        for place in places:
            if place.plain is False:
                yield Finding.of("object-form", place.path, "it is a list node or a commit, and compressed")


def node_height(backend: Backend, reach: Reach) -> Iterator[Finding]:
    """A list node of height k holds entries of height k-1."""
    for identity, entries in reach.nodes.items():
        heights = {named.height for named in reach.uses[identity] if named.kind == "node"}
        of_chunks = {entry.chain is None for entry in entries}
        if any(of_chunks != {height == 1} for height in heights):
            yield Finding.of("node-height", backend.locate(identity), "it holds entries of another height than it must")


def node_chain(backend: Backend, reach: Reach) -> Iterator[Finding]:
    """The chain hash of a list node is that of the messages up to its end."""
    seen: set[tuple[Chain, ObjectId, Chain | None]] = set()
    bad: dict[str, str] = {}

    def end_of(before: Chain, entry: Entry, height: int, by: str) -> Chain:
        if not height:
            return chain_cut(before, entry.id)
        below = reach.nodes.get(entry.id)
        if below is not None and (before, entry.id, entry.chain) not in seen:
            seen.add((before, entry.id, entry.chain))
            chain = before
            for each in below:
                chain = end_of(chain, each, height - 1 if (each.chain is None) == (height == 1) else 0, by)
            if chain != entry.chain:
                bad.setdefault(backend.locate(entry.id), by)
        return entry.chain or before

    for spine, by in reach.spines:
        chain = CHAIN_START
        for height, entry in spine.entries():
            chain = end_of(chain, entry, height, by)
    for path, by in bad.items():
        yield Finding.of("node-chain", path, f"its chunks lead to another chain hash than {by} says")


def commit_skip(backend: Backend, reach: Reach) -> Iterator[Finding]:
    """The skip of a commit leads as far back as FORMAT.md says."""
    for identity, commit in reach.commits.items():
        before = reach.commits.get(commit.previous.id) if commit.previous else None
        if commit.previous is None:
            wanted = None
        elif before is None or (before.skip and before.skip.id not in reach.commits):
            continue
        else:
            wanted = skip_link(commit.previous, before, reach.commits[before.skip.id] if before.skip else None)
        if commit.skip != wanted:
            yield Finding.of("commit-skip", backend.locate(identity), "its skip leads to another commit than it must")


def frozen_elsewhere(backend: Backend, reach: Reach) -> Iterator[Finding]:
    """A generation begins with what the commit before it has frozen, in history too."""
    for identity, commit in reach.commits.items():
        before = reach.commits.get(commit.previous.id) if commit.previous else None
        began = commit.generation
        if before is None or began is None or before.generation_id == began.id or commit.reason == "tag":
            # A tag's commit comes after the newest one, whatever state it is of.
            continue
        if (began.frozen_messages, began.frozen_chain) != (before.messages, before.chain):
            yield Finding.of("ref-frozen", backend.locate(identity), "its generation began with another state")


def _rule(what: str, uses: Collection[Use]) -> str:
    return (_OF_NOW if any(use.now for use in uses) else _OF_HISTORY)[what]


def _needed(uses: Collection[Use]) -> str:
    use = next((each for each in uses if each.now), None) or next(iter(uses))
    named, whose = use.named, f"by {use.by}" if use.now else f"for what {use.by} was earlier"
    if named.kind == "commit":
        return f"it is a commit, needed {whose}"
    if named.kind == "tail":
        return f"its messages are needed {whose}"
    return f"its {named.messages} messages are needed {whose}"
