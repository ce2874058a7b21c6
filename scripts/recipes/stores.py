"""What the recipes of stores share: a clock that they set, and small chunks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from coda_fs_session import Session, SessionManager
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.disk.paths import READMES
from coda_fs_session.backends.files.backend import LocalBackend
from coda_fs_session.backends.machine.state import LocalState
from coda_fs_session.format import names
from coda_fs_session.format.chunks import Sizes
from coda_fs_session.repo.repository import Repository, Settings
from coda_fs_session.repo.storage import RepoStorage

SMALL = Sizes(minimum=512, spread=1024, large=4096, full=3072, fan_out=3, deferred=0)
"""So small that a few dozen messages make a tree of several levels; readers do not depend on these numbers."""

Message = dict[str, Any]


@contextmanager
def early_keys() -> Iterator[None]:
    """Let names have the keys that the version gave them which these fixtures are of: FORMAT.md, "Names and keys"."""

    def slug(name: str) -> str:
        text = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-").replace("conflict", "x")
        return f"x-{text}" if text in names._DEVICES else text or "x"

    with mock.patch.object(names, "_slug", slug):
        yield


@dataclass
class Clock:
    """Stands still until it is told to go on."""

    now: datetime = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self) -> None:
        self.now += timedelta(minutes=1)


@dataclass
class Machine:
    """One replica of a store."""

    root: Path
    state: Path
    replica: str
    clock: Clock = field(default_factory=Clock)
    on_conflict: str = "append"
    sizes: Sizes = SMALL
    manager: SessionManager = field(init=False)

    def __post_init__(self) -> None:
        if not self.root.exists():
            # The one of the version that these fixtures are of: a store keeps its own, and so do they.
            self.root.mkdir(parents=True)
            (self.root / "README.txt").write_bytes(READMES[-2])
        backend = LocalBackend(self.root, files=Files(durable=False))
        state = LocalState(self.root, folder=self.state / self.replica, replica=self.replica)
        settings = Settings(
            on_conflict=self.on_conflict, compress_threshold_bytes=4096, sizes=self.sizes, clock=self.clock
        )
        storage = RepoStorage(Repository(backend, state, settings))
        self.manager = SessionManager({"session": {"autosave_interval": 0}}, storage=storage)

    def start(self, name: str, messages: Sequence[Message] = (), metadata: dict[str, Any] | None = None) -> Session:
        """Create a session with messages in it."""
        session = Session(name, list(messages), metadata, created_at=self.clock())
        session._state.updated = self.clock()
        self.manager.save_session(session)
        self.clock.advance()
        return session

    def save(self, session: Session, *messages: Message) -> None:
        """Add messages and save them all at once."""
        for message in messages:
            session.add_message(message)
        self.manager.save_session(session)
        self.clock.advance()

    def branch(self, name: str, parent: str, at: int | None = None) -> Session:
        session = self.manager.create_session(name, branch_from=parent, at=at)
        self.clock.advance()
        return session
