"""Trees of sessions: which came from which, drawn as `git log --graph` draws commits."""

from __future__ import annotations

from repo.machines import Machine, said

from coda_fs_session.repo.branches.tree import Joint, Known, tree_of


def test_a_drawing() -> None:
    """Each session, fork, merge and pick has a line, the newest on top."""
    tree = tree_of(
        [
            Known("trunk", 12, joints=(Joint("twig", 11), Joint("bough", 8, picked=True))),
            Known("twig", 7, "trunk", 5),
            Known("leaf", 6, "twig", 6),
            Known("bough", 1, "trunk", 1),
            Known("alone", 3),
        ]
    )
    assert str(tree).splitlines() == [
        "* alone (3 messages)",
        "",
        "* trunk (12 messages)",
        "|\\  merged twig, then 11 messages",
        "|\\  picked from bough, then 8 messages",
        "| * twig (7 messages)",
        "| | * leaf (6 messages)",
        "| |/  fork after 6 messages",
        "|/  fork after 5 messages",
        "| * bough (1 message)",
        "|/  fork after 1 message",
    ]
    assert [each.name for each in tree] == ["alone", "trunk", "twig", "leaf", "bough"]
    assert [(each.name, each.forked_at) for each in tree.roots] == [("alone", None), ("trunk", None)]


def test_names_of_parents() -> None:
    """A parent is found by what it was called before; one that is gone, or came from its own branch, makes a root."""
    tree = tree_of(
        [
            Known("new", 2, aliases=("old",)),
            Known("child", 1, "old", 1),
            Known("orphan", 1, "gone", 1),
            Known("one", 1, "other", 1),
            Known("other", 1, "one", 1),
            Known("itself", 1, "itself", 1),
        ]
    )
    assert {each.name for each in tree.roots} == {"new", "orphan", "itself", "one"} or {
        each.name for each in tree.roots
    } == {"new", "orphan", "itself", "other"}
    assert {each.name for each in tree} == {"new", "child", "orphan", "one", "other", "itself"}
    assert tree.roots[0].forked_at is None


def test_a_long_line_of_branches() -> None:
    """A branch of a branch, two thousand times, is drawn as well."""
    tree = tree_of(Known(f"{n:04}", n, f"{n - 1:04}", n - 1) for n in range(2000))
    assert len(list(tree)) == 2000
    assert len(str(tree).splitlines()) == 3999


def test_the_tree_of_a_store(here: Machine) -> None:
    """What a store has, with what was merged and picked, also once a parent was renamed."""
    here.create("trunk", said("a", "b"))
    manager = here.manager()
    manager.create_session("twig", branch_from="trunk", at=1)
    here.change("twig", "c")
    manager = here.manager()
    manager.branches.cherry_pick("twig", [1], "trunk")
    manager.branches.merge("twig", "trunk")
    manager.rename_session("trunk", "stem")
    (root,) = manager.branches.tree().roots
    assert (root.name, root.messages, [each.name for each in root.branches]) == ("stem", 3, ["twig"])
    assert root.joints == (Joint("twig", 3), Joint("twig", 3, picked=True))
