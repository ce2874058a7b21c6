"""What networks do to each request of a sync with a hub: it is repeated or told, and nothing is lost or there twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from coda_fs_session import StoreError

from .proxy import FAULTS, Fault, Proxy
from .test_hub import Machine

pytest.importorskip("coda_fs_session.backends.bucket.client")

TOLD_AT_ONCE = ("403", "flip", "cut body")
"""What is not tried again: it may not change, or it is a listing that ended too early."""


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("times", [1, 1000], ids=["once", "from then on"])
def test_each_request(tmp_path: Path, proxy: Proxy, url: str, fault: Fault, times: int) -> None:
    """Each request of a push and a pull in turn: what fails once is repeated, and what goes on failing is an error."""
    desk, lap = (Machine(tmp_path, each, proxy) for each in ("desk", "lap"))
    for machine in (desk, lap):
        # What goes on failing needs no patience.
        machine.options["bucket"] = {**proxy.options, "retries": 2 if times == 1 else 0, "request_seconds": 5}
    desk.say("chat", *("x" * 40_000 for _ in range(4)))
    desk.say("other", "hello")
    said = at = 0
    ended = False
    while not ended:
        for machine in (desk, lap):
            machine.say("chat" if machine is desk else "of the lap", f"message {said}")
            said += 1
        proxy.verbs.clear()
        proxy.spoil_number(at, fault, times=times)
        for machine in (desk, lap):
            told: tuple[StoreError, ...]
            try:
                told = machine.sync(url).problems
            except StoreError as error:
                told = (error,)
            assert told == () or times > 1 or fault in TOLD_AT_ONCE
        ended = proxy.verbs.total() <= at
        proxy.spoil = lambda verb, key: None
        at += 1
    assert at > 4
    for machine in (desk, lap, desk):
        assert machine.sync(url).problems == ()
    assert desk.names() == lap.names() == ["chat", "of the lap", "other"]
    assert all(desk.read(name) == lap.read(name) for name in desk.names())
    texts = [text for name in desk.names() for text in desk.read(name) if text.startswith("message")]
    assert sorted(texts) == sorted(f"message {each}" for each in range(said))
    for machine in (desk, lap):
        with machine.manager() as manager:
            assert manager.maintenance.check(full=True).is_whole
