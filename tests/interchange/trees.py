"""What tests of readers share: whole sessions of a tree, and every path of a raw one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from coda_fs_session.interchange import formats, skipping, sources
from coda_fs_session.interchange.tree import MessageTree, branches

DATA = os.environ.get("CODA_FS_TEST_DATA")
needs_samples = pytest.mark.skipif(
    not DATA or not (Path(DATA) / "native").is_dir(), reason="CODA_FS_TEST_DATA names no folder with native samples"
)


def sample(*steps: str) -> bytes:
    """Return a real file of another program, read in place."""
    assert DATA is not None
    return Path(DATA, "native", *steps).read_bytes()


def whole(tree: MessageTree) -> list[list[dict[str, Any]]]:
    """Return the messages of every session of a tree, with those that it has from the one it forked from."""
    found: list[list[dict[str, Any]]] = []
    for branch in branches(tree):
        before = [] if branch.parent is None else found[branch.parent][: branch.at]
        assert len(before) == branch.at
        assert len(branch.ids) == len(branch.messages)
        found.append([*before, *branch.messages])
    return found


def ids(tree: MessageTree) -> set[tuple[str, ...]]:
    """Return the ids of the messages of every session."""
    return {tuple(message["id"] for message in messages) for messages in whole(tree)}


def paths(parents: Mapping[str, str | None], kept: Sequence[str]) -> set[tuple[str, ...]]:
    """Return every way from a first record to a last one, by brute force: the slow answer to hold readers against.

    Args:
        parents: of every record.
        kept: the records that are messages.
    """

    def way(name: str | None) -> tuple[str, ...]:
        found: list[str] = []
        while name is not None:
            found.insert(0, name)
            name = parents[name]
        return tuple(each for each in found if each in kept)

    ways = {way(name) for name in kept}
    return {each for each in ways if not any(other != each and other[: len(each)] == each for other in ways)}


def read(data: bytes, name: str = "conversations.json", keep: Any = "rest") -> list[MessageTree]:
    """Return what the reader of a file makes of it; the format is told by its content."""
    return read_all({name: data}, keep)[0]


def read_all(files: Mapping[str, bytes], keep: Any = "rest") -> tuple[list[MessageTree], list[str]]:
    """Return what the reader of several files makes of them, and the problems that it tells of."""
    given = [sources.in_memory(name, data) for name, data in files.items()]
    found = next(each for each in map(formats.format_of, given) if each is not None)
    problems: list[str] = []
    return list(found.read(given, keep, problems, skipping.nothing)), problems
