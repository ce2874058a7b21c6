"""The working copy: every change of the live list is found, and none that is not there."""

from __future__ import annotations

import copy
import math
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coda_fs_session import InvalidMessageError
from coda_fs_session.format.jsonl import decode, encode_message
from coda_fs_session.session.splice import Splice
from coda_fs_session.session.working_copy import WorkingCopy


class Saved:
    """Saved lines; counts how many were read."""

    def __init__(self, lines: list[bytes]) -> None:
        self.lines = lines
        self.reads = 0

    def __len__(self) -> int:
        return len(self.lines)

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        for line in self.lines[start:stop]:
            self.reads += 1
            yield line

    def size(self, start: int, stop: int) -> int:
        return sum(len(line) + 1 for line in self.lines[start:stop])

    def mark(self, count: int) -> str:
        return str(self.lines[:count])


def lines_of(messages: list[dict[str, Any]]) -> list[bytes]:
    return [encode_message(message, "m") for message in messages]


def saved_copy(messages: list[dict[str, Any]]) -> WorkingCopy:
    return WorkingCopy(Saved(lines_of(messages)))


def applied(splice: Splice, saved: list[bytes]) -> list[bytes]:
    return saved[splice.drop : splice.keep] + splice.lines + saved[splice.resume :]


values = st.sampled_from(
    [0, 1, True, False, 1.0, 0.0, -0.0, None, "", "1", [], {}, [1], [True], {"a": 1, "b": 2}, {"b": 2, "a": 1}]
)
messages = st.builds(lambda value, n: {"value": copy.deepcopy(value), "n": n}, values, st.integers(0, 2))
lists = st.lists(messages, max_size=8)


@given(lists, lists, st.booleans())
def test_any_new_list_is_found_exactly(
    before: list[dict[str, Any]], after: list[dict[str, Any]], read_first: bool
) -> None:
    """Whatever is assigned, the change applied to the saved lines gives it; size and `changed` agree."""
    saved = lines_of(before)
    work = WorkingCopy(Saved(saved))
    if read_first:
        work.live()
    work.assign(copy.deepcopy(after))
    splice = work.splice()
    expected = lines_of(after)
    assert applied(splice, saved) == expected
    assert splice.size == sum(len(line) + 1 for line in expected)
    assert splice.result_count() == len(expected)
    assert splice.saved == len(saved)
    assert splice.empty == (saved == expected) == (not work.changed())
    work.mark_saved(Saved(expected))
    assert not work.changed()
    assert work.splice().empty


STEPS = ["append", "extend", "add", "again", "keep", "front", "insert", "delete", "set", "nested", "save", "live"]


@given(
    lists,
    st.lists(
        st.tuples(
            st.sampled_from(STEPS),
            st.integers(0, 9),
            messages,
        )
    ),
)
def test_any_history_of_changes(before: list[dict[str, Any]], steps: list[tuple[str, int, dict[str, Any]]]) -> None:
    """Through appends, truncations, edits in place and saves the copy is the plain list, and each save its lines."""
    model, saved = copy.deepcopy(before), lines_of(before)
    work = WorkingCopy(Saved(saved))
    for step, number, message in steps:
        if step == "add":
            work.append(message, limit=10**9)
            model.append(copy.deepcopy(message))
        elif step == "keep":
            work.keep_last(number)
            model = model[max(len(model) - number, 0) :]
        elif step == "front":
            work.keep_first(number)
            del model[number:]
        elif step == "again" and len(model) < len(saved):
            work.append(decode(saved[len(model)]), limit=10**9)
            model.append(decode(saved[len(model)]))
        elif step == "again":
            assert lines_of(list(work.messages(number, 7))) == lines_of(model[number:7])
        elif step == "save":
            splice = work.splice()
            assert work.changed() == (lines_of(model) != saved)
            saved = applied(splice, saved)
            assert saved == lines_of(model)
            work.mark_saved(Saved(saved))
        elif step == "live":
            work.live()
        else:
            for target in (work.live(), model):
                _change(target, step, number, copy.deepcopy(message))
        assert len(work) == len(model)
        part = range(*slice(-number, None, 2).indices(len(model)))
        assert lines_of(work.part(part)) == lines_of(model[-number::2])
        assert work.size() >= 0
    assert list(work.lines()) == lines_of(model)
    assert applied(work.splice(), saved) == lines_of(model)


def _change(target: list[dict[str, Any]], step: str, number: int, message: dict[str, Any]) -> None:
    if step == "append":
        target.append(message)
    elif step == "extend":
        target += [message, copy.deepcopy(message)]
    elif step == "insert":
        target.insert(number, message)
    elif target and step == "delete":
        del target[number % len(target)]
    elif target and step == "set":
        target[number % len(target)] = message
    elif target:
        target[number % len(target)]["value"] = message["value"]


INDISTINCT = [
    (1, True), (1, 1.0), (0, False), (0.0, -0.0), (True, 1.0),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ([1, [True]], [1, [1]]), ({"x": {"a": 0, "b": 0}}, {"x": {"b": 0, "a": 0}}),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new"), INDISTINCT + [(new, old) for old, new in INDISTINCT], ids=repr)
def test_what_equality_does_not_see(old: Any, new: Any) -> None:
    """1, True and 1.0, 0.0 and -0.0, and another order of keys compare equal, and are changes all the same."""
    assert old == new
    work = saved_copy([{"value": old}, {"value": "after"}])
    work.live()[0]["value"] = new
    assert work.changed()
    splice = work.splice()
    assert (splice.keep, splice.resume) == (0, 1)
    assert splice.lines == lines_of([{"value": new}])


@pytest.mark.parametrize(
    ("old", "new"),
    [(None, math.nan), (None, math.inf), ([1, 2], (1, 2)), ([], ()), ([None], [math.nan]), ({"a": []}, {"a": ()})],
    ids=repr,
)
def test_what_json_does_not_see(old: Any, new: Any) -> None:
    """NaN for null and a tuple for a list would be the same JSON text: they are refused, with their place."""
    work = saved_copy([{"value": 0}, {"value": old}])
    work.live()[1]["value"] = new
    assert work.changed()
    with pytest.raises(InvalidMessageError) as caught:
        work.splice()
    assert caught.value.value_path.startswith("messages[1].value")


TEN = [{"n": n} for n in range(10)]


@pytest.mark.parametrize(
    ("change", "drop", "keep", "new", "resume"),
    [
        (lambda live: live.append({"n": 10}), 0, 10, 1, 10),
        (lambda live: live.extend([{"n": 10}] * 3), 0, 10, 3, 10),
        (lambda live: live.pop(0), 1, 10, 0, 10),
        (lambda live: live.__setitem__(slice(0, 7), []), 7, 10, 0, 10),
        (lambda live: (live.pop(0), live.append({"n": 10})), 1, 10, 1, 10),
        (lambda live: live.clear(), 10, 10, 0, 10),
        (lambda live: live.pop(), 0, 9, 0, 10),
        (lambda live: live.__setitem__(4, {"n": "four"}), 0, 4, 1, 5),
        (lambda live: live.insert(4, {"n": "new"}), 0, 4, 1, 4),
        (lambda live: live.pop(4), 0, 4, 0, 5),
        (lambda live: live.__setitem__(slice(2, 8), live[2:8]), 0, 10, 0, 10),
    ],
)
def test_kinds_of_change(change: Callable[[list[Any]], None], drop: int, keep: int, new: int, resume: int) -> None:
    """Messages dropped in front are a truncation, new ones at the end an append, all else is the smallest edit."""
    work = saved_copy(TEN)
    change(work.live())
    splice = work.splice()
    assert (splice.drop, splice.keep, len(splice.lines), splice.resume) == (drop, keep, new, resume)
    assert applied(splice, lines_of(TEN)) == lines_of(work.live())
    assert splice.appends == (drop == 0 and keep == 10)


def test_truncation_of_equal_messages() -> None:
    """A front that repeats itself is still cut at the right place."""
    same = [{"n": n % 2} for n in range(10)]
    work = saved_copy(same)
    del work.live()[:4]
    splice = work.splice()
    assert applied(splice, lines_of(same)) == lines_of(same[4:])
    assert splice.size == sum(len(line) + 1 for line in lines_of(same[4:]))


def test_appending_reads_nothing() -> None:
    """Adding messages and finding that change reads no saved message, and with a live list none twice."""
    source = Saved(lines_of(TEN))
    work = WorkingCopy(source)
    work.append({"n": 10}, limit=10**9)
    assert work.splice().lines == lines_of([{"n": 10}])
    assert work.changed()
    assert source.reads == 0
    work.live().append({"n": 11})
    assert source.reads == 10
    assert work.splice().lines == lines_of([{"n": 10}, {"n": 11}])
    assert source.reads == 10


def test_a_list_assigned_after_a_save_is_compared() -> None:
    """A list assigned to a session that had only been appended to replaces what was saved.

    A new session was known to have been empty, and stayed known as that after its first save: the first
    messages of the assigned list passed for the saved ones, and were never stored.
    """
    work = WorkingCopy()
    work.append({"n": 0}, limit=10**9)
    work.mark_saved(Saved(lines_of([{"n": 0}])))
    work.assign([{"n": 1}, {"n": 2}])
    assert work.changed()
    assert applied(work.splice(), lines_of([{"n": 0}])) == lines_of([{"n": 1}, {"n": 2}])


def test_what_marshal_cannot_write_can_be_saved() -> None:
    """A dict of another class is stored as the dict that it is, and counts as saved afterwards."""
    work = saved_copy([])
    work.live().append(OrderedDict(a=1, b=2))
    splice = work.splice()
    assert splice.lines == [b'{"a":1,"b":2}']
    work.mark_saved(Saved(splice.lines))
    assert not work.changed()
    work.live()[0]["a"] = True
    assert work.changed()


def test_others_changes_come_into_the_same_list() -> None:
    """After a merge the live list is the same object, with what is stored now."""
    work = saved_copy(TEN[:3])
    live = work.live()
    live.append(TEN[5])
    work.splice()
    work.mark_saved(Saved(lines_of([*TEN[:2], TEN[4], TEN[5]])), merged=True)
    assert work.live() is live
    assert live == [*TEN[:2], TEN[4], TEN[5]]
    assert not work.changed()


def test_the_limit_refuses_without_a_trace() -> None:
    """A message that would pass the limit is not added, with the list live or not; truncating makes room."""
    for live in (False, True):
        work = saved_copy(TEN)
        if live:
            work.live()
        limit = work.size() + 5
        assert work.append({"n": 10}, limit=limit) == -1
        assert len(work) == 10
        assert not work.changed()
        work.keep_last(5)
        assert work.append({"n": 10}, limit=limit) <= limit
        assert len(work) == 6


def test_what_another_thread_takes_out_and_puts_back() -> None:
    """A save beside a thread that takes values out of messages for a moment never takes a message for saved that is
    stored without one.

    Bug: what a list held and how it was written down were not of the same moment.
    """
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    live = [{"n": number, "value": "x" * 50} for number in range(400)]
    complete = lines_of(live)
    stop, whole = threading.Event(), threading.Lock()

    def change() -> None:
        while not stop.is_set():
            with whole:
                for message in live:
                    message["value"] = message.pop("value")

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(150):
            work = WorkingCopy(Saved([]))
            work.assign(live)
            stored = work.splice().lines
            work.mark_saved(Saved(stored))
            with whole:
                assert lines_of(live) == complete
                assert work.changed() == (stored != complete)
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)


def test_parts_that_are_held_elsewhere_are_no_change() -> None:
    """Who keeps a part of a message, or makes an equal list, changed nothing; nothing stored is read to see that."""
    source = Saved(lines_of([{"n": 1000 + n, "deep": {"text": ["a text"]}} for n in range(300)]))
    work = WorkingCopy(source)
    held = work.live()[7]["deep"]["text"]
    reads = source.reads
    assert not work.changed()
    work.assign(copy.deepcopy(work.live()))
    assert not work.changed()
    assert work.splice().empty
    assert source.reads == reads
    held[0] = "another text"
    assert not work.changed(), "it is of the list before"


@pytest.mark.parametrize("count", [1, 255, 256, 257, 600])
def test_appends_across_blocks(count: int) -> None:
    """Whatever number of messages was there, adding some is found as just that, and reads none again."""
    saved = lines_of([{"n": n} for n in range(count)])
    source = Saved(saved)
    work = WorkingCopy(source)
    live = work.live()
    for step in (1, 255, 1, 2, 256):
        live.extend({"n": -n} for n in range(step))
        source.reads = 0
        assert work.changed()
        splice = work.splice()
        assert splice.appends
        assert len(splice.lines) == step
        assert source.reads == 0
        saved = applied(splice, saved)
        source = Saved(saved)
        work.mark_saved(source)
        assert not work.changed()
        assert saved == lines_of(live)
    live[count // 2]["n"] = True
    splice = work.splice()
    assert (splice.keep, len(splice.lines), splice.resume) == (count // 2, 1, count // 2 + 1)
