"""One session as one JSON file, to hand on: the form of `SessionManager.export_session`."""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from .errors import InvalidMessageError, SessionError
from .format.jsonl import encode_value


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export file holds; times are None where the file has none."""

    name: str | None
    messages: list[dict[str, Any]]
    metadata: dict[str, Any]
    created_at: datetime | None
    updated_at: datetime | None


def write_export(
    path: Path,
    *,
    name: str,
    lines: Iterable[bytes],
    metadata: dict[str, Any],
    created: datetime,
    updated: datetime,
    overwrite: bool,
) -> None:
    """Write a session's messages, a line each, as one JSON document; the file appears whole or not at all.

    Raises:
        FileExistsError: the path is taken, and `overwrite` is false.
        InvalidMessageError: a message or the metadata hold what JSON cannot.
        OSError: it cannot be written.
    """
    if not overwrite and os.path.lexists(path):
        raise _taken(path)
    scratch = path.parent / f".tmp-{secrets.token_hex(8)}"
    with open(scratch, "xb") as file:
        try:
            for part in _document(name, lines, metadata, created, updated):
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
            if overwrite:
                os.replace(scratch, path)
            else:
                _publish(scratch, path)
        except BaseException:
            os.unlink(scratch)
            raise


def _publish(scratch: Path, path: Path) -> None:
    try:
        os.link(scratch, path)
    except FileExistsError:
        raise _taken(path) from None
    except OSError:
        # No hard links here (FAT, some network disks).
        if os.path.lexists(path):
            raise _taken(path) from None
        os.rename(scratch, path)
    else:
        os.unlink(scratch)


def _taken(path: Path) -> FileExistsError:
    return FileExistsError(errno.EEXIST, f"{os.strerror(errno.EEXIST)}, and overwrite is false", str(path))


def _document(
    name: str, lines: Iterable[bytes], metadata: dict[str, Any], created: datetime, updated: datetime
) -> Iterator[bytes]:
    yield b'{\n"name": %b,\n"messages": [' % orjson.dumps(name)
    separator = b"\n"
    for line in lines:
        yield separator + line
        separator = b",\n"
    yield b'\n],\n"metadata": %b,\n' % encode_value(metadata, "metadata")
    yield b'"created_at": %b,\n' % orjson.dumps(created.astimezone(UTC).isoformat())
    yield b'"updated_at": %b\n}\n' % orjson.dumps(updated.astimezone(UTC).isoformat())


def read_export(path: Path) -> Exported:
    """Read a file that `export_session`, or the example on the API page, wrote.

    Raises:
        OSError: it cannot be read.
        SessionError: it is no such file.
    """
    data = path.read_bytes()
    try:
        # Not orjson: it would read an integer of more than 64 bits as a float. Now the check of messages finds it.
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SessionError(f"{path} is not JSON: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("messages"), list):
        raise SessionError(f"{path} is no exported session: it must be a JSON object with a list of messages")
    for index, message in enumerate(document["messages"]):
        if not isinstance(message, dict):
            raise InvalidMessageError(f"messages[{index}]", f"a message in {path} must be an object")
    name, metadata = document.get("name"), document.get("metadata") or {}
    if not isinstance(metadata, dict) or not (name is None or isinstance(name, str)):
        raise SessionError(f"{path} is no exported session: name must be text and metadata an object")
    return Exported(
        name, document["messages"], metadata, *(_time(document, key, path) for key in ("created_at", "updated_at"))
    )


def _time(document: dict[str, Any], key: str, path: Path) -> datetime | None:
    text = document.get(key)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if not 1 < moment.year < 9999:
            raise ValueError
        return moment
    except (TypeError, ValueError) as error:
        raise SessionError(f"{path}: {key} is no time: {text!r}") from error
