"""What is kept in the state folder, as JSON in which the names of files may be any bytes.

Python has such a name as text with lone surrogates, which orjson neither writes nor reads.
"""

from __future__ import annotations

from typing import Any

import orjson


def encode_note(value: Any) -> bytes:
    """Return a value as one line of JSON, tuples as lists."""
    try:
        return orjson.dumps(value, default=tuple)
    except TypeError:
        import json

        return json.dumps(value, separators=(",", ":")).encode()


def decode_note(data: bytes) -> Any:
    """Return what `encode_note` was given, with lists for tuples.

    Raises:
        ValueError: it is nothing of the kind.
    """
    try:
        return orjson.loads(data)
    except ValueError:
        import json

        return json.loads(data)
