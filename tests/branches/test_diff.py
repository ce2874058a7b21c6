"""What tells two sessions apart: whatever differs is found, and little else is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from coda_fs_session.backends.memory import MemoryBackend
from coda_fs_session.format.chunks import Sizes
from coda_fs_session.repo.branches import diff as diffing
from coda_fs_session.repo.branches.diff import Diff, Live, diff
from coda_fs_session.repo.content.messages import Draft, MessageList
from coda_fs_session.repo.content.objects import Objects

SMALL = Sizes(minimum=120, spread=300, large=400, full=600, fan_out=3)

texts = st.lists(st.sampled_from(["a", "b", "c" * 50, "d" * 90, "e" * 450]), max_size=40)
"""Texts of messages: some of them fill a chunk alone."""


class Counting(MemoryBackend):
    """Counts the objects that are read."""

    reads = 0

    def get_object(self, identity: str, *, size: int | None, limit: int) -> bytes:
        self.reads += 1
        return super().get_object(identity, size=size, limit=limit)


def new_objects() -> Objects:
    return Objects(Counting(), cached_messages=0, compress_threshold=2**40, most_bytes=2**40)


def said(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def stored(objects: Objects, texts: Sequence[str], start: int = 0) -> Live:
    """Return a list with these texts, of which the first are hidden."""
    draft = Draft(objects, SMALL)
    draft.extend(orjson.dumps(said(text)) for text in texts)
    draft.finish()
    start = min(start, len(texts))
    return Live(MessageList(objects, SMALL, replace(draft.base(), start=0), draft.loose), start)


def applied(texts: Sequence[str], found: Diff) -> list[str]:
    """Return what a list becomes where each difference is done to it."""
    result = list(texts)
    for each in reversed(found.differences):
        assert [message["content"] for message in each.before] == result[each.at : each.at + each.removed]
        result[each.at : each.at + each.removed] = [message["content"] for message in each.after]
    return result


@given(texts, texts, texts, st.integers(0, 5), st.integers(0, 5))
def test_a_diff_leads_from_one_to_the_other(
    front: list[str], one: list[str], other: list[str], hidden: int, hidden_there: int
) -> None:
    """What a diff says, done to the first list, gives the other one; and each difference is at its place in both."""
    objects = new_objects()
    first, second = [*front, *one, *front], [*front, *other, *front]
    found = diff(stored(objects, first, hidden), stored(objects, second, hidden_there))
    shown, shown_there = first[hidden:], second[hidden_there:]
    assert applied(shown, found) == shown_there
    for each in found.differences:
        assert (each.removed, each.added) == (len(each.before), len(each.after))
        assert [message["content"] for message in each.after] == shown_there[each.there : each.there + each.added]
    assert bool(found) == (shown != shown_there)
    assert shown[: found.common] == shown_there[: found.common]


def test_kinds() -> None:
    """A message in place of another is one change; what only one of the two has was added or removed."""
    objects = new_objects()
    found = diff(stored(objects, "abcd"), stored(objects, ["a", "X", "c", "d", "e"]))
    assert [(each.kind, each.at, each.there) for each in found.differences] == [("changed", 1, 1), ("added", 4, 4)]
    found = diff(stored(objects, "abcd"), stored(objects, "ad"))
    assert [(each.kind, each.at, each.removed) for each in found.differences] == [("removed", 1, 2)]
    assert str(found).splitlines()[:2] == ["@@ -1,2 +1,0 @@", '- {"role":"user","content":"b"}']
    assert not diff(stored(objects, "ab"), stored(objects, "ab"))


def test_words() -> None:
    """A changed message tells which of its words changed; where its text is the same, what else did."""
    objects = new_objects()
    found = diff(stored(objects, ["I like green tea."]), stored(objects, ["I like black tea!"]))
    (change,) = found.differences
    assert change.words() == [("=", "I like "), ("-", "green"), ("+", "black"), ("=", " tea"), ("-", "."), ("+", "!")]
    assert "".join(text for sign, text in change.words() if sign != "-") == "I like black tea!"
    line = orjson.dumps({"role": "assistant", "content": "x"})
    draft = Draft(objects, SMALL)
    draft.extend([line])
    (change,) = diff(
        stored(objects, ["x"]), Live(MessageList(objects, SMALL, draft.base(), draft.loose), 0)
    ).differences
    assert ("-", "user") in change.words()
    assert ("+", "assistant") in change.words()


def test_what_is_equal_is_not_read() -> None:
    """Of long lists that differ at the end, the middle or the front, the chunks that both have are not read."""
    texts = [f"{number} of many" for number in range(2000)]
    for place in (0, 1000, 1999):
        objects = new_objects()
        changed = [*texts[:place], "another", *texts[place + 1 :]]
        lists = stored(objects, texts), stored(objects, changed)
        objects.backend.reads = 0  # type: ignore[attr-defined]
        (change,) = diff(*lists).differences
        assert (change.kind, change.at) == ("changed", place)
        chunks = sum(len(stored(objects, each).chunks(0)) for each in (texts, changed))
        assert objects.backend.reads < chunks // 2  # type: ignore[attr-defined]


def test_a_large_stretch_is_not_looked_into(monkeypatch: Any) -> None:
    """Beyond the limit a place says how many messages are replaced, and holds none of them."""
    monkeypatch.setattr(diffing, "LARGEST_STRETCH", 10)
    objects = new_objects()
    found = diff(stored(objects, "abcdef"), stored(objects, "uvwxyz"))
    assert [(each.kind, each.removed, each.added, each.before) for each in found.differences] == [
        ("replaced", 6, 6, ())
    ]
    assert found.differences[0].words() == []
