"""A session's metadata as it stands in memory, against what its storage has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import InvalidMessageError
from ..format.jsonl import decode, encode_value


class WorkingMetadata:
    """One plain dict that callers may change in place, and its values as JSON when they were saved.

    Attributes:
        live: the dict; saved: what the storage has; found: what `change` or `everything` has looked at last.
    """

    def __init__(self, saved: dict[str, bytes] | None = None) -> None:
        self.saved = self.found = saved or {}
        self.live: dict[str, Any] = {key: decode(value) for key, value in self.saved.items()}

    def assign(self, metadata: dict[str, Any]) -> None:
        """Let `metadata` be the live dict from now on.

        Raises:
            InvalidMessageError: a value would not come back from JSON equal; nothing was changed.
        """
        encode_metadata(metadata)
        self.live = metadata

    def update(self, metadata: dict[str, Any]) -> bool:
        """Set keys to copies of the given values; False where none were given.

        Raises:
            InvalidMessageError: as `assign`.
        """
        encoded = encode_metadata(metadata)
        self.live.update((key, decode(value)) for key, value in encoded.items())
        return bool(encoded)

    def change(self) -> dict[str, bytes | None]:
        """Return the keys that were set (JSON of each value) or removed (None) since the last save."""
        saved = self.saved
        if not self.live and not saved:
            self.found = {}
            return {}
        encoded = self.everything()
        if encoded == saved:
            return {}
        changed: dict[str, bytes | None] = {key: value for key, value in encoded.items() if saved.get(key) != value}
        changed.update((key, None) for key in saved if key not in encoded)
        return changed

    def apply(self, change: Mapping[str, bytes | None]) -> None:
        """Set and remove keys; see `change`."""
        for key, value in change.items():
            if value is None:
                self.live.pop(key, None)
            else:
                self.live[key] = decode(value)

    def everything(self) -> dict[str, bytes]:
        """Return every value as JSON."""
        self.found = encode_metadata(self.live)
        return self.found

    def mark_saved(self, saved: dict[str, bytes], found: dict[str, bytes]) -> None:
        """Take what a save has `found` as saved; `saved` is what the storage has.

        What was set here since then is not saved yet, and stays. May be called again after an interrupt.
        """
        self._take(found, saved)

    def rebase(self, saved: dict[str, bytes], sent: Mapping[str, bytes | None] | None) -> None:
        """Compare with a state that has changes made here in it.

        Args:
            sent: those changes; what else is new in `saved` others have set, and shows here too. None: everything in
                `saved` was set here.
        """
        before = saved
        if sent is not None:
            before = {key: value for key, value in {**self.saved, **sent}.items() if value is not None}
        self._take(before, saved)

    def _take(self, before: dict[str, bytes], after: dict[str, bytes]) -> None:
        """Let `after` be what is saved; what others changed since `before` comes in but for keys set here."""
        if before != after:
            for key in before.keys() | after.keys():
                old, new = before.get(key), after.get(key)
                if old == new or _encode_or_none(self.live, key) != old:
                    continue
                if new is None:
                    del self.live[key]
                else:
                    self.live[key] = decode(new)
        # Last: who is interrupted before takes everything in once more.
        self.saved = after

    def show(self, saved: dict[str, bytes]) -> None:
        """Take what the storage has, dropping everything unsaved; the live dict, and what is in it already, stay."""
        self.saved = saved
        fresh = {
            key: self.live[key] if _encode_or_none(self.live, key) == value else decode(value)
            for key, value in saved.items()
        }
        self.live.clear()
        self.live.update(fresh)


def encode_metadata(metadata: Any) -> dict[str, bytes]:
    """Return each value as JSON.

    Raises:
        InvalidMessageError: a value would not come back equal, or a key is no text.
    """
    if not isinstance(metadata, dict):
        raise InvalidMessageError("metadata", f"must be a dict, not {type(metadata).__name__}")
    for key in metadata:
        if not isinstance(key, str):
            raise InvalidMessageError("metadata", f"the key {key!r} is {type(key).__name__}, and JSON keys are text")
        if not key.isascii():
            encode_value({key: None}, "metadata")
    return {key: encode_value(value, f"metadata.{key}") for key, value in metadata.items()}


def _encode_or_none(metadata: dict[str, Any], key: str) -> bytes | None:
    """Return one metadata value as JSON; None where there is none, b"" for what JSON cannot hold."""
    try:
        return encode_value(metadata[key], key) if key in metadata else None
    except InvalidMessageError:
        return b""
