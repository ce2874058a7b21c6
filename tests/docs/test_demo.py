"""`scripts/demo` shows what it promises, on any machine, and says in one line what it lacks."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from storekit import ROOT

STEPS = [
    "1. Import",
    "2. The list",
    "3. Who said",
    "4. A fork",
    "5. Two machines",
    "6. A process is killed",
    "7. A secret",
    "8. The same without this library",
    "9. The command beside the library",
    "10. How long",
]


def demo(tmp_path: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the demo as a new user has it: with an empty home folder."""
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "tmp").mkdir(exist_ok=True)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "tmp")}
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / "demo.py", *arguments],
        env={**environment, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_it_shows_every_step(tmp_path: Path) -> None:
    """With the project's own conversations: each step in its order, nothing lost, no warning, nothing left in HOME."""
    begin = time.monotonic()
    done = demo(tmp_path)
    # How far it is, it tells where a machine has so much to do that a step takes long.
    told = [line for line in done.stderr.splitlines() if not line.startswith("  ... ")]
    assert (done.returncode, told) == (0, [])
    headings = [line for line in done.stdout.splitlines() if re.match(r"\d+\. ", line)]
    assert len(headings) == len(STEPS)
    assert all(line.startswith(step) for step, line in zip(STEPS, headings, strict=True))
    for said in (
        "every message is equal to the file's",
        "messages of 5 sessions: found among",
        "by laptop, apart after message",
        "are there, whole and in order",
        "KEY=[redacted]",
        "It is in none of the",
        "It lists what the library lists",
    ):
        assert said in done.stdout
    if all(map(shutil.which, ("jq", "zstdcat"))):
        assert "that the library returns have the same hash" in done.stdout
    assert list((tmp_path / "home").iterdir()) == []
    # Half a minute is promised for a machine that does nothing else.
    assert time.monotonic() - begin < 60


def test_it_takes_conversations_of_others(tmp_path: Path) -> None:
    """One's own file, a store of one's choice, and a word to look for."""
    file = tmp_path / "mine.jsonl"
    talk = [{"role": "user", "content": "Where is it warm?"}, {"role": "assistant", "content": "In Oman."}]
    file.write_text(json.dumps({"messages": talk}) + "\n")
    done = demo(tmp_path, file, "--store", tmp_path / "store", "--find", "oman")
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 message of 1 session: found among 2" in done.stdout
    assert (tmp_path / "store" / "FORMAT").exists()


def shell(tmp_path: Path, tools: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `scripts/demo` of a copy of the scripts, with these programs alone besides the usual ones."""
    bin_, clone = tmp_path / "bin", tmp_path / "clone"
    bin_.mkdir()
    shutil.copytree(ROOT / "scripts", clone / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", clone)
    for name in ("sh", "dirname", "basename", "cat", "cksum", "rm", "id", "mkdir"):
        (bin_ / name).symlink_to(str(shutil.which(name)))
    for name, script in tools.items():
        (bin_ / name).write_text(f"#!/bin/sh\n{script}\n")
        (bin_ / name).chmod(0o755)
    environment = {"PATH": str(bin_), "HOME": str(tmp_path)}
    return subprocess.run(
        ["/bin/sh", clone / "scripts" / "demo"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# A Python in a shell script: what it can is told by what it is asked.
OFFLINE = """
case "$*" in
    *version_info*|*ensurepip*) exit 0 ;;
    --version) echo Python 3.11.2 ;;
    *"-m venv"*) mkdir -p "$4/bin"; cat "$0" >"$4/bin/python"; /bin/chmod +x "$4/bin/python" ;;
    *"pip --version"*) exit 1 ;;
    *) echo "WARNING: Retrying ..."; echo "ERROR: no matching distribution" >&2; exit 1 ;;
esac
"""
TOOLS = {
    "no Python": ({}, r"Python 3\.11 or newer is needed \(found: no python3\): install one"),
    "an old Python": (
        {"python3": '[ "$1" = --version ] && echo Python 3.9.1 || exit 1'},
        r"Python 3\.11 or newer is needed \(found: Python 3\.9\.1\): install one",
    ),
    "no venv": (
        {"python3": 'case "$*" in *version_info*) exit 0 ;; *) exit 1 ;; esac'},
        r"python3 cannot make virtual environments: sudo apt install python3-venv, and run ",
    ),
    "offline": ({"python3": OFFLINE}, r"could not install, which needs the network once: connect, and run "),
}


@pytest.mark.parametrize("lack", TOOLS)
def test_what_is_missing_is_one_line(tmp_path: Path, lack: str) -> None:
    """Without Python, without venv and offline: one line says what to do, besides those that tell of progress."""
    tools, expected = TOOLS[lack]
    done = shell(tmp_path, tools)
    lines = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (1, "")
    assert re.match(f"error: .*{expected}", lines[-1]), done.stderr
    assert [line for line in lines[:-1] if not line.endswith(" ...")] == []
