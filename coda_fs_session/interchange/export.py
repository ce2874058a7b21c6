"""One session as one JSON document, to hand on: the form of `SessionManager.export_session`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from ..errors import ExportError, InvalidMessageError
from ..format.jsonl import encode_value
from ..format.records import utc_time
from ..session.session import Session


def export_document(session: Session) -> Iterator[bytes]:
    """Yield the parts of a session's JSON document, a message a line.

    Raises:
        InvalidMessageError: a message or the metadata hold what JSON cannot.
    """
    yield b'{\n"name": %b,\n"messages": [' % orjson.dumps(session.name)
    separator = b"\n"
    for line in session._state.copy.lines():
        yield separator + line
        separator = b",\n"
    yield b'\n],\n"metadata": %b,\n' % encode_value(session.metadata, "metadata")
    yield b'"created_at": %b,\n' % orjson.dumps(session._state.created.astimezone(UTC).isoformat())
    yield b'"updated_at": %b\n}\n' % orjson.dumps(session._state.updated.astimezone(UTC).isoformat())


def exported_session(data: bytes, path: Path, name: str | None) -> Session:
    """Make a session of a document that `export_session`, or the example on the API page, wrote.

    Args:
        path: where the document is, for errors.
        name: what to call the session; None for the name in the document.

    Raises:
        InvalidNameError, InvalidMessageError: it holds what no session can.
        ExportError: it is no such document.
    """
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
