"""What every backend promises, as tests to inherit: see `coda_fs_session.backends.base.Backend`."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor

import pytest

from coda_fs_session import ObjectNotYetHereError
from coda_fs_session.backends.base import Backend, NewObject, RefChangedError, RefKey, RefTakenError

KEY = RefKey("here-00000001/chat.jsonl")
OTHER = RefKey("there-00000002/chat.jsonl")


def new_object(data: bytes, *, compress: bool = False) -> NewObject:
    return NewObject(hashlib.sha256(data).hexdigest(), data, compress)


class BackendContract(ABC):
    """Subclass with a `backend` fixture; the raw hook goes around the code under test."""

    @pytest.fixture
    @abstractmethod
    def backend(self) -> Backend: ...

    @abstractmethod
    def overwrite(self, backend: Backend, key: RefKey, data: bytes) -> None:
        """Put other bytes in a ref's place, as a stranger would."""

    def test_an_empty_store(self, backend: Backend) -> None:
        """Before anything is written there is nothing, and looking makes nothing."""
        assert list(backend.refs()) == []
        assert list(backend.objects()) == []
        assert list(backend.ref_sizes()) == []
        assert backend.ref_identities(None)[1] == {}
        with pytest.raises(KeyError):
            backend.read_ref(KEY)
        with pytest.raises(ObjectNotYetHereError) as caught:
            backend.get_object("0" * 64, size=1, limit=1)
        assert caught.value.object_id == "0" * 64

    def test_create_then_append_then_replace(self, backend: Backend) -> None:
        """Each verb returns the token of what it left, which is what reading gives with those bytes."""
        backend.prepare()
        token = backend.create_ref(KEY, b"one\n")
        assert backend.read_ref(KEY) == type(backend.read_ref(KEY))(b"one\n", token)
        following = backend.append_ref(KEY, token, b"two\n")
        assert following != token
        snapshot = backend.read_ref(KEY)
        assert (snapshot.data, snapshot.token) == (b"one\ntwo\n", following)
        last = backend.replace_ref(KEY, following, b"three\n")
        snapshot = backend.read_ref(KEY)
        assert (snapshot.data, snapshot.token) == (b"three\n", last)
        assert len({token, following, last}) == 3
        assert [key for key, _ in backend.refs()] == [KEY]
        assert list(backend.ref_sizes()) == [6]

    def test_a_taken_key(self, backend: Backend) -> None:
        """Creating never replaces; keys of other replicas are others."""
        backend.prepare()
        backend.create_ref(KEY, b"one\n")
        with pytest.raises(RefTakenError):
            backend.create_ref(KEY, b"two\n")
        backend.create_ref(OTHER, b"two\n")
        assert (backend.read_ref(KEY).data, backend.read_ref(OTHER).data) == (b"one\n", b"two\n")
        assert {key.replica for key, _ in backend.refs()} == {"here-00000001", "there-00000002"}

    def test_a_stale_token(self, backend: Backend) -> None:
        """With the token of an earlier state nothing is appended or replaced, and the newer state stays."""
        backend.prepare()
        old = backend.create_ref(KEY, b"one\n")
        current = backend.append_ref(KEY, old, b"two\n")
        for _ in range(2):
            with pytest.raises(RefChangedError):
                backend.append_ref(KEY, old, b"lost\n")
            with pytest.raises(RefChangedError):
                backend.replace_ref(KEY, old, b"lost\n")
        assert backend.read_ref(KEY).data == b"one\ntwo\n"
        backend.append_ref(KEY, current, b"three\n")
        assert backend.read_ref(KEY).data == b"one\ntwo\nthree\n"

    def test_a_ref_that_is_gone(self, backend: Backend) -> None:
        """There is nothing to compare with: changed, not an error of the disk."""
        backend.prepare()
        token = backend.create_ref(KEY, b"one\n")
        for verb in (backend.append_ref, backend.replace_ref):
            with pytest.raises(RefChangedError):
                verb(OTHER, token, b"two\n")

    def test_what_a_stranger_wrote(self, backend: Backend) -> None:
        """A ref that something else replaced, with more bytes, fewer or as many, is changed for all verbs."""
        backend.prepare()
        for number, data in enumerate((b"one\nmore\n", b"x\n", b"two\n")):
            key = RefKey(f"here-00000001/chat{number}.jsonl")
            token = backend.create_ref(key, b"one\n")
            self.overwrite(backend, key, data)
            with pytest.raises(RefChangedError):
                backend.append_ref(key, token, b"lost\n")
            with pytest.raises(RefChangedError):
                backend.replace_ref(key, token, b"lost\n")
            snapshot = backend.read_ref(key)
            assert snapshot.data == data
            assert snapshot.token != token
            backend.append_ref(key, snapshot.token, b"after\n")
            assert backend.read_ref(key).data == data + b"after\n"

    def test_hold(self, backend: Backend) -> None:
        """Within `hold` the holder reads and writes as always, and afterwards everybody does."""
        backend.prepare()
        backend.create_ref(KEY, b"one\n")
        with backend.hold(KEY):
            token = backend.append_ref(KEY, backend.read_ref(KEY).token, b"two\n")
            token = backend.replace_ref(KEY, token, b"three\n")
            token = backend.append_ref(KEY, token, b"four\n")
        backend.append_ref(KEY, token, b"five\n")
        assert backend.read_ref(KEY).data == b"three\nfour\nfive\n"

    def test_objects(self, backend: Backend) -> None:
        """What was put is got, by id; putting it again changes nothing; compressed or not, it is the same bytes."""
        backend.prepare()
        made = [new_object(b"%d " % n * 5000, compress=n % 2 == 0) for n in range(150)]
        backend.put_objects(made)
        before = sorted(backend.objects())
        backend.put_objects(iter(made))
        assert sorted(backend.objects()) == before
        assert {identity for identity, _ in before} == {new.id for new in made}
        for new in made:
            assert backend.get_object(new.id, size=len(new.data), limit=len(new.data)) == new.data
            assert backend.get_object(new.id, size=None, limit=2**20) == new.data

    def test_identities(self, backend: Backend) -> None:
        """They tell refs that came or went; with a marker that is still good there is nothing to tell."""
        backend.prepare()
        token = backend.create_ref(KEY, b"one\n")
        marker, found = backend.ref_identities(None)
        assert found == {KEY.path: token[0]}
        token = backend.append_ref(KEY, token, b"two\n")
        again, unchanged = backend.ref_identities(marker)
        assert unchanged in (None, {KEY.path: token[0]})
        backend.create_ref(OTHER, b"three\n")
        _, found = backend.ref_identities(again)
        assert found is not None
        assert set(found) == {KEY.path, OTHER.path}

    def test_many_new_refs(self, backend: Backend) -> None:
        """Each is there with its token, in the order given; what was taken stays as it was and is told apart."""
        backend.prepare()
        backend.create_ref(KEY, b"one\n")
        keys = [RefKey(f"there-00000002/chat{number}.jsonl") for number in range(150)]
        tokens = backend.create_refs([(KEY, b"lost\n"), *((key, b"%s\n" % key.path.encode()) for key in keys)])
        assert tokens[0] is None
        assert backend.read_ref(KEY).data == b"one\n"
        for key, token in zip(keys, tokens[1:], strict=True):
            snapshot = backend.read_ref(key)
            assert (snapshot.data, snapshot.token) == (f"{key.path}\n".encode(), token)
            backend.append_ref(key, snapshot.token, b"two\n")
        assert {key for key, _ in backend.refs()} == {KEY, *keys}
        assert backend.create_refs([]) == []

    def test_a_ref_further_down(self, backend: Backend) -> None:
        """Where a sync tool or a person has put one deeper, it can be kept there too."""
        backend.prepare()
        deep = RefKey("there-00000002/kept by hand/of May/chat.jsonl")
        backend.create_refs([(deep, b"one\n")])
        assert backend.read_ref(deep).data == b"one\n"
        assert [key for key, _ in backend.refs()] == [deep]

    def test_groups_of_objects(self, backend: Backend) -> None:
        """They hold every object, and the token of a group changes when one comes, that of others does not."""
        backend.prepare()
        made = [new_object(b"%d" % number) for number in range(600)]
        assert list(backend.object_groups()) == []
        backend.put_objects(made)
        groups = dict(backend.object_groups())
        assert {each for group in groups for each in backend.object_ids(group)} == {new.id for new in made}
        assert all(each.startswith(group) for group in groups for each in backend.object_ids(group))
        one = new_object(b"one more")
        backend.put_objects([one])
        assert dict(backend.object_groups())[one.id[:2]] != groups.get(one.id[:2])
        assert one.id in set(backend.object_ids(one.id[:2]))
        assert list(backend.object_ids("zz")) == []

    def test_place(self, backend: Backend) -> None:
        """It names the store that is there, and stays as it is whatever is written into that."""
        backend.prepare()
        before = backend.place()
        assert before.store is not None
        backend.create_ref(KEY, b"one\n")
        backend.put_objects([new_object(b"one")])
        assert backend.place() == before

    def test_locate(self, backend: Backend) -> None:
        """Errors can say where something is."""
        assert KEY.path in backend.locate(KEY)
        assert "ab" * 32 in backend.locate("ab" * 32)

    def test_after_close(self, backend: Backend) -> None:
        """A closed backend may be used again."""
        backend.prepare()
        token = backend.create_ref(KEY, b"one\n")
        token = backend.append_ref(KEY, token, b"two\n")
        backend.close()
        backend.close()
        backend.append_ref(KEY, token, b"three\n")
        assert backend.read_ref(KEY).data == b"one\ntwo\nthree\n"

    def test_threads_with_refs_of_their_own(self, backend: Backend) -> None:
        """Threads that each write their own refs do not disturb each other."""
        backend.prepare()

        def work(number: int) -> None:
            key = RefKey(f"here-00000001/chat{number}.jsonl")
            token = backend.create_ref(key, b"")
            for step in range(20):
                token = backend.append_ref(key, token, b"%d\n" % step)
                backend.put_objects([new_object(b"%d" % step)])

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(16)))
        expected = b"".join(b"%d\n" % step for step in range(20))
        assert [backend.read_ref(key).data for key, _ in backend.refs()] == [expected] * 16
