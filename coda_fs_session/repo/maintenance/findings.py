"""What a check can find: the rules, and findings as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

from ...errors import printable

Severity = Literal["damage", "missing", "history", "note"]


class Rule(NamedTuple):
    """What must be so in a store.

    Attributes:
        severity: of a finding: "damage": something does not hold what was written, and nothing here stands in for it.
            "missing": a session cannot be read now, and may be later. "history": the sessions are whole, and an earlier
            state of one is not. "note": nothing is lost.
        says: the rule, as FORMAT.md has it; remedy: what to do.
    """

    severity: Severity
    says: str
    remedy: str


_BACK = "repair() brings back what is intact, and repair(from_store=...) what another store or a backup has"
_OBJECT = "repair() looks for its messages here, and repair(from_store=...) in another store or a backup"
_COMING = "if a sync is under way wait for it; otherwise repair(), or repair(from_store=...) with another store"
_WRITER = "the program that wrote it did not keep to FORMAT.md: what is named can be read no better than it is"
_LATER = "nothing needs to be done"
_SPARE = f"{_LATER}; discard(path) throws it away"
_LISTED = "a tool has brought it back: gc deletes it again, if nothing needs it"
_PURGED = "a tool has brought it back: open the store to write, which removes it unless `purge_from` says otherwise"

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "ref-header": Rule("damage", "the first line of a ref is a header that matches its id", _BACK),
        "ref-line": Rule("damage", "each line of a ref matches its id and follows the line before", _BACK),
        "ref-replaced": Rule("note", "a damaged ref is left where another ref has what is intact of it", _SPARE),
        "ref-torn": Rule("note", "a last line that was not written whole is a save that never happened", "nothing"),
        "ref-reverted": Rule(
            "missing",
            "a ref has what this machine saved in it",
            "repair() puts it back, and so does the next save in the session",
        ),
        "ref-unreadable": Rule("damage", "a ref is a regular file that can be read", "see what the error says"),
        "newer-version": Rule("missing", "a record needs no version that is newer", "upgrade coda-fs-session"),
        "ref-frozen": Rule("damage", "the states that a generation names are those that its commits freeze", _WRITER),
        "base-start": Rule("damage", "the hidden messages of a base have the size that it says", _WRITER),
        "message-line": Rule("damage", "a message is a JSON object in compact form, without a tab", _WRITER),
        "object-missing": Rule("missing", "each object that a session needs is there", _COMING),
        "object-damaged": Rule("damage", "an object has the hash that is its name", _OBJECT),
        "object-unreadable": Rule("damage", "an object is a regular file that can be read", "see what the error says"),
        "history-missing": Rule("history", "each object that an earlier state needs is there", _COMING),
        "history-damaged": Rule("history", "an object of an earlier state has the hash that is its name", _OBJECT),
        "replica-file": Rule(
            "note", "a replica file matches its id", "open the store on its machine, which then writes it again"
        ),
        "list": Rule("note", "each list that a replica file names is here, and is one", _COMING),
        "list-file": Rule("note", "no file is here that is on a list which is done", _LISTED),
        "purge-record": Rule("note", "each purge record that a replica file names is here, and is one", _COMING),
        "purge-object": Rule("note", "no object is here that a purge has removed", _PURGED),
        "unused-damaged": Rule("note", "an object that nothing names has the hash that is its name", _LATER),
        "object-content": Rule(
            "damage", "an object holds as many messages, of as many bytes, as what names it says", _WRITER
        ),
        "object-form": Rule("note", "only messages are kept compressed", "nothing: every reader reads it"),
        "node-height": Rule("damage", "a list node holds entries of one height less", _WRITER),
        "node-chain": Rule("damage", "the chain hash of a list node follows from its chunks", _WRITER),
        "tail-chain": Rule("damage", "the chain hash of a base follows from its tail", _WRITER),
        "commit-skip": Rule("damage", "the skip of a commit goes as far back as FORMAT.md says", _WRITER),
        "commit-edits": Rule("history", "a commit has the messages that its edits replaced", _WRITER),
        "object-copy": Rule(
            "note", "an object has one file", f"{_LATER}: gc deletes it in time, and discard(path) at once"
        ),
        "object-place": Rule(
            "note",
            "an object is in the folder of its first two digits",
            "move it there, or discard(path) throws it away",
        ),
        "stray-file": Rule(
            "note", "a store has no files that it does not know", "move it elsewhere, or discard(path) throws it away"
        ),
        "temporary-file": Rule("note", "a file that is being written is finished soon", _LATER),
        "constant-file": Rule(
            "note",
            "FORMAT, README.txt and .gitattributes are as in every store",
            "copy it from another store",
        ),
        "open-to-all": Rule("note", "only this user may write into the store", "run `chmod o-w` on it"),
        "database": Rule(
            "damage", "SQLite finds the database whole", "restore it from a backup, or sync another store"
        ),
        "listing": Rule("damage", "the store can be listed", "see what the error says"),
    }
)
"""Every rule by its name. Which severity a finding has is that of its rule."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in a store that is not as it should be.

    Attributes:
        rule: which rule it breaks; path: the file, or where a database or the memory has it; line: from 1, or None.
        severity: "damage", "missing", "history" or "note": see `CheckReport`.
        what: what is wrong; remedy: what to do.
    """

    rule: str
    path: str
    line: int | None
    severity: Severity
    what: str
    remedy: str

    @classmethod
    def of(cls, rule: str, path: object, what: object, line: int | None = None) -> Finding:
        severity, _, remedy = RULES[rule]
        return cls(rule, printable(str(path)), line, severity, printable(str(what)), remedy)

    def __str__(self) -> str:
        where = self.path if self.line is None else f"{self.path}, line {self.line}"
        return f"{self.severity} ({self.rule}): {where}: {self.what}; {self.remedy}"


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check has found.

    Attributes:
        findings: the worst first, then by path. Of "damage" and "missing" a session cannot be read whole; of "history"
            only an earlier state of one cannot; by a "note" nothing is lost.
        refs, objects, bytes: how much was looked at; bytes as stored.
        full: whether each object was read.
    """

    findings: tuple[Finding, ...]
    refs: int
    objects: int
    bytes: int
    full: bool

    @property
    def is_whole(self) -> bool:
        """True where every session can be read whole."""
        return not any(each.severity in ("damage", "missing") for each in self.findings)


_ORDER: Mapping[str, int] = MappingProxyType({"damage": 0, "missing": 1, "history": 2, "note": 3})


def sorted_findings(findings: list[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda each: (_ORDER[each.severity], each.path, each.line or 0, each.rule)))
