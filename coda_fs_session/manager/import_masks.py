"""What was purged here, in what a source has still: it is not to come back with the next import."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from ..errors import InvalidMessageError
from ..format.ids import object_id
from ..format.jsonl import encode_message
from ..format.purge_records import Change, PurgedSession, changed, import_hash
from ..interchange.tree import Branch, MessageTree
from ..session.metadata import encode_metadata


class Masks:
    """Takes out of chats what a purge took out of the lines and the metadata that they were imported as.

    A line that is not byte for byte what was imported is another one: nobody here knows any more what was in it.

    Args:
        lines: see `PurgeRecord.lines`; sessions: those that were taken out whole.
    """

    def __init__(self, lines: Mapping[str, Change], sessions: Iterable[PurgedSession] = ()) -> None:
        self._lines = lines
        self._gone = {each.imported for each in sessions if each.imported}
        self._keys = {key for key, *_ in self._gone}
        self._before: dict[bytes, bytes] = {}

    def apply(self, tree: MessageTree, branches: list[Branch]) -> None:
        """Change a chat, whose lines are written."""
        if not self._lines:
            return
        for branch in branches:
            for place, line in enumerate(branch.lines):
                masked = self._masked(line)
                if masked is not line:
                    branch.lines[place], branch.messages[place] = masked, orjson.loads(masked)
            for tag in branch.tags:
                lines = [encode_message(message, "") for message in tag.messages]
                tag.messages = [orjson.loads(self._masked(line)) for line in lines]
            branch.metadata = self._of_metadata(branch.metadata)
        tree.rest = self._of_metadata({"": tree.rest})[""]
        tree.title = self._of_metadata({"": tree.title})[""]

    def was_purged(self, identity: Sequence[str]) -> bool:
        """Tell whether a session that was imported from this was taken out whole."""
        return any((key, import_hash(key, identity)) in self._gone for key in self._keys)

    def as_imported(self, lines: Iterable[bytes]) -> list[bytes]:
        """Return lines with what `apply` has taken out of them: notes of earlier imports have their hashes."""
        return [self._before.get(line, line) for line in lines]

    def _masked(self, line: bytes) -> bytes:
        change = self._lines.get(object_id(line))
        if change is None:
            return line
        masked = changed(line, change)
        self._before[masked] = line
        return masked

    def _of_metadata(self, metadata: dict[str, Any]) -> dict[str, Any]:
        try:
            values = encode_metadata(metadata)
        except InvalidMessageError:
            return metadata
        return {
            key: metadata[key] if (masked := self._masked(value)) is value else orjson.loads(masked)
            for key, value in values.items()
        }
