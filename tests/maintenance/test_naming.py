"""What a new ref names is in no file that is on a list, whichever verb writes it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from storekit import fill, message, open_store, say, tree

from coda_fs_session import SessionManager
from coda_fs_session.backends.base import OBJECT_LIMIT, RefKey
from coda_fs_session.backends.files.backend import LocalBackend
from coda_fs_session.format.records import Tags
from coda_fs_session.format.refs import parse_ref
from coda_fs_session.repo.maintenance.check import fresh_objects
from coda_fs_session.repo.maintenance.reach import Reach
from coda_fs_session.repo.maintenance.unneeded import unneeded
from coda_fs_session.repo.naming import Naming
from coda_fs_session.repo.repository import Repository

from .carrying import condemn_all, files_in
from .collecting import TEXT, repo_of

COUNT = 80
"""Messages, each of which is an object of its own: more than the top level of a list has entries."""


def fork(manager: SessionManager) -> None:
    manager.save_session(manager.create_session("new", branch_from="chat"))


def fork_a_part(manager: SessionManager) -> None:
    manager.save_session(manager.create_session("new", branch_from="chat", at=COUNT - 3))


def fork_a_tag(manager: SessionManager) -> None:
    manager.save_session(manager.create_session("new", branch_from="chat", at="early"))


def save_the_same(manager: SessionManager) -> None:
    fill(manager, "new", COUNT, size=TEXT)


def in_bulk(manager: SessionManager) -> None:
    with manager.bulk():
        fork(manager)
        fill(manager, "other", 3, size=TEXT)


def in_a_transaction(manager: SessionManager) -> None:
    with manager.transaction() as transaction:
        transaction.create_session("new", branch_from="chat")
        transaction.create_session("other", branch_from="theirs")


def write_to_anothers(manager: SessionManager) -> None:
    say(manager, manager.load_session("theirs"), 1)


def rename_anothers(manager: SessionManager) -> None:
    manager.rename_session("theirs", "new")


def delete_anothers(manager: SessionManager) -> None:
    manager.delete_session("edited")


def edit(manager: SessionManager) -> None:
    session = manager.load_session("chat")
    session.messages[5] = message(6, TEXT)
    manager.save_session(session)


def undo(manager: SessionManager) -> None:
    manager.history("chat").undo()


def restore(manager: SessionManager) -> None:
    manager.history("chat").restore("early")


def tag(manager: SessionManager) -> None:
    manager.history("chat").tag("now")


def merge(manager: SessionManager) -> None:
    manager.branches.merge("edited", into="chat")


def cherry_pick(manager: SessionManager) -> None:
    manager.branches.cherry_pick("edited", [1], into="chat")


VERBS: list[Callable[[SessionManager], None]] = [
    *(fork, fork_a_part, fork_a_tag, save_the_same, in_bulk, in_a_transaction, write_to_anothers, rename_anothers),
    *(delete_anothers, edit, undo, restore, tag, merge, cherry_pick),
]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with sessions of another machine and of our own, with histories."""
    store = tmp_path / "store"
    with open_store(store, replica="laptop", state_path=tmp_path / "laptop") as manager:
        fill(manager, "theirs", COUNT, size=TEXT)
        fill(manager, "edited", 3, size=TEXT)
        session = manager.load_session("edited")
        session.messages[1] = message(1001, TEXT)
        manager.save_session(session)
    with open_store(store, replica="desk", state_path=tmp_path / "desk") as manager:
        fill(manager, "chat", COUNT, size=TEXT)
        manager.history("chat").tag("early", 2)
        session = manager.load_session("chat")
        session.messages[1] = message(1000, TEXT)
        manager.save_session(session)
    return store


def desk(store: Path) -> SessionManager:
    return open_store(store, replica="desk", state_path=store.parent / "desk")


def needed_by(repo: Repository) -> dict[str, set[str]]:
    """Return the ids of all objects that each ref leads to, by its path."""
    found = {}
    for path in repo.backend.ref_tokens():
        reach = Reach(fresh_objects(repo))
        reach.add_ref(parse_ref(repo.backend.read_ref(RefKey(path)).data, path), path)
        reach.follow()
        found[path] = set(map(str, reach.uses))
    return found


def on_lists_alone(repo: Repository, before: dict[str, set[str]], names: frozenset[str]) -> set[str]:
    """Return what refs name by now that they did not name, and that is in no other file than these."""
    elsewhere = {each.id for each in repo.backend.stored_objects() if each.name not in names}
    now = needed_by(repo)
    return {each for path, ids in now.items() for each in ids - before.get(path, set()) - elsewhere}


@pytest.mark.parametrize("done", [False, True], ids=["condemned", "done"])
@pytest.mark.parametrize("verb", VERBS)
def test_what_a_verb_names(store: Path, verb: Callable[[SessionManager], None], done: bool) -> None:
    """Everything is on the list of another machine: what a verb names anew has another file once it returns."""
    with desk(store) as manager:
        before = needed_by(repo_of(manager))
        names = condemn_all(repo_of(manager), done=done)
        refs = tree(store / "refs")
        verb(manager)
        assert tree(store / "refs") != refs
        assert on_lists_alone(repo_of(manager), before, names) == set()


def test_without_a_list_nothing_is_read(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as nobody has condemned anything, a fork follows nothing of what it names."""
    monkeypatch.setattr(Naming, "_secure", None)
    with desk(store) as manager:
        fork(manager)


def test_what_is_only_in_the_trash(store: Path) -> None:
    """It is being deleted right now: a fork that names it takes it from where it is kept aside."""
    with desk(store) as manager:
        repo = repo_of(manager)
        before, names = needed_by(repo), condemn_all(repo)
        session = manager.load_session("chat")
        for place in [each for each in repo.backend.stored_objects() if each.name in names]:
            repo.machine.keep_deleted(place.id, repo.backend.get_object(place.id, size=None, limit=OBJECT_LIMIT))
            repo.backend.remove_object(place)
        manager.save_session(manager.create_session("new", branch_from=session.name))
        assert on_lists_alone(repo, before, names) == set()
        assert len(manager.load_session("new").messages) == COUNT


def test_who_acknowledges_waits_for_who_names(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fork has read that there are no lists, and its ref is not written yet: nobody looks at refs before it is."""
    at_write, go_on = threading.Event(), threading.Event()
    real = LocalBackend.create_ref

    def create_ref(self: LocalBackend, key: RefKey, data: bytes) -> Any:
        naming = self._new_refs.naming

        @contextmanager
        def within(refs: Sequence[tuple[RefKey, bytes]]) -> Iterator[None]:
            with naming(refs):
                at_write.set()
                assert go_on.wait(60)
                yield

        self._new_refs.naming = within
        try:
            return real(self, key, data)
        finally:
            self._new_refs.naming = naming

    with desk(store) as manager, desk(store) as other, ThreadPoolExecutor(2) as threads:
        with monkeypatch.context() as patch:
            patch.setattr(LocalBackend, "create_ref", create_ref)
            forking = threads.submit(fork, manager)
            assert at_write.wait(60)
        condemn_all(repo_of(other))
        with repo_of(other).machine.keeping_house("test"):
            looking = threads.submit(unneeded, repo_of(other), to_act=True)
            with pytest.raises(TimeoutError):
                looking.result(0.3)
            go_on.set()
            forking.result(60)
            found = looking.result(60)
        assert sum(path.startswith("refs/") for path in files_in(store)) == len(needed_by(repo_of(other))) + 1
        assert len(needed_by(repo_of(other))) == 4
        assert found.blocked == []


def test_verbs_that_name_do_not_wait_for_each_other(store: Path) -> None:
    """A fork is written while another one is: the lock is shared."""
    with (
        desk(store) as manager,
        desk(store) as other,
        ThreadPoolExecutor(1) as threads,
        repo_of(other).machine.naming(),
    ):
        threads.submit(fork, manager).result(60)


def test_tags_name_commits(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list comes between the commit and the line that names it: the commit has another file before the line is."""
    lists: list[frozenset[str]] = []
    naming = Naming.of_tags

    def of_tags(self: Naming, tags: Tags) -> AbstractContextManager[None]:
        lists.append(condemn_all(repo))
        return naming(self, tags)

    monkeypatch.setattr(Naming, "of_tags", of_tags)
    with desk(store) as manager:
        repo = repo_of(manager)
        before = needed_by(repo)
        tag(manager)
        assert len(lists) == 1
        assert on_lists_alone(repo, before, lists[0]) == set()
