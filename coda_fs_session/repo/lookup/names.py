"""From a name, or from a head seen earlier, to the newest state of the session."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from ...backends.base import RefKey
from ...errors import SessionError
from ...format.names import is_of_key, key_of_ref, number_of_ref, origins, session_key
from ...format.purge_records import Deleted
from ...format.records import LARGEST_WRITTEN
from ...process.loading import loading
from ..ancestry.ancestors import covers, is_seen_in
from ..ancestry.shown import Shown, View, shown_as
from ..content.state import Cursor, State
from ..index.groups import groups
from ..index.index import Index
from ..index.rows import Row, ViewRow
from ..repository import Repository


class Resolved(NamedTuple):
    """What a name stands for.

    Attributes:
        shown: the session, None where there is none of this name.
        tombstone: the tombstone that has the name, where no session has.
        past: refs that had the name: tombstones, and refs renamed since.
        life: what a new session of the name is to have for `Header.life`.
        doubt: a ref of the name is damaged, and nobody can tell whether the session has all that it held.
        sides: all sessions that have the name in their headers, the one that goes by it first.
        repo: where they were found.
    """

    shown: Shown | None
    repo: Repository
    tombstone: Shown | None = None
    past: tuple[State, ...] = ()
    life: int = 0
    doubt: SessionError | None = None
    sides: tuple[Shown, ...] = ()

    @property
    def head(self) -> State | None:
        return self.shown.head if self.shown else None

    @property
    def own(self) -> State | None:
        """This replica's ref that the head of the session or tombstone is or covers; looked for when asked for."""
        found = self.shown or self.tombstone
        if found is None:
            return None
        replica = self.repo.replica
        return next((head for head in (found.head, *found.covered) if is_own(replica, head)), None)


class Refs(NamedTuple):
    """The refs that names have in common.

    Attributes:
        heads: all that can be read; those damaged later on, up to there.
        unreadable: errors of those that cannot, by key.
        doubts: errors of all damaged ones that no later file replaces, by key.
    """

    heads: tuple[State, ...]
    unreadable: dict[RefKey, SessionError]
    doubts: dict[RefKey, SessionError]


def resolve(repo: Repository, name: str) -> Resolved:
    """Find what a name stands for.

    Raises:
        StoreError: a ref of the name is damaged, and no good one holds what it held.
    """
    rows = related(repo.index, name)
    refs = read_refs(repo, rows)
    view = view_of(repo, refs, rows)
    doubt = next(iter(refs.doubts.values()), None)
    past = tuple(head for head in refs.heads if head.deleted or head.name != name)
    sides = tuple(shown for shown in view.sessions if shown.head.name == name)
    for shown in view.sessions:
        if shown.label == name:
            if shown.head.damage is not None:
                raise shown.head.damage
            return Resolved(_with_own(repo, shown), repo, None, past, doubt=doubt, sides=sides)
    if refs.unreadable:
        raise next(reversed(refs.unreadable.values()))
    tombstone = next((shown for shown in view.deleted if shown.label == name), None)
    life = 1 + max((head.header.life for head in refs.heads), default=-1)
    # The largest one, which no program reaches by counting, is shared rather than passed.
    life = min(life, LARGEST_WRITTEN)
    return Resolved(None, repo, tombstone, past, life, doubt, sides)


def tombstones(repo: Repository, name: str) -> Sequence[Shown]:
    """Return the tombstones that nothing continues, of a name and of those that have names in common with it."""
    rows = related(repo.index, name)
    return view_of(repo, read_refs(repo, rows), rows).deleted


def follow(repo: Repository, cursor: Cursor) -> Resolved:
    """Find the session that goes on from a state, whatever its name is now; the same one's own file first.

    Where that was deleted, `tombstone` is its tombstone. The state itself is not read again if its ref did not change.

    Raises:
        StoreError: refs of its names are damaged, and no good one goes on from it.
    """
    head = cursor.state
    rows = related(repo.index, head.name)
    refs = read_refs(repo, rows, cursor)
    view = view_of(repo, refs, rows)
    every = (*view.sessions, *view.deleted)
    # What the lines tell needs no object; and our own file is our own conversation, whoever else went on from it.
    continued = [shown for shown in every if is_seen_in(head, shown.head)]
    continued = continued or [shown for shown in every if covers(shown.head, head)]
    continued.sort(key=lambda shown: (shown.head.deleted, shown.head.key != head.key))
    if not continued:
        if refs.unreadable:
            raise next(reversed(refs.unreadable.values()))
        return Resolved(None, repo)
    shown = _with_own(repo, continued[0])
    return Resolved(None, repo, shown) if shown.head.deleted else Resolved(shown, repo)


def related(index: Index, name: str) -> list[Row]:
    """Return the rows of all refs that decide what a name stands for: it, the name it is derived from, former ones."""
    return related_to([name], index.named)


def related_to(names: Iterable[str], named: Callable[..., Iterable[Row]]) -> list[Row]:
    """Do as `related` for several names.

    Args:
        named: returns the rows of names; see `Index.named`.
    """
    pending = list(dict.fromkeys(chain.from_iterable(map(origins, names))))
    known_names = set(pending)
    rows: dict[str, Row] = {}
    while pending:
        found = [row for row in named(*pending) if row.path not in rows]
        rows.update((row.path, row) for row in found)
        pending = []
        for known in chain.from_iterable((row.name, *row.former_names) for row in found):
            for other in origins(known):
                if other not in known_names:
                    known_names.add(other)
                    pending.append(other)
    return list(rows.values())


def read_refs(repo: Repository, rows: Iterable[Row], known: Cursor | None = None) -> Refs:
    """Read the refs of some rows; the one of `known` is not folded again if it did not change."""
    heads: list[State] = []
    unreadable: dict[RefKey, SessionError] = {}
    for row in rows:
        key = RefKey(row.path)
        # A row of an index that goes by keys was found just now.
        token = row.token if repo.index.by_key else None
        try:
            if known is not None and known.state.key == key and token in (None, known.state.token):
                heads.append(repo.reread(known) if token is None else known.state)
            else:
                heads.append(repo.read(key, token))
        except KeyError:
            continue
        except SessionError as error:
            unreadable[key] = error
    damaged = [*unreadable.items(), *((head.key, head.damage) for head in heads if head.damage is not None)]
    doubts = {key: error for key, error in damaged if not any(replaces(head, key) for head in heads)}
    return Refs(tuple(heads), unreadable, doubts)


def view_of(repo: Repository, refs: Refs, rows: Iterable[Row]) -> View:
    """Resolve what was read of some rows, group by group: so a list and a look-up find the same.

    Raises:
        StoreError: see `resolve_heads`.
    """
    heads = {head.key.path: head for head in refs.heads}
    views = [
        _view_of_group(repo, [heads[row.path] for row in group if row.path in heads], group) for group in groups(rows)
    ]
    if len(views) == 1:
        return views[0]
    return View(
        tuple(chain.from_iterable(view.sessions for view in views)),
        tuple(chain.from_iterable(view.deleted for view in views)),
        all(view.complete for view in views),
    )


def _view_of_group(repo: Repository, heads: Sequence[State], rows: Sequence[Row]) -> View:
    if len(heads) == 1:
        return _view([Shown(heads[0].name, heads[0])])
    # What a list found out stays true, also where an object has gone since that it took to find it.
    known = repo.index.view(rows)
    view = _found_before(heads, known, repo.horizon()) if known else None
    if view is not None:
        return view
    inside = {row.path for row in rows}

    def is_taken(name: str) -> bool:
        rows = repo.index.last_named(name)
        return any(row.name == name and not row.deleted and row.path not in inside for row in rows)

    # Late: it takes longer to load than one session to read, and hardly any has several refs.
    with loading():
        from ..ancestry.resolve import resolve_heads

    return resolve_heads(heads, is_taken, repo.horizon())


def _view(found: Iterable[Shown]) -> View:
    found = tuple(found)
    living, deleted = (tuple(shown for shown in found if shown.head.deleted is dead) for dead in (False, True))
    return View(living, deleted)


def _found_before(heads: Sequence[State], known: Sequence[ViewRow], horizon: str) -> View | None:
    """Return what heads were found to add up to; None where they are not those."""
    then = {(ref.path, ref.line) for each in known for ref in each.refs}
    if {(head.key.path, head.last_id) for head in heads} != then or any(head.damage for head in heads):
        return None
    by_path = {head.key.path: head for head in heads}

    def found(each: ViewRow) -> Shown:
        head, *covered = (by_path[ref.path] for ref in each.refs)
        merged = [by_path[ref.path] for ref in each.refs if ref.merged]
        same = [by_path[ref.path] for ref in each.refs if ref.same]
        return shown_as(each.label, head, covered, merged, same, horizon, survived_delete=each.survived_delete)

    return _view(map(found, known))


def _with_own(repo: Repository, shown: Shown) -> Shown:
    """Put our own ref in the place of a session's head, if it is at the same state: so a save can just append to it."""
    if not shown.same or is_own(repo.replica, shown.head):
        return shown
    for own in shown.same:
        if is_own(repo.replica, own):
            head = shown.head
            if (own.metadata, own.updated, own.tags) != (head.metadata, head.updated, head.tags):
                own = replace(own, metadata=head.metadata, updated=head.updated, tags=head.tags)
            return shown._replace(head=own)
    return shown


def replaces(good: State, damaged: RefKey) -> bool:
    """Tell whether `good` is the file that its replica made instead of a damaged one, with what a process still had."""
    key = key_of_ref(good.key.path)
    if (
        key is None
        or good.damage is not None
        or good.key.replica != damaged.replica
        or not is_of_key(damaged.path, key)
    ):
        return False
    keys = set(map(session_key, (good.name, *good.header.former_names)))

    def place(path: str) -> tuple[bool, int]:
        # An earlier version may have given the slug another form: its numbers are of other file names.
        return key_of_ref(path) in keys, number_of_ref(path)

    return place(good.key.path) > place(damaged.path)


def is_own(replica: str | None, head: State) -> bool:
    """Tell whether this replica may write the ref: it is ours, not a copy by a sync tool, and not damaged."""
    return head.damage is None and may_write(replica, head.key.path)


def is_purged(head: State) -> bool:
    """Tell whether a head is a tombstone of a session that was taken out whole: nothing of it can be shown again."""
    if not head.deleted:
        return False
    objects = head.messages.objects
    objects.purged.look(objects.backend)
    return Deleted(head.generation_id, head.name) in objects.purged.sessions


@lru_cache(maxsize=1024)
def may_write(replica: str | None, path: str) -> bool:
    """Tell whether a path is one that this replica gives its refs."""
    return RefKey(path).replica == replica and key_of_ref(path) is not None
