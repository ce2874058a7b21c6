"""From a name to the one head that it stands for.

Today's rule reads several refs of a name where one of them covers the others, and refuses to choose
between diverged ones.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from ..backends.base import RefKey
from ..errors import SessionConflictError, SessionError
from ..format.names import key_of_ref
from ..format.records import Stamped
from .history import covers, same_life
from .repository import Repository
from .state import Head


@dataclass(frozen=True, slots=True)
class Resolved:
    """The refs of a name.

    Attributes:
        head: the newest state, None where there is no ref or nothing but tombstones.
        tombstone: the tombstone of this replica for the name, if that is the newest of its own refs.
        past: refs that had the name: tombstones, and refs renamed since.
        here: refs that have the name; their repository is `repo`.
        doubt: a ref of the name is damaged, and nobody can tell whether `head` has all that it held.
    """

    head: Head | None
    tombstone: Head | None
    past: list[Head]
    here: list[Head]
    repo: Repository
    doubt: SessionError | None = None

    @property
    def own(self) -> Head | None:
        """This replica's ref that `head` covers or is, None where it has none yet; found only when asked for."""
        if self.head is None:
            return None
        own = [other for other in self.here if not other.deleted and is_own(self.repo, other)]
        return self.head if any(other.key == self.head.key for other in own) else next(iter(own), None)


def resolve(repo: Repository, name: str, *, known: Head | None = None) -> Resolved:
    """Find what a name stands for.

    Args:
        known: a head read earlier, which is not read again if its ref did not change.

    Raises:
        SessionConflictError: refs diverged.
        StoreError: a ref is damaged, and no good one holds what it held.
    """
    heads: list[Head] = []
    damaged: list[tuple[RefKey, SessionError]] = []
    for row in repo.index.named(name):
        key = RefKey(row.path)
        try:
            head = repo.reread(known) if known is not None and known.key == key else repo.read(key)
        except KeyError:
            continue
        except SessionError as error:
            damaged.append((key, error))
        else:
            heads.append(head)
            if head.damage is not None:
                damaged.append((key, head.damage))
    doubts = [error for key, error in damaged if not any(_replaces(head, key) for head in heads)]
    here = [head for head in heads if head.name == name]
    live = _newest(repo, [head for head in here if not head.deleted], heads)
    unreadable = [error for key, error in damaged if all(head.key != key for head in heads)]
    if unreadable and not live:
        raise unreadable[-1]
    if len(live) > 1:
        paths = [repo.backend.locate(head.key) for head in live]
        raise SessionConflictError(
            f"session {name!r} was continued in two places: {' and '.join(paths)}; neither continues the other. "
            "Move one of the files out of the store to go on with the other."
        )
    tombstone = next((head for head in here if head.deleted and is_own(repo, head)), None)
    past = [head for head in heads if head.deleted or head.name != name]
    if not live:
        return Resolved(None, tombstone, past, here, repo)
    head = live[0]
    if head.damage is not None:
        raise head.damage
    shown = _with_metadata_of(head, [other for other in here if other is not head and not other.deleted])
    return Resolved(shown, tombstone, past, here, repo, doubts[0] if doubts else None)


def _replaces(good: Head, damaged: RefKey) -> bool:
    """Tell whether `good` is the file that its replica made instead of a damaged one, with what a process still had."""
    key = key_of_ref(damaged.path)
    same = key is not None and (good.key.replica, key_of_ref(good.key.path)) == (damaged.replica, key)
    # Of one key, paths get longer with their numbers.
    later = (len(good.key.path), good.key.path) > (len(damaged.path), damaged.path)
    return same and later and good.damage is None


def _with_metadata_of(head: Head, covered: list[Head]) -> Head:
    """Merge in the metadata of refs that the head covers: for each key the latest stamp wins, whoever set it."""
    merged = dict(head.metadata)
    updated = head.updated
    for other in covered:
        if not same_life(head, other):
            continue
        for key, item in other.metadata.items():
            if key not in merged or _weight(merged[key]) < _weight(item):
                merged[key] = item
                updated = max(updated, other.updated)
    if merged == head.metadata:
        return head
    shown = head.copy()
    shown.metadata, shown.updated = merged, updated
    return shown


def _weight(item: Stamped) -> tuple[str, str]:
    return item.stamp, hashlib.sha256(item.value or b"").hexdigest()


def _newest(repo: Repository, live: list[Head], all_heads: list[Head]) -> list[Head]:
    """Leave out every head that another one covers; of equal ones a whole one and this replica's own stays.

    Two heads can cover each other and still differ: where the last message was taken back, the one state
    is how the other began, and was there before it too. Then the one with more history is the newer.
    """
    if len(live) == 1 and len(all_heads) == 1:
        return live

    def rank(head: Head) -> tuple[bool, int, int, bool, RefKey]:
        commits = head.header.commit.depth + 1 if head.header.commit else 0
        edits = sum(save.replace is not None for save in head.saves)
        return head.damage is not None, -commits, -edits, not is_own(repo, head), head.key

    order = sorted(live, key=rank)
    preference = {id(head): place for place, head in enumerate(order)}

    def gives_way(head: Head, rival: Head) -> bool:
        if rival is head or not (rival.name == head.name or head.name in rival.header.former_names):
            return False
        if not covers(rival, head):
            return False
        preferred = preference[id(head)] < preference.get(id(rival), -1)
        return not (preferred and covers(head, rival))

    return [head for head in order if not any(gives_way(head, rival) for rival in all_heads)]


def is_own(repo: Repository, head: Head) -> bool:
    """Tell whether this replica may write the ref: it is ours, not a copy by a sync tool, and not damaged."""
    return head.key.replica == repo.replica and key_of_ref(head.key.path) is not None and head.damage is None
