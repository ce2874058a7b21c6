"""Every error and warning that the package raises, grouped by what the caller does next.

::

    Exception
    └── SessionError                       catch this to catch everything
        ├── SessionNotFoundError           (LookupError)  create it, or look at the name again
        ├── SessionExistsError                            take another name
        ├── SessionConflictError                          reload, look, decide, save again
        ├── SessionTooLargeError                          raise max_session_size, or truncate
        ├── InvalidNameError               (ValueError)   mend the name
        ├── InvalidMessageError            (ValueError)   mend the message at .value_path
        ├── ConfigError                    (ValueError)   mend the option or the template
        ├── ExportError                    (ValueError)   .path          look at the file to be imported
        ├── HistoryError                   (LookupError)  look at the entries of the history again
        │   └── HistoryExpiredError                       go to another entry: that one's messages are gone
        ├── UnsupportedError                              do it in the way that the text names
        └── StoreError                     .path          look at the disk
            ├── StoreFormatError                          not a store, or one of a newer version
            ├── StoreGoneError                            put its disk or folder back, try again
            ├── StoreReadOnlyError                        make it writable
            │   └── PartialSessionError    .missing           load the session whole, and save that
            ├── StoreFullError                            make room, save again
            ├── CorruptionError            .path .line .expected .actual   restore the file
            └── ObjectNotYetHereError                     wait for the sync, try again

    UserWarning
    └── SessionWarning                     something went on in another way than asked for

No message is ever dropped because of an error: what a session object holds in memory it still holds
after a failed save, and a later save stores it.
"""

from __future__ import annotations

import os
import sys
import warnings
from contextlib import suppress

TYPE_CHECKING = False  # typing's own would have to be imported; type checkers know the name
if TYPE_CHECKING:
    import pathlib
else:

    class _Pathlib:
        """The module, loaded when it is used: reading a store needs none, and raising an error takes no descriptor."""

        def __getattr__(self, name: str) -> object:
            from importlib import import_module

            return getattr(import_module("pathlib"), name)

    pathlib = _Pathlib()


class SessionError(Exception):
    """Base of every error of this package; pickles with all its fields, so that workers can send it."""

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[SessionError], args: tuple[object, ...], fields: dict[str, object]) -> SessionError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(fields)
    return error


def printable(text: str) -> str:
    r"""Return a text with what is no text in it, as in some names of files, as ``\udce9`` in letters."""
    return text.encode(errors="backslashreplace").decode()


class SessionNotFoundError(SessionError, LookupError):
    """No session of this name exists.

    Attributes:
        name: the name that was looked up.
    """

    def __init__(self, name: str, problem: str | None = None) -> None:
        hint = "list_sessions() shows the names, create_session() makes one"
        super().__init__(problem or f"no session is called {name!r}: {hint}")
        self.name = name


class SessionExistsError(SessionError):
    """The name is taken by another session."""


class SessionConflictError(SessionError):
    """The session was changed elsewhere in a way that this change cannot be put on top of, or must not be.

    Attributes:
        sides: where a name may mean several conversations, what they go by, this machine's first; else ().
        expected, actual: the revisions that the session was to have and that it has, "" for one that is not stored;
            None where that was not asked.
    """

    def __init__(
        self, message: str, *, sides: tuple[str, ...] = (), expected: str | None = None, actual: str | None = None
    ) -> None:
        super().__init__(message)
        self.sides = sides
        self.expected, self.actual = expected, actual


class SessionTooLargeError(SessionError):
    """The session would pass ``max_session_size``, or what is to be read of it does; nothing was changed."""


class InvalidNameError(SessionError, ValueError):
    """The session name is not 1 to 255 characters of text without control characters and lone surrogates."""


class InvalidMessageError(SessionError, ValueError):
    """A message or metadata value that would not come back from JSON as it went in.

    Attributes:
        value_path: where the offending value is, such as ``messages[3].tool_calls[0].arguments``.
    """

    def __init__(self, value_path: str, problem: str) -> None:
        super().__init__(f"{value_path}: {problem}")
        self.value_path = value_path
        self.problem = problem


class ConfigError(SessionError, ValueError):
    """An option in ``[session]`` or a part of a template is not accepted, or a template is asked for what it lacks."""


class ExportError(SessionError, ValueError):
    """The file to be imported is no exported session, or nothing of another program that can be read as it is.

    Nothing was changed.

    Attributes:
        path: the file.
    """

    def __init__(self, problem: str, path: os.PathLike[str] | str) -> None:
        super().__init__(printable(f"{os.fspath(path)} {problem}"))
        self._path = os.fspath(path)

    @property
    def path(self) -> pathlib.Path:
        """The file."""
        return pathlib.Path(self._path)


class HistoryError(SessionError, LookupError):
    """The session was never at this state, or has no tag of this label; nothing was changed."""


class HistoryExpiredError(HistoryError):
    """The session was at this state, and its messages are not in the store any more; nothing was changed."""


class UnsupportedError(SessionError):
    """The call is not possible with this storage or session, or at this moment of the thread; nothing was done."""


def under_way() -> UnsupportedError:
    """Return the error for a call that could only wait for its own thread."""
    return UnsupportedError(
        "an operation is under way in this thread, and a signal handler or a finalizer has come in between: nothing "
        "was done. Let the handler set a flag, and do it when the operation has returned"
    )


class StoreError(SessionError):
    """Something is wrong with the store on disk.

    Attributes:
        path: the file or folder concerned, or None where there is none (the memory backend).
    """

    def __init__(self, message: str, path: os.PathLike[str] | str | None = None) -> None:
        # The name of a file may be bytes that are no text: whoever prints the error must not fail at it.
        super().__init__(printable(message))
        self._path = None if path is None else os.fspath(path)

    @property
    def path(self) -> pathlib.Path | None:
        """The file or folder concerned, or None where there is none."""
        return None if self._path is None else pathlib.Path(self._path)


class StoreFormatError(StoreError):
    """The folder is no store, or a store of a format that this version does not know."""


class StoreGoneError(StoreError):
    """The store that was opened is not at its path any more; nothing was begun or written in its place.

    As soon as it is back everything goes on. Until then open sessions hold what is not saved.
    """

    def __init__(self, what: str, path: os.PathLike[str] | str | None = None) -> None:
        super().__init__(
            f"{what}: mount its disk or put the folder back, and try again. What is not saved is still in memory, and "
            "can be saved with a manager of another store. For what is at the path now open a new manager",
            path,
        )


class StoreReadOnlyError(StoreError):
    """The store cannot be written: permissions, a read-only mount, or a manager that is read_only. Reading works."""


def opened_read_only(what: str, place: str) -> StoreReadOnlyError:
    """Return the error for what would change a store that was opened only to be read."""
    return StoreReadOnlyError(
        f"cannot {what}: this manager was opened read_only, and changes nothing in {place}. To write, open a manager "
        "without read_only",
        place,
    )


def shows_the_past(name: str, entry: str) -> StoreReadOnlyError:
    """Return the error for a save of what a session was."""
    return StoreReadOnlyError(
        f"this is session {name!r} as it was at {entry!r}, and is for reading only: restore({entry!r}) brings it back, "
        f"and create_session(new, branch_from={name!r}, at={entry!r}) goes on from it"
    )


class PartialSessionError(StoreReadOnlyError):
    """The session was loaded without the messages that could not be read, and is for reading only.

    Attributes:
        missing: how many they are.
    """

    def __init__(self, name: str, missing: int) -> None:
        super().__init__(
            f"session {name!r} lacks {missing} messages that were not here when it was loaded with partial=True, and "
            "is for reading only: load_session() it, and save that"
        )
        self.missing = missing


class StoreFullError(StoreError):
    """No space is left. What was saved before is intact; save again when there is room."""


class CorruptionError(StoreError):
    """A file does not hold what was written into it. Wrong bytes are never returned as data.

    Attributes:
        line: 1-based line in the file, or None where the whole file is meant.
        expected: what the file should have held (a hash, a size, a kind of record), or None.
        actual: what it holds, or None.
    """

    def __init__(
        self,
        message: str,
        path: os.PathLike[str] | str | None = None,
        *,
        line: int | None = None,
        expected: object = None,
        actual: object = None,
    ) -> None:
        where = "" if path is None else f"{path}{'' if line is None else f', line {line}'}: "
        detail = "" if expected is None and actual is None else f" (expected {expected}, found {actual})"
        super().__init__(f"{where}{message}{detail}", path)
        self.line = line
        self.expected = expected
        self.actual = actual


class ObjectNotYetHereError(StoreError):
    """An object that a session needs is not in the store; in a synced folder it may still be on its way.

    Attributes:
        object_id: the 64 hexadecimal digits of the missing object.
    """

    def __init__(self, object_id: str, path: os.PathLike[str] | str | None = None) -> None:
        super().__init__(
            f"object {object_id} is not in the store{'' if path is None else f' (looked at {path})'}: "
            "if a sync tool carries the folder, wait until it is done and try again; "
            "otherwise restore that file from a backup or another machine",
            path,
        )
        self.object_id = object_id


class SessionWarning(UserWarning):
    """Something was done in another way than asked for, and nothing was lost by it."""


def warn(message: str) -> None:
    """Give a `SessionWarning` that names the line which called into this package, however far up that is."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _INSIDE:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, SessionWarning, stacklevel=level)


def tell(message: str) -> None:
    """Write a line to stderr: for what no caller can be given an error of, in a thread of ours or at the end."""
    # The stream may be missing, closed or a broken pipe.
    with suppress(Exception):
        if sys.stderr is not None:
            sys.stderr.write(f"coda_fs_session: {message}\n")
            sys.stderr.flush()


def add_notes(error: BaseException, failure: Exception) -> None:
    """Add to an error, which goes on, what failed besides when a manager was closed."""

    def notes_of(each: BaseException | None) -> list[str]:
        return list(getattr(each, "__notes__", ()))

    known = notes_of(error)
    # Where releasing failed after saving had, the context tells what was not saved.
    told = notes_of(failure) or [f"the manager could not be closed: {type(failure).__name__}: {failure}"]
    for note in (*notes_of(failure.__context__), *told):
        if note in known:
            continue
        error.add_note(note)
        if not isinstance(error, Exception):
            # Of sys.exit, a closed generator and a cancelled task Python shows nothing.
            tell(note)


_INSIDE = (__name__.partition(".")[0], "contextlib")
