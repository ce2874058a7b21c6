"""A store and the sessions of it that are open, beside what they should hold, and what is then always true."""

from __future__ import annotations

import copy
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine, invariant
from session_model import SMALL, Open, Stored, by_key, text

from coda_fs_session import Preview, Session, SessionManager
from coda_fs_session.backends import BACKENDS, BackendOptions
from coda_fs_session.backends.base import Backend, MachineState
from coda_fs_session.format.chunks import split
from coda_fs_session.format.tree import chunks
from coda_fs_session.repo.repository import Repository, Settings
from coda_fs_session.repo.storage import RepoStorage


class HeldSessions(RuleBasedStateMachine):
    """Sessions that managers of one store gave out, each with the lists and dicts that it must equal."""

    backend = "memory"
    managers = 1

    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.opener = self.open_backend()
        self.stored: dict[str, Stored] = {}
        self.open: list[Open] = []
        self.versions = 0
        self.manager = [self.fresh_manager() for _ in range(self.managers)]

    def teardown(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def open_backend(self) -> tuple[Backend, MachineState]:
        return BACKENDS[self.backend](BackendOptions(self.folder / "store", self.folder / "state", durable=False))

    def fresh_manager(self) -> SessionManager:
        """Return a manager that knows nothing but what is in the store."""
        if self.backend != "memory":
            self.opener[0].close()
            self.opener = self.open_backend()
        config = {"session": {"autosave_interval": 0, "storage_path": self.folder / "none"}}
        return SessionManager(config, storage=RepoStorage(Repository(*self.opener, Settings(sizes=SMALL))))

    def next_version(self) -> int:
        self.versions += 1
        return self.versions

    def opened(self, manager: int, session: Session) -> Open:
        """Note that a manager gave out a session, which is in step with the store unless it had changes before."""
        there = next((each for each in self.open if each.session is session), None)
        if there is not None and there.changed:
            return there
        stored = self.stored[session.name]
        mine = Open(manager, session, *copy.deepcopy((stored.messages, stored.metadata)), base=copy.deepcopy(stored))
        self.open = [each for each in self.open if each.session is not session] + [mine]
        return mine

    def one(self, place: int) -> Open:
        return self.open[place % len(self.open)]

    # What is always true

    @invariant()
    def open_sessions_hold_what_was_put_into_them(self) -> None:
        for mine in getattr(self, "open", ()):
            session = mine.session
            assert len(session) == len(mine.messages)
            assert text(session.get_messages(5)) == text(mine.messages[-5:])
            assert text(session.get_messages()) == text(mine.messages)
            assert by_key(session._state.metadata.live) == by_key(mine.metadata)
            assert session.has_unsaved_changes == mine.changed

    @invariant()
    def saved_is_what_a_fresh_manager_reads(self) -> None:
        reader = self.fresh_manager() if hasattr(self, "stored") else None
        for name, stored in getattr(self, "stored", {}).items():
            session = reader.load_session(name)
            assert text(session.get_messages(3)) == text(stored.messages[-3:])
            assert text(session.get_messages()) == text(stored.messages)
            assert by_key(session.metadata) == by_key(stored.metadata)
            assert session.parent == stored.parent

    @invariant()
    def lists_agree_with_what_is_stored(self) -> None:
        for manager in getattr(self, "manager", ()):
            infos = {info.name: info for info in manager.list_sessions(hidden=True)}
            assert infos.keys() == self.stored.keys()
            for name, info in infos.items():
                stored = self.stored[name]
                assert info.error is None
                assert info == manager.get_session_info(name)
                assert info.message_count == len(stored.messages)
                assert by_key(info.metadata) == by_key(stored.metadata)
                assert (info.parent, info.forked_at) == (stored.parent, stored.forked_at)
                assert info.preview == Preview.of(stored.messages)
                lines = [json.dumps(m, ensure_ascii=False, separators=(",", ":")) for m in stored.messages]
                assert info.size_bytes == sum(len(line.encode()) + 1 for line in lines)

    @invariant()
    def chunks_are_cut_as_if_saved_at_once(self) -> None:
        """However a session came to its messages, its chunks are those of the same messages saved in one go.

        But after a tail object the last cuts may wait until more has been said; see FORMAT.md, "Cuts".
        """
        reader = self.fresh_manager() if hasattr(self, "stored") else None
        for name in getattr(self, "stored", {}):
            head = reader._storage._cursors[reader.load_session(name)].state
            lines = list(head.messages.read(0, head.count))
            runs = [len(run) for run, closed in split(lines, SMALL) if closed]
            sealed = [entry.messages for _, entry in _chunks(reader, head)]
            tail = head.header.base.tail
            if tail is not None and head.messages.tail_bytes - tail.bytes <= SMALL.deferred:
                runs = runs[: len(sealed)]
            assert sealed == runs


def _chunks(manager: SessionManager, head: Any) -> list[Any]:
    spine = head.header.base.spine
    return list(chunks(spine, 0, spine.messages, manager._storage.repo.objects.node))
