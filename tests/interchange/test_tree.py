"""The common tree: every way from a first message to a last one is one session, and nothing is in two."""

from __future__ import annotations

import random
from collections.abc import Collection

import pytest

from coda_fs_session.interchange.tree import MessageTree, Node, branches, identity, made_id

from .trees import ids, paths, whole


def tree_of(parents: dict[str, str | None], nothing: Collection[str] = ()) -> MessageTree:
    tree = MessageTree("test", "t")
    for name, parent in parents.items():
        messages = [] if name in nothing else [{"role": "user", "content": name, "id": name}]
        tree.add(Node(name, parent, messages))
    return tree


@pytest.mark.parametrize("seed", range(200))
def test_every_path_is_a_session(seed: int) -> None:
    """The sessions of any tree are its paths, as brute force finds them, and no message is stored twice."""
    chance = random.Random(seed)
    names = [f"n{number}" for number in range(chance.randrange(1, 25))]
    parents = {name: chance.choice([*names[:place], None]) for place, name in enumerate(names)}
    nothing = tuple(name for name in names if chance.random() < 0.25)
    items = list(parents.items())
    chance.shuffle(items)
    tree = tree_of(dict(items), nothing)
    found = branches(tree)
    kept = [name for name in names if name not in nothing]
    assert (ids(tree) if kept else set()) == paths(parents, kept)
    own = [message["id"] for branch in found for message in branch.messages]
    assert sorted(own) == sorted(kept)
    assert all(branch.parent is None or branch.parent < place for place, branch in enumerate(found))


@pytest.mark.parametrize("seed", range(100))
def test_a_tree_that_grows_only_adds(seed: int) -> None:
    """Messages that come after stay in the sessions they are in: each session of before is the beginning of one now.

    Two machines that read the file at different moments must not have two sessions of one name.
    """
    chance = random.Random(seed)
    names = [f"n{number}" for number in range(chance.randrange(2, 25))]
    parents: dict[str, str | None] = {
        name: chance.choice(names[:place]) if place else None for place, name in enumerate(names)
    }
    cut = chance.randrange(1, len(names))
    before, after = tree_of({name: parents[name] for name in names[:cut]}), tree_of(parents)
    now = {branch.id: messages for branch, messages in zip(branches(after), whole(after), strict=True)}
    for branch, messages in zip(branches(before), whole(before), strict=True):
        assert now[branch.id][: len(messages)] == messages


def test_parents_that_are_none() -> None:
    """A parent that is absent, the record itself, or in a circle makes a first message and a note; nothing is lost."""
    tree = tree_of({"a": "gone", "b": "b", "c": "d", "d": "c", "e": "d"})
    found = branches(tree)
    assert sorted(message["id"] for branch in found for message in branch.messages) == ["a", "b", "c", "d", "e"]
    assert [branch.parent for branch in found].count(None) == 3
    assert len(tree.notes) == 4


def test_an_id_that_is_there_twice() -> None:
    """An equal record counts once, another one is kept under a name of its own, with a note."""
    tree = tree_of({"a": None, "b": "a"})
    tree.add(Node("b", "a", [{"role": "user", "content": "b", "id": "b"}]))
    assert len(tree.nodes) == 2
    for text in ("other", "third"):
        tree.add(Node("b", "a", [{"role": "user", "content": text}]))
    assert list(tree.nodes) == ["a", "b", "b#2", "b#3"]
    assert len(tree.notes) == 3
    assert len(branches(tree)) == 3


def test_a_very_deep_tree() -> None:
    """100,000 records in a row, or that are no messages, take no recursion and no time that grows with their square."""
    deep = {f"n{number}": f"n{number - 1}" if number else None for number in range(100_000)}
    assert [len(branch.messages) for branch in branches(tree_of(deep))] == [100_000]
    (one,) = branches(tree_of(deep, set(list(deep)[1:-1])))
    assert [message["id"] for message in one.messages] == ["n0", "n99999"]


def test_the_current_one_is_told() -> None:
    """The session that ends with what the source shows last says so; it is not the first one for that."""
    tree = tree_of({"a": None, "b": "a", "c": "a"})
    tree.current = "c"
    assert [(branch.id, branch.current) for branch in branches(tree)] == [("", False), ("c", True)]


def test_siblings_have_ranks() -> None:
    """The order of children is that which the source says, and its order of records where it says none."""
    tree = tree_of({"a": None, "b": "a", "c": "a"})
    tree.nodes["b"].rank = 1
    assert [branch.ids for branch in branches(tree)] == [["a", "c"], ["b"]]


def test_ids_that_are_made() -> None:
    """They follow from a record and the one before, and from nothing else."""
    assert made_id(None, {"a": 1}) == made_id(None, {"a": 1}) != made_id("x", {"a": 1})
    assert made_id(None, {"a": float("nan")}) != made_id(None, {"a": 2**70})
    assert len({identity("a", "b", "c"), identity("a", "", "bc"), identity("ab", "", "c")}) == 3
