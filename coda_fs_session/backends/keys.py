"""What refs are called, and what tells one state of a ref from another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, NewType

END_BYTES = 32

Sign = NewType("Sign", tuple[int, ...])
"""Changes whenever what it stands for does; compared, never looked into."""


Marker = dict[str, list[int]]
"""Numbers for each folder of a replica's refs, by its path below the refs; and for the whole store, by ""."""


class Token(NamedTuple):
    """What tells one state of a ref from every other.

    Attributes:
        identity: changes when the ref is replaced, and need not when it is appended to.
        size: of the ref, in bytes.
        stamp: tells states of one size apart.
        listed: when the token was made, where the stamp may hide a later change: then it equals no other token. 0
            otherwise.
    """

    identity: int
    size: int
    stamp: int = 0
    listed: int = 0

    @property
    def settled(self) -> bool:
        """Whether a state that has this token later is the same state."""
        return not self.listed

    def numbers(self) -> list[int]:
        """Return what to keep in JSON, which equals that of no other token."""
        return [*(self if self.listed else self[:3])]


NO_TOKEN = Token(-1, -1, -1)
"""That of no ref."""


class RefKey(NamedTuple):
    """A ref by its path below the store's refs, ``<replica>/<file name>``, with forward slashes."""

    path: str

    @property
    def replica(self) -> str:
        return self.path.partition("/")[0]


class RefFolders(NamedTuple):
    """Which folders refs are in, and what is in those that changed.

    Attributes:
        states: of every folder, what changes when one of its refs comes, goes or is replaced; None where that cannot
            be told. It can be kept as JSON.
        contents: by folder, only for those that changed or came: the identity of each ref in it by its path.
    """

    states: dict[str, object]
    contents: dict[str, dict[str, int]]

    @classmethod
    def listed(cls, identities: Mapping[str, int], state: object) -> RefFolders:
        """Return all refs in the folders of their paths, each of which has this state."""
        contents: dict[str, dict[str, int]] = {"": {}}
        for path, identity in identities.items():
            contents.setdefault(folder_of(path), {})[path] = identity
        return cls(dict.fromkeys(contents, state), contents)


def folder_of(path: str) -> str:
    """Return the folder that a ref is in by its path; "" stands for that of all refs."""
    return path.rpartition("/")[0]


class RefEnd(NamedTuple):
    """How long a ref is, and its last bytes: equal for equal refs only, as these end with a hash of all the rest."""

    size: int
    end: bytes
