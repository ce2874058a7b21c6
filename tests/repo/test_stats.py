"""Totals over a store: exact, and without a look into refs that did not change."""

from __future__ import annotations

import os
from collections import Counter

from coda_fs_session.backends.base import RefKey, Snapshot
from coda_fs_session.format.tree import chunks
from coda_fs_session.repo.lookup.names import resolve
from coda_fs_session.repo.maintenance.stats import stats
from coda_fs_session.storage import StoreStats

from .machines import Machine, said


def of(machine: Machine) -> StoreStats:
    """Return what another process is told, which has only what was kept to go by."""
    return stats(machine.repository())


def by_hand(machine: Machine) -> StoreStats:
    """Return the same, found out from the sessions as they are opened and from the files."""
    repo = machine.repository()
    heads = [head for name in machine.names() if (head := resolve(repo, name).head) is not None]
    uses: Counter[tuple[str, int]] = Counter()
    for head in heads:
        base = head.header.base
        found = chunks(base.spine, 0, base.spine.messages, repo.objects.node)
        uses.update((chunk.id, chunk.bytes) for _, chunk in found)
        if base.tail is not None:
            uses[base.tail.id, base.tail.bytes] += 1
    objects = [path.stat().st_size for path in (machine.store / "objects").rglob("*") if path.is_file()]
    return StoreStats(
        sessions=len(heads),
        messages=sum(head.live_count for head in heads),
        logical_bytes=sum(head.live_bytes for head in heads),
        stored_bytes=sum(objects) + sum(path.stat().st_size for path in machine.refs()),
        objects=len(objects),
        shared_bytes=sum((count - 1) * size for (_, size), count in uses.items()),
    )


def test_totals_are_exact(here: Machine, derived: str) -> None:
    """After each change they are what the sessions and the files say: lists of lists, tails, forks, sides and all."""
    assert derived in here.names()
    here.create("short", said(1))
    here.create("long", said(*range(400)))
    found = [of(here)]
    assert found[-1] == by_hand(here)
    assert len(here.head("long").header.base.spine.levels) > 2
    manager = here.manager()
    for fork in ("fork", "beside"):
        manager.create_session(fork, branch_from="long", at=257)
    assert here.head("fork").header.base.tail is not None
    manager.create_session("copy", branch_from="long")
    found.append(of(here))
    assert found[-1] == by_hand(here)
    assert found[-1].shared_bytes > found[0].logical_bytes
    here.change("fork", *range(30))
    assert of(here) == by_hand(here)
    manager = here.manager()
    manager.delete_session("copy")
    manager.rename_session("long", "longer")
    found.append(of(here))
    assert found[-1] == by_hand(here)
    assert found[-1].shared_bytes < found[-2].shared_bytes


def test_what_is_kept_is_not_read_again(here: Machine) -> None:
    """Of refs that did not change since the index was kept, none is opened."""
    for number in range(5):
        here.create(f"session-{number}", said(*range(20)))
    for ref in here.refs():
        os.utime(ref, (1_700_000_000, 1_700_000_000))  # one of this moment may change without a trace
    before = of(here)
    here.change("session-3", 20)
    repo, read = here.repository(), []

    def read_ref(key: RefKey) -> Snapshot:
        read.append(key.path)
        return type(repo.backend).read_ref(repo.backend, key)

    repo.backend.read_ref = read_ref  # type: ignore[method-assign]
    assert stats(repo).messages == before.messages + 1
    assert [path.rpartition("/")[2] for path in read] == ["session-3.jsonl"]


def test_a_list_that_is_gone(here: Machine) -> None:
    """Where an object is missing that lists others, the rest is counted; loading says what is wrong."""
    here.create("long", said(*range(350)))
    here.manager().create_session("copy", branch_from="long")
    before = of(here)
    node = here.head("long").header.base.spine.levels[-1][0]
    (path,) = (here.store / "objects").rglob(f"{node.id}*")
    size = path.stat().st_size
    path.unlink()
    after = of(here)
    assert (after.sessions, after.messages, after.objects) == (2, 700, before.objects - 1)
    assert after.stored_bytes == before.stored_bytes - size
    assert 0 < after.shared_bytes < before.shared_bytes
