"""Histories of the engine: machines whose people save, fork and go back, and let go; gc, tools and old sticks."""

from __future__ import annotations

import itertools
import random
import shutil
import tempfile
import warnings
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import orjson
from simulator import invariants
from simulator.machines import Replica
from simulator.reader import Files
from simulator.steps import Step
from simulator.tool_steps import Results
from simulator.views import lines_of, view_of
from simulator.world import NAMES, World

from coda_fs_session.errors import (
    HistoryExpiredError,
    ObjectNotYetHereError,
    SessionConflictError,
    SessionExistsError,
    SessionNotFoundError,
    SessionWarning,
    StoreError,
)
from coda_fs_session.format.records import Base
from coda_fs_session.repo import replica_files
from coda_fs_session.repo.maintenance import gc as gc_module
from coda_fs_session.repo.maintenance.unneeded import unneeded
from coda_fs_session.repo.writing.refs import publish

from .gc_carrying import TOOLS, Folder, put_stick, sync
from .gc_judging import judge, lay
from .gc_places import HousePlace, KilledError, Wandering, killed_at, repo_of

POOL = 5
"""So many texts there are that are saved again and again; each is a chunk of its own."""
_REFUSALS = (
    SessionExistsError,
    SessionNotFoundError,
    SessionConflictError,
    ObjectNotYetHereError,
    HistoryExpiredError,
)
_ROUNDS = 10
_HELD = "held-"
"""How the names of sessions begin that are let go some day."""


class GcWorld(World):
    """Some machines that know each other, each two connected by one tool.

    Args:
        grace: days; 0 deletes as soon as nobody has anything against it.
        seed: which tools there are, and in which order they carry files.
    """

    def __init__(self, replicas: int, *, grace: float = 0, seed: int = 0) -> None:
        super().__init__(replicas, place=lambda name, clock: HousePlace(name, clock))
        self.rng = random.Random(seed)
        self.grace = grace
        self.folders: list[Folder] = []
        for replica in self.replicas:
            assert isinstance(replica.place, HousePlace)
            clock = Wandering(self.rng.uniform(-10, 10))
            replica.clock = replica.place.clock = clock
            replica.place.grace = grace
            replica.manager = replica.place.manager()
            self.folders.append(Folder(str(replica.number), replica.place.store))
        pairs = itertools.combinations(range(replicas), 2)
        self.tools = {pair: self.rng.choice([*sorted(TOOLS), "the engine"]) for pair in pairs}
        self.sticks: list[Path] = []
        self.held_texts: dict[str, tuple[bytes, ...]] = {}
        self.numbers = itertools.count()
        self.freed = 0
        self._patches = ExitStack()
        if not grace:
            self._patches.enter_context(mock.patch.object(gc_module, "_LEAST_GRACE_DAYS", 0))

    def introduce(self) -> None:
        """Let all replicas know each other, and have a session to begin with."""
        for replica in self.replicas:
            self.do(("create", (replica.number, replica.number % 2)))
            self.do(("add", (replica.number, 0, 2)))
        self.carry_all()
        self.carry_all()
        for replica in self.replicas:
            self._look(replica)

    def close(self) -> None:
        self._patches.close()
        super().close()
        for stick in self.sticks:
            shutil.rmtree(stick, ignore_errors=True)

    def do(self, step: Step) -> None:
        """Run one step; what must be true at once is held by the model, and by a look at the sessions."""
        verb, (which, *numbers) = step
        replica = self.replicas[which % len(self.replicas)]
        replica.clock.tick()
        act = partial(self._try, replica, verb, numbers)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SessionWarning)
            if verb in _JUDGED_OTHERWISE:
                act()
            else:
                self._judged(replica, act)
            for each in self.replicas if verb == "sync" else [replica]:
                self._look(each)

    def _try(self, replica: Replica, verb: str, numbers: list[int]) -> None:
        try:
            getattr(self, f"_{verb}")(replica, *numbers)
        except _REFUSALS as error:
            # What was not saved goes with the process.
            self._tell(replica, f"{verb} was refused: {type(error).__name__}")
            replica.reopen()

    def _judged(self, replica: Replica, act: Callable[[], object]) -> None:
        """Let the engine do something at a place, and the model judge that."""
        files = replica.place.files()
        act()
        now, own = replica.place.files(), self._id_of(replica)
        before, after = (lay(each, own, self.reader) for each in (files, now))
        removed, added = (
            [path for path in one if path.startswith("objects/") and path not in other]
            for one, other in ((files, now), (now, files))
        )
        judge(before, after, removed=removed, added=added)

    def _id_of(self, replica: Replica) -> str:
        return replica_files.own_id(repo_of(replica.place.manager())) or ""

    # What machines do

    def _save_again(self, replica: Replica, name: int, which: int, count: int) -> Results | None:
        """Save texts that others save too, or have let go."""
        session = replica.manager.create_session(NAMES[name % 2] if count else f"again {next(self.numbers)}")
        before = lines_of(session)
        # What comes before tells this conversation from any other.
        session.add_message(self._message())
        for at in range(count + 1):
            session.add_message(_pooled(which + at))
        self._tell(replica, f"saves texts {which} to {which + count} in {session.name!r}")
        self._save(replica, session)
        assert lines_of(session)[: len(before)] == before
        self._acknowledge(replica, session)
        self._hold(replica, session)
        return None

    def _save_held(self, replica: Replica, which: int, count: int) -> None:
        """Save texts that are let go some day."""
        name = f"{_HELD}{replica.number}-{next(self.numbers)}"
        session = replica.manager.create_session(name)
        for at in range(3 * count + 1):
            session.add_message(_pooled(which + at))
        self._save(replica, session)
        self.held_texts[name] = lines_of(session)
        self._tell(replica, f"saves texts {which} to {which + 3 * count} in {name!r}")

    def _fork_held(self, replica: Replica, which: int) -> None:
        names = sorted(info.name for info in replica.manager.list_sessions() if info.name in self.held_texts)
        if names:
            name, new = names[which % len(names)], f"fork {next(self.numbers)}"
            session = replica.manager.create_session(new, branch_from=name)
            self._tell(replica, f"branches {new!r} from {name!r}")
            self._acknowledge(replica, session)

    def _let_go(self, replica: Replica, which: int) -> None:
        """Let a session be deleted without a history, as if the time had passed for which that is kept."""
        names = sorted(name for name in self.held_texts if name.startswith(f"{_HELD}{replica.number}-"))
        if not names:
            return
        name = names[which % len(names)]
        replica.manager.delete_session(name)
        manager = replica.place.manager()
        repo = repo_of(manager)
        for key, _ in list(repo.backend.refs()):
            state = repo.read(key)
            if state.name == name and key.replica == repo.replica:
                header = replace(state.header, base=Base(), commit=None)
                with repo.lock(name), repo.backend.hold(key):
                    publish(repo, header, [], repo.read(key))
        del self.held_texts[name]
        self._tell(replica, f"lets {name!r} go")

    def _leave(self, replica: Replica, which: int) -> Results:
        """A program writes objects, and is killed before the ref."""
        repo = repo_of(replica.manager)
        with repo.writing():
            repo.objects.put([repo.objects.new_chunk([_line(which)])])
        self._tell(replica, f"is killed when it has written text {which}")
        return set()

    def _gc(self, replica: Replica, times: int, kill: int, days: int) -> Results | None:
        """Keep house once or a few times in a row, in new processes; perhaps the last one is killed."""
        clock = replica.clock
        assert isinstance(clock, Wandering)
        for time in range(times + 1):
            clock.pass_days(self.grace / 3 + days / 10)
            self._judged(replica, partial(self._gc_once, replica, kill if time == times and kill < 40 else 10**9))
        return None

    def _gc_once(self, replica: Replica, kill: int) -> None:
        manager = replica.place.manager()
        try:
            with killed_at(kill):
                report = manager.maintenance.gc(dry_run=False)
                manager.close()
        except KilledError:
            self._tell(replica, f"is killed in gc before its call {kill}")
        else:
            self.freed += report.freed.files
            said = f"frees {report.freed.files}, condemns {report.condemned.files}"
            self._tell(replica, f"runs gc: {said}, waits for {report.waiting_for}, blocked by {report.blocked[:1]}")

    def _close(self, replica: Replica, kill: int) -> None:
        """End a process that wrote, and begin another one."""
        try:
            with killed_at(kill if kill < 12 else 10**9):
                replica.manager.close()
        except KilledError:
            self._tell(replica, f"is killed in close before its call {kill}")
        else:
            self._tell(replica, "is closed")
        replica.reopen()

    def _jump(self, replica: Replica, back: int) -> Results:
        clock = replica.clock
        assert isinstance(clock, Wandering)
        clock.pass_days(-3650 if back else 3650)
        self._tell(replica, f"has a clock that jumps by ten years {'back' if back else 'on'}")
        return set()

    def _retire(self, replica: Replica, which: int) -> Results:
        others = [each for each in self.replicas if each is not replica]
        if others:
            other = others[which % len(others)]
            self.retire(replica, self._id_of(other))
        return set()

    def retire(self, replica: Replica, identity: str) -> None:
        with suppress(ValueError):
            replica.manager.maintenance.retire(identity, force=True, dry_run=False)
            self._tell(replica, f"retires {identity!r}")

    # What tools and people do with files

    def _sync(self, replica: Replica, other: int, partly: int, order: int) -> None:
        others = [each for each in self.replicas if each is not replica]
        if others:
            self.carry(replica, others[other % len(others)], random.Random(order), partly=bool(partly))

    def carry(self, replica: Replica, other: Replica, rng: random.Random, *, partly: bool = False) -> None:
        one, two = (self.folders[each.number] for each in (replica, other))
        tool = self.tools[min(replica.number, other.number), max(replica.number, other.number)]
        if tool == "the engine":
            self._judged(replica, partial(self._judged, other, partial(self._sync_by_engine, replica, other)))
        else:
            sync(tool, one, two, rng, partly=partly)
        self._touched()
        self._tell(replica, f"is synced with {other.number} by {tool}{', partly' if partly else ''}")

    def _sync_by_engine(self, replica: Replica, other: Replica) -> None:
        manager = replica.place.manager()
        try:
            manager.sync(self.folders[other.number].root)
        except StoreError as error:
            # As long as something is on its way by another tool.
            self._tell(replica, f"does not sync: {type(error).__name__}: {error}")
        manager.close()

    def carry_all(self) -> None:
        for one, two in itertools.permutations(self.replicas, 2):
            self.carry(one, two, self.rng)

    def _touched(self) -> None:
        for replica, folder in zip(self.replicas, self.folders, strict=True):
            replica.reverted |= any(map(replica.place.is_own, folder.touched))
            folder.touched.clear()

    def _copy_to_stick(self, replica: Replica) -> Results:
        stick = Path(tempfile.mkdtemp(prefix="coda-fs-"))
        self.sticks.append(stick)
        shutil.copytree(self.folders[replica.number].root, stick, dirs_exist_ok=True)
        self._tell(replica, "is copied to a stick")
        return set()

    def _get_stick(self, replica: Replica, which: int, order: int) -> None:
        if self.sticks:
            put_stick(self.folders[replica.number], self.sticks[which % len(self.sticks)], random.Random(order))
            self._touched()
            self._tell(replica, "gets what an old stick has")

    def _lose_state(self, replica: Replica) -> None:
        assert isinstance(replica.place, HousePlace)
        replica.place.lose_state()
        replica.reopen()
        self._tell(replica, "loses its state folder")

    # Checks

    def _look(self, replica: Replica, *, everybodys: bool = False) -> None:
        manager = replica.place.manager()
        view = view_of(manager)
        replica.view = {name: shown for name, shown in view.items() if not shown.label.startswith(_HELD)}
        replica.reverted = False
        files = replica.place.files()
        replica.refs = self.reader.refs(files)
        if not invariants.is_complete(replica.refs):
            return
        saves = self._kept(of=None if everybodys else replica.number)
        invariants.acknowledged_is_kept(saves, replica.refs.values())
        invariants.acknowledged_is_shown(saves, view, self.stepped_over)

    def _undelete(self, replica: Replica, place: int) -> None:
        if not any(info.name.startswith(_HELD) for info in replica.manager.deleted_sessions()):
            super()._undelete(replica, place)

    def finish(self) -> None:
        """Let all meet and do their part; then every side has everything, and nothing that nobody needs."""
        for _ in range(_ROUNDS):
            before = [replica.place.files() for replica in self.replicas]
            self.carry_all()
            self._retire_lost()
            for replica in self.replicas:
                replica.reopen()
                self._judged(replica, replica.manager.close)
                replica.reopen()
            for replica in self.replicas:
                # With a grace it takes a few runs until the next step.
                self._gc(replica, 2 if self.grace else 0, 99, 1)
            if before == [replica.place.files() for replica in self.replicas] and not any(
                map(self._left, self.replicas)
            ):
                break
        self.carry_all()
        for replica in self.replicas:
            replica.reopen()
            self._look(replica, everybodys=True)
            self._is_whole(replica)
        for replica in self.replicas:
            invariants.same_files_same_view(self.replicas[0].view, replica.view)
            for name, lines in self.held_texts.items():
                assert lines_of(replica.manager.load_session(name)) == lines, f"{name!r} is not what it was"

    def _retire_lost(self) -> None:
        """Retire the ids under which nobody writes any more."""
        live = {self._id_of(replica) for replica in self.replicas}
        for identity in {each for replica in self.replicas for each in _ids_in(replica.place.files())} - live:
            self.retire(self.replicas[0], identity)

    def _is_whole(self, replica: Replica) -> None:
        """Hold that all that is kept can be read, and that what can be read is all that is kept."""
        place, missing = replica.number, {path for path, ref in replica.refs.items() if ref.missing}
        assert not missing, f"on replica {place} objects of {sorted(missing)} are missing"
        with replica.place.manager() as manager:
            errors = [each for each in manager.maintenance.check(full=True).findings if each.severity != "note"]
            assert not errors, f"replica {place}: {errors}"
            for info in manager.list_sessions():
                for entry in manager.history(info.name):
                    assert len(lines_of(manager.history(info.name).at(entry.id))) == entry.messages
        assert not (left := self._left(replica)), f"replica {place} keeps {left}"

    def _left(self, replica: Replica) -> list[str]:
        """Return what nothing needs, and is here."""
        return sorted(unneeded(repo_of(replica.place.manager())).files)


def _ids_in(files: Files) -> set[str]:
    return {path.split("/")[1] for path in files if path.startswith("refs/")}


def _pooled(which: int) -> dict[str, Any]:
    return {"role": "user", "content": f"text {which % POOL} {'y' * 450}"}


def _line(which: int) -> bytes:
    return orjson.dumps(_pooled(which))


_JUDGED_OTHERWISE = {"gc", "sync", "copy_to_stick", "get_stick", "lose_state"}
