"""A sync with a hub that is killed: nothing is there without what it needs, and the next one goes on from there."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from coda_fs_session import StoreError

from .servers import Server
from .test_hub import Machine

pytest.importorskip("coda_fs_session.backends.bucket.client")

SYNC = """
import json, sys
from coda_fs_session import SessionManager
options, url = json.loads(sys.argv[1]), sys.argv[2]
manager = SessionManager({"session": options})
print("open", flush=True)
manager.sync(url)
"""


@pytest.mark.parametrize("direction", ["push", "pull"])
def test_killed_again_and_again(url: str, tmp_path: Path, server: Server, direction: str) -> None:
    """Killed after ever longer times, until one comes to its end; every state in between can be read whole."""
    desk, lap, third = (Machine(tmp_path, each, server) for each in ("desk", "lap", "third"))
    with desk.manager(durability="none") as manager:
        for number in range(40):
            session = manager.create_session(f"chat {number}")
            session.messages = [{"role": "user", "content": f"{number} {each} " + "x" * 2000} for each in range(60)]
            manager.save_session(session)
    if direction == "pull":
        desk.sync(url)
    machine = desk if direction == "push" else lap
    options = json.dumps(
        {name: str(each) if isinstance(each, Path) else each for name, each in machine.options.items()}
    )
    seconds, killed = 0.05, 0
    while True:
        with subprocess.Popen([sys.executable, "-c", SYNC, options, url], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                killed += 1
            if process.wait() == 0:
                break
        seconds *= 1.6
        if is_there(url, third):
            assert third.sync(url, direction="pull").problems == ()
        with third.manager() as manager:
            assert manager.maintenance.check(full=True).is_whole
    assert killed
    if direction == "push":
        lap.sync(url)
    assert lap.names() == desk.names()
    assert all(lap.read(name) == desk.read(name) for name in desk.names()[::7])
    with lap.manager() as manager:
        assert manager.maintenance.check(full=True).is_whole


def is_there(url: str, machine: Machine) -> bool:
    """Tell whether there is a store there by now."""
    try:
        machine.sync(url, direction="pull")
    except StoreError as error:
        if "no store" not in str(error):
            raise
        return False
    return True
