"""A ready hook that keeps secrets out of the store."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from ..patterns import KEYS, REPLACEMENT, compiled
from ..session.imported import IMPORTED, UNREDACTED, import_note
from ..session.session import Session
from .hooks import PendingSave, SessionHook

_ROUNDS = 8


class Redact(SessionHook):
    """A hook that takes out what matches a pattern, before it is kept in memory by `add_message` or stored by any way.

    Every text in messages and metadata is looked at, at any depth, and so are the keys of dicts. Afterwards no pattern
    matches any of them: where replacing brings together what matches anew, that is replaced too. Numbers are left,
    and so are session names, what an import notes to find a session by, and what was stored before the hook was there.
    How long a pattern takes is up to the text, and nothing bounds it: see THREATS.md for patterns to avoid.

    Args:
        patterns: one regular expression or several, as text or compiled.
        replacement: what stands there instead, literally.

    Attributes:
        KEYS: patterns of API keys, tokens and private keys, of those that have a form of their own.

    Raises:
        ValueError: there is no pattern, one is no regular expression or matches empty text, or one matches the
            replacement.
    """

    KEYS = KEYS

    def __init__(
        self, patterns: str | re.Pattern[str] | Iterable[str | re.Pattern[str]], replacement: str = REPLACEMENT
    ) -> None:
        given = [patterns] if isinstance(patterns, (str, re.Pattern)) else list(patterns)
        self._patterns = compiled(given, replacement)
        self._replacement = replacement

    def message_added(self, session: Session, message: dict[str, Any]) -> dict[str, Any]:
        """Return the message without what matches."""
        redacted: dict[str, Any] = self._redacted(message)
        return redacted

    def before_save(self, session: Session, pending: PendingSave) -> None:
        """Take what matches out of everything that is to be stored."""
        pending.messages = self._redacted(pending.messages)
        pending.metadata = self.in_metadata(pending.metadata)

    def in_metadata(self, metadata: dict[str, Any]) -> dict[str, Any]:
        """Return metadata without what matches; by which source and id an import finds the session again stays."""
        note = import_note(metadata)
        redacted: dict[str, Any] = self._redacted({key: value for key, value in metadata.items() if key != IMPORTED})
        if IMPORTED in metadata:
            kept = {key: note[key] for key in UNREDACTED if isinstance(note.get(key), str)}
            rest = {key: value for key, value in note.items() if key not in kept}
            redacted[IMPORTED] = self._redacted(rest) | kept if note else self._redacted(metadata[IMPORTED])
        return redacted

    def _redacted(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._clean(value)
        if isinstance(value, list):
            return [self._redacted(item) for item in value]
        if not isinstance(value, dict):
            return value
        result: dict[str, Any] = {}
        for key, item in value.items():
            name = self._clean(key)
            while name in result or (name != key and name in value):
                # Two keys that became one must not cost a value.
                name += "~"
            result[name] = self._redacted(item)
        return result

    def _clean(self, text: str) -> str:
        for _ in range(_ROUNDS):
            found = False
            for pattern in self._patterns:
                text, count = pattern.subn(lambda match: self._replacement, text)
                found = found or count > 0
            if not found:
                return text
        # A pattern that keeps matching what it leaves: better nothing of the text than a part of a secret.
        return text if not any(pattern.search(text) for pattern in self._patterns) else self._replacement
