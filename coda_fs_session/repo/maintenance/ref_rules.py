"""The rules of ref files: each a function, which yields what breaks it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from ...backends.base import RefKey
from ...errors import CorruptionError, StoreError, StoreFormatError
from ...format.names import key_of_ref
from ...format.refs import Header, Ref, parse_ref
from ..ancestry.ancestors import covers
from ..content.messages import MessageList
from ..content.objects import Objects
from ..content.state import State
from ..lookup.names import replaces
from ..repository import Repository
from ..reverts.verdict import has_all_of, intact
from .findings import Finding
from .message_rules import bad_message
from .object_rules import began_elsewhere
from .reach import Reach
from .salvage import salvaged


class ReadRef(NamedTuple):
    """A ref file as a check has read it.

    Attributes:
        path: where it is, for people.
        ref: what it says up to its damage, None where nothing of it can be read; damage: what is wrong with it.
    """

    key: RefKey
    path: str
    ref: Ref | None
    damage: StoreError | None

    @property
    def names(self) -> tuple[str, ...]:
        return (self.ref.header.name, *self.ref.header.former_names) if self.ref else ()


def read_ref(repo: Repository, key: RefKey, objects: Objects) -> ReadRef | None:
    """Read a ref with every line verified and its saves folded; None where it is gone. Nothing is raised."""
    path = repo.backend.locate(key)
    try:
        data, token = repo.backend.read_ref(key)
        ref = parse_ref(data, path)
    except KeyError:
        return None
    except StoreError as error:
        return ReadRef(key, path, None, error)
    damage = ref.damage
    if damage is None and any(save.replace is not None for save in ref.saves):
        damage = State.of(key, token, ref, objects, repo.sizes).damage
    return ReadRef(key, path, ref, damage)


def unreadable_ref(read: ReadRef) -> Iterator[Finding]:
    """A ref begins with a header that verifies; a file of another name may be anything."""
    error = read.damage
    if read.ref is not None or error is None:
        return
    if isinstance(error, StoreFormatError):
        yield Finding.of("newer-version", read.path, plain(error), 1)
    elif not read.key.path.endswith(".jsonl") and isinstance(error, CorruptionError):
        yield Finding.of("stray-file", read.path, "it is no ref")
    elif isinstance(error, CorruptionError) and error.line is not None:
        yield Finding.of("ref-header", read.path, plain(error), error.line)
    else:
        yield Finding.of("ref-unreadable", read.path, plain(error))


def damaged_line(read: ReadRef) -> Iterator[Finding]:
    """Each line of a ref verifies, follows the one before, and replaces only what the saves have."""
    if read.ref is None or read.damage is None:
        return
    if isinstance(read.damage, StoreFormatError):
        yield Finding.of("newer-version", read.path, plain(read.damage))
    else:
        line = read.damage.line if isinstance(read.damage, CorruptionError) else None
        yield Finding.of("ref-line", read.path, plain(read.damage), line)


def torn_line(read: ReadRef) -> Iterator[Finding]:
    """A last line that is not whole is a save that never happened, or one that is being written."""
    if read.ref is not None and read.ref.torn:
        size = len(read.ref.torn)
        yield Finding.of("ref-torn", read.path, f"{size} bytes of a save that is not whole", len(read.ref.line_ids) + 1)


def superseded(repo: Repository, read: ReadRef, others: Mapping[str | None, Sequence[RefKey]]) -> str | None:
    """Return where the good ref is that holds all that is intact of a damaged one; None where none does.

    Args:
        others: the good refs of each name, and of each key.
    """
    head = None
    if read.ref is not None:
        with suppress(KeyError, StoreError):
            head = repo.read(read.key)
        if head is None:
            return None
    keys = dict.fromkeys(key for name in read.names or (key_of_ref(read.key.path),) for key in others.get(name, ()))
    for key in keys:
        with suppress(KeyError, StoreError):
            good = repo.read(key)
            if good.damage is not None:
                continue
            if replaces(good, read.key) or (head is not None and _has_intact(repo, good, head)):
                return repo.backend.locate(key)
    return None


def _has_intact(repo: Repository, good: State, damaged: State) -> bool:
    """Tell whether a good ref has all that is intact of a damaged one, what stands behind the damage too.

    Raises:
        KeyError, StoreError: it cannot be told.
    """
    if not covers(good, damaged):
        return False
    whole = intact(repo, damaged.key, salvaged(damaged, repo.backend.read_ref(damaged.key).data).data)
    if whole is None:
        return False
    if whole.last_id == damaged.last_id or has_all_of(good, whole):
        return True
    # It was whole when another ref went on from it, or took it in: then its lines are there, in their order.
    first = whole.header.base.messages
    there = iter(good.messages.read(min(first, good.count), good.count))
    stamps = {key: value.stamp for key, value in good.metadata.items()}
    return all(line in there for line in whole.messages.lines) and all(
        value.stamp <= stamps.get(key, "") for key, value in whole.metadata.items()
    )


def bad_messages(read: ReadRef) -> Iterator[Finding]:
    """Each message in a save is a JSON object in compact form."""
    for line, save in enumerate(read.ref.saves if read.ref else (), 2):
        number = bad_message(save.messages)
        if number is not None:
            yield Finding.of("message-line", read.path, f"message {number + 1} of the save is none", line)


def hidden_size(read: ReadRef, repo: Repository, objects: Objects) -> Iterator[Finding]:
    """The hidden messages of a base have the size that it says."""
    base = read.ref.header.base if read.ref else None
    if base is None or not base.start:
        return
    # What cannot be read is found at its object.
    with suppress(StoreError):
        size = MessageList(objects, repo.sizes, base, []).bytes_before(base.start)
        if size != base.start_bytes:
            what = f"{base.start} hidden messages have {size} bytes, and it says {base.start_bytes}"
            yield Finding.of("base-start", read.path, what, 1)


def begins_elsewhere(header: Header, path: str, reach: Reach) -> Iterator[Finding]:
    """A generation begins with what its commit has frozen, and so does what it merged."""
    problem = began_elsewhere(header.generation, header.commit, reach)
    if problem:
        yield Finding.of("ref-frozen", path, problem, 1)


def plain(error: StoreError) -> str:
    """Return what an error says without its path and what to do, which the finding has."""
    text = str(error)
    for prefix in (f"{error.path}, line {getattr(error, 'line', None)}: ", f"{error.path}: ", "the ref is damaged: "):
        text = text.removeprefix(prefix)
    return text.partition("; ")[0] if isinstance(error, CorruptionError) else text
