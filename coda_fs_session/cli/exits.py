"""How the command ends: its exit codes, and which error gives which."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

DONE = 0
FAILED = 1
USAGE = 2
NOT_FOUND = 3
REFUSED = 4
DAMAGED = 5
NOT_HERE = 6
IN_PART = 8
NO_STORE = 10
INTERRUPTED = 130
CLOSED = 141

OF_ERRORS: Mapping[str, int] = MappingProxyType(
    {
        "SessionError": FAILED,
        "SessionNotFoundError": NOT_FOUND,
        "SessionExistsError": REFUSED,
        "SessionConflictError": REFUSED,
        "SessionTooLargeError": REFUSED,
        "InvalidNameError": USAGE,
        "InvalidMessageError": USAGE,
        "ConfigError": USAGE,
        "ExportError": FAILED,
        "HistoryError": NOT_FOUND,
        "HistoryExpiredError": NOT_FOUND,
        "UnsupportedError": REFUSED,
        "StoreError": FAILED,
        "StoreFormatError": FAILED,
        "StoreGoneError": NO_STORE,
        "StoreReadOnlyError": REFUSED,
        "PartialSessionError": NOT_HERE,
        "StoreFullError": FAILED,
        "CorruptionError": DAMAGED,
        "ObjectNotYetHereError": NOT_HERE,
        "FileExistsError": REFUSED,
    }
)
"""By the name of the class, so that a run without an error loads none of them; a subclass counts as its parent."""


class CommandError(Exception):
    """What the command itself has to say; it ends with `code`.

    Attributes:
        kind: the name of the library's error that says the same, for programs.
    """

    def __init__(self, message: str, code: int = FAILED, kind: str = "CommandError") -> None:
        super().__init__(message)
        self.code = code
        self.kind = kind


def code_of(error: BaseException) -> int:
    """Return the exit code for an error."""
    if isinstance(error, CommandError):
        return error.code
    return next((OF_ERRORS[each.__name__] for each in type(error).__mro__ if each.__name__ in OF_ERRORS), FAILED)
