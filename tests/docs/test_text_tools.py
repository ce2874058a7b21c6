"""What the page on text tools says of commands that an empty home cannot run: one does not end, one needs a clone."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from coda_fs_session import SessionManager
from coda_fs_session.repo.writing.save import MOST_SAVES

from .manual import DOCS, ROOT
from .page import read_page

COUNT = MOST_SAVES + 150


def commands(note: str) -> str:
    (text,) = [each.text for each in read_page(DOCS / "text-tools.md") if each.note == note]
    return text


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not on this machine: sudo apt install jq")
def test_what_tail_shows(home: Path) -> None:
    """It follows over every seal, repeats what is in no chunk yet, and leaves out what completed a chunk, no more."""
    shown = home / "shown"

    def numbers() -> list[int]:
        return [int(number) for number in re.findall(r'"content":"number (\d+)', shown.read_text(encoding="utf-8"))]

    def wait_for(number: int) -> None:
        end = time.monotonic() + 60
        while number not in numbers():
            assert time.monotonic() < end, f"tail has not shown {number}"
            time.sleep(0.002)

    with SessionManager({"session": {"storage_path": "~/chats"}}) as manager, shown.open("w") as output:
        session = manager.create_session("holiday")
        (ref,) = home.glob("chats/refs/*/holiday.jsonl")
        shell = ["bash", "-c", commands("endless")]
        tail = subprocess.Popen(shell, stdout=output, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            replaced, inode = [], ref.stat().st_ino
            for number in range(COUNT):
                # Many short ones are written anew before they fill a chunk; long ones fill one soon.
                words = 1 if number < MOST_SAVES + 10 else 150
                session.add_message({"role": "user", "content": f"number {number} {'word ' * words}"})
                manager.save_session(session)
                if ref.stat().st_ino == inode:
                    wait_for(number)
                else:
                    replaced.append(number)
                    inode = ref.stat().st_ino
        finally:
            os.killpg(tail.pid, signal.SIGTERM)
            tail.wait(60)
    left_out = set(range(COUNT)) - set(numbers())
    assert left_out
    assert left_out < set(replaced)
    assert len(numbers()) > len(set(numbers()))


@pytest.mark.skipif(shutil.which("zstdcat") is None, reason="zstdcat is not on this machine: sudo apt install zstd")
def test_the_reader_is_called_as_shown(home: Path) -> None:
    """Every line runs; the first two show what the page says."""
    with SessionManager({"session": {"storage_path": "~/chats"}}) as manager:
        session = manager.create_session("holiday")
        session.add_message({"role": "user", "content": "Where is it warm?"})
        manager.save_session(session)
    script = commands("clone").replace("scripts/read_store", f"'{ROOT}/scripts/read_store'")
    done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith('1\tholiday\n{"role":"user","content":"Where is it warm?"}\n')
