"""Which saved state of a session one is: a text that changes whenever messages or metadata do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain

from .jsonl import encode_value

_DIGITS = 32


def revision_of(messages: Iterable[bytes], metadata: Mapping[str, bytes]) -> str:
    """Return the revision of a state.

    Args:
        messages: their lines, or what is told of all of them.
        metadata: each value as JSON.
    """
    # Late: hardly any program that shows a session comes here.
    from hashlib import sha256

    digest = sha256()
    pairs = ((encode_value(key, "key"), metadata[key]) for key in sorted(metadata))
    # No line has a newline, and none is empty: so no two states give the same bytes.
    for part in chain(messages, (b"",), chain.from_iterable(pairs)):
        digest.update(part + b"\n")
    return digest.hexdigest()[:_DIGITS]
