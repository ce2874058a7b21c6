"""Commits: round trip, and ways to an ancestor that stay short."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coda_fs_session import StoreError, StoreFormatError
from coda_fs_session.format.commits import Commit, decode_commit, encode_commit
from coda_fs_session.format.ids import object_id
from coda_fs_session.format.records import LARGEST_COUNT, Base, CommitLink
from coda_fs_session.repo.ancestry.ancestors import commit_at

from .drawn import bases, edits, entries, generations, headers, hex64, marks, names, times
from .test_refs import NOW

commits = st.builds(
    Commit,
    *(names, times, times, st.sampled_from(["clear", "seal", "rename"]), st.just("0" * 16), bases),
    generation=st.none() | generations,
    previous=headers.map(lambda header: header.commit),
    skip=headers.map(lambda header: header.commit),
    edits=edits,
    replaced=st.lists(entries, max_size=2).map(tuple),
    marks=marks,
    replica=st.sampled_from(["", "host-00000000"]),
    step=st.just("") | hex64,
)


@given(commits)
def test_round_trip(commit: Commit) -> None:
    """A commit comes back as it was written, and is one line of JSON."""
    data = encode_commit(commit)
    assert decode_commit(data) == commit
    assert data.index(b"\n") == len(data) - 1


class Chain:
    """Commits on top of each other, read through a counter."""

    def __init__(self, length: int) -> None:
        from coda_fs_session.backends.memory import MemoryBackend
        from coda_fs_session.repo.content.objects import Objects

        self.objects = Objects(MemoryBackend(), cached_messages=0, compress_threshold=2**20)
        self.links: list[CommitLink] = []
        for number in range(length):
            previous = self.links[-1] if self.links else None
            skip = self.objects.skip_for(previous)
            commit = Commit(str(number), NOW, NOW, "seal", "0" * 16, Base(), previous=previous, skip=skip)
            new, link = self.objects.new_commit(commit)
            self.objects.put([new])
            self.links.append(link)

    def reads(self, start: int, depth: int) -> int:
        """Return how many commits are read to find the ancestor at `depth`."""
        count = 0
        read = self.objects.commit

        def counting(link: CommitLink) -> Commit:
            nonlocal count
            count += 1
            return read(link)

        self.objects.commit = counting  # type: ignore[method-assign]
        try:
            assert commit_at(self.objects, self.links[start], depth).name == str(depth)
        finally:
            self.objects.commit = read  # type: ignore[method-assign]
        return count


def test_ancestors_are_a_few_steps_away() -> None:
    """Any ancestor of any of 2000 commits is reached in O(log n) reads; the first from the last in about 2 log n."""
    chain = Chain(2000)
    assert [link.depth for link in chain.links] == list(range(2000))
    for start in (1999, 1998, 1500, 1023, 64, 1, 0):
        limit = 3 * math.log2(start + 2) + 3
        for depth in {0, min(start, 1), start // 3, start // 2, max(start - 1, 0), start}:
            assert chain.reads(start, depth) <= limit


def test_a_commit_that_could_not_be_read_is_not_written() -> None:
    """A state that claims more messages or bytes than can be read is refused; one of as many as can be, is not."""
    for messages, size in ((1, 0), (0, 1)):
        base = Base(messages=LARGEST_COUNT + messages, bytes=LARGEST_COUNT + size)
        with pytest.raises(StoreError, match="no program has written"):
            encode_commit(Commit("chat", NOW, NOW, "clear", "0" * 16, base))
    assert encode_commit(Commit("chat", NOW, NOW, "clear", "0" * 16, Base(messages=LARGEST_COUNT, bytes=LARGEST_COUNT)))


def test_a_commit_of_a_later_version_is_refused() -> None:
    """What requires an unknown feature raises StoreFormatError; what is no commit raises ValueError."""
    data = encode_commit(Commit("chat", NOW, NOW, "clear", "0" * 16, Base()))
    with pytest.raises(StoreFormatError, match="version 2"):
        decode_commit(data.replace(b'session":1', b'session":2'))
    with pytest.raises(StoreFormatError, match="wings"):
        decode_commit(data.replace(b'"commit"', b'"requires":["wings"],"commit"'))
    for bad in (b"", b"{}", b"[]", b"null", data[:-9], data.replace(b'"base"', b'"bass"'), object_id(data).encode()):
        with pytest.raises(ValueError):
            decode_commit(bad)
