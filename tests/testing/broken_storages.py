"""Storages that each break one promise; see `broken.py`."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest

from coda_fs_session import Preview, Session, SessionInfo, SessionStorage, StoreError
from coda_fs_session.backends.memory import MemoryBackend, MemoryState
from coda_fs_session.repo.repository import Repository, Settings
from coda_fs_session.repo.storage import RepoStorage
from coda_fs_session.testing import Capabilities, SessionStorageTests
from coda_fs_session.testing.kit import managing

LONG_AGO = datetime(2000, 1, 1)


class Kept(SessionStorage):
    """A storage without faults, but for those that the classes below add."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def key(self, name: str) -> str:
        return name

    def encode(self, value: Any) -> Any:
        return json.dumps(value)

    def decode(self, value: Any) -> Any:
        return json.loads(value)

    def save(self, session: Session) -> None:
        times = session.created_at, session.updated_at
        kept = (session.name, self.encode(session.messages), self.encode(session.metadata), times)
        self.kept[self.key(session.name)] = kept

    def load(self, name: str) -> Session | None:
        if self.key(name) not in self.kept:
            return None
        kept, messages, metadata, (created, updated) = self.kept[self.key(name)]
        session = Session(kept, self.decode(messages), self.decode(metadata), created_at=created, updated_at=updated)
        return session

    def delete(self, name: str) -> None:
        del self.kept[self.key(name)]

    def list_all(self) -> list[SessionInfo]:
        listed = []
        for name, messages, metadata, (created, updated) in list(self.kept.values()):
            try:
                decoded = self.decode(messages)
            except ValueError as error:
                listed.append(self.bad(name, error))
                continue
            listed.append(SessionInfo(name, len(decoded), created, updated, self.decode(metadata), len(str(decoded))))
        return listed

    def bad(self, name: str, error: ValueError) -> SessionInfo:
        return SessionInfo(name, 0, datetime.min, datetime.min, {}, 0, error=StoreError(str(error)))


class OfStorage(SessionStorageTests):
    broken: ClassVar[type[Kept]] = Kept

    @pytest.fixture
    def storage(self) -> Kept:
        return self.broken()

    def damage(self, storage: SessionStorage, name: str) -> None:
        assert isinstance(storage, Kept)
        storage.kept[name] = (name, "{", "{}", (datetime.min, datetime.min))


class TestKeepsTheSessionItself(OfStorage):
    noticed_by = ("test_what_is_kept_is_a_copy",)

    class broken(Kept):
        def encode(self, value: Any) -> Any:
            return value

        def decode(self, value: Any) -> Any:
            return value


class TestSortsKeys(OfStorage):
    noticed_by = ("test_save_and_load", "test_create_save_and_load", "test_export_and_import")

    class broken(Kept):
        def encode(self, value: Any) -> Any:
            return json.dumps(value, sort_keys=True)


class TestLosesTypes(OfStorage):
    noticed_by = ("test_save_and_load", "test_edits")

    class broken(Kept):
        def encode(self, value: Any) -> Any:
            return json.dumps(value).replace("true", "1").replace("-0.0", "0.0")


class TestLosesTimes(OfStorage):
    noticed_by = ("test_save_and_load", "test_list_all", "test_rename", "test_list_sessions", "test_times")

    class broken(Kept):
        def save(self, session: Session) -> None:
            now = datetime.now()
            super().save(Session(session.name, copy.deepcopy(session.messages), session.metadata, created_at=now))


class TestLosesMetadata(OfStorage):
    noticed_by = ("test_save_and_load", "test_branches", "test_what_is_told_of_a_branch")

    class broken(Kept):
        def encode(self, value: Any) -> Any:
            return super().encode({} if isinstance(value, dict) else value)


class TestStoresABranchBeforeItIsAsked(OfStorage):
    noticed_by = ("test_a_transaction",)

    class broken(Kept):
        def branched(self, parent: Session, name: str, at: int | None, **times: datetime | None) -> Session:
            child = super().branched(parent, name, at, **times)
            self.save(child)
            return child

        def exists(self, name: str) -> bool:
            # So that nothing else notices it.
            return False


class TestFoldsCase(OfStorage):
    noticed_by = ("test_hostile_names[chat]", "test_hostile_names[con]")

    class broken(Kept):
        def key(self, name: str) -> str:
            return name.lower()


class TestAppendsOnly(OfStorage):
    noticed_by = ("test_saving_again", "test_edits", "test_parts")

    class broken(Kept):
        def save(self, session: Session) -> None:
            before = self.load(session.name)
            grown = len(session) > len(before or ())
            if before is None or grown:
                super().save(session)


class TestSavesOnce(OfStorage):
    noticed_by = ("test_what_nobody_saved", "test_what_cannot_be_saved", "test_watch")

    class broken(Kept):
        def save(self, session: Session) -> None:
            if session.name not in self.kept:
                super().save(session)

    def test_watch(self, storage: SessionStorage, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[override]
        """As it is, but for half a minute of patience."""
        monkeypatch.setattr(managing, "_PATIENCE", 0.1)
        super().test_watch(storage)


class TestNeverDeletes(OfStorage):
    noticed_by = ("test_delete", "test_delete_session", "test_rename")

    class broken(Kept):
        def delete(self, name: str) -> None:
            return


class TestMissingIsAnEmptySession(OfStorage):
    noticed_by = ("test_nothing_kept", "test_create_save_and_load")

    class broken(Kept):
        def load(self, name: str) -> Session | None:
            return super().load(name) or Session(name)


class TestCutsWhatIsLarge(OfStorage):
    noticed_by = ("test_large",)

    class broken(Kept):
        def decode(self, value: Any) -> Any:
            decoded = super().decode(value)
            return decoded[-1000:] if isinstance(decoded, list) else decoded


class TestNeverRefreshes(OfStorage):
    noticed_by = ("test_a_clean_session_is_refreshed",)

    class broken(Kept):
        def refresh(self, session: Session) -> bool:
            return session.name in self.kept


class TestShowsWhatItShowedFirst(OfStorage):
    noticed_by = ("test_previews",)

    class broken(Kept):
        first: Preview | None = None

        def list_all(self) -> list[SessionInfo]:
            infos = super().list_all()
            for info in infos:
                session = self.load(info.name)
                if self.first is None and session is not None:
                    self.first = Preview.of(session.messages)
                info.preview = self.first or Preview()
            return infos


class TestPassesDamageOffAsMissing(OfStorage):
    noticed_by = ("test_damage",)

    class broken(Kept):
        def load(self, name: str) -> Session | None:
            try:
                return super().load(name)
            except ValueError:
                return None

        def list_all(self) -> list[SessionInfo]:
            bad = [name for name in self.kept if self.load(name) is None]
            for name in bad:
                del self.kept[name]
            return super().list_all()


class TestListsOneTime(OfStorage):
    noticed_by = ("test_search", "test_list_sessions")

    class broken(Kept):
        def list_all(self) -> list[SessionInfo]:
            return [dataclasses.replace(info, created_at=LONG_AGO, updated_at=LONG_AGO) for info in super().list_all()]


class TestStopsListingAtDamage(OfStorage):
    noticed_by = ("test_damage",)

    class broken(Kept):
        def bad(self, name: str, error: ValueError) -> SessionInfo:
            raise error


class TestNotForThreadsEither(OfStorage):
    noticed_by = ("test_threads",)

    class broken(Kept):
        def save(self, session: Session) -> None:
            everything = dict(self.kept)
            super().save(session)
            everything[session.name] = self.kept[session.name]
            time.sleep(0.001)
            self.kept = everything


class Folder(Kept):
    """One JSON file for everything, which is nothing for several processes."""

    mutex = threading.RLock()

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def kept(self) -> dict[str, Any]:  # type: ignore[override]
        found = json.loads(self.path.read_bytes()) if self.path.exists() else {}
        for each in found.values():
            each[3] = [datetime.fromisoformat(time) for time in each[3]]
        return found

    def save(self, session: Session) -> None:
        times = [session.created_at.isoformat(), session.updated_at.isoformat()]
        with self.mutex:
            self.put(session, times)

    def put(self, session: Session, times: list[str]) -> None:
        found = json.loads(self.path.read_bytes()) if self.path.exists() else {}
        found[session.name] = [session.name, self.encode(session.messages), self.encode(session.metadata), times]
        self.write(json.dumps(found))

    def delete(self, name: str) -> None:
        found = json.loads(self.path.read_bytes())
        del found[name]
        self.write(json.dumps(found))

    def write(self, text: str) -> None:
        scratch = self.path.with_suffix(f".{os.getpid()}")
        scratch.write_text(text)
        scratch.replace(self.path)


class TestHasTheHistoryOfAnother(OfStorage):
    noticed_by = ("test_history", "test_merges")

    class broken(Kept):
        other: ClassVar[SessionStorage] = RepoStorage(Repository(MemoryBackend(), MemoryState(), Settings()))

        def engine(self) -> object:
            return self.other


class OfFolder(SessionStorageTests):
    capabilities = Capabilities(persistent=True, shared=False)
    broken: ClassVar[type[Folder]] = Folder

    @pytest.fixture
    def storage(self, tmp_path: Path) -> Folder:
        return self.broken(tmp_path / "sessions.json")

    def reopen(self, storage: SessionStorage) -> Folder:
        assert isinstance(storage, Folder)
        return self.broken(storage.path)


class TestOneFileForAllProcesses(OfFolder):
    noticed_by = ("test_processes",)
    capabilities = Capabilities(persistent=True, shared=True)

    class broken(Folder):
        def write(self, text: str) -> None:
            time.sleep(0.002)
            super().write(text)


class TestWritesInPlace(OfFolder):
    noticed_by = ("test_killed_while_saving[5-0.5]",)

    class broken(Folder):
        def write(self, text: str) -> None:
            with open(self.path, "w") as file:
                file.write(text[:100])
                file.flush()
                time.sleep(0.02)
                file.write(text[100:])


class TestSavesLater(OfFolder):
    noticed_by = ("test_killed_while_saving[5-0.5]", "test_reopened")

    class broken(Folder):
        def save(self, session: Session) -> None:
            before = self.__dict__.pop("later", None)
            if before is not None:
                super().save(before)
            self.__dict__["later"] = Session(session.name, session.get_messages())
