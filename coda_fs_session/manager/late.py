"""What the manager loads only when somebody asks for it: all that it needs for verbs, and not to open a store.

In signatures the types are looked up by `typing.get_type_hints`, for those who make tools or documents of them.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing's own would have to be imported; type checkers know the name
if TYPE_CHECKING:
    from datetime import datetime as datetime
    from pathlib import Path as Path

    from ..format.records import given_time as given_time
    from ..hooks.hooks import Hooks as Hooks
    from ..interchange.report import ImportReport as ImportReport
    from ..repo.events.changes import SessionEvent as SessionEvent
    from ..repo.events.watch import Watch as Watch
    from ..repo.search.results import SearchProgressCallback as SearchProgressCallback
    from ..repo.search.results import SearchResult as SearchResult
    from ..repo.search.search import Search as Search
    from ..repo.storage import RepoStorage as RepoStorage
    from ..repo.storage import engine_of as engine_of
    from ..repo.sync.report import Direction as Direction
    from ..repo.sync.report import ProgressCallback as ProgressCallback
    from ..repo.sync.report import SyncReport as SyncReport
    from ..session.counting import Counters as Counters
    from ..session.info import SessionInfo as SessionInfo
    from ..session.query import Query as Query
    from ..session.query import Where as Where
    from ..session.session import Session as Session
    from ..storage import SessionStorage as SessionStorage
    from ..storage import StoreDescription as StoreDescription
    from ..storage import StoreStats as StoreStats
    from ..storage import name_taken as name_taken
    from ..storage import not_as_expected as not_as_expected
    from ..storage import with_origin as with_origin
    from ..templates import Templates as Templates
    from .autosave import Autosave as Autosave
    from .branches import Branches as Branches
    from .bulk import Bulk as Bulk
    from .bulk import Reporting as Reporting
    from .history import History as History
    from .maintenance import Maintenance as Maintenance
    from .open_sessions import OpenSessions as OpenSessions
    from .transaction import Transaction as Transaction
else:
    from ..process.loading import loading

    _HOMES = {
        "datetime": "datetime",
        "Path": "pathlib",
        "Autosave": ".autosave",
        "Branches": ".branches",
        **dict.fromkeys(("Bulk", "Reporting"), ".bulk"),
        "Bulk": ".bulk",
        "History": ".history",
        "Maintenance": ".maintenance",
        "OpenSessions": ".open_sessions",
        "Transaction": ".transaction",
        "Hooks": "..hooks.hooks",
        "ImportReport": "..interchange.report",
        "SessionEvent": "..repo.events.changes",
        "Watch": "..repo.events.watch",
        "SearchProgressCallback": "..repo.search.results",
        "SearchResult": "..repo.search.results",
        "Search": "..repo.search.search",
        "RepoStorage": "..repo.storage",
        "engine_of": "..repo.storage",
        "Direction": "..repo.sync.report",
        "ProgressCallback": "..repo.sync.report",
        "SyncReport": "..repo.sync.report",
        "given_time": "..format.records",
        "Counters": "..session.counting",
        "Query": "..session.query",
        "Where": "..session.query",
        "Session": "..session.session",
        "SessionInfo": "..session.info",
        "SessionStorage": "..storage",
        "StoreDescription": "..storage",
        "StoreStats": "..storage",
        "name_taken": "..storage",
        "not_as_expected": "..storage",
        "with_origin": "..storage",
        "Templates": "..templates",
    }

    def __getattr__(name: str) -> object:
        """Import a name when it is first asked for (PEP 562)."""
        from importlib import import_module

        if name in _HOMES:
            with loading():
                globals()[name] = found = getattr(import_module(_HOMES[name], __package__), name)
            return found
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
