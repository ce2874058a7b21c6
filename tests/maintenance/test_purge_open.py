"""A purge beside programs that have read the text before: none of them writes it down again."""

from __future__ import annotations

from pathlib import Path

import pytest
from storekit import message, open_store

from .collecting import repo_of
from .test_purge import SECRET, STARS, holding, shown, tell


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
