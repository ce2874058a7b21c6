"""Steps that an append is not: each freezes the state before it in a commit and begins a generation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from coda_fs_session import SessionManager
from coda_fs_session.format.chunks import split
from coda_fs_session.format.commits import Commit
from coda_fs_session.format.ids import CHAIN_START, chain_cut, chain_message, object_id
from coda_fs_session.repo.ancestry.ancestors import commit_at
from coda_fs_session.repo.content.messages import MessageList
from coda_fs_session.repo.content.state import State
from coda_fs_session.repo.lookup.names import resolve

from .machines import SMALL, Machine, contents, said

Step = Callable[[SessionManager], None]


def clear(manager: SessionManager) -> None:
    session = manager.load_session("chat")
    session.clear_messages()
    manager.save_session(session)


def truncate(manager: SessionManager) -> None:
    session = manager.load_session("chat")
    session.truncate_messages(2)
    manager.save_session(session)


def edit(manager: SessionManager) -> None:
    session = manager.load_session("chat")
    session.messages[1]["content"] = "another"
    manager.save_session(session)


def rename(manager: SessionManager) -> None:
    manager.rename_session("chat", "talk")


def delete(manager: SessionManager) -> None:
    manager.delete_session("chat")


STEPS = {step.__name__: step for step in (clear, truncate, edit, rename, delete)}


def only_head(machine: Machine) -> State:
    repo = machine.repository()
    (row,) = repo.index.rows()
    (key,) = [key for key, _ in repo.backend.refs() if key.path == row.path]
    return repo.read(key)


def newest_commit(head: State) -> Commit:
    assert head.header.commit is not None
    return head.messages.objects.commit(head.header.commit)


def frozen_texts(machine: Machine, commit: Commit) -> list[str]:
    messages = MessageList(machine.repository().objects, SMALL, commit.base, [])
    return [orjson.loads(line)["content"] for line in messages.read(commit.base.start, messages.count)]


def expected_chain(lines: list[bytes]) -> str:
    """Compute the chain hash as FORMAT.md has it, from the messages alone."""
    chain = CHAIN_START
    for run, closed in split(lines, SMALL):
        if closed:
            chain = chain_cut(chain, object_id(b"".join(line + b"\n" for line in run)))
        else:
            for line in run:
                chain = chain_message(chain, line)
    return chain


@pytest.mark.parametrize(
    ("name", "length"),
    # An edit of three messages is a line of the ref.
    [(name, length) for name in STEPS for length in (3, 40) if (name, length) != ("edit", 3)],
)
def test_a_step_freezes_the_state_before_it(here: Machine, name: str, length: int) -> None:
    """The commit of a step holds exactly the messages, metadata, name and generation of the moment before it."""
    here.create("chat", said(*range(length)))
    manager = here.manager()
    session = manager.load_session("chat")
    session.update_metadata({"topic": "frozen"})
    manager.save_session(session)
    before = here.head("chat")

    STEPS[name](here.manager())

    head = only_head(here)
    commit = newest_commit(head)
    assert frozen_texts(here, commit) == [str(number) for number in range(length)]
    assert (commit.reason, commit.name, commit.updated) == (name, "chat", before.updated)
    assert commit.line == before.last_id
    assert commit.generation_id == before.generation_id
    assert commit.base.chain == before.chain
    assert {key: item.value for key, item in commit.base.metadata.items()} == {"topic": b'"frozen"'}
    generation = head.header.generation
    assert generation is not None
    assert (generation.operation, generation.parent) == (name, before.generation_id)
    assert (generation.frozen_messages, generation.frozen_chain) == (length, before.chain)


def test_a_new_session_of_a_deleted_name_steps_on(here: Machine) -> None:
    """Delete and create again: one ref file, whose history has both the messages and the deletion."""
    here.create("chat", said(*range(20)))
    delete(here.manager())
    here.create("chat", said("new"))
    assert here.read("chat") == ["new"]
    head = here.head("chat")
    assert head.key.path == f"{here.replica}/chat.jsonl"
    assert len(here.refs()) == 1
    history = []
    link = head.header.commit
    while link:
        commit = head.messages.objects.commit(link)
        history.append((commit.reason, commit.base.messages))
        link = commit.previous
    assert ("delete", 20) in history
    assert ("create", 0) in history


@pytest.mark.parametrize("fate", ["renamed", "deleted"])
def test_a_name_can_be_given_again_to_the_same_messages(here: Machine, fate: str) -> None:
    """A session renamed to a name that one with the same messages had before is there under that name.

    Both renames were the same step on the same messages, so it passed for an early copy of the other one,
    and was gone from the list.
    """
    for name in ("one", "two"):
        here.create(name, said(*range(20)))
    manager = here.manager()
    manager.rename_session("one", "wanted")
    if fate == "renamed":
        manager.rename_session("wanted", "elsewhere")
    else:
        manager.delete_session("wanted")
    session = manager.load_session("two")
    session.messages[-1]["content"] = "unsaved"
    manager.rename_session("two", "wanted")
    assert here.read("wanted") == [str(number) for number in range(20)]
    assert "wanted" in here.names()
    manager.save_session(session)
    assert here.read("wanted")[-1] == "unsaved"


def test_generations_depend_on_content_alone(here: Machine, tmp_path: Path) -> None:
    """Two machines that take the same steps on the same messages get the same generation and chain hash."""
    there = Machine(tmp_path / "there", "there-00000002")
    for machine in (here, there):
        machine.create("chat", said(*range(30)))
        truncate(machine.manager())
        edit(machine.manager())
        rename(machine.manager())
    one, other = here.head("talk"), there.head("talk")
    assert one.generation_id == other.generation_id
    assert one.chain == other.chain


@pytest.mark.parametrize("length", [0, 1, 3, 6, 13, 60])
def test_chain_hash_is_that_of_the_messages(here: Machine, length: int) -> None:
    """However messages came in, the chain hash at every position is the one computed from the lines up to there."""
    here.create("chat", [])
    for number in range(length):
        here.change("chat", "long " * 90 if number % 10 == 4 else number)
    head = here.head("chat")
    lines = list(head.messages.read(0, head.count))
    assert len(lines) == length
    assert head.chain == expected_chain(lines)
    for position in range(length + 1):
        assert head.messages.chain_at(position) == expected_chain(lines[:position])


def test_edits_of_the_tail_are_lines(here: Machine) -> None:
    """An edit that touches no sealed message appends to the ref and starts no generation."""
    here.create("chat", said(0, 1, 2))
    before = here.only_ref().read_bytes()
    edit(here.manager())
    assert here.only_ref().read_bytes().startswith(before)
    assert here.read("chat") == ["0", "another", "2"]
    assert here.head("chat").header.generation is None


def test_an_edit_at_the_front_of_a_long_tail_is_a_line(here: Machine) -> None:
    """What it writes again counts once: that seals nothing as long as the tail holds it all."""
    texts = [str(number) * 60 for number in range(3)]
    here.create("chat", said(*texts))
    before = here.only_ref().read_bytes()
    manager = here.manager()
    session = manager.load_session("chat")
    session.messages[0]["content"] = "another"
    manager.save_session(session)
    assert here.only_ref().read_bytes().startswith(before)
    assert here.read("chat") == ["another", *texts[1:]]


def test_a_seal_keeps_the_states_around_edits(here: Machine) -> None:
    """The seal that swallows lines with edits commits the state before the first and after the last of them."""
    here.create("chat", said(0, 1, 2))
    edit(here.manager())
    manager = here.manager()
    session = manager.load_session("chat")
    session.messages[0]["content"] = "zero"
    manager.save_session(session)
    here.change("chat", "x" * 600)
    head = here.head("chat")
    assert head.header.base.spine.messages
    assert head.header.commit is not None
    after, before = newest_commit(head), commit_at(head.messages.objects, head.header.commit, 0)
    assert (before.reason, after.reason) == ("seal", "seal")
    assert frozen_texts(here, before) == ["0", "1", "2"]
    assert frozen_texts(here, after) == ["zero", "another", "2"]


@pytest.mark.parametrize("name", ["clear", "truncate", "rename", "delete"])
def test_a_step_keeps_the_state_before_edits_of_the_tail(here: Machine, name: str) -> None:
    """A step that swallows lines with edits keeps the state before the first edit, as a seal does.

    Only the edited state used to be frozen; what stood there before the edit was gone.
    """
    here.create("chat", said(0, 1, 2))
    edit(here.manager())
    assert here.head("chat").header.generation is None
    STEPS[name](here.manager())
    head = only_head(here)
    assert head.header.commit is not None
    commits = [commit_at(head.messages.objects, head.header.commit, n) for n in range(head.header.commit.depth + 1)]
    assert frozen_texts(here, commits[0]) == ["0", "1", "2"]
    assert frozen_texts(here, commits[-1]) == ["0", "another", "2"]


def test_truncation_moves_no_message(here: Machine) -> None:
    """A truncation writes one commit (and the tail it freezes), and no chunk: hidden messages stay where they are."""
    here.create("chat", said(*range(100)))
    chunks = set(here.store.glob("objects/*/*"))
    truncate(here.manager())
    assert here.read("chat") == [str(number) for number in (98, 99)]
    head = here.head("chat")
    assert head.start == 98
    assert head.count == 100
    assert len(set(here.store.glob("objects/*/*")) - chunks) <= 2


def test_truncations_and_appends_add_up(here: Machine) -> None:
    """After many truncations with appends between them the last messages are the ones that are left."""
    expected: list[str] = []
    here.create("chat", [])
    for number in range(60):
        manager = here.manager()
        session = manager.load_session("chat")
        session.add_message(said(number)[0])
        expected.append(str(number))
        if number % 7 == 3:
            session.truncate_messages(number % 5)
            expected = expected[len(expected) - number % 5 :]
        manager.save_session(session)
        assert contents(session) == expected
        assert here.read("chat") == expected
        info = here.manager().get_session_info("chat")
        assert info is not None
        assert (info.message_count, info.size_bytes) == (
            len(expected),
            sum(len(f'{{"role":"user","content":"{text}"}}\n') for text in expected),
        )


def test_a_deleted_session_resolves_to_its_tombstone(here: Machine) -> None:
    """A tombstone shows nothing of the session, and names the frozen state."""
    here.create("chat", said(1))
    delete(here.manager())
    resolved = resolve(here.repository(), "chat")
    assert resolved.head is None
    assert here.names() == []
    assert resolved.tombstone is not None
    assert frozen_texts(here, newest_commit(resolved.tombstone.head)) == ["1"]
