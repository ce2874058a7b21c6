"""A search finds what a plain look through all messages finds, in every language, for every query."""

from __future__ import annotations

import json
import os
import random
import re
from pathlib import Path
from typing import Any

import pytest
from storekit import open_store

from coda_fs_session import Session, SessionManager

from .oracle import Oracle, found_by, told
from .queries import QUERIES

FIXTURES = Path(__file__).parents[2] / "fixtures" / "conversations"
DATA = os.environ.get("CODA_FS_TEST_DATA")
MOST = 60


def conversations(folder: Path) -> dict[str, list[dict[str, Any]]]:
    paths = sorted(folder.glob("*.jsonl"))
    found = [json.loads(line) for path in paths for line in path.read_bytes().splitlines()[:MOST]]
    return {f"{number} {each['id']}"[:200]: each["messages"] for number, each in enumerate(found)}


def kept(manager: SessionManager, sessions: dict[str, list[dict[str, Any]]]) -> Oracle:
    with manager.bulk():
        for name, messages in sessions.items():
            manager.save_session(Session(name, messages))
    return Oracle(sessions)


def words_of(oracle: Oracle, seed: int, count: int) -> list[str]:
    """Return pieces of the texts themselves: some words, and some that begin or end within a word."""
    rng = random.Random(seed)
    texts = sorted(text for _, text in oracle.places)
    found = []
    for _ in range(count):
        text = rng.choice(texts)
        at, length = rng.randrange(len(text)), rng.choice((1, 2, 3, 5, 8, 13, 21))
        piece = text[at : at + length]
        found.append(piece if rng.random() < 0.3 else " ".join(re.findall(r"\S+", piece)[:2]))
    return found


def test_there_are_many_queries() -> None:
    """So many, and no two alike."""
    assert len(QUERIES) >= 300


def test_fixtures_in_all_languages(tmp_path: Path, seed: int, long_size: bool) -> None:
    """Of every query of the list, and of pieces of the messages: the same messages at the same places."""
    with open_store(tmp_path / "store") as manager:
        oracle = kept(manager, conversations(FIXTURES))
        for query in [*QUERIES, *words_of(oracle, seed, 3000 if long_size else 150)]:
            assert found_by(manager, query) == told(oracle.find(query)), query


@pytest.mark.skipif(not DATA, reason="CODA_FS_TEST_DATA names no folder of real conversations")
def test_real_conversations(tmp_path: Path, seed: int, long_size: bool) -> None:
    """As with the fixtures."""
    assert DATA is not None
    folder = Path(DATA) / "conversations"
    with open_store(tmp_path / "store") as manager:
        oracle = kept(manager, conversations(folder if folder.is_dir() else Path(DATA)))
        assert oracle.places
        for query in [*QUERIES, *words_of(oracle, seed, 1000 if long_size else 50)]:
            assert found_by(manager, query) == told(oracle.find(query)), query
