"""One session as one JSON file, to hand on: the form of `SessionManager.export_session`."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from ..backends.disk.files import Files
from ..backends.disk.new_files import NewFile
from ..errors import ExportError, InvalidMessageError
from ..format.jsonl import encode_value
from ..format.records import utc_time
from ..process.system import PLAIN
from ..session.session import Session


def write_export(session: Session, target: str | os.PathLike[str], *, overwrite: bool) -> Path:
    """Write a session as one JSON document, a message a line; the file appears whole or not at all, with mode 0600.

    Returns:
        Its path, with ``~`` expanded.

    Raises:
        FileExistsError: the path is taken, and `overwrite` is false.
        InvalidMessageError: a message or the metadata hold what JSON cannot.
        OSError: it cannot be written.
    """
    path = Path(target).expanduser()
    if not overwrite and os.path.lexists(path):
        raise _taken(path)
    files = Files()
    try:
        # For the eyes of this user only, as everything in the store: what others may read is the user's to say.
        with NewFile(files, os.fspath(path)) as new:
            for part in _document(session):
                new.write(part)
            new.sync()
            new.take_name(replace=overwrite)
    except FileExistsError:
        raise _taken(path) from None
    files.sync_folder(os.fspath(path.parent))
    return path


def _taken(path: Path) -> FileExistsError:
    return FileExistsError(errno.EEXIST, f"{os.strerror(errno.EEXIST)}, and overwrite is false", str(path))


def _document(session: Session) -> Iterator[bytes]:
    yield b'{\n"name": %b,\n"messages": [' % orjson.dumps(session.name)
    separator = b"\n"
    for line in session._state.copy.lines():
        yield separator + line
        separator = b",\n"
    yield b'\n],\n"metadata": %b,\n' % encode_value(session.metadata, "metadata")
    yield b'"created_at": %b,\n' % orjson.dumps(session._state.created.astimezone(UTC).isoformat())
    yield b'"updated_at": %b\n}\n' % orjson.dumps(session._state.updated.astimezone(UTC).isoformat())


def read_export(source: str | os.PathLike[str], name: str | None) -> Session:
    """Make a session of a file that `export_session`, or the example on the API page, wrote.

    Args:
        name: what to call it; None for the name in the file.

    Raises:
        OSError: it cannot be read.
        InvalidNameError, InvalidMessageError: it holds what no session can.
        ExportError: it is no such file, or none that can be read to an end: a pipe, a device.
    """
    path = Path(source).expanduser()
    data = _read_regular(path)
    try:
        # Not orjson: it would read an integer of more than 64 bits as a float. Now the check of messages finds it.
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ExportError(f"is not JSON: {error}", path) from error
    if not isinstance(document, dict) or not isinstance(document.get("messages"), list):
        raise ExportError("is no exported session: it must be a JSON object with a list of messages", path)
    for index, message in enumerate(document["messages"]):
        if not isinstance(message, dict):
            raise InvalidMessageError(f"messages[{index}]", f"a message in {path} must be an object")
    written, metadata = document.get("name"), document.get("metadata") or {}
    if not isinstance(metadata, dict) or not (written is None or isinstance(written, str)):
        raise ExportError("is no exported session: name must be text and metadata an object", path)
    chosen = written if name is None else name
    if chosen is None:
        raise ExportError("does not say the session's name: give one with name=", path)
    created, updated = (_time(document, key, path) for key in ("created_at", "updated_at"))
    return Session(chosen, document["messages"], metadata, created_at=created, updated_at=updated)


def _read_regular(path: Path) -> bytes:
    """Read a file that has an end, without waiting for one that somebody still has to write to."""
    descriptor = os.open(path, os.O_RDONLY | PLAIN)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise ExportError("is no regular file: copy what it gives into one, and import that", path)
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def _time(document: dict[str, Any], key: str, path: Path) -> datetime | None:
    text = document.get(key)
    if text is None:
        return None
    try:
        return utc_time(datetime.fromisoformat(text))
    except TypeError as error:
        raise ExportError(f"has something else than a time as {key}: {text!r}", path) from error
    except ValueError as error:
        raise ExportError(f"has a {key} that is no time: {error}", path) from error
