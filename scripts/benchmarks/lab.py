"""The sizes of a run, and the stores that its rows share: each is built once, when the first row asks for it."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path

from .contenders import NAMES, Contender
from .contenders.ours import Ours, OursOnSqlite
from .contenders.raw import Raw
from .contenders.sqlite import Sqlite
from .messages import Messages

BATCH = 100_000  # messages per save while building


@dataclass(frozen=True, slots=True)
class Scale:
    small: int = 10
    medium: int = 10_000
    bulk: int = 100_000
    large: int = 1_000_000
    sessions: int = 10_000
    many: tuple[int, ...] = (10_000,)  # sessions in the stores of rows about many
    forks: int = 100
    saves_per_writer: int = 250
    edits: int = 100_000  # of last messages, as they stream in
    short_conversations: int = 1000
    long_conversations: tuple[int, int] = (1000, 300)  # so many, of so many messages
    searched: tuple[int, int] = (1000, 100)  # so many sessions, of so many messages
    brought: int = 5000  # sessions that a sync tool has brought
    imported: int = 10_000
    import_bytes: int = 100 * 10**6
    idle: int = 60  # seconds of watching while nothing happens
    slower: int = 1  # divides the rounds

    @property
    def sizes(self) -> tuple[int, int, int]:
        return self.small, self.medium, self.large


FULL = Scale()
LONG = Scale(many=(10_000, 100_000), import_bytes=10**9, idle=240)
QUICK = Scale(
    medium=1_000,
    bulk=5_000,
    large=20_000,
    sessions=200,
    many=(3_000,),
    forks=10,
    saves_per_writer=10,
    edits=4_000,
    short_conversations=20,
    long_conversations=(20, 300),
    searched=(20, 100),
    brought=200,
    imported=200,
    import_bytes=4 * 10**6,
    idle=3,
    slower=20,
)


class Lab:
    def __init__(self, folder: Path, scale: Scale = FULL, rounds: int | None = None) -> None:
        self.folder = folder
        self.shared = folder / "shared"
        self.scale = scale
        self.messages = Messages()
        self._rounds = rounds
        self._built: set[str] = set()
        self._stores: dict[tuple[int, str], Ours] = {}
        self._spares = count(1)
        self.searched: Ours | None = None  # the store that rows about searching share

    def rounds(self, normal: int) -> int:
        return self._rounds or max(3, normal // self.scale.slower)

    @cached_property
    def ours(self) -> Ours:
        return Ours(self.shared)

    @cached_property
    def on_sqlite(self) -> OursOnSqlite:
        return OursOnSqlite(self.shared)

    @cached_property
    def sqlite(self) -> Sqlite:
        return Sqlite(self.shared)

    @cached_property
    def contenders(self) -> dict[str, Contender]:
        return {"raw": Raw(self.shared), "sqlite": self.sqlite, "ours": self.ours, "ours on sqlite": self.on_sqlite}

    def session(self, size: int, label: str = "messages", names: Sequence[str] = NAMES) -> str:
        """Return the name of a session that had this many messages when it was built, the same for every contender."""
        session = f"{size}-{label}"
        if session not in self._built:
            self._built.add(session)
            if size >= BATCH:
                print(f"... building a session of {size:,} messages", file=sys.stderr, flush=True)
            for done in range(0, size, BATCH):
                messages = self.messages.take(min(BATCH, size - done))
                for name in names:
                    self.contenders[name].fill(session, messages)
            self.end_programs()
        return session

    def store_of(self, number: int, backend: str = "files") -> Ours:
        """Return a store with this many sessions of two messages, the same for every row that asks for it."""
        if (number, backend) not in self._stores:
            self._stores[number, backend] = self.new_store_of(number, backend=backend)
        return self._stores[number, backend]

    def new_store_of(self, number: int, length: int = 2, *, backend: str = "files") -> Ours:
        """Return a new store with this many sessions of so many messages, as a program leaves it that has listed."""
        if number >= BATCH:
            print(f"... building a store of {number:,} sessions", file=sys.stderr, flush=True)
        folder = self.spare()
        building = Ours(folder, durable=False, backend=backend)
        with building.manager as manager, manager.bulk():
            for serial in range(number):
                building.fill(f"session-{serial}", self.messages.take(length))
        # What changed a moment ago may change again without a trace, and is looked at anew by whoever comes next.
        time.sleep(0.1)
        building.keep_index()
        return Ours(folder, backend=backend)

    def end_programs(self) -> None:
        """Leave the stores as they are after whoever used them has ended, for what is to be opened anew."""
        self.ours.keep_index()
        self.on_sqlite.keep_index()

    def spare(self) -> Path:
        """Return a new folder, for rows that need stores of their own."""
        folder = self.folder / f"spare-{next(self._spares)}"
        folder.mkdir()
        return folder
