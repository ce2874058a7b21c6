"""Rows about syncs with a hub, each request of which takes 50 ms, beside the requests that cannot be fewer."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from coda_fs_session import SessionManager
from coda_fs_session.repo.storage import RepoStorage
from coda_fs_session.repo.sync.exchange import sync

from .lab import Lab
from .measure import Prepare, Row, interleave, milliseconds, ratio, ready
from .syncing import filled

# The hub without a cloud is one of the tests.
sys.path.append(str(Path(__file__).parents[2] / "tests"))

REQUEST = 0.05
AT_ONCE = 16


def first_pull(lab: Lab) -> Row:
    from sync.hubs import Hub

    ours = filled(lab)
    hub = Hub()
    _sync(SessionManager(ours.config), hub)
    hub.seconds, requests = REQUEST, len(hub.inner.ref_tokens()) + sum(1 for _ in hub.inner.objects())

    def pull(_turn: int) -> Callable[[], object]:
        folder = lab.spare()
        config = {
            "session": {**ours.config["session"], "storage_path": folder / "store", "state_path": folder / "state"}
        }
        return lambda: _sync(SessionManager(config), hub)

    contenders: dict[str, Prepare] = {
        "so many requests, 16 at a time": ready(lambda: time.sleep(REQUEST * -(-requests // AT_ONCE))),
        "ours": pull,
    }
    results = milliseconds(interleave(contenders, lab.rounds(3)))
    check = ratio(results, "ours", "so many requests, 16 at a time", must=3, aim=1.5)
    return Row(f"first pull of {lab.scale.sessions:,} sessions from a hub, 50 ms a request", results, [check])


def run_without_changes(lab: Lab) -> Row:
    from sync.hubs import Hub

    ours, hub = filled(lab), Hub()
    for _ in range(2):
        _sync(SessionManager(ours.config), hub)
    hub.seconds = REQUEST

    def again() -> object:
        hub.forget()
        _sync(SessionManager(ours.config), hub)
        if hub.requests.total() != 1:
            raise RuntimeError(f"a sync without changes asks for {hub.requests}")
        return None

    contenders = {"one request": ready(lambda: time.sleep(REQUEST)), "ours": ready(again)}
    results = milliseconds(interleave(contenders, lab.rounds(10)))
    check = ratio(results, "ours", "one request", must=3, aim=1.5)
    return Row(f"sync of {lab.scale.sessions:,} sessions with a hub, nothing changed", results, [check])


def _sync(manager: SessionManager, hub: object) -> None:
    from sync.hubs import Hub

    assert isinstance(hub, Hub)
    assert isinstance(manager._storage, RepoStorage)
    report = sync(manager._storage, hub.storage())
    if report.problems:
        raise RuntimeError(str(report))
