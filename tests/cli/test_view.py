"""`view` as a process: it prints a link, and answers whoever has it."""

from __future__ import annotations

import http.client
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from .command import Command, nothing_changes


@contextmanager
def viewing(command: Command, *arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `view`, and go on as soon as it has told its link."""
    process = subprocess.Popen(
        [sys.executable, "-m", "coda_fs_session", "view", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=command.environment | environment,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().removesuffix("\n")
    finally:
        process.kill()
        process.communicate()


def asked(link: str) -> tuple[int, str]:
    """Open a link as a browser does, and return the status and the page at its end."""
    address = urlsplit(link)
    connection = http.client.HTTPConnection(address.netloc, timeout=30)
    connection.request("GET", f"{address.path}?{address.query}")
    answer = connection.getresponse()
    answer.read()
    cookie = (answer.headers["Set-Cookie"] or "").partition(";")[0]
    connection.request("GET", answer.headers["Location"] or "/", headers={"Cookie": cookie})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_a_session(command: Command) -> None:
    """The link is to the message that was named; Ctrl-C ends it, and nothing below the store has changed."""
    command.fill("trip")
    with nothing_changes(command.store), viewing(command, "tri:2") as (process, link):
        assert "/s/trip/at/2?token=" in link
        status, page = asked(link)
        assert status == 200
        assert "Madeira is mild" in page
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "Ctrl-C ends it\ninterrupted\n")


def test_it_ends_by_itself(command: Command) -> None:
    """After --idle without an open page it is over, and all went well."""
    command.fill("trip")
    done = command("view", "--idle", "1s")
    assert done.code == 0
    assert done.out.startswith("http://127.0.0.1:")
    assert "/?token=" in done.out


def test_what_cannot_be_viewed(command: Command, tmp_path: Path) -> None:
    """Each is told at once, and nobody is listened to."""
    command.fill("trip")
    assert command("view", "none").code == 3
    assert command("view", "trip:9").code == 3
    assert command("view", "--idle", "soon").code == 2
    assert command("view", "-s", str(tmp_path / "none")).code == 10


def test_a_browser_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets a link of its own, which is good for once: other users of the machine can see what a program is given."""
    import webbrowser

    command = Command(tmp_path)
    command.fill("trip")
    opened: list[str] = []

    class Browser:
        def open(self, link: str) -> bool:
            opened.append(link)
            return True

    monkeypatch.setattr(webbrowser, "get", Browser)
    assert command("view", "--idle", "1s", "--open").out.strip() not in opened
    assert len(opened) == 1
    assert command("view", "--idle", "1s").code == 0
    assert len(opened) == 1
    monkeypatch.setattr(webbrowser, "get", lambda: webbrowser.GenericBrowser("lynx"))
    assert command("view", "--idle", "1s", "--open").code == 0


def test_a_page_to_keep(command: Command, tmp_path: Path) -> None:
    """A session and its branches are one file; a page that has parts does not go to stdout."""
    command.fill("trip")
    assert command("branch", "trip@1", "by train").code == 0
    done = command("export", "trip", "--branches", "-f", "html", "-o", str(tmp_path / "trip.html"))
    assert done.err == f"exported 2 sessions to {tmp_path / 'trip.html'}\n"
    assert "by train</h2>" in (tmp_path / "trip.html").read_text(encoding="utf-8")
    assert command("export", "trip", "-f", "html").out.startswith("<!DOCTYPE html>")
    command.fill("large", *[{"role": "user", "content": "x" * 3_000_000}] * 2)
    done = command("export", "large", "-f", "html")
    assert (done.code, done.out) == (2, "")
