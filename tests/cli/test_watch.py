"""`watch` as a process: it tells what others do, as they do it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from .command import ANSWER, Command


@contextmanager
def watching(command: Command, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run `watch`, and go on as soon as it says that it is watching."""
    process = subprocess.Popen(
        [sys.executable, "-m", "coda_fs_session", "watch", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=command.environment,
        text=True,
    )
    try:
        assert process.stderr is not None
        assert process.stderr.readline() == "watching; Ctrl-C ends it\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_events(command: Command) -> None:
    """An event of another program is one line, written at once; Ctrl-C ends it with 130."""
    command.fill("trip")
    with watching(command, "--json") as process:
        command("append", "trip", "-m", "Hello")
        assert process.stdout is not None
        event = json.loads(process.stdout.readline())
        assert (event["kind"], event["name"], event["info"]["message_count"]) == ("advanced", "trip", 3)
        command("rename", "trip", "journey")
        event = json.loads(process.stdout.readline())
        assert (event["kind"], event["name"], event["previous_name"]) == ("renamed", "journey", "trip")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


def test_messages(command: Command) -> None:
    """With --messages it shows what is added, and nothing of what was there; -n ends it."""
    command.fill("trip")
    with watching(command, "trip", "--messages", "-n", "2") as process:
        command("append", "trip", "--jsonl", stdin=2 * (json.dumps(ANSWER) + "\n"))
        out, _ = process.communicate(timeout=60)
        assert out == "\n".join(f"[{place}] assistant (gpt-4)\n{ANSWER['content']}\n" for place in (3, 4))
        assert process.returncode == 0
    assert command("watch", "--messages").code == 2
    assert command("watch", "nowhere").code == 3
