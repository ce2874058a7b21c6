"""Two machines save, branch, merge, delete and purge in any order, and a tool carries files between them."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import pytest

from coda_fs_session import SessionWarning

from .purge_histories import TOOLS, history
from .test_obeying import look, open_as
from .test_purge import SECRET, holding, tell

QUICK, LONG = 1, 60
MOVES = 30


@pytest.mark.parametrize("tool", TOOLS)
def test_random_histories(tmp_path: Path, tool: str, seed: int, long_size: bool) -> None:
    """What was purged is in no file of either machine; all else is on both, and a check finds nothing.

    Files are copied by their times, compared with what both had, or synced; all of them, or only some.
    """
    for number in range(seed, seed + (LONG if long_size else QUICK)):
        history(tmp_path / str(number), number, tool, MOVES)


@pytest.mark.parametrize(("tool", "number"), [("sync", 41), ("sync", 47), ("copying", 62)])
def test_histories_that_once_failed(tmp_path: Path, tool: str, number: int) -> None:
    """A text and its session were purged where only the other may write; what stands for one is needed again."""
    history(tmp_path, number, tool, MOVES)


def test_two_that_ended_alike(tmp_path: Path) -> None:
    """Of sessions with the same messages one is deleted, and the others are purged: the first can be brought back."""
    with open_as(tmp_path / "store", "desk") as manager:
        for name in ("one", "two", "three"):
            tell(manager, name, "hello", "x" * 70_000)
        manager.delete_session("one")
        manager.maintenance.purge("two")
        manager.maintenance.purge("three")
        assert [info.name for info in manager.deleted_sessions()] == ["one"]
        manager.history("one").restore()
        assert [each["content"] for each in manager.load_session("one")] == ["hello", "x" * 70_000]
        manager.maintenance.purge("one")
        assert manager.maintenance.check(full=True).is_whole
    with open_as(tmp_path / "store", "desk") as manager:
        assert not [*manager.list_sessions(), *manager.deleted_sessions()]


def test_what_only_another_machine_may_write(tmp_path: Path) -> None:
    """The machine that purges it has it in no ref of its own: it tells the other one all the same."""
    store = tmp_path / "store"
    with open_as(store, "laptop") as manager:
        tell(manager, "talk", f"my key is {SECRET}")
    with open_as(store, "desk") as manager:
        tell(manager, "other", "nothing")
        assert manager.maintenance.purge_text(SECRET).elsewhere
    with pytest.warns(SessionWarning, match="desk purged was taken out of 'talk'"):
        open_as(store, "laptop").close()
    look(store)
    assert holding(store, SECRET) == []


def test_what_stood_for_a_text_that_was_purged(tmp_path: Path) -> None:
    """A text goes out of a session, and then the session itself: the other machine takes out both."""
    store = tmp_path / "store"
    with open_as(store, "laptop") as manager:
        tell(manager, "talk", f"{SECRET} and more", "y" * 70_000)
        manager.maintenance.purge_text(SECRET)
    with open_as(store, "desk") as manager:
        tell(manager, "other", "nothing")
    shutil.copytree(store / "objects", tmp_path / "objects")
    with open_as(store, "desk") as manager:
        manager.maintenance.purge("talk")
    shutil.copytree(tmp_path / "objects", store / "objects", dirs_exist_ok=True)
    for replica in ("laptop", "desk"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            open_as(store, replica).close()
    look(store)
    assert holding(store, "and more", "y" * 100) == []


def test_a_branch_of_what_was_purged_on_the_other_machine(tmp_path: Path) -> None:
    """A sync carries what a session needs again, though it went with another one."""
    desk, laptop = tmp_path / "desk", tmp_path / "laptop"
    with open_as(desk, "desk") as manager:
        tell(manager, "talk", "hello", "z" * 70_000)
        manager.create_session("branch", branch_from="talk")
        manager.maintenance.purge("branch")
        manager.create_session("twig", branch_from="talk")
        manager.maintenance.purge("talk")
    with open_as(laptop, "laptop") as manager:
        manager.sync(desk)
    with open_as(laptop, "laptop") as manager:
        manager.maintenance.purge("twig")
        tell(manager, "again", "hello", "z" * 70_000)
        assert manager.maintenance.check(full=True).findings == ()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(2):
            with open_as(desk, "desk") as manager:
                manager.sync(laptop)
    with open_as(desk, "desk") as manager:
        assert [each["content"] for each in manager.load_session("again")] == ["hello", "z" * 70_000]
        assert manager.maintenance.check(full=True).findings == ()
