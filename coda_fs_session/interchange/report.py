"""What an import did."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class ImportReport:
    """What `SessionManager.import_sessions` did, or would do.

    Attributes:
        conversations: how many chats the files have, each with all its branches.
        new, grew, unchanged: how many of these were not known, have something new, or have nothing new.
        messages: how many messages were added to sessions, those of new ones too.
        branches: how many sessions beside the first one of a chat are new.
        unreadable: what could not be read or stored, a text each; nothing of it was stored.
        notes: what was read in another way than it stood there, or left out, a text each.
    """

    conversations: int = 0
    new: int = 0
    grew: int = 0
    messages: int = 0
    branches: int = 0
    unchanged: int = 0
    unreadable: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{_counted(self.conversations, 'conversation', 's')}: {self.new} new, {self.grew} grew "
            f"(+{_counted(self.messages, 'message', 's')}), {_counted(self.branches, 'new branch', 'es')}, "
            f"{self.unchanged} unchanged, {len(self.unreadable)} unreadable; {_counted(len(self.notes), 'note', 's')}"
        )


def _counted(number: int, noun: str, ending: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else ending}"
