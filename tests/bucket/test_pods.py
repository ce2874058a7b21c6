"""Processes that write to one session in a bucket, as one replica: the store that servers without disks share."""

from __future__ import annotations

import multiprocessing
import random
from collections.abc import Callable
from typing import Any

import pytest

from coda_fs_session import SessionManager
from coda_fs_session.errors import StoreError

from .proxy import Fault, Proxy
from .servers import Server

pytest.importorskip("obstore")

PODS = 4
SAVES = 20
SECONDS = 120
"""Only a failure waits that long."""


def opened(url: str, options: dict[str, Any]) -> SessionManager:
    """Return a manager of the one replica that all of them are."""
    return SessionManager({"session": {"storage_path": url, "bucket": options, "autosave_interval": 0}})


def talk(url: str, options: dict[str, Any], pod: int) -> None:
    """Save one message after another, each until it is acknowledged."""
    manager = opened(url, options)
    session = manager.load_session("chat")
    assert session is not None
    for number in range(SAVES):
        session.add_message({"role": "user", "content": f"{pod} {number}"})
        for _ in range(10):
            try:
                manager.save_session(session)
                break
            except StoreError:
                continue
        else:
            raise AssertionError("no save was acknowledged")


def lost(chance: random.Random) -> Callable[[str, str], Fault | None]:
    """One in five answers to writes of refs is lost."""
    return lambda verb, key: "cut after" if verb == "PUT" and chance.random() < 0.2 else None


def refused(chance: random.Random) -> Callable[[str, str], Fault | None]:
    """One in five requests is refused."""
    return lambda verb, key: "503" if chance.random() < 0.2 else None


@pytest.mark.parametrize("spoil", [None, lost, refused])
def test_every_message_once(
    url: str, server: Server, proxy: Proxy, spoil: Callable[[random.Random], Any] | None
) -> None:
    """What was acknowledged is there once, and each process's messages in their order, whatever is lost or refused."""
    first = opened(url, server.options)
    first.save_session(first.create_session("chat"))
    if spoil is not None:
        proxy.spoil = spoil(random.Random(1))
    spawn = multiprocessing.get_context("spawn")
    pods = [spawn.Process(target=talk, args=(url, {**proxy.options, "retries": 8}, pod)) for pod in range(PODS)]
    for pod in pods:
        pod.start()
    for pod in pods:
        pod.join(SECONDS)
        pod.kill()
    assert [pod.exitcode for pod in pods] == [0] * PODS
    session = opened(url, server.options).load_session("chat")
    assert session is not None
    said = [message["content"] for message in session.get_messages()]
    for number in range(PODS):
        assert [text for text in said if text.startswith(f"{number} ")] == [f"{number} {n}" for n in range(SAVES)]
    assert len(said) == PODS * SAVES
    assert [info.name for info in first.list_sessions()] == ["chat"]
