"""Forks pass cuts without making chunks: nothing that is computed from the messages may depend on that."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coda_fs_session import Session, SessionManager
from coda_fs_session.backends.memory import MemoryBackend, MemoryState
from coda_fs_session.format.chunks import STANDARD, Sizes, holds_cut, join, size_of, split
from coda_fs_session.format.ids import CHAIN_START, chain_cut, chain_message, object_id
from coda_fs_session.format.tree import Spine, chunks
from coda_fs_session.repo.content.messages import MessageList
from coda_fs_session.repo.content.objects import Objects
from coda_fs_session.repo.content.state import State
from coda_fs_session.repo.lookup.names import resolve
from coda_fs_session.repo.repository import Repository, Settings
from coda_fs_session.repo.storage import RepoStorage

from .machines import Machine, said

SIZES = Sizes(minimum=100, spread=250, large=300, full=350, fan_out=2, deferred=250)
"""A deferred run can pass several cuts."""

texts = st.sampled_from([0, 5, 20, 40, 80, 150, 320]).map(lambda length: "x" * length)


def chain_and_chunks(lines: list[bytes], sizes: Sizes = SIZES) -> tuple[str, list[str]]:
    """Compute the chain hash and the chunks' ids as FORMAT.md has them, from the messages alone."""
    chain, found = CHAIN_START, []
    for run, closed in split(lines, sizes):
        if closed:
            found.append(object_id(join(run)))
            chain = chain_cut(chain, object_id(join(run)))
        else:
            for line in run:
                chain = chain_message(chain, line)
    return chain, found


def chunks_of(objects: Objects, spine: Spine) -> list[str]:
    return [entry.id for _, entry in chunks(spine, 0, spine.messages, objects.node)]


def assert_as_if_saved_at_once(head: State) -> None:
    """What every ref must be, whatever the steps it was made in."""
    messages, base = head.messages, head.header.base
    lines = list(messages.read(0, head.count))
    # A base holds no cut that is not made.
    assert chunks_of(messages.objects, base.spine) == chain_and_chunks(lines[: base.messages])[1]
    if base.tail is None or size_of(messages.lines) > SIZES.deferred:
        assert not holds_cut(messages.lines, SIZES, after=base.tail.bytes if base.tail else 0)
    assert head.chain == chain_and_chunks(lines)[0]
    for position in range(head.count + 1):
        chain, found = chain_and_chunks(lines[:position])
        assert messages.chain_at(position) == chain
        frozen, new = messages.in_objects(position)
        messages.objects.put(new)
        assert (frozen.chain, chunks_of(messages.objects, frozen.spine)) == (chain, found)
        again = MessageList(messages.objects, SIZES, frozen, [])
        assert list(again.read(0, position)) == lines[:position]
        assert again.chain_at(position) == chain


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_any_work_on_forks_is_as_if_saved_at_once(data: st.DataObject) -> None:
    """Saves, edits, truncations, forks of forks, renames in any order: chain hashes, and the chunks that
    a base names, are those of the same messages saved at once, at every position."""
    repo = Repository(MemoryBackend(), MemoryState(), Settings(sizes=SIZES))
    manager = SessionManager({"session": {"autosave_interval": 0}}, storage=RepoStorage(repo))
    session = manager.create_session("0")
    session.messages = [{"content": text} for text in data.draw(st.lists(texts, max_size=25))]
    manager.save_session(session)
    expected = {"0": session.get_messages()}
    for number in range(1, data.draw(st.integers(1, 12)) + 1):
        session = manager.load_session(data.draw(st.sampled_from(sorted(expected))))
        step = data.draw(st.sampled_from(["append", "append", "fork", "fork", "edit", "truncate", "rename"]))
        if step == "append":
            _append(session, data.draw(st.lists(texts, min_size=1, max_size=5)))
        elif step == "edit" and len(session):
            session.messages[data.draw(st.integers(0, len(session) - 1))]["content"] = data.draw(texts)
        elif step == "truncate":
            session.truncate_messages(data.draw(st.integers(0, len(session))))
        elif step == "rename":
            del expected[session.name]
            manager.rename_session(session.name, str(number))
        elif step == "fork":
            if data.draw(st.booleans()):
                _append(session, data.draw(st.lists(texts, min_size=1, max_size=3)))
            at = data.draw(st.integers(0, len(session)))
            child = manager.create_session(str(number), branch_from=session.name, at=at)
            expected[child.name] = child.get_messages()
            assert expected[child.name] == session.get_messages()[:at]
        manager.save_session(session)
        expected[session.name] = session.get_messages()
    for name, messages in expected.items():
        head = resolve(repo, name).head
        assert head is not None
        assert RepoStorage(repo).load(name).get_messages() == messages  # type: ignore[union-attr]
        assert_as_if_saved_at_once(head)


def _append(session: Session, added: list[str]) -> None:
    for text in added:
        session.add_message({"content": text})


EAGER, LAZY = SIZES._replace(deferred=0), SIZES._replace(deferred=2000)


def test_a_short_fork_writes_no_chunk(here: Machine) -> None:
    """A fork leaves its messages in the ref where they pass a cut, until they are many; then all chunks are made."""
    manager = here.manager(sizes=LAZY)
    main = manager.create_session("main")
    main.messages = said(*range(8))
    manager.save_session(main)
    fork = manager.create_session("fork", branch_from="main")
    before = set(here.store.glob("objects/*/*"))
    length = size_of([b'{"role":"user","content":"another ending"}'])
    for _ in range(LAZY.deferred // length):
        fork.add_message(said("another ending")[0])
        manager.save_session(fork)
    head = here.head("fork")
    assert head.header.base.tail is not None
    assert holds_cut(head.messages.lines, LAZY, after=head.header.base.tail.bytes)
    assert set(here.store.glob("objects/*/*")) == before
    fork.add_message(said("another ending")[0])
    manager.save_session(fork)
    sealed = resolve(here.repository(sizes=LAZY), "fork").head
    assert sealed is not None
    assert sealed.header.base.tail is None
    lines = list(sealed.messages.read(0, sealed.count))
    assert chunks_of(sealed.messages.objects, sealed.header.base.spine) == chain_and_chunks(lines, LAZY)[1]


@pytest.mark.parametrize("first", [EAGER, LAZY], ids=["made first", "left first"])
def test_cuts_made_and_cuts_left_are_the_same_history(here: Machine, tmp_path: Path, first: Sizes) -> None:
    """One machine leaves the cuts in a fork, the other makes them: each takes the other's state for a continuation
    of its own, and equal steps lead to equal generations."""
    second = LAZY if first is EAGER else EAGER
    here.create("main", said(*range(8)))
    here.manager().create_session("fork", branch_from="main")
    there = here.copied_to(tmp_path / "there", "there-00000002")
    texts = [str(number) for number in range(8)]
    for turn in range(6):
        writer, other, sizes = (here, there, first) if turn % 2 == 0 else (there, here, second)
        manager = writer.manager(sizes=sizes)
        fork = manager.load_session("fork")
        for number in range(2):
            texts.append(f"turn {turn}, message {number}")
            fork.add_message(said(texts[-1])[0])
            manager.save_session(fork)
        writer.send_to(other)
        for reader, reading in ((here, first), (there, second)):
            head = resolve(reader.repository(sizes=reading), "fork").head
            assert head is not None
            session = reader.manager(sizes=reading).load_session("fork")
            assert [message["content"] for message in session.get_messages()] == texts
    generations = set()
    for machine, sizes in ((here, first), (there, second)):
        manager = machine.manager(sizes=sizes)
        fork = manager.load_session("fork")
        fork.truncate_messages(3)
        manager.save_session(fork)
        head = resolve(machine.repository(sizes=sizes), "fork").head
        assert head is not None
        generations.add((head.generation_id, head.chain))
    assert len(generations) == 1


def test_a_fork_with_the_standard_sizes_stays_small(here: Machine) -> None:
    """Whatever the parent's tail, a fork with a few messages adds its ref and one object that all forks share."""
    # No hash ends a chunk; it is full with the next message but one.
    manager = here.manager(sizes=STANDARD._replace(spread=2**60))
    main = manager.create_session("main")
    main.messages = said(*("x" * 400 + f"{number:04d}" for number in range(442)))
    manager.save_session(main)
    assert here.head("main").messages.tail_bytes > 180 * 1024
    for number in range(10):
        fork = manager.create_session(f"fork {number}", branch_from="main")
        for _ in range(25):
            fork.add_message(said(f"{number} {'y' * 500}")[0])
            manager.save_session(fork)
    assert len(list(here.store.glob("objects/*/*"))) == 1
