"""Backends that each break one promise; `noticed_by` says which tests of the kit must fail for it.

Neither this file nor those beside it are collected with the other tests: `test_kit.py` runs them, and the failures
are what it wants.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import ClassVar

import pytest
from backends.test_memory import TestMemory as OfMemory

from coda_fs_session import ObjectNotYetHereError
from coda_fs_session.backends.base import (
    Backend,
    Marker,
    NewObject,
    Place,
    RefFolders,
    RefKey,
    RefWrite,
    Sign,
    Snapshot,
    Token,
)
from coda_fs_session.backends.memory import MemoryBackend
from coda_fs_session.testing import Capabilities


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


class TestDiscardsNothing(OverMemory):
    noticed_by = ("test_an_object_that_is_discarded",)

    class broken(MemoryBackend):
        def discard_object(self, identity: str) -> None:
            return


class TestTakesAReplicaFileForARef(OverMemory):
    noticed_by = ("test_replica_files",)

    class broken(MemoryBackend):
        def has_refs(self, replica: str) -> bool:
            return super().has_refs(replica) or replica in self.replica_files()


class TestWritesSomeOfSeveral(OverMemory):
    noticed_by = ("test_several_of_which_one_is_refused[a token]", "test_several_of_which_one_is_refused[a key]")

    class broken(MemoryBackend):
        def write_refs(self, writes: Sequence[RefWrite]) -> list[Token]:
            return Backend.write_refs(self, writes)


class TestWritesSeveralAnew(OverMemory):
    noticed_by = ("test_several_at_once",)

    class broken(MemoryBackend):
        def write_refs(self, writes: Sequence[RefWrite]) -> list[Token]:
            return super().write_refs([write._replace(data=write.data[write.kept :], kept=0) for write in writes])


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
        def ref_folders(self, known: Mapping[str, object], *, but: str | None = None) -> RefFolders:
            return RefFolders(dict(known), {}) if known else super().ref_folders({}, but=but)


class TestTokensOfAll(OverMemory):
    noticed_by = ("test_tokens_of_folders",)

    class broken(MemoryBackend):
        def ref_tokens_in(self, folders: Collection[str]) -> dict[str, Token]:
            return self.ref_tokens()


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
        def replica_marker(
            self, replica: str, known: Marker | None = None, *, only: Collection[str] | None = None
        ) -> Marker | None:
            return {}


class TestNothingComes(OverMemory):
    noticed_by = ("test_identities_but_of_one_replica",)

    class broken(MemoryBackend):
        def ref_folders(self, known: Mapping[str, object], *, but: str | None = None) -> RefFolders:
            return super().ref_folders({}) if but is None or not known else RefFolders(dict(known), {})


class TestWhateverWasInFront(OverMemory):
    noticed_by = ("test_what_was_appended",)

    class broken(MemoryBackend):
        def ref_after(self, key: RefKey, known: Token, front: bytes | bytearray) -> Snapshot | None:
            data, token = self.read_ref(key)
            return Snapshot(data[known.size :], token)
