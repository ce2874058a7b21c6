"""Object ids, the chain hash and the ids of lines (FORMAT.md, "Ids and hashes")."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any, NewType

ObjectId = NewType("ObjectId", str)
"""64 lower-case hexadecimal digits: the sha256 of an object's uncompressed bytes."""

Chain = NewType("Chain", str)
"""64 lower-case hexadecimal digits that name a whole history up to a message."""

CHAIN_START = Chain("0" * 64)
"""The chain hash before the first message."""

_DIGITS = b"0123456789abcdef"
_HEX64 = re.compile(r"[0-9a-f]{64}\Z")
_REPLICA = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")


def is_hex64(text: object) -> bool:
    """Tell whether `text` has the form of an object id, a chain hash or a generation id."""
    return isinstance(text, str) and _HEX64.match(text) is not None


def is_replica_id(text: object) -> bool:
    """Tell whether `text` has the form of a replica's id."""
    return isinstance(text, str) and _REPLICA.match(text) is not None


def are_hex64(texts: Sequence[Any]) -> bool:
    """Do what `is_hex64` does for all of them at once."""
    if not (set(map(type, texts)) <= {str} and set(map(len, texts)) <= {64}):
        return False
    # What is left without the digits; in a quarter of the time that a pattern takes.
    return not "".join(texts).encode("ascii", "replace").translate(None, _DIGITS)


def object_id(data: bytes) -> ObjectId:
    """Return the id under which `data` is stored."""
    return ObjectId(hashlib.sha256(data).hexdigest())


def chain_message(chain: Chain, line: bytes) -> Chain:
    """Extend `chain` by one message inside a chunk; `line` is the message line without its newline."""
    return Chain(hashlib.sha256(b"%b%b\n" % (chain.encode(), line)).hexdigest())


def chain_cut(chain: Chain, chunk: ObjectId) -> Chain:
    """Extend `chain`, taken at the last cut, over the whole chunk that ends at this cut."""
    digest = _SHA256.copy()
    digest.update((chain + chunk).encode())
    return Chain(digest.hexdigest())


def line_id(before: bytes | memoryview) -> str:
    """Return the id of a ref line: 16 hexadecimal digits over all its bytes before the ``,"id":`` field."""
    digest = _SHA256.copy()
    digest.update(before)
    return digest.hexdigest()[:16]


_SHA256 = hashlib.sha256()
"""Copied for what is hashed at every save: OpenSSL looks the algorithm up for each new one."""
