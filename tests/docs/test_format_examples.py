"""The ref that FORMAT.md shows byte by byte is one: the engine and the reader without the package read it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from coda_fs_session import SessionManager
from coda_fs_session.format.refs import encode_header, encode_save, parse_ref

from .manual import DOCS, ROOT

PAGE = (DOCS.parent / "FORMAT.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (\d+) \| `(.*?)` \|", PAGE, re.MULTILINE)
REF = "".join(text for _, text in ROWS).replace("⇥", "\t").replace("⏎", "\n").encode()
MESSAGES = [{"role": "user", "content": "Tea?"}, {"role": "assistant", "content": "Green."}]


@pytest.fixture
def store(home: Path) -> Path:
    store = home / "store"
    (store / "refs" / "desk").mkdir(parents=True)
    (store / "FORMAT").write_bytes(b'{"coda_fs_session":1}\n')
    (store / "refs" / "desk" / "tea.jsonl").write_bytes(REF)
    return store


def test_its_offsets_are_right() -> None:
    """Each row begins at the byte that it names."""
    at = 0
    for offset, text in ROWS:
        assert int(offset) == at, text
        at += len(text.replace("⇥", "\t").replace("⏎", "\n").encode())


def test_the_engine_reads_it(store: Path) -> None:
    """It has the messages, metadata and sizes that the text tells."""
    with SessionManager({"session": {"storage_path": store}}) as manager:
        session = manager.load_session("tea")
        assert session.messages == MESSAGES
        assert session.metadata == {"topic": "tea"}
        (info,) = manager.list_sessions()
        assert f"size of the session is {info.size_bytes}." in " ".join(PAGE.split())


def test_the_engine_would_write_it() -> None:
    """Its lines are, byte for byte, those that the engine makes of the same values."""
    ref = parse_ref(REF, "tea.jsonl")
    lines = [encode_header(ref.header)[0], *(encode_save(save)[0] for save in ref.saves)]
    assert b"".join(lines) == REF
    assert ref.damage is None


@pytest.mark.skipif(shutil.which("zstdcat") is None, reason="zstdcat is not on this machine: sudo apt install zstd")
def test_the_reader_reads_it(store: Path) -> None:
    """The program that was made from FORMAT.md alone gives the same messages."""
    command = [sys.executable, ROOT / "scripts" / "read_store", store, "tea"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [json.loads(line) for line in lines] == MESSAGES


def test_every_byte_of_it_counts() -> None:
    """A changed byte is found: what is shown here is no near miss."""
    at = REF.index(b"Tea?")
    ref = parse_ref(REF[:at] + b"x" + REF[at + 1 :], "tea.jsonl")
    assert ref.damage is not None


def test_its_terms_are_told_apart() -> None:
    """What crashes leave, what is damaged and what is implied are terms, defined before they are used."""
    terms = PAGE.split("\n## Terms\n")[1].split("\n## ")[0]
    for term in ("torn", "damage", "implied chunk", "ref", "save", "tail", "cut"):
        assert f"\n| {term} | " in terms
