"""Parts of a session: read, and cut off at the end, at the cost of the part."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from storekit import Opener, fill, message, open_store

from coda_fs_session import Redact, Session, SessionConflictError
from coda_fs_session.repo.content.objects import Objects

COUNT = 3000


@pytest.fixture
def chunks_read(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is asked of the chunks, while a test runs."""
    asked: list[Any] = []
    real = Objects.chunk

    def chunk(self: Objects, entry: Any) -> Any:
        asked.append(entry)
        return real(self, entry)

    monkeypatch.setattr(Objects, "chunk", chunk)
    return asked


@pytest.fixture
def opened(make: Opener) -> Iterator[Session]:
    """A long session, opened by a manager that has not read it."""
    with make() as manager:
        fill(manager, "chat", COUNT)
        yield manager.load_session("chat")


@pytest.mark.parametrize(
    "part", [slice(None), slice(5), slice(-5, None), slice(10, 20), slice(20, 10), slice(-9, -3), slice(2990, 4000)]
)
def test_a_part_is_that_of_a_list(opened: Session, part: slice) -> None:
    """`get_messages`, `iter_messages` and a slice give what the slice of a list would, also of unsaved messages."""
    opened.add_message({"n": 1})
    whole = opened.get_messages()
    assert opened.get_messages(start=part.start, stop=part.stop) == whole[part]
    assert list(opened.iter_messages(part.start, part.stop)) == whole[part]
    assert opened[part] == whole[part]
    assert opened.messages[part] == opened[part]


@pytest.mark.parametrize("step", [1, 2, 7, 5000, -1, -3])
def test_a_slice_may_have_steps(opened: Session, step: int) -> None:
    """In both directions."""
    whole = opened.get_messages()
    assert opened[::step] == whole[::step]
    assert opened[17:-3:step] == whole[17:-3:step]
    assert opened[-3:17:step] == whole[-3:17:step]


def test_one_message(opened: Session) -> None:
    """By its position, from the end where it is negative; reversed, they come one by one from the end."""
    assert opened[0] == message(0)
    assert opened[-1] == opened[COUNT - 1] == message(COUNT - 1)
    for position in (COUNT, -COUNT - 1):
        with pytest.raises(IndexError, match=f"has {COUNT} messages"):
            opened[position]
    assert list(reversed(opened)) == opened.get_messages()[::-1]
    assert list(reversed(Session("empty"))) == []


def test_what_is_given_out_is_a_copy(opened: Session) -> None:
    """It can be changed, and the session is as before, with a live list or without."""
    for _ in range(2):
        opened[0]["content"] = opened[:2][1]["content"] = "changed"
        opened.get_messages(start=0, stop=1)[0]["content"] = next(opened.iter_messages())["content"] = "changed"
        assert not opened.has_unsaved_changes
        assert opened.messages[:2] == [message(0), message(1)]


def test_nothing_is_assigned_or_deleted_by_position(opened: Session) -> None:
    """The error names what can be."""
    with pytest.raises(TypeError, match=r"session\.messages"):
        opened[0] = {"role": "user"}
    with pytest.raises(TypeError, match=r"session\.messages"):
        del opened[0:2]
    assert not opened.has_unsaved_changes


def test_bad_bounds(opened: Session) -> None:
    """A number of last messages beside bounds, a negative number, and what is no number are refused."""
    for bounds in ({"start": 1}, {"stop": 1}, {"start": 0, "stop": 2}):
        with pytest.raises(ValueError, match="limit"):
            opened.get_messages(2, **bounds)
    for cut in (opened.drop_last, opened.keep_first):
        with pytest.raises(ValueError, match="-1"):
            cut(-1)
    with pytest.raises(TypeError):
        opened["0"]  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        opened.get_messages(start="0")  # type: ignore[arg-type]
    assert not opened.has_unsaved_changes


def test_a_part_reads_only_what_it_is_in(opened: Session, chunks_read: list[Any]) -> None:
    """Ten messages of thousands take at most two chunks, wherever they are."""
    for start in (0, 700, 1500, 2980):
        chunks_read.clear()
        assert opened.get_messages(start=start, stop=start + 10) == [message(n) for n in range(start, start + 10)]
        assert len(chunks_read) <= 2
    chunks_read.clear()
    assert opened[1234] == message(1234)
    assert next(opened.iter_messages(1234)) == message(1234)
    assert next(reversed(opened)) == message(COUNT - 1)
    assert len(chunks_read) <= 4


def test_an_iteration_goes_through_what_was_there(opened: Session) -> None:
    """Messages that come or go after it began change nothing in it, saved or not."""
    going = opened.iter_messages(COUNT - 10)
    first = next(going)
    opened.drop_last(5)
    opened.add_message({"n": 1})
    assert [first, *going] == [message(n) for n in range(COUNT - 10, COUNT)]


@pytest.mark.parametrize("cut", ["drop", "keep"])
def test_the_end_is_cut_off_without_loading(make: Opener, chunks_read: list[Any], cut: str) -> None:
    """`drop_last` and `keep_first` read the chunk in which they cut at most, whatever is before it, and are stored."""
    with make() as manager:
        fill(manager, "chat", COUNT)
        session = manager.load_session("chat")
        chunks_read.clear()
        if cut == "drop":
            session.drop_last(COUNT - 1700)
        else:
            session.keep_first(1700)
        assert (len(session), session.has_unsaved_changes, session[-1]) == (1700, True, message(1699))
        manager.save_session(session)
        assert not session._state.copy.is_live
        session.add_message(message(1))
        session.drop_last()
        assert not session.has_unsaved_changes
        assert len({entry.id for entry in chunks_read}) <= 2
        del session
        assert manager.load_session("chat").get_messages() == [message(n) for n in range(1700)]


def test_the_same_again_is_no_change(make: Opener) -> None:
    """A message that is taken off and added again as it was leaves nothing to save; one that differs is saved."""
    with make() as manager:
        fill(manager, "chat", 10)
        session = manager.load_session("chat")
        session.drop_last(2)
        session.add_message(message(8))
        assert session.has_unsaved_changes
        session.add_message(message(9))
        assert not session.has_unsaved_changes
        session.drop_last(2)
        for number in (8, 99, 100):
            session.add_message(message(number))
        manager.save_session(session)
        del session
        assert manager.load_session("chat").get_messages() == [message(n) for n in (*range(9), 99, 100)]


def test_cuts_at_both_ends(make: Opener) -> None:
    """Together with `truncate_messages`, added messages and a live list, saved at each step or not."""
    with make() as manager:
        fill(manager, "chat", 20)
        session = manager.load_session("chat")
        session.drop_last(4)
        session.truncate_messages(8)
        session.add_message(message(50))
        session.drop_last(2)
        expected = [message(n) for n in range(8, 15)]
        assert session.get_messages() == expected
        assert session.messages == expected
        session.keep_first(3)
        assert session.messages == expected[:3]
        manager.save_session(session)
        session.drop_last(9)
        assert session.get_messages() == []
        manager.save_session(session)
        del session
        assert len(manager.load_session("chat")) == 0


def test_a_cut_is_no_append_of_others(tmp_path: Path) -> None:
    """Where another process has added to the session, a cut is refused as any edit, and reads nothing wrong."""
    with open_store(tmp_path / "s") as here, open_store(tmp_path / "s") as there:
        fill(here, "chat", 5)
        mine, theirs = here.load_session("chat"), there.load_session("chat")
        theirs.add_message(message(5))
        there.save_session(theirs)
        mine.drop_last(2)
        with pytest.raises(SessionConflictError):
            here.save_session(mine)
        mine.reload()
        assert mine.get_messages() == [message(n) for n in range(6)]


def test_a_session_that_no_manager_opened() -> None:
    """It has parts, too, and so have those of an empty one."""
    session = Session("chat", [message(n) for n in range(5)])
    assert (session[1:3], session[-1]) == ([message(1), message(2)], message(4))
    session.drop_last(2)
    session.keep_first(2)
    assert session.get_messages() == [message(0), message(1)]
    with pytest.raises(IndexError):
        Session("empty")[0]


def test_a_hook_sees_what_follows_a_cut(tmp_path: Path) -> None:
    """What is added after a cut passes the hooks as any new message does, and only that."""
    with open_store(tmp_path / "s") as manager:
        manager.use(Redact(["secret"], "****"))
        fill(manager, "chat", 4)
        session = manager.load_session("chat")
        session.drop_last(2)
        session.add_message(message(2))
        session.add_message({"content": "a secret"})
        manager.save_session(session)
        expected = [*(message(n) for n in range(3)), {"content": "a ****"}]
        assert session.get_messages() == expected
    with open_store(tmp_path / "s") as manager:
        assert manager.load_session("chat").get_messages() == expected
