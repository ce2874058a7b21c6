"""A watch of many sessions: an event of a file leads to the sessions of that file alone."""

from __future__ import annotations

import random
import shutil
import sys
import time
from pathlib import Path

import pytest

from coda_fs_session import SessionInfo, Watch
from coda_fs_session.repo.storage import RepoStorage

from .diverging import apart, exchange
from .machines import Machine, said
from .watching import PATIENCE, told

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere events do not name each file")


class Looks:
    """How often the whole store was listed, after the first time."""

    def __init__(self, storage: RepoStorage) -> None:
        self.count = -1
        look = storage.look

        def counted() -> list[SessionInfo]:
            self.count += 1
            return look()

        storage.look = counted  # type: ignore[method-assign]


@pytest.fixture
def looks(here: Machine) -> tuple[Watch, Looks]:
    """A watch that does not look for itself within a test, and what it looks at."""
    here.create("other", said(1))
    storage = here.manager()._storage
    assert isinstance(storage, RepoStorage)
    looks = Looks(storage)
    return Watch(storage, listing=10 * PATIENCE), looks


def test_sessions_are_not_all_listed(here: Machine, looks: tuple[Watch, Looks]) -> None:
    """What the library does to a session is told by a look at that one."""
    watch, all_looks = looks
    with watch:
        here.create("chat", said(1))
        told(watch, "created", "chat", message_count=1)
        here.change("chat", *range(50))
        told(watch, "advanced", "chat", message_count=51)
        here.manager().create_session("branch", branch_from="chat")
        told(watch, "created", "branch", message_count=51)
        here.manager().rename_session("chat", "talk")
        assert told(watch, "renamed", "talk").previous_name == "chat"
        here.manager().delete_session("talk")
        told(watch, "deleted", "talk")
        assert all_looks.count == 0


def test_another_side(here: Machine, there: Machine) -> None:
    """Sides of one name are looked at together: what goes on under a derived name is told under that."""
    derived = apart(here, there)
    storage = here.manager()._storage
    assert isinstance(storage, RepoStorage)
    looks = Looks(storage)
    with Watch(storage, listing=10 * PATIENCE) as watch:
        here.change(derived, "more")
        told(watch, "advanced", derived)
        here.manager().delete_session(derived)
        told(watch, "deleted", derived)
        assert looks.count == 0


def settled(watch: Watch, here: Machine) -> None:
    """Wait until the watch has told all, and what it knows is what is listed."""
    deadline = time.monotonic() + PATIENCE
    while True:
        watch.next(0.1)
        listed = {info.name: info for info in here.manager().list_sessions()}
        if watch._listed == listed:
            return
        assert time.monotonic() < deadline, (watch._listed, listed)


def test_it_comes_to_know_what_is_listed(here: Machine, there: Machine, looks: tuple[Watch, Looks]) -> None:
    """Whatever happens, by whomever, in whatever order: in the end the watch knows what a list tells."""
    watch, _ = looks
    draw = random.Random(7)
    with watch:
        for turn in range(60):
            names = here.names()
            name = draw.choice(names) if names else "first"
            match draw.choice(["create", "change", "fork", "rename", "delete", "rsync", "edit"]):
                case "create":
                    here.create(f"session-{turn}", said(turn))
                case "change" if names:
                    here.change(name, *range(draw.choice([1, 30])))
                case "fork" if names:
                    here.manager().create_session(f"fork-{turn}", branch_from=name)
                case "rename" if names:
                    here.manager().rename_session(name, f"renamed-{turn}")
                case "delete" if names:
                    here.manager().delete_session(name)
                case "edit" if names:
                    manager = here.manager()
                    session = manager.load_session(name)
                    session.clear_messages()
                    manager.save_session(session)
                case "rsync" if names:
                    here.manager().sync(there.store)
                    for side in (here, there):
                        if name in side.names():
                            side.change(name, turn)
                    there.send_to(here)
            if draw.random() < 0.3:
                settled(watch, here)
        settled(watch, here)


@pytest.mark.parametrize("what", ["removed", "put back", "put in its place"])
def test_what_tools_do_to_files(here: Machine, tmp_path: Path, what: str) -> None:
    """A file that goes, that is an older one again, or another session's: what it stood for is told as gone."""
    here.create("chat", said(1))
    ref = here.only_ref()
    kept = tmp_path / "kept"
    shutil.copy(ref, kept)
    here.manager().rename_session("chat", "talk")
    here.create("new", said(2))
    here.lose_record()
    with here.manager().watch() as watch:
        (now,) = (path for path in here.refs() if b'"name":"talk"' in path.read_bytes())
        if what == "removed":
            now.unlink()
        elif what == "put back":
            shutil.copy(kept, now)
        else:
            shutil.copy(here.store / "refs" / here.replica / "new.jsonl", now)
        told(watch, "deleted", "talk")


def test_an_object_that_arrives(here: Machine, there: Machine, tmp_path: Path) -> None:
    """Where something is missing to tell what a session is, what comes for it is told though no ref changed."""
    here.create("chat", said(*range(40)))
    exchange(here, there)
    here.change("chat", *range(40, 80))
    there.change("chat", *range(50, 90))
    partly = Machine(tmp_path / "partly", there.replica)
    shutil.copytree(here.store, partly.store)
    shutil.copytree(there.store / "refs", partly.store / "refs", dirs_exist_ok=True)
    assert any(info.undecided for info in partly.manager().list_sessions())
    with Watch(partly.manager()._storage, listing=10 * PATIENCE) as watch:
        shutil.copytree(there.store / "objects", partly.store / "objects", dirs_exist_ok=True)
        settled(watch, partly)
        assert not any(info.undecided for info in watch._listed.values())
