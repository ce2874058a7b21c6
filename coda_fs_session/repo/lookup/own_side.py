"""Which side of a conversation is this replica's own."""

from __future__ import annotations

from collections.abc import Iterable

from ...errors import StoreError
from ...format.names import identity_of, session_key
from ..ancestry.ancestors import same_life
from ..ancestry.shown import Shown
from ..content.state import State
from ..repository import Repository
from .names import may_write, read_refs, related, view_of


def find_own_side(repo: Repository, name: str) -> Shown | None:
    """Return the side of a name that this replica was last at work on; None where it has none, or nothing diverged.

    Raises:
        StoreError: a ref of ours is damaged, and nobody can tell what side it was on.
    """
    rows = related(repo.index, name)
    key = identity_of(session_key(name))
    ours = {row.path for row in rows if row.key == key and may_write(repo.replica, row.path)}
    if len(rows) < 2 or not ours:
        return None
    refs = read_refs(repo, rows)
    for damaged, error in refs.doubts.items():
        if damaged.path in ours:
            raise error
    return own_side(repo.replica, view_of(repo, refs, rows).sessions, name)


def own_side(replica: str | None, sessions: Iterable[Shown], name: str) -> Shown | None:
    """Return, of the sides of a name, the one that this replica was last at work on; None where it was on none.

    Of several that others made of one state of ours, the first.
    """
    newest: Shown | None = None
    when = ""
    for shown in sessions:
        if shown.head.name == name:
            for head in (shown.head, *shown.covered):
                is_ours = head.name == name and may_write(replica, head.key.path)
                if is_ours and _last_save(head) > when and _lives_on(head, shown.head):
                    newest, when = shown, _last_save(head)
    return newest


def _last_save(head: State) -> str:
    """Return when a ref was last written; `State.updated` may be that of another one whose metadata it shows."""
    return head.saves[-1].time if head.save_count else head.header.updated


def _lives_on(own: State, head: State) -> bool:
    """Tell whether a ref that a head covers, or is, is of the same session, and not of one that was deleted before."""
    try:
        return same_life(head, own)
    except StoreError:
        # What has not arrived yet does not take our conversation from us.
        return True
