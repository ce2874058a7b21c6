"""Tests of the verbs for objects: put, get and list."""

from __future__ import annotations

import pytest

from ...backends.base import Backend
from ...errors import CorruptionError, ObjectNotYetHereError, UnsupportedError
from .case import LARGE, BackendCase, incompressible, new_object, shown


class ObjectTests(BackendCase):
    """What is promised of objects."""

    def test_no_objects(self, backend: Backend) -> None:
        """What is not there may still be on its way, and the error names it; listing nothing is no error."""
        assert list(backend.objects()) == []
        assert list(backend.object_groups()) == []
        assert list(backend.object_ids("00")) == []
        with pytest.raises(ObjectNotYetHereError) as caught:
            backend.get_object("0" * 64, size=1, limit=1)
        assert caught.value.object_id == "0" * 64

    def test_objects(self, backend: Backend) -> None:
        """What was put is got, by id; putting it again changes nothing; compressed or not, it is the same bytes."""
        backend.prepare()
        made = [new_object(b"%d " % n * 5000, compress=n % 2 == 0) for n in range(150)]
        backend.put_objects(made)
        before = sorted(backend.objects())
        backend.put_objects(iter(made))
        assert sorted(backend.objects()) == before
        assert [identity for identity, _ in before] == sorted(new.id for new in made)
        for new in made:
            assert shown(backend.get_object(new.id, size=len(new.data), limit=len(new.data))) == shown(new.data)
            assert shown(backend.get_object(new.id, size=None, limit=2**20)) == shown(new.data)

    @pytest.mark.parametrize("compress", [False, True], ids=["plain", "to be compressed"])
    @pytest.mark.parametrize(
        "data",
        [b"", b"\x00", b"\r\n\x1a\xff\xfe", b"again " * (LARGE // 6), incompressible(LARGE)],
        ids=["empty", "zero", "no text", "large", "large and without a pattern"],
    )
    def test_any_bytes_in_an_object(self, backend: Backend, data: bytes, compress: bool) -> None:
        """Objects hold bytes, none or many of any value."""
        backend.prepare()
        new = new_object(data, compress=compress)
        backend.put_objects([new])
        assert shown(backend.get_object(new.id, size=len(data), limit=len(data))) == shown(data)
        if not compress:
            assert shown(self.read_raw(backend, new.id)) == shown(data)
        ((identity, stored),) = backend.objects()
        assert identity == new.id
        assert stored > 0 or not data

    @pytest.mark.parametrize("compress", [False, True], ids=["plain", "to be compressed"])
    def test_a_size_that_it_may_not_have(self, backend: Backend, compress: bool) -> None:
        """An object that is not as long as what refers to it says, or longer than allowed, is damage."""
        backend.prepare()
        new = new_object(b"good " * 5000, compress=compress)
        backend.put_objects([new])
        for size, limit in ((len(new.data) + 1, 2**20), (len(new.data) - 1, 2**20), (None, len(new.data) - 1)):
            with pytest.raises(CorruptionError):
                backend.get_object(new.id, size=size, limit=limit)

    @pytest.mark.parametrize("bad", [b"", b"bad! " * 5000, b"good"], ids=["empty", "same length", "cut"])
    def test_damage(self, backend: Backend, bad: bytes) -> None:
        """Bytes that do not belong to an id are never returned as its object; putting the object mends it."""
        backend.prepare()
        new = new_object(b"good " * 5000)
        backend.put_objects([new])
        self.write_raw(backend, new.id, bad)
        for size in (len(new.data), None):
            with pytest.raises(CorruptionError):
                backend.get_object(new.id, size=size, limit=len(new.data))
        backend.put_objects([new_object(b"another"), new])
        assert shown(backend.get_object(new.id, size=len(new.data), limit=len(new.data))) == shown(new.data)
        assert shown(self.read_raw(backend, new.id)) == shown(new.data)

    @pytest.mark.parametrize("compress", [False, True], ids=["plain", "to be compressed"])
    @pytest.mark.parametrize("data", [b"", b"small", b"again " * (LARGE // 6)], ids=["empty", "small", "large"])
    def test_an_object_in_pieces(self, backend: Backend, data: bytes, compress: bool) -> None:
        """Pieces are the object, whichever verb brought it, and what is put in pieces is read whole as well."""
        backend.prepare()
        new, other = new_object(data, compress=compress), new_object(data + b"other", compress=compress)
        backend.put_objects([new])
        assert shown(b"".join(backend.object_pieces(new.id))) == shown(data)
        halves = (other.data[:3], other.data[3:])
        backend.put_large_object(other.id, len(other.data), iter(halves), compress=compress)
        assert shown(b"".join(backend.object_pieces(other.id))) == shown(other.data)
        assert shown(backend.get_object(other.id, size=None, limit=2 * LARGE)) == shown(other.data)
        assert {identity for identity, _ in backend.objects()} == {new.id, other.id}
        with pytest.raises(ObjectNotYetHereError):
            list(backend.object_pieces("0" * 64))

    def test_pieces_of_something_else(self, backend: Backend) -> None:
        """What is not the object of its id is neither kept nor read to the end, and putting the right one mends it."""
        backend.prepare()
        new = new_object(b"good " * (LARGE // 5))
        for pieces, size in (([b"bad"], 3), ([new.data[:-1]], len(new.data)), ([new.data], 3), ([], 0)):
            with pytest.raises(CorruptionError):
                backend.put_large_object(new.id, size, iter(pieces), compress=True)
            with pytest.raises(ObjectNotYetHereError):
                list(backend.object_pieces(new.id))
        backend.put_objects([new])
        self.write_raw(backend, new.id, b"bad! " * (LARGE // 5))
        with pytest.raises(CorruptionError):
            list(backend.object_pieces(new.id))
        backend.put_large_object(new.id, len(new.data), [new.data], compress=False)
        assert shown(b"".join(backend.object_pieces(new.id))) == shown(new.data)

    def test_an_object_that_is_gone(self, backend: Backend) -> None:
        """What a stranger has removed is not there, and can be put again."""
        backend.prepare()
        new, other = new_object(b"good"), new_object(b"other")
        backend.put_objects([new, other])
        self.write_raw(backend, new.id, None)
        with pytest.raises(ObjectNotYetHereError):
            backend.get_object(new.id, size=None, limit=100)
        assert [identity for identity, _ in backend.objects()] == [other.id]
        backend.put_objects([new])
        assert backend.get_object(new.id, size=None, limit=100) == b"good"

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

    def test_an_object_that_is_discarded(self, backend: Backend) -> None:
        """It is gone, and what is behind it too; others stay, and it can be put again. Where nothing is ever removed,
        that is said.
        """
        backend.prepare()
        new, other = new_object(b"discarded" * 500, compress=True), new_object(b"other")
        backend.put_objects([new, other])
        try:
            backend.discard_object(new.id)
        except UnsupportedError:
            assert {identity for identity, _ in backend.objects()} == {new.id, other.id}
            return
        backend.discard_object(new.id)
        assert backend.scrub(lambda data: b"discarded" in data) == []
        assert [identity for identity, _ in backend.objects()] == [other.id]
        with pytest.raises(ObjectNotYetHereError):
            backend.get_object(new.id, size=None, limit=2**20)
        backend.put_objects([new])
        assert backend.get_object(new.id, size=None, limit=2**20) == new.data
        assert backend.get_object(other.id, size=None, limit=2**20) == other.data
