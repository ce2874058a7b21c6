"""Tools for people who write a backend or a storage.

`BackendTests` and `SessionStorageTests` are base classes: subclass one in a test module of yours and say how to
make what it tests. They need pytest, which is in the extra "testing"; nothing else
here does.
"""

from __future__ import annotations

import sys

if sys.modules.get("pytest") is not None:
    # Before any of these modules is imported: without it, a test that fails in your run would say `AssertionError`,
    # and not what was compared with what.
    sys.modules["pytest"].register_assert_rewrite(f"{__name__}.kit")

TYPE_CHECKING = False  # typing's own would have to be imported; type checkers know the name
if TYPE_CHECKING:
    from ..backends.base import Capabilities
    from .kit.backend import BackendTests
    from .kit.storage import SessionStorageTests
    from .wrappers import Fault, FaultyBackend, LatencyBackend, WrapperBackend
else:
    _HOMES = {
        "BackendTests": ".kit.backend",
        "Capabilities": "..backends.base",
        "Fault": ".wrappers",
        "FaultyBackend": ".wrappers",
        "LatencyBackend": ".wrappers",
        "SessionStorageTests": ".kit.storage",
        "WrapperBackend": ".wrappers",
    }

    def __getattr__(name: str) -> object:
        """Import a public name when it is first asked for: the wrappers work without pytest."""
        from importlib import import_module

        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_HOMES[name], __name__), name)


__all__ = [
    "BackendTests",
    "Capabilities",
    "Fault",
    "FaultyBackend",
    "LatencyBackend",
    "SessionStorageTests",
    "WrapperBackend",
]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
