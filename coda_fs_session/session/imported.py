"""What the metadata of a session say of where it was imported from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

IMPORTED = "coda_fs_session.import"
"""Metadata key of the note that says where a session is from, and how much of it was imported."""
IDENTITY = ("format", "account", "id", "branch")
"""Keys of that note which say what it is of."""
MIRROR = "mirror"
"""Key of that note which says that the source's own program stores its records here, as they are."""
UNREDACTED = (*IDENTITY, "sha")
"""Keys of that note that redaction leaves: by these an import knows the session again, and that it is as it was."""


def import_note(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the note of a session; an empty one where it was not imported."""
    note = metadata.get(IMPORTED)
    return note if isinstance(note, dict) else {}


def imported_from(metadata: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return what a session was imported from, as its note says in `IDENTITY`; None where it was not imported."""
    note = import_note(metadata)
    return tuple(str(note.get(part, "")) for part in IDENTITY) if note else None
