"""A purge beside programs that have read the text before: none of them writes it down again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TypeVar

import pytest
from storekit import message, open_store

from coda_fs_session import SessionNotFoundError
from coda_fs_session.backends.wrapper import WrapperBackend
from coda_fs_session.repo.naming import Naming

from .collecting import repo_of
from .test_purge import SECRET, STARS, holding, shown, tell

T = TypeVar("T")


@pytest.mark.parametrize("kind", ["files", "sqlite"])
@pytest.mark.parametrize("change", ["edit", "delete", "insert", "append and branch", "branch", "again", "clear"])
def test_what_is_made_of_what_a_program_has_read(tmp_path: Path, kind: str, change: str) -> None:
    """Another program that changes a session cuts its chunks anew: of what stands in them now, not of what it read."""
    store = tmp_path / "store"
    words = "word " * 300
    texts = [f"message {number} {SECRET if number == 5 else ''} {words}" for number in range(60)]
    with open_store(store, backend=kind) as manager:
        tell(manager, "talk", "soon removed")
        session = manager.load_session("talk")
        session.messages[:] = [{"role": "user", "content": text} for text in texts]
        manager.save_session(session)
    with open_store(store, backend=kind) as other:
        session = other.load_session("talk")
        assert SECRET in session.messages[5]["content"]
        with open_store(store, backend=kind) as manager:
            assert manager.maintenance.purge_text(SECRET).left == ()
        if change == "delete":
            del session.messages[8]
        elif change == "insert":
            session.messages.insert(2, message(2))
        elif change == "clear":
            session.messages[:] = session.messages[3:9]
        else:
            session.messages[7]["content"] = "changed"
        if change == "append and branch":
            session.messages[7]["content"] = texts[7]
            session.add_message(message(3))
        if "branch" in change:
            other.create_session("branch", branch_from="talk")
        other.save_session(session)
        if change == "again":
            session.messages[6]["content"] = "changed again"
            other.save_session(session)
    assert holding(store, SECRET) == []
    with open_store(store, backend=kind) as again:
        assert again.maintenance.check(full=True).findings == ()
        stored = [each["content"] for each in again.load_session("talk").messages]
        assert stored == [each["content"].replace(SECRET, STARS) for each in session.messages]


@pytest.mark.parametrize("kind", ["files", "sqlite"])
def test_a_program_that_lists_writes_nothing_down_again(tmp_path: Path, kind: str) -> None:
    """What it knows of sessions it neither keeps for the next one nor takes into the index of searches."""
    store = tmp_path / "store"
    with open_store(store, backend=kind) as manager:
        tell(manager, "talk", f"my key is {SECRET} {'x' * 70_000}")
    with open_store(store, backend=kind) as other:
        assert SECRET in shown(other)
        with open_store(store, backend=kind) as manager:
            manager.maintenance.purge_text(SECRET)
        tell(other, "new", "nothing")
        other.list_sessions()
        assert SECRET not in shown(other)
        assert not other.search(SECRET).hits
    assert holding(store, SECRET) == []
    with open_store(store, backend=kind) as manager:
        assert SECRET not in shown(manager)
        assert not manager.search(SECRET).hits


@pytest.mark.parametrize("kind", ["files", "sqlite"])
def test_a_program_that_knows_of_an_earlier_purge(tmp_path: Path, kind: str) -> None:
    """What stands for an object may be purged in turn by another program: both are found all the same."""
    store = tmp_path / "store"
    first, second = (open_store(store, backend=kind) for _ in range(2))
    tell(first, "talk", f"my key is {SECRET}, and my word is hunter2 {'x' * 70_000}")
    first.maintenance.purge_text(SECRET)
    assert second.load_session("talk").messages[0]["content"].startswith(f"my key is {STARS}")
    first.maintenance.purge_text("hunter2")
    repo_of(second).objects.forget()
    branch = second.create_session("branch", branch_from="talk")
    assert branch.messages[0]["content"].startswith(f"my key is {STARS}, and my word is ******* x")
    assert second.maintenance.check(full=True).findings == ()


class PurgedMeanwhile(WrapperBackend):
    """Lets a second process purge once the first objects were put, and gives it a second before the ref is written."""

    program: list[str]
    process: subprocess.Popen[bytes] | None = None

    def call(self, verb: str, act: Callable[[], T]) -> T:
        result = act()
        if verb == "put_objects" and self.process is None:
            self.process = subprocess.Popen(self.program, stdout=subprocess.PIPE)
            with suppress(subprocess.TimeoutExpired):
                # It waits for the save where that has the name.
                self.process.wait(1)
        return result


def purging(store: Path, call: str) -> list[str]:
    program = (
        "import sys; from coda_fs_session import SessionManager\n"
        "with SessionManager({'session': {'storage_path': sys.argv[1], 'state_path': sys.argv[2]}}) as manager:\n"
        f"    print(manager.maintenance.{call})\n"
    )
    return [sys.executable, "-c", program, str(store), f"{store}.state"]


@pytest.mark.parametrize("call", [f"purge_text({SECRET!r})", "purge('talk')"])
@pytest.mark.parametrize("change", ["seal", "clear", "branch"])
def test_a_save_that_another_process_purges_amid(tmp_path: Path, change: str, call: str) -> None:
    """A second process that purges while one saves: nothing that was purged is left, and nothing else is lost."""
    store = tmp_path / "store"
    with open_store(store) as manager:
        tell(manager, "talk", f"my key is {SECRET}", "yes", "no")
        tell(manager, "other", "mine")
    with open_store(store) as manager:
        opened = manager.load_session("talk")
        repo = repo_of(manager)
        wrapped = PurgedMeanwhile(repo.backend)
        wrapped.program = purging(store, call)
        repo.use(wrapped)
        if change == "branch":
            manager.create_session("branch", branch_from="talk")
        elif change == "clear":
            opened.messages.clear()
        else:
            opened.add_message({"role": "user", "content": "x" * 70_000})
        manager.save_session(opened)
        assert wrapped.process is not None
        assert wrapped.process.wait(60) == 0
        assert wrapped.process.stdout is not None
        report = wrapped.process.stdout.read().decode()
    with open_store(store) as again:
        if (change, call) == ("branch", "purge('talk')"):
            # It was there first, and the report says that it keeps what it has.
            assert "session 'branch' has messages of it" in report
            assert len(again.load_session("branch").messages) == 3
            again.maintenance.purge("branch")
        assert holding(store, SECRET) == []
        assert again.maintenance.check(full=True).findings == ()
        assert [each["content"] for each in again.load_session("other").messages] == ["mine"]
        if call.startswith("purge_text"):
            expected = {"seal": 4, "clear": 0, "branch": 3}
            assert len(again.load_session("talk").messages) == expected[change]
        else:
            assert "talk" not in again


def test_a_branch_of_what_was_purged_as_it_was_being_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second process takes the parent out before the branch is in the store: there is none, and the error says so."""
    store = tmp_path / "store"
    with open_store(store) as manager:
        tell(manager, "talk", f"my key is {SECRET}", "x" * 70_000, "no")
    of_branch = Naming.of_branch

    def purged_before(self: Naming, parent: str) -> AbstractContextManager[None]:
        subprocess.run(purging(store, "purge('talk')"), check=True, capture_output=True)
        return of_branch(self, parent)

    with open_store(store) as manager:
        monkeypatch.setattr(Naming, "of_branch", purged_before)
        with pytest.raises(SessionNotFoundError, match="talk"):
            manager.create_session("branch", branch_from="talk")
        assert "branch" not in manager
        assert manager.maintenance.check(full=True).findings == ()
    assert holding(store, SECRET) == []
