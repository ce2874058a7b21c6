"""The rules of objects: each a function, which yields what breaks it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from ...backends.base import Backend, StoredObject
from ...errors import CorruptionError, ObjectNotYetHereError, StoreError, StoreFormatError
from ...format.chunks import LARGEST_RUN
from ...format.commits import skip_link
from ...format.generations import Generation
from ...format.ids import CHAIN_START, Chain, ObjectId, chain_cut
from ...format.records import CommitLink
from ...format.tree import Entry
from ..content.messages import chained_over
from .findings import Finding
from .message_rules import bad_message
from .reach import Named, Reach, TailUse, Use

_OF_NOW = {"missing": "object-missing", "damaged": "object-damaged"}
_OF_HISTORY = {"missing": "history-missing", "damaged": "history-damaged"}


def missing_object(
    backend: Backend, identity: ObjectId, uses: Collection[Use], others: Sequence[str] = ()
) -> Iterator[Finding]:
    """Each object that is named is there.

    Args:
        others: names of files that begin as its own does, and do not hold it.
    """
    beside = f", and {' and '.join(others)} does not hold it" if others else ""
    what = f"the object is not here{beside}: {_needed(uses)}"
    yield Finding.of(_rule("missing", uses), backend.locate(identity), what)


def unread_object(
    backend: Backend, identity: ObjectId, uses: Collection[Use], places: Sequence[StoredObject], error: StoreError
) -> Iterator[Finding]:
    """An object can be read, and is what its name and what names it say."""
    where = backend.locate(identity)
    if isinstance(error, ObjectNotYetHereError):
        others = sorted(place.name.rpartition("/")[2] for place in places if place.name)
        yield from missing_object(backend, identity, uses, others)
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
    """Tell whether an object has another size than what names it says, or than it may have, without reading it."""
    return any(
        named.kind != "node"
        and (_is_too_large(named, named.bytes) or all(place.plain and place.bytes != named.bytes for place in places))
        for named in uses
    )


def _is_too_large(named: Named, size: int) -> bool:
    """Tell whether an object is so large that no reader takes it, unless it is one message."""
    return size > LARGEST_RUN and (named.kind == "tail" or (named.kind == "chunk" and named.messages > 1))


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
        elif _is_too_large(named, len(data)):
            problem = f"it has more than {LARGEST_RUN} bytes, which only a chunk of one message may have"
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
        # A tag's commit comes after the newest one, whatever state it is of.
        problem = "" if commit.reason == "tag" else began_elsewhere(commit.generation, commit.previous, reach)
        if problem:
            yield Finding.of("ref-frozen", backend.locate(identity), problem)


def began_elsewhere(generation: Generation | None, link: CommitLink | None, reach: Reach) -> str:
    """Return what is wrong with the states that a generation names, "" where nothing is.

    Args:
        link: to the commit before it, or to one within it.
    """
    if generation is None:
        return ""
    before = reach.commits.get(link.id) if link else None
    if before is not None and before.generation_id != generation.id:
        said = generation.frozen_messages, generation.frozen_chain
        if said != (before.messages, before.chain):
            return f"its generation began with {said[0]} messages, and the commit before has others"
    for taken in generation.merged:
        of = reach.commits.get(taken.commit.id)
        if of is not None and (taken.state.messages, taken.state.chain) != (of.messages, of.chain):
            return f"it merged a state of {taken.state.messages} messages, and the commit of that has others"
    return ""


def commit_edits(backend: Backend, reach: Reach) -> Iterator[Finding]:
    """A commit has the messages that its edits replaced, but for those of the first one."""
    for identity, commit in reach.commits.items():
        if commit.replaced != commit.kept:
            what = f"its edits replaced {commit.replaced} messages, and it has {commit.kept} of them"
            yield Finding.of("commit-edits", backend.locate(identity), what)


OF_LINKS = (node_height, node_chain, commit_skip, commit_edits, frozen_elsewhere)
"""The rules of what objects say of each other."""


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
