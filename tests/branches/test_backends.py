"""Merging over each backend, beside other managers, and where it cannot be."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from storekit import Opener, message, open_store, run_python, say, untouched

from coda_fs_session import SessionManager, StoreReadOnlyError, UnsupportedError


def begin(manager: SessionManager) -> None:
    say(manager, manager.create_session("trunk"), *range(5))
    say(manager, manager.create_session("twig", branch_from="trunk", at=3), 10, 11)
    say(manager, manager.load_session("trunk"), 20)


def numbers(manager: SessionManager, name: str) -> list[int]:
    return [int(each["content"].split()[1]) for each in manager.load_session(name).get_messages()]


def test_over_each_backend(make: Opener) -> None:
    """Merge, diff, pick and tree do the same over files, in memory and in a database."""
    with make() as manager:
        begin(manager)
        before = manager.branches.diff("trunk", "twig")
        assert [each.kind for each in before.differences] == ["changed", "changed", "removed"]
        dry = manager.branches.merge("twig", "trunk", dry_run=True)
        assert (dry.name, dry.added, numbers(manager, "trunk")) == ("trunk", 2, [0, 1, 2, 3, 4, 20])
        report = manager.branches.merge("twig", "trunk")
        assert (report.name, report.added, report.removed) == ("trunk", 2, 0)
        assert numbers(manager, "trunk") == [0, 1, 2, 3, 4, 20, 10, 11]
        assert manager.branches.merge("trunk", "twig").added == 3
        assert sorted(numbers(manager, "twig")) == sorted(numbers(manager, "trunk"))
        say(manager, manager.load_session("twig"), 30)
        assert manager.branches.cherry_pick("twig", [8], "trunk").added == 1
        assert numbers(manager, "trunk")[-1] == 30
        assert manager.branches.merge("twig", "trunk").added == 0
        assert [each.name for each in manager.branches.tree()] == ["trunk", "twig"]
        assert [info.name for info in manager.branches.of("trunk")] == ["twig"]
        say(manager, manager.load_session("trunk"), 40)
        assert numbers(manager, "trunk")[-1] == 40


@pytest.mark.parametrize("backend", ["files", "sqlite"])
def test_two_managers(tmp_path: Path, backend: str) -> None:
    """What another manager has open follows a merge, with what it holds unsaved."""
    one = open_store(tmp_path / "store", backend=backend)
    begin(one)
    other = open_store(tmp_path / "store", backend=backend)
    session = other.load_session("trunk")
    session.add_message(message(50))
    one.branches.merge("twig", "trunk")
    other.save_session(session)
    assert numbers(one, "trunk") == numbers(other, "trunk") == [0, 1, 2, 3, 4, 20, 10, 11, 50]


@pytest.mark.parametrize("backend", ["files", "memory", "sqlite"])
def test_read_only(tmp_path: Path, backend: str) -> None:
    """A manager that only reads compares and draws; what would write is refused at once."""
    if backend != "memory":
        with open_store(tmp_path / "store", backend=backend) as writing:
            begin(writing)
    manager = open_store(tmp_path / "store", backend=backend, read_only=True)
    with untouched(tmp_path):
        if backend != "memory":
            assert manager.branches.merge("twig", "trunk", dry_run=True).added == 2
        for act in (
            lambda: manager.branches.merge("twig", "trunk"),
            lambda: manager.branches.cherry_pick("twig", [0], "trunk"),
        ):
            with pytest.raises(StoreReadOnlyError):
                act()
    if backend != "memory":
        assert manager.branches.diff("trunk", "twig")
        assert len(list(manager.branches.tree())) == 2


def test_a_storage_of_ones_own() -> None:
    """It keeps no history: what branches there are is told, and the rest says that it cannot be done there."""
    from test_custom_storage import DictStorage, manage

    manager = manage(DictStorage())
    begin(manager)
    assert [info.name for info in manager.branches.of("trunk")] == ["twig"]
    assert [(each.name, each.forked_at) for each in manager.branches.tree()] == [("trunk", None), ("twig", 3)]
    for act in (
        lambda: manager.branches.merge("twig", "trunk"),
        lambda: manager.branches.cherry_pick("twig", [0], "trunk"),
        lambda: manager.branches.diff("twig", "trunk"),
    ):
        with pytest.raises(UnsupportedError, match="DictStorage"):
            act()


def test_threads_that_merge_crosswise(make: Opener) -> None:
    """Two threads merge two sessions into each other, again and again: neither waits for ever, nothing is lost."""
    with make() as manager:
        begin(manager)
        failures: list[BaseException] = []

        def work(source: str, into: str, first: int) -> None:
            try:
                for number in range(first, first + 8):
                    say(manager, manager.load_session(into), number)
                    manager.branches.merge(source, into)
            except BaseException as error:
                failures.append(error)

        threads = [
            threading.Thread(target=work, args=each) for each in (("twig", "trunk", 100), ("trunk", "twig", 200))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads)
        assert failures == []
        for source, into in (("twig", "trunk"), ("trunk", "twig")):
            manager.branches.merge(source, into)
        expected = [*range(5), 10, 11, 20, *range(100, 108), *range(200, 208)]
        assert sorted(numbers(manager, "trunk")) == sorted(numbers(manager, "twig")) == expected


@pytest.mark.parametrize("backend", ["files", "sqlite"])
def test_processes_that_merge_at_once(tmp_path: Path, backend: str) -> None:
    """Three processes merge the same branch at the same time, while one goes on with it: all of it is there once."""
    with open_store(tmp_path / "store", backend=backend) as manager:
        begin(manager)
    script = """
        import multiprocessing, sys
        from pathlib import Path
        from storekit import open_store, say

        def work(first):
            with open_store(Path(sys.argv[1]), backend=sys.argv[2]) as manager:
                for number in range(first, first + 6):
                    say(manager, manager.load_session("twig"), number)
                    manager.branches.merge("twig", "trunk")

        context = multiprocessing.get_context("fork")
        processes = [context.Process(target=work, args=(100 * each,)) for each in (1, 2, 3)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        print([process.exitcode for process in processes])
    """
    done = run_python(script, tmp_path / "store", backend)
    assert (done.stdout, done.stderr) == ("[0, 0, 0]\n", "")
    with open_store(tmp_path / "store", backend=backend) as manager:
        manager.branches.merge("twig", "trunk")
        said = [number for first in (100, 200, 300) for number in range(first, first + 6)]
        assert sorted(numbers(manager, "trunk")) == [0, 1, 2, 3, 4, 10, 11, 20, *said]
        assert {info.name for info in manager.list_sessions()} == {"trunk", "twig"}
