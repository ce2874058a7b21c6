"""Conversations with language models in plain files, with Git-like branching."""

from __future__ import annotations

TYPE_CHECKING = False  # typing's own would have to be imported; type checkers know the name
if TYPE_CHECKING:
    from .analytics import Breakdown, SessionAnalytics, Sharing
    from .errors import (
        ConfigError,
        CorruptionError,
        ExportError,
        HistoryError,
        HistoryExpiredError,
        InvalidMessageError,
        InvalidNameError,
        ObjectNotYetHereError,
        PartialSessionError,
        SessionConflictError,
        SessionError,
        SessionExistsError,
        SessionNotFoundError,
        SessionTooLargeError,
        SessionWarning,
        StoreError,
        StoreFormatError,
        StoreFullError,
        StoreGoneError,
        StoreReadOnlyError,
        UnsupportedError,
    )
    from .format.jsonable import Change, jsonable
    from .hooks.hooks import PendingSave, SessionHook
    from .hooks.make_storable import MakeStorable
    from .hooks.redact import Redact
    from .interchange.report import ImportReport
    from .manager.history import History
    from .manager.manager import SessionManager
    from .manager.transaction import Transaction
    from .repo.branches.diff import Diff, Difference
    from .repo.branches.report import MergeReport
    from .repo.branches.tree import Branch, Joint, Tree
    from .repo.events.changes import SessionEvent
    from .repo.events.watch import Watch
    from .repo.history.entries import HistoryEntry
    from .repo.maintenance.findings import CheckReport, Finding
    from .repo.maintenance.gc_report import GcAmount, GcReport
    from .repo.maintenance.replicas import ReplicaInfo
    from .repo.maintenance.report import (
        DiscardReport,
        ForgetReport,
        Forgotten,
        Lost,
        Mended,
        PurgedPlace,
        PurgeReport,
        RepairReport,
        RetireReport,
    )
    from .repo.search.results import SearchHit, SearchPlace, SearchProgress, SearchResult
    from .repo.sync.report import SyncProgress, SyncReport, SyncTransfer
    from .session.info import Preview, SessionInfo
    from .session.session import Session
    from .storage import SessionStorage, StoreDescription, StoreStats
    from .templates import Template, Templates
else:

    def __getattr__(name: str) -> object:
        """Import a public name when it is first asked for (PEP 562): a program may need none of them today."""
        from importlib import import_module

        if name in _HOMES:
            module = f"{__name__}.{_HOMES[name]}"
            try:
                globals()[name] = found = getattr(import_module(module), name)
            except AttributeError as error:
                # One of the module's own would pass for the lack of the name, and `from ... import` tells no more.
                raise ImportError(f"cannot import {module} for {name}: {error}", name=__name__) from error
            return found
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__version__ = "0.1.0"

_HOMES = {
    **dict.fromkeys(("Breakdown", "SessionAnalytics", "Sharing"), "analytics"),
    **dict.fromkeys(("Change", "jsonable"), "format.jsonable"),
    "MakeStorable": "hooks.make_storable",
    **dict.fromkeys(("PendingSave", "SessionHook"), "hooks.hooks"),
    "Redact": "hooks.redact",
    "ImportReport": "interchange.report",
    "History": "manager.history",
    "HistoryEntry": "repo.history.entries",
    **dict.fromkeys(("CheckReport", "Finding"), "repo.maintenance.findings"),
    **dict.fromkeys(("GcAmount", "GcReport"), "repo.maintenance.gc_report"),
    **dict.fromkeys(("DiscardReport", "ForgetReport", "Forgotten", "Lost", "Mended"), "repo.maintenance.report"),
    **dict.fromkeys(("PurgeReport", "PurgedPlace", "RepairReport", "RetireReport"), "repo.maintenance.report"),
    "ReplicaInfo": "repo.maintenance.replicas",
    "SessionManager": "manager.manager",
    "Transaction": "manager.transaction",
    **dict.fromkeys(("Diff", "Difference"), "repo.branches.diff"),
    "MergeReport": "repo.branches.report",
    **dict.fromkeys(("Branch", "Joint", "Tree"), "repo.branches.tree"),
    "SessionEvent": "repo.events.changes",
    "Watch": "repo.events.watch",
    **dict.fromkeys(("SearchHit", "SearchPlace", "SearchProgress", "SearchResult"), "repo.search.results"),
    **dict.fromkeys(("SyncProgress", "SyncReport", "SyncTransfer"), "repo.sync.report"),
    **dict.fromkeys(("Preview", "SessionInfo"), "session.info"),
    "Session": "session.session",
    **dict.fromkeys(("SessionStorage", "StoreDescription", "StoreStats"), "storage"),
    **dict.fromkeys(("Template", "Templates"), "templates"),
    **dict.fromkeys(
        (
            *("ConfigError", "CorruptionError", "ExportError", "HistoryError"),
            *("HistoryExpiredError", "InvalidMessageError", "InvalidNameError"),
            *("ObjectNotYetHereError", "PartialSessionError", "SessionConflictError", "SessionError"),
            *("SessionExistsError", "SessionNotFoundError", "SessionTooLargeError", "SessionWarning", "StoreError"),
            *("StoreFormatError", "StoreFullError", "StoreGoneError", "StoreReadOnlyError", "UnsupportedError"),
        ),
        "errors",
    ),
}

__all__ = [
    "Branch",
    "Breakdown",
    "Change",
    "CheckReport",
    "ConfigError",
    "CorruptionError",
    "Diff",
    "Difference",
    "DiscardReport",
    "ExportError",
    "Finding",
    "ForgetReport",
    "Forgotten",
    "GcAmount",
    "GcReport",
    "History",
    "HistoryEntry",
    "HistoryError",
    "HistoryExpiredError",
    "ImportReport",
    "InvalidMessageError",
    "InvalidNameError",
    "Joint",
    "Lost",
    "MakeStorable",
    "Mended",
    "MergeReport",
    "ObjectNotYetHereError",
    "PartialSessionError",
    "PendingSave",
    "Preview",
    "PurgeReport",
    "PurgedPlace",
    "Redact",
    "RepairReport",
    "ReplicaInfo",
    "RetireReport",
    "SearchHit",
    "SearchPlace",
    "SearchProgress",
    "SearchResult",
    "Session",
    "SessionAnalytics",
    "SessionConflictError",
    "SessionError",
    "SessionEvent",
    "SessionExistsError",
    "SessionHook",
    "SessionInfo",
    "SessionManager",
    "SessionNotFoundError",
    "SessionStorage",
    "SessionTooLargeError",
    "SessionWarning",
    "Sharing",
    "StoreDescription",
    "StoreError",
    "StoreFormatError",
    "StoreFullError",
    "StoreGoneError",
    "StoreReadOnlyError",
    "StoreStats",
    "SyncProgress",
    "SyncReport",
    "SyncTransfer",
    "Template",
    "Templates",
    "Transaction",
    "Tree",
    "UnsupportedError",
    "Watch",
    "__version__",
    "jsonable",
]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
