"""Two Syncthing daemons that know nobody but each other, on loopback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from .stores import run

FOLDER = "store"
DEADLINE = 90.0
_KEY = "for-the-test"


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Daemon:
    """One Syncthing with the folder of one machine."""

    def __init__(self, program: str, home: Path, folder: Path) -> None:
        self.program, self.home, self.folder = program, home, folder
        self.listen = f"tcp://127.0.0.1:{_free_port()}"
        self.gui = f"127.0.0.1:{_free_port()}"
        run(program, "generate", f"--home={home}", "--no-default-folder", "--skip-port-probing")
        self.id = run(program, "serve", f"--home={home}", "--device-id").strip().splitlines()[-1]

    def configure(self, other: Daemon, *, calls: bool) -> None:
        """Tell it of its folder and of the other daemon, and to ask nobody else on any network for anything.

        Args:
            calls: whether it is the one that connects. Two that call each other at once wait 20 seconds for nothing.
        """
        path = self.home / "config.xml"
        config = ElementTree.parse(path)
        root = config.getroot()
        options = root.find("options")
        gui = root.find("gui")
        assert options is not None
        assert gui is not None
        for name, value in {
            "listenAddress": self.listen,
            "globalAnnounceEnabled": "false",
            "localAnnounceEnabled": "false",
            "relaysEnabled": "false",
            "natEnabled": "false",
            "urAccepted": "-1",
            "crashReportingEnabled": "false",
            "autoUpgradeIntervalH": "0",
            "startBrowser": "false",
            "reconnectionIntervalS": "1",
            "announceLANAddresses": "false",
            "stunKeepaliveStartS": "0",
        }.items():
            _set(options, name, value)
        _set(gui, "address", self.gui)
        _set(gui, "apikey", _KEY)
        for device in root.findall("device"):
            root.remove(device)
        for daemon in (self, other):
            device = ElementTree.SubElement(root, "device", id=daemon.id, name=daemon.home.name)
            ElementTree.SubElement(device, "address").text = daemon.listen if calls else "dynamic"
        folder = ElementTree.SubElement(
            root, "folder", id=FOLDER, path=str(self.folder), type="sendreceive", rescanIntervalS="0"
        )
        folder.set("fsWatcherEnabled", "false")  # scans are asked for, so that a test knows when one is over
        _set(folder, "maxConflicts", "10")  # the default for folders made in its user interface
        for daemon in (self, other):
            ElementTree.SubElement(folder, "device", id=daemon.id)
        config.write(path)

    @contextmanager
    def running(self) -> Iterator[None]:
        with (self.home / "log.txt").open("wb") as log:
            process = subprocess.Popen(
                [self.program, "serve", f"--home={self.home}", "--no-browser", "--no-restart", "--no-upgrade"],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "HOME": str(self.home)},
            )
            try:
                _wait(self._answers, f"{self.home.name} to start")
                yield
            finally:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def ask(self, path: str, *, method: str = "GET", within: float = 30, **query: object) -> Any:
        """Call the REST API."""
        url = f"http://{self.gui}/rest/{path}?{urllib.parse.urlencode(query)}"
        request = urllib.request.Request(url, method=method, headers={"X-API-Key": _KEY})
        with _opener.open(request, timeout=within) as answer:
            content = answer.read()
        return json.loads(content) if content.strip() else None

    def has_all(self, other: Daemon) -> bool:
        """Tell whether it has what it knows of, and knows that the other one has what is here."""
        status = self.ask("db/status", folder=FOLDER)
        if status["state"] != "idle" or status["needTotalItems"] or status["errors"] or status["pullErrors"]:
            return False
        if not self.ask("system/connections")["connections"][other.id]["connected"]:
            return False
        there = self.ask("db/completion", folder=FOLDER, device=other.id)
        return bool(there["completion"] == 100 and there["needItems"] == 0 and there["needDeletes"] == 0)

    def _answers(self) -> bool:
        try:
            return bool(self.ask("system/ping", within=2)["ping"] == "pong")
        except (urllib.error.URLError, OSError):
            return False


# Whatever proxy the machine uses for the world, these are two programs on it.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Pair:
    """Two daemons that are running."""

    def __init__(self, here: Daemon, there: Daemon) -> None:
        self.both = (here, there)

    def sync(self) -> None:
        """Scan both folders, and return when both sides have everything."""
        self.scan()
        here, there = self.both
        seen = here.ask("events", since=0, limit=1, timeout=1)
        since = seen[-1]["id"] if seen else 0

        def settled() -> bool:
            nonlocal since
            if here.has_all(there) and there.has_all(here):
                return True
            # Returns as soon as something happens.
            for event in here.ask("events", since=since, timeout=1) or []:
                since = max(since, event["id"])
            return False

        _wait(settled, "both sides to have everything", pause=0)

    def scan(self) -> None:
        for daemon in self.both:
            daemon.ask("db/scan", method="POST", within=DEADLINE, folder=FOLDER)

    @contextmanager
    def disconnected(self) -> Iterator[None]:
        here, there = self.both
        for daemon, other in ((here, there), (there, here)):
            daemon.ask("system/pause", method="POST", device=other.id)
        yield
        # A daemon that receives a file before it has seen its own change of it tries again a minute later.
        self.scan()
        for daemon, other in ((here, there), (there, here)):
            daemon.ask("system/resume", method="POST", device=other.id)


@contextmanager
def connected(program: str, homes: Path, here: Path, there: Path) -> Iterator[Pair]:
    """Run two daemons over two folders."""
    for folder in (here, there):
        folder.mkdir(parents=True, exist_ok=True)
    first, second = Daemon(program, homes / "first", here), Daemon(program, homes / "second", there)
    first.configure(second, calls=True)
    second.configure(first, calls=False)
    with ExitStack() as stack:
        for daemon in (first, second):
            stack.enter_context(daemon.running())
        yield Pair(first, second)


def _set(parent: ElementTree.Element, name: str, value: str) -> None:
    for child in parent.findall(name):
        parent.remove(child)
    ElementTree.SubElement(parent, name).text = value


def _wait(done: Callable[[], bool], what: str, *, pause: float = 0.1) -> None:
    deadline = time.monotonic() + DEADLINE
    while not done():
        assert time.monotonic() < deadline, f"waited {DEADLINE:g} seconds for {what}"
        time.sleep(pause)
