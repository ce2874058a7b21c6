"""What this machine remembers of imports, in the state folder: losing it costs time, and loses nothing."""

from __future__ import annotations

import json
from typing import Any, Protocol

from ..interchange.sources import SourceFile

_TOPIC = "imports"


class StateFolder(Protocol):
    """What keeps notes for this machine alone; see `MachineState`."""

    def recall(self, topic: str) -> bytes | None: ...

    def remember(self, topic: str, data: bytes) -> None: ...


class ImportNotes:
    """Files that were imported whole, and sessions that were made of them.

    Attributes:
        files: of each file when it changed last, its size, its format, what it is read together with, and how many
            chats it has. Those that are read together have the same number of chats.
        chats: of each chat what it was like when it was imported last.
        raw: hashes of chats as they stood in their files.
        sessions: each session that was ever made: one that is gone was deleted here.
    """

    def __init__(self, machine: StateFolder | None) -> None:
        self._machine = machine
        try:
            kept = _dict(json.loads((machine.recall(_TOPIC) if machine is not None else None) or b"{}"))
        except ValueError:
            kept = {}
        self.files: dict[str, list[Any]] = _dict(kept.get("files"))
        self.chats: dict[str, str] = _dict(kept.get("chats"))
        self.raw: dict[str, int] = _dict(kept.get("raw"))
        self.sessions: dict[str, int] = _dict(kept.get("sessions"))

    def keep(self) -> None:
        """Remember all of it."""
        if self._machine is not None:
            kept = {"files": self.files, "chats": self.chats, "raw": self.raw, "sessions": self.sessions}
            # Not orjson: names of files, and ids of sources, may have lone surrogates.
            self._machine.remember(_TOPIC, json.dumps(kept, separators=(",", ":")).encode())

    def known(self, file: SourceFile, options: str) -> tuple[str, list[str], int] | None:
        """Return format, links and number of chats of a file that did not change since; None for any other."""
        note = self.files.get(file.path)
        if note is None or len(note) != 6 or note[:3] != [file.stamp, file.size, options]:
            return None
        return note[3], note[4], note[5]

    def note(self, file: SourceFile, options: str, format_name: str, links: set[str], chats: int) -> None:
        """Take note of a file all of whose chats are stored."""
        self.files[file.path] = [file.stamp, file.size, options, format_name, sorted(links), chats]


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
