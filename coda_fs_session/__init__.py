"""Conversations with language models in plain files, with Git-like branching."""

from __future__ import annotations

import logging

from .errors import (
    ConfigError,
    CorruptionError,
    InvalidMessageError,
    InvalidNameError,
    ObjectNotYetHereError,
    SessionConflictError,
    SessionError,
    SessionExistsError,
    SessionNotFoundError,
    SessionTooLargeError,
    SessionWarning,
    StoreError,
    StoreFormatError,
    StoreFullError,
    StoreReadOnlyError,
)
from .manager import SessionManager
from .repo.changes import SessionEvent
from .repo.sync_report import SyncProgress, SyncReport, SyncTransfer
from .repo.watch import Watch
from .session import Session, SessionInfo
from .storage import SessionStorage, StoreStats

__version__ = "0.1.0"

__all__ = [
    "ConfigError",
    "CorruptionError",
    "InvalidMessageError",
    "InvalidNameError",
    "ObjectNotYetHereError",
    "Session",
    "SessionConflictError",
    "SessionError",
    "SessionEvent",
    "SessionExistsError",
    "SessionInfo",
    "SessionManager",
    "SessionNotFoundError",
    "SessionStorage",
    "SessionTooLargeError",
    "SessionWarning",
    "StoreError",
    "StoreFormatError",
    "StoreFullError",
    "StoreReadOnlyError",
    "StoreStats",
    "SyncProgress",
    "SyncReport",
    "SyncTransfer",
    "Watch",
    "__version__",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())
