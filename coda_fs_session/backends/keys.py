"""What refs are called, and what tells one state of a ref from another."""

from __future__ import annotations

from typing import NamedTuple, NewType

END_BYTES = 32

Token = NewType("Token", tuple[int, ...])
"""Changes whenever a ref's content does; compared, never looked into."""


class RefKey(NamedTuple):
    """A ref by its path below the store's refs, ``<replica>/<file name>``, with forward slashes."""

    path: str

    @property
    def replica(self) -> str:
        return self.path.partition("/")[0]


class RefEnd(NamedTuple):
    """How long a ref is, and its last bytes: equal for equal refs only, as these end with a hash of all the rest."""

    size: int
    end: bytes
