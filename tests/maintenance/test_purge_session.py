"""Purging a session: no state of it is anywhere any more, and all others are as they were."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
from damage.specimen import LAPTOP, open_fresh
from damage.specimen import make as make_specimen
from storekit import Opener, open_store, untouched

from coda_fs_session import (
    PurgeReport,
    SessionManager,
    SessionNotFoundError,
    SessionWarning,
    StoreError,
    StoreReadOnlyError,
    UnsupportedError,
)
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.files.backend import LocalBackend
from coda_fs_session.testing import Fault, FaultyBackend

from .test_obeying import exchange, look, open_as
from .test_purge import SAID, SECRET, STEPS, View, contents, holding, over, tell, view_of

NOTHING = PurgeReport((), (), (), dry_run=False)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("purge-session") / "store"
    make_specimen(store)
    return store


def but(view: View, *names: str) -> View:
    """Return what is shown once sessions are purged."""
    sessions = {name: each for name, each in view.sessions.items() if name not in names}
    return View(sessions, {name: each for name, each in view.history.items() if name not in names}, "")


def fill(manager: SessionManager) -> Any:
    """A session with all that one may have, whose text is in no other."""
    session = tell(manager, "talk", f"my key is {SECRET}", "yes")
    session.metadata["note"] = {SECRET: [SECRET]}
    manager.save_session(session)
    manager.history("talk").tag(SECRET)
    session.messages[0]["content"] = f"{SECRET} edited"
    manager.save_session(session)
    tell(manager, "talk", f"{SECRET} {'x' * 70_000}", "last")
    tell(manager, "other", "yes", "nothing")
    return session


@pytest.mark.parametrize("deleted", [False, True])
def test_nothing_of_it_is_left(make: Opener, deleted: bool) -> None:
    """On every backend: it is not listed, found, shown by its history or brought back; others are as they were."""
    manager = make()
    fill(manager)
    before = but(view_of(manager), "talk")
    if deleted:
        manager.delete_session("talk")
    dry = manager.maintenance.purge("talk", dry_run=True)
    report = manager.maintenance.purge("talk")
    assert (report.places, report.elsewhere, report.left) == (dry.places, (), ())
    (place,) = report.places
    assert (place.session, place.messages) == ("talk", () if deleted else (0, 1, 2, 3))
    assert "talk" not in manager
    assert not manager.deleted_sessions()
    for verb in (manager.load_session, manager.history):
        with pytest.raises(SessionNotFoundError):
            list(verb("talk"))
    with pytest.raises(SessionNotFoundError):
        manager.history("talk").restore()
    assert not manager.search(SECRET).hits
    assert but(view_of(manager), "talk") == before
    assert manager.maintenance.check(full=True).findings == ()
    assert manager.maintenance.purge("talk") == NOTHING
    tell(manager, "talk", "anew")
    assert [each["content"] for each in manager.load_session("talk")] == ["anew"]
    assert manager.maintenance.check(full=True).findings == ()


@pytest.mark.parametrize("kind", ["files", "sqlite"])
def test_it_is_in_no_file(tmp_path: Path, kind: str) -> None:
    """Not in the store, its free pages or its log, the record, the packs, the index or what was torn."""
    store = tmp_path / "store"
    with open_store(store, backend=kind) as manager:
        fill(manager)
        for number in range(20):
            tell(manager, f"talk {number}", "hello", "more")
        manager.search("key")
    assert len(holding(store, SECRET)) > 2
    with open_store(store, backend=kind) as manager:
        assert manager.maintenance.purge("talk").left == ()
        assert holding(store, SECRET) == []
    assert holding(store, SECRET) == []
    with open_store(store, backend=kind) as manager:
        assert len(manager.list_sessions()) == 21
        assert manager.maintenance.check(full=True).findings == ()


def test_branches_keep_what_they_show(make: Opener) -> None:
    """What a branch has in common with it stays, and the report names the branch."""
    manager = make()
    fill(manager)
    manager.create_session("branch", branch_from="talk", at=3)
    before = but(view_of(manager), "talk")
    report = manager.maintenance.purge("talk")
    assert [("branch" in each, "keeps" in each) for each in report.left] == [(True, True)]
    assert but(view_of(manager), "talk") == before
    assert manager.maintenance.check(full=True).findings == ()
    assert manager.maintenance.purge("branch").left == ()
    assert not [each for each in manager.list_sessions() if each.name != "other"]


def test_branches_of_what_is_in_no_object(make: Opener) -> None:
    """A branch of a short session, and a branch of that, share no object with it: the report names them all the same.

    So it does with what a branch comes from.

    Whoever purges a session for what it says must be told where that stands besides.
    """
    manager = make()
    tell(manager, "talk", SECRET)
    tell(manager, "other", "nothing")
    manager.create_session("branch", branch_from="talk")
    manager.create_session("twig", branch_from="branch")
    manager.create_session("empty", branch_from="talk", at=0)
    tell(manager, "talk", "more")
    for _ in range(2):
        report = manager.maintenance.purge("talk", dry_run=True)
        assert [each.split("'")[1] for each in report.left] == ["branch", "twig"]
        report = manager.maintenance.purge("twig", dry_run=True)
        assert [each.split("'")[1] for each in report.left] == ["branch", "talk"]
    assert manager.maintenance.purge("empty", dry_run=True).left == ()
    manager.rename_session("branch", "bough")
    manager.maintenance.purge("talk")
    assert [each.split("'")[1] for each in manager.maintenance.purge("bough").left] == ["twig"]
    assert manager.load_session("twig")[0]["content"] == SECRET
    assert manager.maintenance.purge("twig").left == ()


def test_every_session_of_the_specimen(good: Path, tmp_path: Path) -> None:
    """Whichever goes, with merges, renames and edits: all that others show, and their history, stays."""
    before = view_of(open_fresh(good))
    for number, name in enumerate(before.history):
        store = Path(shutil.copytree(good, tmp_path / f"{number}"))
        manager = open_fresh(store)
        report = manager.maintenance.purge(name)
        assert report.places, name
        assert but(view_of(open_fresh(store)), name) == but(before, name), name
        assert open_fresh(store).maintenance.check(full=True).findings == (), name
        shutil.rmtree(store)


def test_all_sessions(good: Path, tmp_path: Path) -> None:
    """Once all are purged, one after the other, nothing that was said in any is left, on either machine."""
    store = Path(shutil.copytree(good, tmp_path / "store"))
    manager, other = open_fresh(store), open_fresh(store, LAPTOP)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(2):
            for each in (manager, other):
                for info in [*each.list_sessions(), *each.deleted_sessions()]:
                    each.maintenance.purge(info.name)
            manager.close()
            other.close()
    assert [*manager.list_sessions(), *manager.deleted_sessions()] == []
    assert not [
        path
        for path in store.rglob("*.jsonl*")
        for each in contents(path)
        if SAID.search(each.decode(errors="replace"))
    ]
    assert open_fresh(store).maintenance.check(full=True).findings == ()


def test_killed_anywhere(good: Path, tmp_path: Path) -> None:
    """Whatever it had done by then: others can be read, and the same call again does the rest."""
    name = "edited"
    before = view_of(open_fresh(good))
    counting = FaultyBackend(LocalBackend(Path(shutil.copytree(good, tmp_path / "all")), files=Files(durable=False)))
    over(counting).maintenance.purge(name)
    verbs = [verb for verb in counting.calls if verb in STEPS]
    assert set(verbs) == STEPS
    for number, verb in enumerate(verbs):
        here = Path(shutil.copytree(good, tmp_path / f"{number}"))
        fault = Fault(verb, at=verbs[:number].count(verb), when="after" if number % 2 else "before")
        with pytest.raises(StoreError):
            over(FaultyBackend(LocalBackend(here, files=Files(durable=False)), fault)).maintenance.purge(name)
        assert but(view_of(open_fresh(here)), name) == but(before, name)
        open_fresh(here).maintenance.purge(name)
        assert open_fresh(here).maintenance.purge(name).places == ()
        assert but(view_of(open_fresh(here)), name) == but(before, name)
        assert name not in open_fresh(here)
        assert open_fresh(here).maintenance.check(full=True).findings == ()
        shutil.rmtree(here)


def test_another_machine(tmp_path: Path) -> None:
    """It does the same when a manager that writes closes, says so once, and keeps what others of its sessions show."""
    store = tmp_path / "store"
    with open_as(store, "desk") as desk:
        fill(desk)
    with open_as(store, "laptop") as laptop:
        tell(laptop, "talk", f"{SECRET} of the laptop")
        tell(laptop, "own", "yes", "of the laptop")
    shutil.copytree(store, tmp_path / "backup")
    with open_as(store, "desk") as desk:
        report = desk.maintenance.purge("talk")
        assert len(report.elsewhere) == 1
        assert "laptop" in report.elsewhere[0]
        assert {info.name for info in desk.list_sessions()} == {"other", "own"}
    assert holding(store, SECRET)
    with pytest.warns(SessionWarning, match="'talk' was taken out here too, as desk"):
        open_as(store, "laptop").close()
    look(store)
    assert holding(store, SECRET) == []
    # A tool brings back old files.
    shutil.copytree(tmp_path / "backup", store, dirs_exist_ok=True)
    assert holding(store, SECRET)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for replica in ("desk", "laptop", "desk"):
            open_as(store, replica).close()
    look(store)
    assert holding(store, SECRET) == []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with open_as(store, "laptop") as laptop:
            assert {info.name for info in laptop.list_sessions()} == {"other", "own"}
            assert laptop.maintenance.check(full=True).is_whole


@pytest.mark.parametrize("turns", [1, 3])
@pytest.mark.parametrize("large", [False, True])
def test_a_side_that_the_purge_did_not_know(tmp_path: Path, large: bool, turns: int) -> None:
    """A machine that was offline keeps the messages that it added, and nothing of what the other one had purged."""
    desk, laptop = tmp_path / "desk", tmp_path / "laptop"
    more = "y" * 70_000 if large else "y"
    with open_as(desk, "desk") as manager:
        tell(manager, "talk", f"key {SECRET}", f"{SECRET} again", *([SECRET * 7_000] if large else []))
        tell(manager, "other", "mine")
    with open_as(laptop, "laptop") as manager:
        manager.sync(desk)
        session = tell(manager, "talk", "of the laptop")
        session.metadata["title"] = SECRET
        manager.save_session(session)
        tell(manager, "talk", more, "last")
    with open_as(desk, "desk") as manager:
        tell(manager, "talk", f"{SECRET} that the laptop never had")
        manager.maintenance.purge("talk")
    manager = open_as(laptop, "laptop")
    manager.sync(desk)
    with pytest.warns(SessionWarning, match="'talk' was taken out here too, as desk has purged it; 3 messages"):
        manager.close()
    for _ in range(turns):
        with open_as(laptop, "laptop") as manager:
            manager.sync(desk)
        open_as(desk, "desk").close()
    look(laptop)
    for store in (desk, laptop):
        assert holding(store, SECRET) == []
        with open_as(store, store.name) as manager:
            assert sorted(info.name for info in manager.list_sessions()) == ["other", "talk"]
            assert [each["content"] for each in manager.load_session("talk")] == ["of the laptop", more, "last"]
            assert manager.load_session("talk").metadata.get("title") is None
            assert manager.maintenance.check(full=True).is_whole


def test_a_name_that_is_used_again(tmp_path: Path) -> None:
    """A new session of the name is whole on every machine, also where the purge comes to a machine after it."""
    desk, laptop = tmp_path / "desk", tmp_path / "laptop"
    with open_as(desk, "desk") as manager:
        tell(manager, "talk", "hello", SECRET, f"{SECRET} again")
    with open_as(laptop, "laptop") as manager:
        manager.sync(desk)
        tell(manager, "talk", f"{SECRET} of the laptop")
        manager.sync(desk)
    with open_as(desk, "desk") as manager:
        manager.maintenance.purge("talk")
        tell(manager, "talk", "hello", "quite another one")
    exchange(laptop, desk, 2)
    look(laptop)
    for store in (desk, laptop):
        assert holding(store, SECRET) == []
        with open_as(store, store.name) as manager:
            assert [info.name for info in manager.list_sessions()] == ["talk"]
            assert [each["content"] for each in manager.load_session("talk")] == ["hello", "quite another one"]
            assert manager.maintenance.check(full=True).is_whole


@pytest.mark.parametrize("change", ["delete", "truncate", "both"])
def test_a_side_to_which_nothing_was_added(tmp_path: Path, change: str) -> None:
    """A machine that was offline has deleted the session too, or taken messages away: nothing of it stays anywhere."""
    desk, laptop = tmp_path / "desk", tmp_path / "laptop"
    with open_as(desk, "desk") as manager:
        tell(manager, "talk", f"key {SECRET}", f"{SECRET} again", SECRET * 7_000)
        tell(manager, "other", "mine")
    with open_as(laptop, "laptop") as manager:
        manager.sync(desk)
        if change == "both":
            tell(manager, "talk", f"{SECRET} of the laptop")
        if change != "delete":
            session = manager.load_session("talk")
            del session.messages[1:]
            manager.save_session(session)
        if change != "truncate":
            manager.delete_session("talk")
    with open_as(desk, "desk") as manager:
        tell(manager, "talk", f"{SECRET} that the laptop never had")
        manager.maintenance.purge("talk")
    report = exchange(laptop, desk, 4)
    assert not report.pushed
    assert not report.pulled
    look(laptop)
    for store in (desk, laptop):
        assert holding(store, SECRET) == []
        with open_as(store, store.name) as manager:
            assert [info.name for info in manager.list_sessions()] == ["other"]
            assert manager.deleted_sessions() == []
            assert manager.maintenance.check(full=True).is_whole


@pytest.mark.parametrize("names", [None, ["new", "fork"]])
def test_what_is_said_again_is_carried(tmp_path: Path, names: list[str] | None) -> None:
    """A session that begins as a purged one did has the same objects: other machines show what it says."""
    desk, laptop = tmp_path / "desk", tmp_path / "laptop"
    begin = ("you are a helper", "hello", "x" * 70_000)
    with open_as(desk, "desk") as manager:
        tell(manager, "talk", *begin, SECRET)
        manager.create_session("branch", branch_from="talk", at=2)
        manager.maintenance.purge("branch")
        manager.maintenance.purge("talk")
        tell(manager, "new", *begin)
        manager.create_session("fork", branch_from="new", at=2)
    for _ in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with open_as(laptop, "laptop") as manager:
                manager.sync(desk, names=names)
    look(laptop)
    for store in (desk, laptop):
        with open_as(store, store.name) as manager:
            assert [each["content"] for each in manager.load_session("new")] == [*begin]
            assert [each["content"] for each in manager.load_session("fork")] == [*begin[:2]]
            assert manager.maintenance.check(full=True).is_whole
        if names is None:
            assert holding(store, SECRET) == []


def test_what_cannot_be_done(tmp_path: Path, make: Opener) -> None:
    """What is wrong is said at once, and nothing is changed."""
    manager = make()
    tell(manager, "talk", SECRET)
    with pytest.raises(SessionNotFoundError):
        manager.maintenance.purge("tale")
    with manager.transaction(), pytest.raises(UnsupportedError, match="transaction"):
        manager.maintenance.purge("talk")
    assert manager.load_session("talk").messages[0]["content"] == SECRET
    if manager.describe().backend == "files":
        with untouched(tmp_path / "store"):
            reader = open_store(tmp_path / "store", read_only=True)
            assert [each.session for each in reader.maintenance.purge("talk", dry_run=True).places] == ["talk"]
            with pytest.raises(StoreReadOnlyError):
                reader.maintenance.purge("talk")


def test_where_nobody_can_tell_what_others_need(tmp_path: Path) -> None:
    """A file that cannot be read may share messages with it: nothing is changed, and the error says what to do."""
    store = tmp_path / "store"
    with open_store(store) as manager:
        fill(manager)
        (path,) = store.glob("refs/*/other.jsonl")
        path.write_bytes(b"no ref\n" + path.read_bytes()[7:])
    with open_store(store) as manager, untouched(store), pytest.raises(StoreError, match="Repair the store first"):
        manager.maintenance.purge("talk")
