"""What a purge of a session takes out: all that is said in it, line by line."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from ...format.ids import object_id
from ...format.masks import Sieve, of_pattern
from ...format.records import Metadata, Stamped, Tags
from .texts import ByText

_PARTS = re.compile(rb"[\t\n]")
_EMPTY = b'{"":""}'
_DONE = re.compile(rb'\{"":"[0-9a-f]*\**"\}')


@dataclass(slots=True)
class Everything:
    """All that stands in messages, metadata and labels.

    Attributes:
        signs: what only bytes about the session have, all of each; lines: the hashes of messages that were taken out.
    """

    signs: Sequence[Sequence[bytes]] = ()
    lines: set[str] = field(default_factory=set)

    def may_hold(self, data: bytes) -> bool:
        return True

    def masked(self, line: bytes) -> bytes:
        """Return a message as long, that tells of this one nothing but which it is."""
        room = len(line) - len(_EMPTY)
        if room < 0 or _DONE.fullmatch(line) or not line.startswith(b"{"):
            return line
        self.lines.add(object_id(line))
        # By the place in a list and by this alone are masked lines told apart, where edits had made one of the other.
        told = hashlib.sha256(b"purged" + line).hexdigest()[:room].encode()
        return b'{"":"%b"}' % told.ljust(room, b"*")

    def in_metadata(self, metadata: Metadata) -> dict[str, Stamped]:
        return _ALL.in_metadata(metadata)

    def in_tags(self, tags: Tags) -> Tags:
        """Return tags with other labels, as long in JSON."""
        named = _ALL.in_metadata({label: Stamped(tag.stamp, None) for label, tag in tags.items()})
        return dict(zip(named, tags.values(), strict=True)) if len(named) == len(tags) else tags

    def is_in(self, text: str) -> bool:
        return False

    def is_among(self, data: bytes) -> bool:
        if any(all(sign in data for sign in signs) for signs in self.signs):
            return True
        return bool(self.lines) and any(object_id(part) in self.lines for part in _PARTS.split(data))


_ALL = ByText(of_pattern(re.compile("(?s:.+)")), Sieve(None))
