"""Processes that write to one session in a bucket, as one replica: the store that servers without disks share."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
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


def talk(url: str, options: dict[str, Any], pod: int, saves: int = SAVES, log: str = os.devnull) -> None:
    """Save one message after another, each until it is acknowledged, and note then that it was."""
    manager = opened(url, options)
    session = manager.load_session("chat")
    assert session is not None
    noted = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in range(saves):
        session.add_message({"role": "user", "content": f"{pod} {number}"})
        for _ in range(10):
            try:
                manager.save_session(session)
                os.write(noted, f"{pod} {number}\n".encode())
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


def troubled(chance: random.Random) -> Callable[[str, str], Fault | None]:
    """Answers to writes are lost, requests are refused, and one in a hundred is cut off."""

    def spoil(verb: str, key: str) -> Fault | None:
        drawn = chance.random()
        if verb == "PUT" and drawn < 0.1:
            return "cut after"
        return "503" if drawn < 0.2 else "cut before" if drawn < 0.21 else None

    return spoil


def test_pods_that_are_killed(
    url: str, server: Server, proxy: Proxy, tmp_path: Path, seed: int, long_size: bool
) -> None:
    """Of processes that are killed and followed by others, what was acknowledged is there once, in the order of each.

    What was under way is there once or not at all, and the session is one.
    """
    pods, saves, kills = (20, 12, 40) if long_size else (4, 6, 6)
    chance = random.Random(seed)
    first = opened(url, server.options)
    first.save_session(first.create_session("chat"))
    proxy.spoil = troubled(random.Random(seed))
    options = {**proxy.options, "retries": 8}
    spawn = multiprocessing.get_context("spawn")
    log, started = str(tmp_path / "acknowledged"), 0

    def start() -> Any:
        nonlocal started
        pod = spawn.Process(target=talk, args=(url, options, started, saves, log))
        pod.start()
        started += 1
        return pod

    running = [start() for _ in range(pods)]
    killed = 0
    end = time.monotonic() + 4 * SECONDS
    while any(pod.is_alive() for pod in running):
        assert time.monotonic() < end
        time.sleep(chance.uniform(0.05, 0.5))
        alive = [number for number, pod in enumerate(running) if pod.is_alive()]
        # Only once something was said: a process takes its time to start.
        if killed < kills and alive and os.path.exists(log):
            number = chance.choice(alive)
            running[number].kill()
            running[number].join()
            running[number] = start()
            killed += 1
    assert killed
    assert [pod.exitcode for pod in running] == [0] * pods
    session = opened(url, server.options).load_session("chat")
    assert session is not None
    said = [message["content"] for message in session.get_messages()]
    assert len(set(said)) == len(said)
    acknowledged = Path(log).read_text().split("\n")[:-1]
    assert set(acknowledged) <= set(said)
    for pod in range(started):
        mine = [int(text.split()[1]) for text in said if text.startswith(f"{pod} ")]
        assert mine == list(range(len(mine)))
    # One that was under way for each that was killed, at most.
    assert len(said) - len(acknowledged) <= killed
    assert [info.name for info in first.list_sessions()] == ["chat"]
