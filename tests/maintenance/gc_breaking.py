"""Each rule of the protocol broken in the engine, so that the histories show what it is there for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

from coda_fs_session.repo import listed, naming
from coda_fs_session.repo.maintenance import letting_go, unneeded

Broken = Callable[[], AbstractContextManager[object]]


def _nothing(*arguments: Any, **options: Any) -> bool:
    return False


def _without_done(replica: str, data: bytes) -> list[str]:
    said = listed.parse_replica_file(data, replica, replica)
    return [said.condemned] if said.condemned is not None else []


RULES: dict[str, Broken] = {
    "only what all have acknowledged is deleted": lambda: mock.patch.object(letting_go, "waiting_for", return_value=[]),
    "what is needed is put elsewhere first": lambda: mock.patch.object(letting_go, "_put_elsewhere", _nothing),
    "a file on a list is not written again": lambda: mock.patch.object(
        listed.ListedNames, "__call__", return_value=frozenset()
    ),
    "a new ref names no file on a list": lambda: mock.patch.object(naming.Naming, "_secure", _nothing),
    "for ever": lambda: mock.patch.object(listed, "_lists_of", _without_done),
    "nothing is said where something is missing": lambda: mock.patch.object(unneeded, "doubts", return_value=[]),
}
