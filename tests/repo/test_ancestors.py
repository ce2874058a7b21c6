"""Which state came before which, asked of the functions themselves: each answer, and each way to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from coda_fs_session import SessionManager
from coda_fs_session.backends.base import RefKey
from coda_fs_session.repo.ancestry.ancestors import is_seen_in, same_life
from coda_fs_session.repo.content.state import Cursor, State
from coda_fs_session.repo.lookup.names import follow, read_refs, related

from .machines import Machine, said


def state_of(machine: Machine) -> State:
    """Return what the one ref of a machine says now, a tombstone too."""
    path = machine.only_ref()
    return machine.repository().read(RefKey(f"{path.parent.name}/{path.name}"))


def clear(machine: Machine, manager: SessionManager | None = None) -> None:
    manager = manager or machine.manager()
    session = manager.load_session("chat")
    session.clear_messages()
    manager.save_session(session)


@pytest.fixture
def chat(here: Machine) -> Machine:
    """A machine with the session "chat" of one message."""
    here.create("chat", said(0))
    return here


def test_one_life(chat: Machine) -> None:
    """Appends, and steps other than delete and create, end no life, however far back its beginning is."""
    first = state_of(chat)
    chat.change("chat", 1)
    assert same_life(state_of(chat), first)
    clear(chat)
    cleared = state_of(chat)
    assert same_life(cleared, first)
    clear(chat)
    assert same_life(state_of(chat), cleared)
    assert same_life(state_of(chat), first)


def test_another_life(chat: Machine) -> None:
    """A name that was deleted, or created anew, between two states has had two lives; within the second it is one."""
    first = state_of(chat)
    chat.manager().delete_session("chat")
    tombstone = state_of(chat)
    assert not same_life(tombstone, first)
    assert same_life(tombstone, tombstone)
    chat.create("chat", said("again"))
    created = state_of(chat)
    assert not same_life(created, first)
    assert not same_life(created, tombstone)
    clear(chat)
    assert same_life(state_of(chat), created)
    assert not same_life(state_of(chat), first)


def test_what_only_a_missing_commit_would_tell_is_not_seen(chat: Machine) -> None:
    """Lines tell nothing then, in either direction, and it is no error: messages may still tell."""
    first = state_of(chat)
    clear(chat)
    assert is_seen_in(first, state_of(chat))
    assert not is_seen_in(state_of(chat), first)
    for path in chat.store.glob("objects/*/*"):
        path.unlink()
    assert not is_seen_in(first, state_of(chat))


@pytest.mark.parametrize("end", ["continued", "deleted"])
def test_a_session_follows_its_own_file(chat: Machine, tmp_path: Path, end: str) -> None:
    """Where a copy of it by a sync tool went another way, what was opened from either file goes on in that one.

    Unless it was deleted there: then it is what goes on in the other.
    """
    elsewhere = chat.copied_to(tmp_path / "elsewhere", "here-00000001")
    path = chat.only_ref()
    copy = path.with_name("chat (conflicted copy).jsonl")
    copy.write_bytes(path.read_bytes())
    heads = [chat.repository().read(RefKey(f"{path.parent.name}/{each.name}")) for each in (path, copy)]

    def followed() -> list[list[str]]:
        shown = [follow(chat.repository(), Cursor(head)).shown for head in heads]
        return [chat.read(each.label) for each in shown if each is not None]

    copy.unlink()
    if end == "deleted":
        chat.manager().delete_session("chat")
    else:
        chat.change("chat", "in its own file")
    elsewhere.change("chat", "in the copy")
    copy.write_bytes(elsewhere.only_ref().read_bytes())
    own = "in the copy" if end == "deleted" else "in its own file"
    assert followed() == [["0", own], ["0", "in the copy"]]


def test_a_damaged_file_makes_up_for_none(chat: Machine) -> None:
    """What a damaged ref held may be in the file that came after it; not where that one is damaged itself."""
    path = chat.only_ref()
    chat.change("chat", 1)
    data = path.read_bytes()
    later = path.with_name("chat.2.jsonl")
    damaged = data.replace(b'"1"', b'"2"')
    assert damaged != data
    path.write_bytes(b"damaged")
    for content, doubts in ((data, []), (damaged, ["chat.2.jsonl", "chat.jsonl"])):
        later.write_bytes(content)
        repo = chat.repository()
        refs = read_refs(repo, related(repo.index, "chat"))
        assert sorted(key.path.rpartition("/")[2] for key in refs.doubts) == doubts
