"""What the tests of a watch share."""

from __future__ import annotations

import time
from typing import Any

from coda_fs_session import SessionEvent, Watch

PATIENCE = 30.0
"""Seconds after which a test gives up; nothing here takes nearly as long."""


def told(watch: Watch, kind: str, name: str, **expected: Any) -> SessionEvent:
    """Wait until the watch tells something; anything else that it tells before is passed over."""
    deadline = time.monotonic() + PATIENCE
    seen = []
    while time.monotonic() < deadline:
        event = watch.next(deadline - time.monotonic())
        if event is not None:
            seen.append(event)
            found = {key: getattr(event.info, key, None) for key in expected}
            if (event.kind, event.name) == (kind, name) and found == expected:
                return event
    raise AssertionError(f"never told that {name!r} was {kind} with {expected}; only {seen}")
