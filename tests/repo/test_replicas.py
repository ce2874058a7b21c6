"""Two machines and the files between them: what one state covers, and what has diverged."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from coda_fs_session import ObjectNotYetHereError, SessionNotFoundError

from .machines import Machine, contents, said


@pytest.fixture(params=[3, 60], ids=["in the tail", "in chunks"])
def length(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def there(here: Machine, tmp_path: Path, length: int) -> Machine:
    """A second machine with a copy of a store that has one session, "chat"."""
    here.create("chat", said(*range(length)))
    return here.copied_to(tmp_path / "there", "there-00000002")


def numbers(length: int) -> list[str]:
    return [str(number) for number in range(length)]


def test_reading_writes_nothing(here: Machine, there: Machine, length: int) -> None:
    """A machine that only reads another's sessions leaves the store as it is."""
    before = {path: path.read_bytes() for path in there.store.rglob("*") if path.is_file()}
    assert there.read("chat") == numbers(length)
    assert there.names() == ["chat"]
    there.manager().stats()
    assert {path: path.read_bytes() for path in there.store.rglob("*") if path.is_file()} == before


def test_the_newest_state_is_read(here: Machine, there: Machine, length: int) -> None:
    """Going on with another's session makes a ref of one's own; whoever has both reads the longer one."""
    there.change("chat", "from there")
    assert [path.parent.name for path in there.refs()] == [here.replica, there.replica]
    there.send_to(here)
    assert here.read("chat") == [*numbers(length), "from there"]
    assert [info.message_count for info in here.manager().list_sessions()] == [length + 1]
    info = here.manager().get_session_info("chat")
    assert info is not None
    assert info.replica == there.replica


def test_taking_turns(here: Machine, there: Machine, length: int) -> None:
    """Two machines that take turns write into one ref each, and lose nothing."""
    expected = numbers(length)
    for turn in range(12):
        writer, other = (there, here) if turn % 2 == 0 else (here, there)
        writer.change("chat", f"turn {turn}")
        expected.append(f"turn {turn}")
        writer.send_to(other)
        assert writer.read("chat") == other.read("chat") == expected
    assert len(here.refs()) == len(there.refs()) == 2


@pytest.mark.parametrize("step", ["clear", "truncate", "edit", "rename", "delete"])
def test_steps_cover_what_they_were_made_from(here: Machine, there: Machine, length: int, step: str) -> None:
    """A clear, truncation, edit, rename or deletion on one machine counts on the other one too."""
    manager = there.manager()
    session = manager.load_session("chat")
    if step == "clear":
        session.clear_messages()
    elif step == "truncate":
        session.truncate_messages(2)
    elif step == "edit":
        session.messages[0]["content"] = "edited"
    manager.save_session(session)
    expected = contents(session)
    if step == "rename":
        manager.rename_session("chat", "talk")
    elif step == "delete":
        manager.delete_session("chat")
    there.send_to(here)
    if step == "delete":
        assert here.names() == there.names() == []
        with pytest.raises(SessionNotFoundError):
            here.read("chat")
        return
    name = "talk" if step == "rename" else "chat"
    assert here.names() == there.names() == [name]
    assert here.read(name) == there.read(name) == expected
    here.change(name, "and on")
    here.send_to(there)
    assert there.read(name) == [*expected, "and on"]


def test_both_sides_are_shown(here: Machine, there: Machine, length: int) -> None:
    """Where both went on, both are there on both machines, under the same names, and both can be gone on with."""
    here.create("other", said("fine"))
    here.change("chat", "here")
    there.change("chat", "there")
    there.send_to(here)
    here.send_to(there)
    names = here.names()
    assert names == there.names()
    assert len(names) == 3
    derived = next(name for name in names if name.startswith("chat~"))
    assert here.read("chat") == there.read("chat")
    assert sorted(here.read(name)[-1] for name in ("chat", derived)) == ["here", "there"]
    for name in ("chat", derived):
        expected = here.read(name)
        here.change(name, "on")
        assert here.read(name) == [*expected, "on"]
        assert here.names() == names
    here.send_to(there)
    assert there.names() == names
    assert [there.read(name) for name in names] == [here.read(name) for name in names]
    infos = {info.name: info for info in there.manager().list_sessions()}
    assert (infos["chat"].diverged_from, infos[derived].diverged_from) == (None, "chat")


def test_verbs_on_a_derived_name(here: Machine, there: Machine, length: int) -> None:
    """A side that goes by a derived name is renamed, branched and deleted like any other session."""
    here.change("chat", "here")
    there.change("chat", "there")
    there.send_to(here)
    (derived,) = {name for name in here.names() if name != "chat"}
    kept, told = here.read("chat"), here.read(derived)
    manager = here.manager()
    branch = manager.create_session("branch", branch_from=derived)
    assert manager.create_session("branch", branch_from=derived) is branch
    assert contents(branch) == told
    manager.rename_session(derived, "talk")
    assert here.names() == ["branch", "chat", "talk"]
    assert (here.read("chat"), here.read("talk")) == (kept, told)
    manager.delete_session("talk")
    assert here.names() == ["branch", "chat"]
    here.send_to(there)
    assert there.names() == ["branch", "chat"]
    assert there.read("chat") == kept


def test_an_open_session_follows_its_own_side(here: Machine, there: Machine, length: int) -> None:
    """Whichever side gets the derived name, an open session stays with its messages, and says what it is called now."""
    managers = [machine.manager() for machine in (here, there)]
    sessions = [manager.load_session("chat") for manager in managers]
    for session, manager, text in zip(sessions, managers, ("here", "there"), strict=True):
        session.add_message(said(text)[0])
        manager.save_session(session)
    there.send_to(here)
    here.send_to(there)
    moved = []
    for session, manager, text in zip(sessions, managers, ("here", "there"), strict=True):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            now = manager.load_session("chat")
        assert contents(session)[-1] == text
        if now is not session:
            moved.append(session)
            assert session.name.startswith("chat~")
            assert session.diverged_from == "chat"
            assert any(session.name in str(warning.message) for warning in caught)
            assert manager.load_session(session.name) is session
            session.add_message(said("on")[0])
            manager.save_session(session)
            assert session.name != "chat"
            assert contents(manager.load_session(session.name))[-2:] == [text, "on"]
    assert len(moved) == 1


def test_an_open_session_goes_on_in_its_own_ref(here: Machine, there: Machine, length: int) -> None:
    """What another machine did meanwhile does not get in the way of saving: both sides are kept, in two refs."""
    manager = here.manager()
    session = manager.load_session("chat")
    there.change("chat", "there")
    there.send_to(here)
    session.add_message(said("here")[0])
    manager.save_session(session)
    (here.store / "refs" / there.replica / "chat.jsonl").unlink()
    assert here.read("chat") == [*numbers(length), "here"]


def test_deletion_and_continuation(here: Machine, there: Machine, length: int) -> None:
    """What one machine deleted and the other one extended lives on."""
    here.manager().delete_session("chat")
    there.change("chat", "still needed")
    there.send_to(here)
    assert here.read("chat") == [*numbers(length), "still needed"]
    (info,) = here.manager().list_sessions()
    assert (info.name, info.survived_delete) == ("chat", True)


@pytest.mark.parametrize("first", [[], said(0)], ids=["empty", "same beginning"])
def test_names_deleted_elsewhere_can_be_used_again(here: Machine, there: Machine, first: list[dict]) -> None:
    """A new session of a name that another machine deleted is not taken for what was deleted."""
    there.manager().delete_session("chat")
    there.send_to(here)
    here.create("chat", first)
    assert here.read("chat") == [message["content"] for message in first]
    assert here.names() == ["chat"]
    here.send_to(there)
    assert there.read("chat") == [message["content"] for message in first]


def test_a_stale_copy_of_a_deleted_session_is_not_brought_back(here: Machine, there: Machine, length: int) -> None:
    """Somebody else's session, deleted here meanwhile: a stale append becomes a branch and not the session again."""
    manager = there.manager()
    session = manager.load_session("chat")
    there.manager().delete_session("chat")
    session.add_message(said("late")[0])
    with pytest.warns(match="is now the session"):
        manager.save_session(session)
    assert session.name.startswith("chat~")
    assert there.names() == [session.name]
    assert there.read(session.name) == [*numbers(length), "late"]


def test_a_damaged_ref_of_ones_own_is_left_alone(here: Machine, there: Machine, length: int) -> None:
    """Where another machine's ref has everything, the session goes on, and the damaged file keeps its bytes."""
    there.change("chat", "there")
    there.send_to(here)
    own = here.store / "refs" / here.replica / "chat.jsonl"
    own.write_bytes(own.read_bytes() + b'{"prev":"damaged"}\n')
    damaged = own.read_bytes()
    assert here.read("chat") == [*numbers(length), "there"]
    here.change("chat", "on")
    assert here.read("chat") == [*numbers(length), "there", "on"]
    assert own.read_bytes() == damaged


def test_conflict_copies_are_read(here: Machine, there: Machine, length: int) -> None:
    """A copy that a sync tool made beside a ref is one more ref: covered, newer, or diverged."""
    own = here.store / "refs" / here.replica / "chat.jsonl"
    copy = own.with_name("chat (conflicted copy).jsonl")
    copy.write_bytes(own.read_bytes())
    assert here.read("chat") == numbers(length)
    here.change("chat", "one")
    assert here.read("chat") == [*numbers(length), "one"]
    there.change("chat", "other")
    copy.write_bytes((there.store / "refs" / there.replica / "chat.jsonl").read_bytes())
    there.send_to(here)
    (here.store / "refs" / there.replica / "chat.jsonl").unlink()
    (derived,) = {name for name in here.names() if name != "chat"}
    assert sorted(here.read(name)[-1] for name in ("chat", derived)) == ["one", "other"]


@pytest.mark.parametrize("length", [60], indirect=True)
def test_a_missing_object_is_not_there_yet(there: Machine, length: int) -> None:
    """Half a sync reads as far as it has come: the missing object is named, and comes when it comes."""
    missing = next(path for path in there.store.glob("objects/*/*") if b'"content":"0"' in path.read_bytes())
    data = missing.read_bytes()
    missing.unlink()
    with pytest.raises(ObjectNotYetHereError, match=missing.stem):
        there.read("chat")
    session = there.manager().load_session("chat")
    assert session.get_messages(2) == said(58, 59)
    missing.write_bytes(data)
    assert there.read("chat") == numbers(length)


def test_the_same_name_on_two_machines(here: Machine, tmp_path: Path) -> None:
    """Sessions of one name that began apart have diverged, unless one begins as the other is."""
    there = Machine(tmp_path / "there", "there-00000002")
    here.create("chat", said("a", "b"))
    there.create("chat", said("a"))
    there.send_to(here)
    assert here.read("chat") == ["a", "b"]
    there.change("chat", "c")
    there.send_to(here)
    assert sorted(map(here.read, here.names())) == [["a", "b"], ["a", "c"]]


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("back", [False, True])
def test_a_message_taken_back_stays_away(here: Machine, there: Machine, length: int, sealed: bool, back: bool) -> None:
    """Removing the last message on one machine removes it on the other, although what is left is how that one began.

    Each of the two states passed for an early copy of the other, and every machine showed its own.
    """
    if back:
        there.change("chat", "last")
        there.send_to(here)
    writer, reader = (here, there) if back else (there, here)
    manager = writer.manager()
    session = manager.load_session("chat")
    session.messages.pop()
    manager.save_session(session)
    expected = contents(session)
    if sealed:
        manager.rename_session("chat", "talk")
        manager.rename_session("talk", "chat")
    writer.send_to(reader)
    assert writer.read("chat") == reader.read("chat") == expected
    for machine in (writer, reader):
        assert [info.message_count for info in machine.manager().list_sessions()] == [len(expected)]
