"""Backends and storages that each break one promise; `noticed_by` says which tests of the kit must fail for it.

Not collected with the other tests: `test_kit.py` runs it, and the failures are what it wants.
"""

from __future__ import annotations

import copy
import json
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest
from backends.test_local import TestLocal as OfFiles
from backends.test_memory import TestMemory as OfMemory

from coda_fs_session import ObjectNotYetHereError, Session, SessionInfo, SessionStorage, StoreError
from coda_fs_session.backends.base import Backend, NewObject, Place, RefKey, RefTakenError, Sign, Snapshot, Token
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.files.backend import LocalBackend
from coda_fs_session.backends.memory import MemoryBackend
from coda_fs_session.testing import Capabilities, SessionStorageTests
from coda_fs_session.testing.kit import managing


class OverMemory(OfMemory):
    broken: ClassVar[type[MemoryBackend]] = MemoryBackend

    @pytest.fixture
    def backend(self) -> MemoryBackend:
        return self.broken()


class TestAppendsWithoutComparing(OverMemory):
    noticed_by = ("test_a_stale_token", "test_what_a_stranger_wrote")

    class broken(MemoryBackend):
        def append_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
            return super().append_ref(key, self._refs[key].token if key in self._refs else expected, data)


class TestReplacesWithoutComparing(OverMemory):
    noticed_by = ("test_a_stale_token", "test_what_a_stranger_wrote", "test_a_ref_that_is_gone")

    class broken(MemoryBackend):
        def replace_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
            return self._place(key, data)


class TestCreatesOverWhatIsThere(OverMemory):
    noticed_by = ("test_a_taken_key", "test_many_new_refs", "test_hostile_names[con.jsonl]")

    class broken(MemoryBackend):
        def create_ref(self, key: RefKey, data: bytes) -> Token:
            return self._place(key, data)


class TestTokenOfTheContent(OverMemory):
    noticed_by = ("test_replacing_with_the_same_bytes",)

    class broken(MemoryBackend):
        def _place(self, key: RefKey, data: bytes) -> Token:
            self._placed += 1
            token = Token(hash(data), len(data))
            self._refs[key] = Snapshot(data, token)
            return token


class TestTokenOfTheSize(OverMemory):
    noticed_by = ("test_create_then_append_then_replace", "test_what_a_stranger_wrote", "test_listed_tokens")

    class broken(MemoryBackend):
        def read_ref(self, key: RefKey) -> Snapshot:
            data = super().read_ref(key).data
            return Snapshot(data, Token(0, len(data)))

        def ref_tokens(self) -> dict[str, Token]:
            return {path: Token(0, token.size) for path, token in super().ref_tokens().items()}


class TestText(OverMemory):
    noticed_by = ("test_any_bytes[no text]", "test_any_bytes[large]")

    class broken(MemoryBackend):
        def read_ref(self, key: RefKey) -> Snapshot:
            data, token = super().read_ref(key)
            return Snapshot(data.replace(b"\r\n", b"\n"), token)


class TestNothingIsNoRef(OverMemory):
    noticed_by = ("test_any_bytes[empty]", "test_threads_with_refs_of_their_own")

    class broken(MemoryBackend):
        def create_ref(self, key: RefKey, data: bytes) -> Token:
            token = super().create_ref(key, data)
            if not data:
                del self._refs[key]
            return token


class TestTrimmedNames(OverMemory):
    noticed_by = ("test_hostile_names[ leading and trailing .jsonl]",)

    class broken(MemoryBackend):
        def ref_tokens(self) -> dict[str, Token]:
            return {path.replace("/ ", "/"): token for path, token in super().ref_tokens().items()}


class TestAnOldMarkerIsGood(OverMemory):
    noticed_by = ("test_identities",)

    class broken(MemoryBackend):
        def ref_identities(self, marker: object, *, but: str | None = None) -> tuple[object, dict[str, int] | None]:
            return (marker, None) if marker is not None else super().ref_identities(None, but=but)


class TestLeavesOutTakenRefs(OverMemory):
    noticed_by = ("test_many_new_refs",)

    class broken(MemoryBackend):
        def create_refs(self, refs: Sequence[tuple[RefKey, bytes]]) -> list[Token | None]:
            return [token for token in super().create_refs(refs) if token is not None]


class TestHoldHidesErrors(OverMemory):
    noticed_by = ("test_an_error_while_holding",)

    class broken(MemoryBackend):
        @contextmanager
        def hold(self, key: RefKey) -> Iterator[None]:
            with suppress(ArithmeticError):
                yield


class TestTogetherHidesErrors(OverMemory):
    noticed_by = ("test_an_error_while_writing_together",)

    class broken(MemoryBackend):
        @contextmanager
        def together(self) -> Iterator[None]:
            with suppress(ArithmeticError):
                yield


class TestTogetherKeepsTheRefOnly(OverMemory):
    noticed_by = ("test_together",)

    class broken(MemoryBackend):
        @contextmanager
        def together(self) -> Iterator[None]:
            before = dict(self._objects)
            yield
            self._objects = before


class TestUnverifiedObjects(OverMemory):
    noticed_by = (
        "test_damage[same length]",
        "test_damage[empty]",
        "test_a_size_that_it_may_not_have[plain]",
        "test_no_objects",
    )

    class broken(MemoryBackend):
        def get_object(self, identity: str, *, size: int | None, limit: int) -> bytes:
            return self._objects.get(identity, b"")


class TestPiecesAreNotVerified(OverMemory):
    noticed_by = ("test_pieces_of_something_else",)

    class broken(MemoryBackend):
        def object_pieces(self, identity: str) -> Iterator[bytes]:
            if identity not in self._objects:
                raise ObjectNotYetHereError(identity)
            yield self._objects[identity]


class TestKeepsTheLastPiece(OverMemory):
    noticed_by = ("test_an_object_in_pieces[small-plain]", "test_pieces_of_something_else")

    class broken(MemoryBackend):
        def put_large_object(self, identity: str, size: int, pieces: Iterable[bytes], *, compress: bool) -> None:
            self._objects[identity] = [*pieces, b""][-1]


class TestTrustsWhatIsThere(OverMemory):
    noticed_by = ("test_damage[cut]",)

    class broken(MemoryBackend):
        def put_objects(self, objects: Iterable[NewObject]) -> None:
            super().put_objects(new for new in objects if new.id not in self._objects)


class TestOneTokenForAllGroups(OverMemory):
    noticed_by = ("test_groups_of_objects",)

    class broken(MemoryBackend):
        def object_groups(self) -> Iterator[tuple[str, Sign]]:
            for group, _ in super().object_groups():
                yield group, Sign((0,))


class TestForgetsWhenClosed(OverMemory):
    noticed_by = ("test_after_close",)

    class broken(MemoryBackend):
        def close(self) -> None:
            self._refs.clear()


class TestMovesAbout(OverMemory):
    noticed_by = ("test_place",)

    class broken(MemoryBackend):
        def place(self) -> Place:
            return Place("memory", Sign((len(self._objects),)))


class TestPreparesAnew(OverMemory):
    noticed_by = ("test_prepare",)

    class broken(MemoryBackend):
        def prepare(self) -> None:
            self._refs.clear()


class TestNotForThreads(OverMemory):
    noticed_by = ("test_threads_with_refs_of_their_own",)

    class broken(MemoryBackend):
        def append_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
            everything = dict(self._refs)
            token = super().append_ref(key, expected, data)
            everything[key] = self._refs[key]
            time.sleep(0.0005)
            self._refs = everything
            return token


class TestReadsTokensLate(OverMemory):
    noticed_by = ("test_threads_that_read",)

    class broken(MemoryBackend):
        def read_ref(self, key: RefKey) -> Snapshot:
            data = super().read_ref(key).data
            time.sleep(0.0005)
            return Snapshot(data, super().read_ref(key).token)

        def append_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
            time.sleep(0.0002)
            return super().append_ref(key, expected, data)


class TestMissingIsEmpty(OverMemory):
    noticed_by = ("test_an_empty_store", "test_a_ref_that_is_gone")

    class broken(MemoryBackend):
        def read_ref(self, key: RefKey) -> Snapshot:
            return self._refs.get(key, Snapshot(b"", Token(0, 0)))


class TestOneFolderDeep(OverMemory):
    noticed_by = ("test_a_ref_further_down",)

    class broken(MemoryBackend):
        def ref_tokens(self) -> dict[str, Token]:
            return {path: token for path, token in super().ref_tokens().items() if path.count("/") == 1}


class TestHoldChangesTheRef(OverMemory):
    noticed_by = ("test_hold",)

    class broken(MemoryBackend):
        @contextmanager
        def hold(self, key: RefKey) -> Iterator[None]:
            yield
            self._place(key, self._refs[key].data)


class TestRemembersObjects(OverMemory):
    noticed_by = ("test_an_object_that_is_gone", "test_damage[same length]")

    class broken(MemoryBackend):
        def put_objects(self, objects: Iterable[NewObject]) -> None:
            for new in objects:
                self.__dict__.setdefault("remembered", {})[new.id] = new.data
                super().put_objects([new])

        def get_object(self, identity: str, *, size: int | None, limit: int) -> bytes:
            found = self.__dict__.get("remembered", {}).get(identity)
            return found if found is not None else super().get_object(identity, size=size, limit=limit)


class TestNothingIsNoObject(OverMemory):
    noticed_by = ("test_any_bytes_in_an_object[empty-plain]",)

    class broken(MemoryBackend):
        def put_objects(self, objects: Iterable[NewObject]) -> None:
            super().put_objects(new for new in objects if new.data)


class TestListsObjectsTwice(OverMemory):
    noticed_by = ("test_objects", "test_any_bytes_in_an_object[zero-to be compressed]")

    class broken(MemoryBackend):
        def objects(self) -> Iterator[tuple[str, int]]:
            yield from super().objects()
            yield from sorted(super().objects())[:1]


class TestSharedForAMoment(OverMemory):
    noticed_by = ("test_capabilities",)

    class broken(MemoryBackend):
        capabilities = Capabilities(persistent=False, shared=True)


class TestNowhere(OverMemory):
    noticed_by = ("test_locate",)

    class broken(MemoryBackend):
        def locate(self, key: RefKey | str) -> str:
            return "somewhere in memory"


class TestEveryReplicaIsHere(OverMemory):
    noticed_by = ("test_replica_marker",)

    class broken(MemoryBackend):
        def replica_marker(self, replica: str, known: list[int] | None = None) -> list[int] | None:
            return []


class TestNothingComes(OverMemory):
    noticed_by = ("test_identities_but_of_one_replica",)

    class broken(MemoryBackend):
        def ref_identities(self, marker: object, *, but: str | None = None) -> tuple[object, dict[str, int] | None]:
            found = super().ref_identities(None if but is None else marker)
            return found if but is None or marker is None else (marker, None)


class OverFiles(OfFiles):
    broken: ClassVar[type[LocalBackend]] = LocalBackend

    @pytest.fixture
    def backend(self, tmp_path: Path) -> LocalBackend:
        return self.broken(tmp_path / "store", files=Files(durable=False))

    def reopen(self, backend: Backend) -> LocalBackend:
        assert isinstance(backend, LocalBackend)
        return self.broken(Path(backend._paths.root), files=Files(durable=False))


class TestWritesLater(OverFiles):
    noticed_by = ("test_reopened", "test_killed_while_appending[7-0.3]", "test_opened_twice")

    class broken(LocalBackend):
        def append_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
            before = self.__dict__.setdefault("later", {}).pop(key, None)
            if before is not None:
                super().append_ref(key, super().read_ref(key).token, before)
            self.__dict__["later"][key] = data
            return expected._replace(size=expected.size + 2 * len(data))


class TestReplacesInPlace(OverFiles):
    noticed_by = ("test_killed_while_replacing[2-0.5]", "test_killed_while_replacing[30-0.7]")

    class broken(LocalBackend):
        def replace_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
            with open(self.locate(key), "wb") as file:
                file.write(data[:1])
                file.flush()
                time.sleep(0.02)
                file.write(data[1:])
            return self.read_ref(key).token


class TestAppendsBetweenOthers(OverFiles):
    noticed_by = ("test_processes_that_append",)

    class broken(LocalBackend):
        def append_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
            before = self.read_ref(key).data
            time.sleep(0.001)
            Path(self.locate(key)).write_bytes(before + data)
            return self.read_ref(key).token

        @contextmanager
        def hold(self, key: RefKey) -> Iterator[None]:
            yield


class TestReplacesWhatOthersReplaced(OverFiles):
    noticed_by = ("test_processes_that_replace",)

    class broken(LocalBackend):
        def replace_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
            time.sleep(0.001)
            return super().replace_ref(key, self.read_ref(key).token, data)


class TestCreatesWhatOthersCreated(OverFiles):
    noticed_by = ("test_processes_that_create",)

    class broken(LocalBackend):
        def create_ref(self, key: RefKey, data: bytes) -> Token:
            path = Path(self.locate(key))
            if path.exists():
                raise RefTakenError(key)
            time.sleep(0.005)
            with suppress(RefTakenError):
                super().create_ref(key, data)
            path.write_bytes(data)
            return self.read_ref(key).token


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
    noticed_by = ("test_save_and_load", "test_list_all", "test_rename", "test_list_sessions")

    class broken(Kept):
        def save(self, session: Session) -> None:
            now = datetime.now()
            super().save(Session(session.name, copy.deepcopy(session.messages), session.metadata, created_at=now))


class TestLosesMetadata(OfStorage):
    noticed_by = ("test_save_and_load", "test_branches", "test_what_is_told_of_a_branch")

    class broken(Kept):
        def encode(self, value: Any) -> Any:
            return super().encode({} if isinstance(value, dict) else value)


class TestFoldsCase(OfStorage):
    noticed_by = ("test_hostile_names[chat]", "test_hostile_names[con]")

    class broken(Kept):
        def key(self, name: str) -> str:
            return name.lower()


class TestAppendsOnly(OfStorage):
    noticed_by = ("test_saving_again", "test_edits")

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
