"""The commands in the README.txt of every store work, with the text tools that they name."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from storekit import open_store, within

from coda_fs_session.backends.disk.paths import README_FILE, READMES
from coda_fs_session.format.names import key_folders, key_of_ref
from coda_fs_session.repo.writing.save import MOST_SAVES

GOLDEN = Path(__file__).parents[2] / "fixtures" / "stores" / "v1"
EXPECTED = json.loads(GOLDEN.with_name("v1.expected.json").read_bytes())


@pytest.fixture(params=["flat", "spread"], autouse=True)
def _golden(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The golden store as it is, or with each ref in the folder that it has where there are many."""
    if request.param == "spread":
        store = Path(shutil.copytree(GOLDEN, tmp_path / "golden"))
        for path in list(store.glob("refs/*/*.jsonl")):
            key = key_of_ref(path.name) or path.stem
            folder = store / "refs" / key_folders(path.parent.name, key)[1]
            folder.mkdir(exist_ok=True)
            path.rename(folder / path.name)
        assert not list(store.glob("refs/*/*.jsonl"))
        monkeypatch.setattr(sys.modules[__name__], "GOLDEN", store)


_missing = [tool for tool in ("jq", "zstdgrep", "sha256sum", "grep") if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(
    bool(_missing), reason=f"not on this machine: {' '.join(_missing)}; sudo apt install jq zstd"
)


def _commands(label: str) -> list[str]:
    """Return the commands after a label of README.txt, which stand apart by wide gaps."""
    (line,) = [line for line in README_FILE.decode().splitlines() if line.startswith(label)]
    return re.split(r"\s{2,}", line[len(label) :].strip(" :"))


def _run(command: str, *, allowed: tuple[int, ...] = (0,)) -> str:
    done = subprocess.run(["bash", "-c", command], cwd=GOLDEN, capture_output=True, text=True, check=False)
    assert done.returncode in allowed, f"{command}\n{done.stderr}"
    return done.stdout


def _for_object(command: str, *, compressed: bool) -> tuple[str, str]:
    """Put an object's path into a command; return its id too."""
    path = next(GOLDEN.glob("objects/*/*.jsonl.zst" if compressed else "objects/*/*.jsonl"))
    return re.sub(r"objects/\S+", path.relative_to(GOLDEN).as_posix(), command), path.name.partition(".")[0]


def test_it_tells_which_conversations_there_are() -> None:
    """Every name is printed, also those that are no file names."""
    (command,) = _commands("Which conversations are here")
    assert EXPECTED["sessions"].keys() <= set(_run(command).splitlines())


@pytest.mark.parametrize("label", ["The newest messages of one", "The same with jq"])
def test_it_tells_the_newest_messages(label: str) -> None:
    """The messages of the saves are printed, a line each; a save of metadata alone has none, and is no error."""
    (command,) = _commands(label)
    messages = [json.loads(line) for line in _run(command.replace("my-chat", "long-talk")).splitlines()]
    assert [m["content"] for m in messages] == [f"Line {number} of a tail of three saves." for number in range(3)]
    assert _run(command.replace("my-chat", "metadata-settled")) == ""
    assert _run(command.replace("my-chat", "metadata")).count("\n") == EXPECTED["sessions"]["metadata"]["messages"]


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


def test_the_newest_messages_can_be_searched() -> None:
    """What is found is a message, and not the whole save around it."""
    (command,) = _commands("Search the newest messages")
    found = _run(command.replace("some words", "tail of three saves")).splitlines()
    assert [json.loads(line)["content"][:6] for line in found] == ["Line 0", "Line 1", "Line 2"]


def test_everything_can_be_searched(tmp_path: Path) -> None:
    """Bug: `grep -r` alone missed what is compressed. The two commands together, or ripgrep alone, find all."""
    (plain,), (compressed,), (at_once,) = map(
        _commands, ("Search all that is plain", "And what is compressed", "Search everything at once")
    )
    assert "long-talk.jsonl" in _run(plain.replace("some words", "tail of three saves"))
    # `find` returns 1 where a file has no hit.
    found = _run(compressed.replace("some words", "One line of a long output"), allowed=(0, 1))
    assert found.startswith("objects/9a/")
    if shutil.which("rg"):
        assert "objects/9a/" in _run(at_once.replace("some words", "One line of a long output"))


def test_it_tells_whose_an_object_is() -> None:
    """A hit in an object leads to the file of the conversation, from one object to the next that names it."""
    (command,) = _commands("Whose an object is")
    names, identity = set(), "9ad094b02a5cc64291f2708adfe2e3b6c1cd110cd9bac28e29311d16f21d0a01"
    pending = [identity]
    while pending:
        for found in _run(command.replace("abcd....", pending.pop())).splitlines():
            if found.startswith("refs/"):
                names.add(json.loads((GOLDEN / found).read_bytes().splitlines()[0])["name"])
            else:
                pending.append(Path(found).name.partition(".")[0])
    assert "long-talk" in names


def test_it_counts_messages() -> None:
    """The count is that of the library, with hidden messages, edits and metadata in the file."""
    label = "How many messages one file has"
    lines = README_FILE.decode().splitlines()
    (command,) = [after.strip() for line, after in pairwise(lines) if line.startswith(label)]
    counted = 0
    for name in ("long-talk", "shortened", "truncated", "truncated-in-the-tail", "replaced", "metadata", "empty"):
        (path,) = GOLDEN.glob(f"refs/desk-11111111/**/{name}.jsonl")
        assert int(_run(f"{command} {path}")) == EXPECTED["sessions"][name]["messages"], name
        counted += 1
    assert counted == 7


def test_a_conversation_can_be_watched(tmp_path: Path) -> None:
    """Bug: `tail -f` fell silent when the file was written anew. With `tail -F` every message comes, some again."""
    (command,) = _commands("Watch one")
    # To a terminal it writes line by line anyway.
    command = command.replace("jq", "jq --unbuffered")
    store = tmp_path / "store"
    manager = open_store(store)
    session = manager.create_session("my-chat")
    with (
        within(60),
        subprocess.Popen(
            ["bash", "-c", command],
            cwd=store,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as watching,
    ):
        try:
            assert watching.stdout is not None
            seen: list[int] = []
            # Past the saves after which the file is written anew.
            for number in range(MOST_SAVES + 6):
                session.add_message({"role": "user", "content": number})
                manager.save_session(session)
                while number not in seen:
                    seen.append(json.loads(watching.stdout.readline())["content"])
        finally:
            os.killpg(watching.pid, signal.SIGKILL)
    assert list(dict.fromkeys(seen)) == list(range(MOST_SAVES + 6))
    assert len(seen) > MOST_SAVES + 6


def test_every_text_is_known() -> None:
    """A store keeps the README.txt that it was made with, and each one is known where it arrives alone."""
    assert len(set(READMES)) == len(READMES) == 5
    assert READMES[0] == README_FILE
    assert [hashlib.sha256(each).hexdigest()[:16] for each in READMES[1:]] == [
        "51fc2428e50006b4",
        "c3851cff9b71bcc5",
        "bdfca6a85045243b",
        "4f20498673506d88",
    ]
    assert (GOLDEN / "README.txt").read_bytes() in READMES
    assert all(len(each) < 4096 for each in READMES)
