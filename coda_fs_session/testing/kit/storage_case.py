"""What all tests of a storage share: the fixture and hooks to override, and sessions that are hard to keep."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ...backends.base import Capabilities
from ...manager.manager import SessionManager
from ...storage import SessionStorage
from .case import missing

MESSAGES: list[dict[str, Any]] = [
    {"role": "user", "content": "Hello"},
    {"z": 1, "a": True, "m": 1.0, "zero": 0.0, "minus": -0.0, "none": None, "big": 2**63 - 1, "small": 5e-324},
    {"content": "line\nbreak, \x00, \x7f, \u2028, \ufeff, é and e\u0301, 会話, 🗣️, \\, \", ', </script>, \r"},
    {"content": [{"type": "text", "text": ""}, {"type": "list", "list": [[], {}, [[[]]]]}], "": "empty key"},
    {},
]
"""Messages that a careless storage brings back otherwise."""

METADATA: dict[str, Any] = {"topic": "Tee & Träume", "tags": ["a", "b"], "z": None, "a": {"nested": [1.0, 1, True]}}

HOSTILE_NAMES = [
    *("chat", "Chat", "two words", "a/b", "../up", "/etc/passwd", ".", "..", ".hidden", "ends with a dot.", " spaces "),
    *("con", "NUL.txt", "50% of_it", "'; DROP TABLE sessions; --", '"quoted"', "back\\slash", "[a-z]*?", "-rf"),
    *("$HOME", "a&b=c#d", "größe", "会話", "🗣️", "\u202eright to left", "~", "x" * 255, "ü" * 255, "🗣" * 255),
]
"""Names that are more than names to a file system, a shell, a URL or a database."""


class StorageCase:
    """The fixture `storage`, and hooks to override where they apply.

    Attributes:
        capabilities: whether what was saved outlives the process, and whether several processes may use it at once;
            tests of what is not so are skipped.
    """

    capabilities = Capabilities(persistent=False, shared=False)

    @pytest.fixture
    def storage(self) -> SessionStorage:
        """Return a storage that keeps nothing yet."""
        missing(self, "the fixture storage")

    def reopen(self, storage: SessionStorage) -> SessionStorage:
        """Return another object for the same kept sessions, as a process that starts now would open it.

        To be overridden where `capabilities` say so. Also called in other processes.
        """
        missing(self, "reopen")

    def damage(self, storage: SessionStorage, name: str) -> None:
        """Make what is kept of a session unreadable, going around the storage."""
        pytest.skip(f"{type(self).__name__} does not override damage()")

    def need(self, *capabilities: str) -> None:
        """Skip the test where the storage cannot do what it is about."""
        lacking = [each for each in capabilities if not getattr(self.capabilities, each)]
        if lacking:
            pytest.skip(f"{type(self).__name__} is not {' nor '.join(lacking)}: see its capabilities")

    def manage(self, storage: SessionStorage, **options: Any) -> SessionManager:
        """Return a manager that saves only when told to."""
        return SessionManager({"session": {"autosave_interval": 0, **options}}, storage=storage)


def exact(value: Any) -> str:
    """Return text that differs where ``==`` does not: for 1, True and 1.0, for -0.0, and for the order of keys."""
    return json.dumps(value)
