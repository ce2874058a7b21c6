"""What verbs that keep house have done, or would do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .findings import Finding
from .replicas import ReplicaInfo


@dataclass(frozen=True, slots=True)
class Mended:
    """Something that a repair brings back.

    Attributes:
        path: the damaged or missing file; what: what is brought back, and from where.
    """

    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


@dataclass(frozen=True, slots=True)
class Lost:
    """Messages that nothing here has any more.

    Attributes:
        session: its name; path: the file that lacks them.
        messages: their places in the session, from 0, as ranges; of a damaged file as it was before. Empty where it
            cannot be told how many they were.
        why: what is wrong, and what became of the session.
    """

    session: str
    path: str
    messages: tuple[range, ...]
    why: str

    @property
    def count(self) -> int:
        """How many messages are lost, as far as that can be told."""
        return sum(map(len, self.messages))

    def __str__(self) -> str:
        places = ", ".join(_place(each) for each in self.messages) or "of which it cannot be told how many they were"
        return f"session {self.session!r} lacks messages {places}: {self.why}"


def _place(places: range) -> str:
    return str(places.start) if len(places) == 1 else f"{places.start} to {places.stop - 1}"


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What a repair has done, or would do.

    Attributes:
        mended: what was brought back; lost: which messages were not, by session.
        left: the findings that stay, but for notes. A damaged ref whose intact part is brought back stays as a note.
        dry_run: nothing was done yet.
    """

    mended: tuple[Mended, ...]
    lost: tuple[Lost, ...]
    left: tuple[Finding, ...]
    dry_run: bool


@dataclass(frozen=True, slots=True)
class PurgedPlace:
    """A session in which the text stands.

    Attributes:
        session: its name.
        messages: the places of messages that have it now, from 0.
        earlier: earlier states have it too, or they alone; metadata: its metadata has it.
    """

    session: str
    messages: tuple[int, ...]
    earlier: bool
    metadata: bool

    def __str__(self) -> str:
        places = ", ".join(map(str, self.messages))
        what = [f"messages {places}"] if places else []
        what += ["metadata"] if self.metadata else []
        what += ["earlier states"] if self.earlier else []
        return f"session {self.session!r}: {', '.join(what)}"


@dataclass(frozen=True, slots=True)
class PurgeReport:
    """What a purge has taken out, or would take out.

    Attributes:
        places: the sessions in which it stands, or stood.
        elsewhere: what holds it and is another replica's to write; call the verb there too.
        left: what holds it, or may hold it, and could not be changed, each with what to do.
        dry_run: nothing was done yet.
    """

    places: tuple[PurgedPlace, ...]
    elsewhere: tuple[str, ...]
    left: tuple[str, ...]
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A session that this machine has a record of, which was in a store that is gone.

    Attributes:
        session: its name; messages: how many it had.
        only: the places, from 0, of those that stand in the record, and are not in the store of the manager.
        updated: its last change, in local time; None where the record is damaged.
        problem: what is wrong with the record, or empty.
    """

    session: str
    messages: int
    only: range
    updated: datetime | None
    problem: str = ""

    def __str__(self) -> str:
        if self.problem:
            return f"session {self.session!r}: {self.problem}"
        count = len(self.only)
        if not count:
            return f"session {self.session!r}, {self.messages} messages: nothing that only the record has"
        return f"session {self.session!r}, {self.messages} messages: only the record has the last {count}"


@dataclass(frozen=True, slots=True)
class ForgetReport:
    """What is forgotten of a store that is gone, or would be.

    Attributes:
        sessions: those of which there is a record, by name; deleted ones are left out.
        bytes: what all records hold.
        dry_run: nothing was forgotten yet.
    """

    sessions: tuple[Forgotten, ...]
    bytes: int
    dry_run: bool


@dataclass(frozen=True, slots=True)
class DiscardReport:
    """What became of a file that a check had named, or would.

    Attributes:
        findings: what is wrong with it.
        lost: the session that has messages in this file alone, as far as it can be read; None where there is none.
        kept: where its bytes are kept, in the state folder, until gc has counted a grace.
        dry_run: it is still where it was.
    """

    findings: tuple[Finding, ...]
    lost: Lost | None
    kept: str
    dry_run: bool


@dataclass(frozen=True, slots=True)
class RetireReport:
    """Which replica nobody waits for any more, or would.

    Attributes:
        replica: what the store holds of it, as it was before; its refs stay.
        last_session: the name of the session that it changed last; None where none of its refs can be read.
        dry_run: it is still waited for.
    """

    replica: ReplicaInfo
    last_session: str | None
    dry_run: bool
