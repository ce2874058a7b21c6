"""Types in the manager's signatures whose modules are loaded only when somebody asks for them.

`typing.get_type_hints` does, for those who make tools or documents of signatures; most programs never need them.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing's own would have to be imported; type checkers know the name
if TYPE_CHECKING:
    from pathlib import Path as Path

    from ..hooks.hooks import Hooks as Hooks
    from ..repo.events.changes import SessionEvent as SessionEvent
    from ..repo.events.watch import Watch as Watch
    from ..repo.sync.report import Direction as Direction
    from ..repo.sync.report import ProgressCallback as ProgressCallback
    from ..repo.sync.report import SyncReport as SyncReport
    from ..templates import Templates as Templates
    from .bulk import Bulk as Bulk
else:
    _HOMES = {
        "Path": "pathlib",
        "Bulk": ".bulk",
        "Hooks": "..hooks.hooks",
        "SessionEvent": "..repo.events.changes",
        "Direction": "..repo.sync.report",
        "ProgressCallback": "..repo.sync.report",
        "SyncReport": "..repo.sync.report",
        "Watch": "..repo.events.watch",
        "Templates": "..templates",
    }

    def __getattr__(name: str) -> object:
        """Import a type when it is asked for (PEP 562)."""
        from importlib import import_module

        if name in _HOMES:
            return getattr(import_module(_HOMES[name], __package__), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
