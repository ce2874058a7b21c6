"""A watch while nothing happens."""

from __future__ import annotations

import os
import time

import pytest

from coda_fs_session import SessionInfo, Watch
from coda_fs_session.backends.base import Token
from coda_fs_session.repo.storage import RepoStorage

from .machines import Machine, said


@pytest.mark.parametrize(("cost", "wait"), [(0.1, 20), (1, 60)])
@pytest.mark.parametrize("hints", [True, False])
def test_an_idle_watch_takes_little(
    here: Machine, monkeypatch: pytest.MonkeyPatch, hints: bool, cost: float, wait: float
) -> None:
    """The more processor time a look takes, the longer it waits for the next one that nothing has hinted at; but no
    longer than a minute."""
    spent = 0.0
    monkeypatch.setattr(time, "thread_time", lambda: spent)
    here.create("chat", said(1))
    os.utime(here.only_ref(), (1_700_000_000, 1_700_000_000))  # one of this moment is looked at again
    manager = here.manager()
    assert isinstance(manager._storage, RepoStorage)
    backend, look = manager._storage.repo.backend, manager._storage.look
    if not hints:
        monkeypatch.setattr(backend, "watched_folder", lambda: None)

    def slow_look() -> list[SessionInfo]:
        nonlocal spent
        spent += cost
        return look()

    def slow_tokens() -> dict[str, Token]:
        nonlocal spent
        spent += 0.01
        return type(backend).ref_tokens(backend)

    monkeypatch.setattr(manager._storage, "look", slow_look)
    with Watch(manager._storage, listing=0.0) as watch:
        monkeypatch.setattr(backend, "ref_tokens", slow_tokens)
        waits: list[float] = []
        monkeypatch.setattr(watch._wake, "wait", lambda seconds: waits.append(seconds))
        # What happened before may be told late.
        monkeypatch.setattr(watch._hints, "note", lambda *event: None)
        watch._wake.clear()
        watch._due, watch._tokens = 0.0, None  # as where a file differs: else it is not listed
        assert watch.next(0) is None
        assert wait - 5 < watch._due - time.monotonic() < wait + 5
        before = spent
        assert watch.next(0) is None
        assert spent - before < 0.05, "it listed again"
        watch._await_hint(None)
        assert (waits[-1] > 1) is not hints


def test_a_lost_hint_is_looked_for_in_the_times_of_files(here: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is hinted at, a watch lists the sessions anew only if a file differs from the last such look."""
    here.create("chat", said(1))
    os.utime(here.only_ref(), (1_700_000_000, 1_700_000_000))  # one of this moment is looked at again
    manager = here.manager()
    assert isinstance(manager._storage, RepoStorage)
    listings: list[None] = []
    look = manager._storage.look
    monkeypatch.setattr(manager._storage, "look", lambda: listings.append(None) or look())
    with Watch(manager._storage, listing=0.0) as watch:

        def listed_when_it_is_time() -> bool:
            listings.clear()
            watch._due = 0.0
            watch._wake.clear()
            watch._look()
            return bool(listings)

        assert listed_when_it_is_time()
        assert not listed_when_it_is_time()
        watch._hints.careful = True
        assert listed_when_it_is_time(), "what a session lacks may have come"
        watch._hints.careful = False
        assert not listed_when_it_is_time()
        monkeypatch.setattr(watch._hints, "note", lambda *event: None)
        here.change("chat", 2)
        assert listed_when_it_is_time()
        assert [event.kind for event in watch._pending] == ["advanced"]
