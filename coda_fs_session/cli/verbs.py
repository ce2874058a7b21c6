"""The verbs: what each is for, and where it is. None is loaded before it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class VerbLine(NamedTuple):
    """A verb in the table.

    Attributes:
        section: the heading that `--help` shows it under; short: what it is for.
        takes: what completion offers: "sessions", "files", "pages", or the words themselves.
    """

    section: str
    short: str
    takes: str = "sessions"


EVERYDAY, CHANGING, CARRYING, KEEPING = "See", "Change", "Bring in and take out", "Keep house"

VERBS: Mapping[str, VerbLine] = MappingProxyType(
    {
        "list": VerbLine(EVERYDAY, "List sessions, newest first."),
        "show": VerbLine(EVERYDAY, "Show a session, for reading."),
        "search": VerbLine(EVERYDAY, "Find messages by their words, in every session.", ""),
        "view": VerbLine(EVERYDAY, "Show sessions in a browser, with their branches."),
        "history": VerbLine(EVERYDAY, "Show what a session was, newest first."),
        "tree": VerbLine(EVERYDAY, "Show which session came from which."),
        "diff": VerbLine(EVERYDAY, "Show what tells two sessions apart."),
        "new": VerbLine(CHANGING, "Make a session.", ""),
        "append": VerbLine(CHANGING, "Add messages to a session."),
        "branch": VerbLine(CHANGING, "Make a session that goes on from another one."),
        "edit": VerbLine(CHANGING, "Change one message."),
        "merge": VerbLine(CHANGING, "Bring what one session has into another one."),
        "cherry-pick": VerbLine(CHANGING, "Add messages of one session to another one."),
        "rename": VerbLine(CHANGING, "Give a session another name."),
        "delete": VerbLine(CHANGING, "Delete sessions."),
        "restore": VerbLine(CHANGING, "Bring a session to a state that it was at."),
        "undo": VerbLine(CHANGING, "Take the last change of a session back."),
        "tag": VerbLine(CHANGING, "Have a label name a state of a session."),
        "set": VerbLine(CHANGING, "Set metadata of a session."),
        "unset": VerbLine(CHANGING, "Remove metadata of a session."),
        "import": VerbLine(CARRYING, "Bring in what other programs keep.", "files"),
        "export": VerbLine(CARRYING, "Write sessions as files, for reading and for programs."),
        "sync": VerbLine(CARRYING, "Bring this store and another one to hold the same.", "files"),
        "watch": VerbLine(KEEPING, "Tell what happens to sessions from now on."),
        "stats": VerbLine(KEEPING, "Show how much there is.", ""),
        "replicas": VerbLine(KEEPING, "Show which machines have written into the store.", ""),
        "retire": VerbLine(KEEPING, "Let nobody wait for a machine that is gone.", ""),
        "doctor": VerbLine(KEEPING, "Say where everything is, and what is wrong.", ""),
        "check": VerbLine(KEEPING, "Find what is wrong with the store, and say what to do.", ""),
        "repair": VerbLine(KEEPING, "Bring back what is intact of damaged files.", ""),
        "gc": VerbLine(KEEPING, "Delete files of objects that nothing needs.", ""),
        "discard": VerbLine(KEEPING, "Throw a file away that a check has named.", "files"),
        "forget": VerbLine(KEEPING, "Forget what is recorded of a store that is gone.", "files"),
        "purge": VerbLine(KEEPING, "Take a text, or sessions, out of every state of the store, for good."),
        "help": VerbLine(KEEPING, "Show a page of the manual.", "pages"),
        "completion": VerbLine(KEEPING, "Print what makes a shell complete names.", "bash fish zsh"),
    }
)
ALIASES: Mapping[str, str] = MappingProxyType(
    {"ls": "list", "cat": "show", "log": "history", "grep": "search", "mv": "rename", "rm": "delete"}
)


def module_of(verb: str) -> str:
    """Return the module of a verb, below `coda_fs_session.cli`; it has the verb as `command`."""
    return f"commands.{verb.replace('-', '_')}"
