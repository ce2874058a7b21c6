"""Changing records at random, and using the store afterwards as programs do."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from storekit import within

from coda_fs_session import SessionError, SessionManager
from coda_fs_session.format.ids import line_id

from .specimen import open_fresh

HUGE = (2**31, 2**53 + 1, 2**63 - 1, 2**64 - 1, 10**30, 1e308)
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 0.5, "", "x", "0" * 64, "f" * 64, [], {}, [[]], [None], {"": None}),
    *("2026-01-02T03:04:05.000006+00:00", "9999-12-31T23:59:59.999999-14:00", "../../x", "\ud7ff\x00", *HUGE),
)


def use(store: Path, name: str) -> None:
    """Do what programs do with a session, as often as it lets them; only errors of the package may come of it."""
    for step in (_list, _load, _create, _stats):
        try:
            with within(20):
                step(open_fresh(store), name)
        except SessionError:
            # Other sessions are good, and a list or a total never fails for one that is not.
            assert step in (_load, _create)


def _list(manager: SessionManager, name: str) -> None:
    infos = manager.list_sessions()
    assert sum(info.error is None for info in infos) >= 6


def _load(manager: SessionManager, name: str) -> None:
    session = manager.load_session(name)
    session.get_messages(limit=3)
    if len(session) < 10_000:
        session.get_messages()


def _create(manager: SessionManager, name: str) -> None:
    if name in manager and manager.get_session_info(name) is not None:
        manager.create_session(name).get_messages(limit=1)


def _stats(manager: SessionManager, name: str) -> None:
    assert manager.stats().sessions >= 6


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every container in a JSON value with each of its keys."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in list(items):
        yield value, key
        yield from places(below)


def mutate(record: dict[str, Any], dice: random.Random) -> bytes:
    """Return a record as JSON with a field or two changed in kind, value, order or number."""
    record = json.loads(json.dumps(record))
    for _ in range(dice.choice((1, 1, 2))):
        everywhere = list(places(record))
        if not everywhere:
            break
        parts = [json.dumps(source[place]) for source, place in everywhere]
        container, key = dice.choice(everywhere)
        value = container[key]
        change = dice.randrange(6)
        if change == 0:
            del container[key]
        elif change == 1 and type(value) is int:
            container[key] = value + dice.choice((-1, 1, -value, 2**32, *HUGE[:3]))
        elif change == 2 and isinstance(container, list):
            container.insert(key, json.loads(json.dumps(value)))
        elif change == 3:
            # Something of another kind, from another place of the same record.
            container[key] = json.loads(dice.choice(parts))
        elif change == 4:
            container[key] = f"@{dice.choice((3, 300, 900, 5000))}"
        else:
            container[key] = dice.choice(ODD)
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    # Only as text: Python's own writer does not go that deep.
    text = re.sub(rb'"@([0-9]+)"', lambda match: b"[" * int(match[1]) + b"]" * int(match[1]), text)
    if dice.random() < 0.1 and record:
        twice = json.dumps({dice.choice(list(record)): dice.choice(ODD[:20])}, separators=(",", ":")).encode()
        text = text[:-1] + b"," + twice[1:]
    return text


def signed(record: bytes) -> bytes:
    """Give a record the id that belongs to it, as the last field."""
    before = record[:-1]
    return b'%b,"id":"%b"}\n' % (before, line_id(before).encode())
