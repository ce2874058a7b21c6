"""The commands in the README.txt of every store work, with the text tools that they name."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from coda_fs_session.backends.disk.paths import README_FILE

GOLDEN = Path(__file__).parents[2] / "fixtures" / "stores" / "v1"
EXPECTED = json.loads(GOLDEN.with_name("v1.expected.json").read_bytes())

_missing = [tool for tool in ("jq", "zstdcat", "sha256sum", "grep") if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(
    bool(_missing), reason=f"not on this machine: {' '.join(_missing)}; sudo apt install jq zstd"
)


def _commands(label: str) -> list[str]:
    """Return the commands after a label of README.txt, which stand apart by wide gaps."""
    (line,) = [line for line in README_FILE.decode().splitlines() if line.startswith(label)]
    return re.split(r"\s{2,}", line[len(label) :].strip(" :"))


def _run(command: str) -> str:
    done = subprocess.run(["bash", "-c", command], cwd=GOLDEN, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    return done.stdout


def _for_object(command: str, *, compressed: bool) -> tuple[str, str]:
    """Put an object's path into a command; return its id too."""
    path = next(GOLDEN.glob("objects/*/*.jsonl.zst" if compressed else "objects/*/*.jsonl"))
    return re.sub(r"objects/\S+", path.relative_to(GOLDEN).as_posix(), command), path.name.partition(".")[0]


def test_it_tells_which_conversations_there_are() -> None:
    """Every name is printed, also those that are no file names."""
    (command,) = _commands("Which conversations are here")
    assert EXPECTED["sessions"].keys() <= set(_run(command).splitlines())


def test_it_tells_the_newest_messages() -> None:
    """The messages of the saves are printed, a line each."""
    (command,) = _commands("The newest messages of one")
    messages = [json.loads(line) for line in _run(command.replace("my-chat", "long-talk")).splitlines()]
    assert [m["content"] for m in messages] == [f"Line {number} of a tail of three saves." for number in range(3)]


def test_it_tells_where_the_older_messages_are() -> None:
    """The list tree and the tail are printed."""
    (command,) = _commands("The objects with the older")
    assert re.search("[0-9a-f]{64}", _run(command.replace("my-chat", "long-talk")))


@pytest.mark.parametrize("compressed", [False, True])
def test_objects_can_be_read_and_verified(compressed: bool) -> None:
    """An object is JSON lines, and its hash is its name."""
    command, _ = _for_object(_commands("Read an object")[compressed], compressed=compressed)
    assert _run(command).lstrip()[0] in "{["
    command, identity = _for_object(_commands("Verify an object")[compressed], compressed=compressed)
    assert _run(command).split()[0] == identity


def test_everything_can_be_searched() -> None:
    """Words of a message are found by grep."""
    (command,) = _commands("Search everything")
    assert "long-talk.jsonl" in _run(command.replace("some words", "tail of three saves"))
