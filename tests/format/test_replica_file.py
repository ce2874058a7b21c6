"""What a replica says of itself: written, read, and united of two states of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coda_fs_session import CorruptionError, StoreFormatError
from coda_fs_session.format.ids import ObjectId
from coda_fs_session.format.replica_file import ReplicaFile, encode_replica_file, parse_replica_file

ONE, TWO, THREE = (ObjectId(digit * 64) for digit in "123")
SAID = ReplicaFile("desk", 7, ONE, (TWO,), (TWO, THREE), ("laptop",), (THREE,), {"colour": ["teal"]})


def read(data: bytes) -> ReplicaFile:
    return parse_replica_file(data, "desk", "replica.json")


def test_it_is_read_as_it_was_written() -> None:
    """All of it, with fields of a later version; and the first that a replica says is short."""
    assert read(encode_replica_file(SAID)) == SAID
    said = encode_replica_file(ReplicaFile("desk", 1))
    assert read(said) == ReplicaFile("desk", 1)
    assert said.startswith(b'{"coda_fs_session":1,"replica":"desk","writes":1,"id":"')


@pytest.mark.parametrize("at", range(0, 200, 7))
def test_a_changed_byte_is_damage(at: int) -> None:
    """Whichever it is: an acknowledgement that nobody gave must not be read."""
    data = bytearray(encode_replica_file(SAID))
    data[at] ^= 1
    with pytest.raises((CorruptionError, StoreFormatError)):
        read(bytes(data))


@pytest.mark.parametrize("data", [b"", b"{}", b"[]\n", b"\0" * 600, encode_replica_file(SAID)[:-1]])
def test_what_is_none_is_damage(data: bytes) -> None:
    """Nothing, something else, and what was cut off by its last byte."""
    with pytest.raises(CorruptionError, match=r"replica\.json, line 1"):
        read(data)


def test_that_of_another_replica_is_damage() -> None:
    """A file that was copied from one replica's folder into another's speaks for none of them."""
    with pytest.raises(CorruptionError, match="another replica"):
        parse_replica_file(encode_replica_file(SAID), "laptop", "replica.json")


@pytest.mark.parametrize(
    "bad",
    [
        replace(SAID, condemned=ObjectId("x")),
        replace(SAID, done=(ObjectId("1" * 63),)),
        replace(SAID, retired=("UPPER",)),
        replace(SAID, writes=-1),
    ],
)
def test_bad_values_are_damage(bad: ReplicaFile) -> None:
    """A line that matches its id may still hold what is no id."""
    with pytest.raises(CorruptionError):
        read(encode_replica_file(bad))


def test_a_newer_version_is_refused() -> None:
    """It is no damage: nobody may write it anew."""
    with pytest.raises(StoreFormatError):
        read(encode_replica_file(replace(SAID, extra={"requires": [{"feature": "teleport", "since": "9.1"}]})))


def test_two_states_are_united() -> None:
    """All that either says counts, and what is condemned by the later one, in whatever order they are united."""
    earlier = replace(SAID, writes=6, condemned=TWO, acknowledged=(ONE,), purged=())
    later = replace(SAID, condemned=None)
    expected = replace(later, acknowledged=(ONE, TWO, THREE))
    assert earlier.united(later) == later.united(earlier) == expected
    assert expected.contains(earlier)
    assert expected.contains(later)
    assert not earlier.contains(later)
    assert not later.contains(earlier)
