"""Runs a history: replicas with people and sync tools at work on them, and every promise checked after every step."""

from __future__ import annotations

import operator
import random
import warnings
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

import orjson

from coda_fs_session.errors import (
    ObjectNotYetHereError,
    SessionConflictError,
    SessionExistsError,
    SessionNotFoundError,
    SessionWarning,
)
from coda_fs_session.session.session import Session

from . import invariants
from .history_steps import HistorySteps
from .invariants import Acknowledged
from .machines import Clock, Replica
from .places import MemoryPlace, Place
from .reader import StoredRef, StoreReader, marks_along
from .steps import History, Step
from .tool_steps import Results
from .transport import Carried, exchange
from .views import View, lines_of, plain, view_of

NAMES = ("a", "b", "Wörk/1", "twig")
_ROUNDS = 6

OpenPlace = Callable[[str, Callable[[], datetime]], Place]


class HistoryFailed(AssertionError):
    """A promise was broken; the text tells which, and every step up to there, also as a script."""

    @classmethod
    def of(cls, error: Exception, log: list[str], script: str) -> HistoryFailed:
        """Return what tells of an error, with the steps that were done, and the history as a script."""
        told = "\n".join(f"  {line}" for line in log)
        kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
        return cls(f"{kind}{error}\n\nWhat happened:\n{told}\n\n{script}")


class World(HistorySteps):
    """Replicas of one store.

    Args:
        place: opens the place of a replica; in memory unless told otherwise.
    """

    def __init__(self, replicas: int, *, reverts: bool = False, place: OpenPlace = MemoryPlace) -> None:
        super().__init__(reverts=reverts)
        for number in range(replicas):
            # Clocks go from hours behind to hours ahead, in another order than ids.
            clock = Clock((number * 7) % 5 * 5 - 10)
            own = place(f"host{number}-{number:08x}", clock)
            if number % 2:
                own.choose_ids()
            self.replicas.append(Replica(number, clock, own, own.manager()))
        self.reader = StoreReader()
        self.saves: list[Acknowledged] = []
        self.stepped_over: set[int] = set()
        self._results_of_edits: set[int] = set()
        self._deleted_by: dict[int, set[int]] = {}
        self._branched: set[int] = set()
        self._touched_by: dict[int, set[int]] = {}
        self._given_up: set[int] = set()
        self._messages = 0

    def do(self, step: Step) -> None:
        """Run one step and check what must be true then."""
        verb, (which, *numbers) = step
        replica = self.replicas[which % len(self.replicas)]
        before, known, reverted = replica.view, replica.refs, replica.reverted
        replica.clock.tick()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SessionWarning)
            try:
                outcome = getattr(self, f"_{verb}")(replica, *numbers)
            except (SessionExistsError, SessionNotFoundError, SessionConflictError, ObjectNotYetHereError) as error:
                # Refused: nothing may have changed, and what was not saved goes with the process.
                self._tell(replica, f"{verb} was refused: {type(error).__name__}")
                replica.reopen()
                outcome = None if reverted else set()
        self._look(replica)
        if isinstance(outcome, Carried):
            self._check_received(replica, before, known, outcome)
        elif outcome is not None and not _undecided(before, replica.view):
            invariants.others_stay(before, replica.view, outcome)

    def finish(self) -> None:
        """Bring everything everywhere, and check that all replicas have everything and agree."""
        places = [replica.place for replica in self.replicas]
        for _ in range(_ROUNDS):
            for replica in self.replicas:
                replica.reopen()
            if not exchange(places):
                break
        else:
            raise AssertionError(f"after {_ROUNDS} exchanges the stores are still not the same")
        self._tell(None, "everything was brought everywhere")
        invariants.stores_agree(place.files() for place in places)
        for replica in self.replicas:
            self._look(replica, everybodys=True)
            assert invariants.is_complete(replica.refs), "objects are missing everywhere"
            invariants.deleted_stays_deleted(replica.view, self._deleted_for_good())
            invariants.same_files_same_view(self.replicas[0].view, replica.view)

    def close(self) -> None:
        for replica in self.replicas:
            replica.place.close()

    # Steps; each returns the results of the work, None where any session may have changed, or what was received.

    def _create(self, replica: Replica, name: int) -> Results:
        chosen = NAMES[name]
        session = replica.manager.create_session(chosen)
        self._tell(replica, f"opens or creates {chosen!r}")
        self._hold(replica, session)
        return set()

    def _add(self, replica: Replica, place: int, count: int) -> Results:
        session = self._picked(replica, place)
        if session is None:
            return set()
        return self._append(replica, session, count + 1)

    def _add_late(self, replica: Replica, place: int, count: int) -> Results:
        """Save to a session that was opened some time ago, whatever has happened to it since."""
        if not replica.held:
            return set()
        return self._append(replica, replica.held[place % len(replica.held)], count + 1)

    def _append(self, replica: Replica, session: Session, count: int) -> Results:
        before, name = lines_of(session), session.name
        new = [self._message() for _ in range(count)]
        for message in new:
            session.add_message(message)
        self._tell(replica, f"adds {', '.join(message['content'].split()[0] for message in new)} to {name!r}")
        self._save(replica, session)
        after = lines_of(session)
        # What others appended in between comes before; a session never turns into another conversation.
        continues = after[: len(before)] == before or marks_along(before)[-1] in self.stepped_over
        assert continues, f"{name!r}: what it held is not the beginning of what it holds now"
        assert after[-count:] == tuple(orjson.dumps(message) for message in new), (
            f"{name!r} does not end with what was added"
        )
        self._acknowledge(replica, session)
        return {after}

    def _edit(self, replica: Replica, place: int, position: int, how: int) -> Results:
        session = self._picked(replica, place)
        if session is None or not len(session):
            return set()
        before, at = lines_of(session), position % len(session)
        if how == 0:
            session.messages[at]["content"] = self._message()["content"]
        elif how == 1:
            del session.messages[at]
        else:
            session.messages.insert(at, self._message())
        self._tell(replica, f"{('replaces', 'removes', 'inserts')[how]} message {at} of {session.name!r}")
        self._save(replica, session)
        after = lines_of(session)
        self._note_edit(before, after)
        self._acknowledge(replica, session)
        return {lines_of(session)}

    def _clear(self, replica: Replica, place: int) -> Results:
        return self._truncate(replica, place, 0)

    def _truncate(self, replica: Replica, place: int, kept: int) -> Results:
        session = self._picked(replica, place)
        if session is None or len(session) <= kept:
            return set()
        self._step_over(lines_of(session))
        session.truncate_messages(kept)
        self._tell(replica, f"keeps the last {kept} of {session.name!r}")
        self._save(replica, session)
        self._acknowledge(replica, session)
        return {lines_of(session)}

    def _metadata(self, replica: Replica, place: int, key: int) -> Results:
        session = self._picked(replica, place)
        if session is None:
            return set()
        value = self._message()["content"].split()[0]
        session.update_metadata({f"k{key}": value})
        self._touch(replica, session)
        self._tell(replica, f"sets k{key} of {session.name!r} to {value}")
        self._save(replica, session)
        # Not looked up by its name: one that waits for objects may go by another as soon as it has a ref of our own.
        stored = [info.metadata.get(f"k{key}") for info in replica.place.manager().list_sessions()]
        assert value in stored, f"{session.name!r}: k{key} was saved as {value}, and sessions have {stored}"
        return {lines_of(session)}

    def _branch(self, replica: Replica, place: int, at: int, name: int) -> Results:
        parent = self._picked(replica, place)
        if parent is None:
            return set()
        lines, chosen = lines_of(parent), NAMES[name]
        count = at % (len(lines) + 1)
        is_new = chosen not in replica.view
        session = replica.manager.create_session(chosen, branch_from=parent.name, at=count)
        self._tell(replica, f"branches {chosen!r} from {parent.name!r} at {count}")
        assert not is_new or lines_of(session) == lines[:count], f"{chosen!r} is not what it was branched from"
        self._branched.update(marks_along(lines_of(session))[-1:])
        self._acknowledge(replica, session)
        self._hold(replica, session)
        return set()

    def _rename(self, replica: Replica, place: int, name: int) -> None:
        session = self._picked(replica, place)
        if session is None:
            return
        old, new = session.name, NAMES[name]
        if old == new:
            return
        lines = lines_of(session)
        self._touch(replica, session)
        replica.manager.rename_session(old, new)
        self._tell(replica, f"renames {old!r} to {new!r}")
        assert lines_of(replica.place.manager().load_session(new)) == lines, f"{new!r} is not what {old!r} was"

    def _delete(self, replica: Replica, place: int) -> None:
        session = self._picked(replica, place)
        if session is None:
            return
        lines = lines_of(session)
        replica.manager.delete_session(session.name)
        self._step_over(lines)
        self._deleted_by.setdefault(marks_along(lines)[-1], set()).add(replica.number)
        self._tell(replica, f"deletes {session.name!r}")
        replica.held = [each for each in replica.held if each is not session]

    def _reopen(self, replica: Replica) -> Results:
        reverted = replica.reverted
        replica.reopen()
        self._tell(replica, "is opened by another process")
        # What was reverted may be there again.
        return None if reverted else set()

    # What is known of saves

    def _picked(self, replica: Replica, place: int) -> Session | None:
        names = sorted(replica.view)
        if not names:
            return None
        name = names[place % len(names)]
        session = replica.manager.load_session(name)
        assert session.name == name, f"asked for {name!r}, got {session.name!r}"
        shown = replica.view[name].lines
        held = lines_of(session)
        assert shown is None or held == shown, f"{name!r} as opened again is not what is stored"
        self._hold(replica, session)
        return session

    def _hold(self, replica: Replica, session: Session) -> None:
        replica.held = [each for each in replica.held if each is not session] + [session]

    def _save(self, replica: Replica, session: Session) -> None:
        replica.manager.save_session(session)
        replica.reverted = False

    def _message(self) -> dict[str, Any]:
        """Make a message like no other; now and then one that is a chunk of its own."""
        number = self._messages = self._messages + 1
        size = 450 if number % 11 == 0 else number * 37 % 90
        return {"role": "user", "content": f"m{number} {'x' * size}"}

    def _acknowledge(self, replica: Replica, session: Session) -> None:
        lines = lines_of(session)
        if lines:
            self.saves.append(Acknowledged(replica.number, session.name, lines))

    def _step_over(self, lines: tuple[bytes, ...], common: int = 0) -> None:
        self.stepped_over.update(marks_along(lines)[common + 1 :])

    def _note_edit(self, before: tuple[bytes, ...], after: tuple[bytes, ...]) -> None:
        """Take an edit in: it steps over what it changed, and after an earlier edit the state between may go.

        The format keeps of all states between edits that are not sealed yet the one before the first and the one
        after the last. From outside nobody knows what is sealed: any state between two edits is given up here.
        """
        marks, new = marks_along(before), marks_along(after)
        common = sum(map(operator.eq, marks, new)) - 1  # equal marks are marks of equal beginnings
        self._step_over(before, common)
        edited = [at for at, mark in enumerate(marks) if mark in self._results_of_edits]
        if edited:
            self._given_up.update(marks[max(edited[-1], common + 1) :])
        self._results_of_edits.add(new[-1])

    def _touch(self, replica: Replica, session: Session) -> None:
        self._touched_by.setdefault(marks_along(lines_of(session))[-1], set()).add(replica.number)

    def _deleted_for_good(self) -> set[int]:
        alive = self._branched | self._results_of_edits
        return {
            mark for mark, by in self._deleted_by.items() if mark not in alive and self._touched_by.get(mark, by) <= by
        }

    def _kept(self, *, of: int | None) -> list[Acknowledged]:
        saves = [save for save in self.saves if of is None or save.replica == of]
        return [save for save in saves if save.mark not in self._given_up]

    # Checks

    def _look(self, replica: Replica, *, everybodys: bool = False) -> None:
        """See what a replica shows now, and check what must be true of any state."""
        files = replica.place.files()
        live = {info.name: plain(info) for info in replica.manager.list_sessions()}
        replica.view = view_of(replica.place.manager())
        if replica.reverted:
            # Opened anew, it put back what was gone; who was open before shows that from now on.
            live = {info.name: plain(info) for info in replica.manager.list_sessions()}
            files = replica.place.files()
        else:
            invariants.reading_writes_nothing(files, replica.place.files())
        listed = {name: shown.info for name, shown in replica.view.items()}
        assert live == listed, f"a manager that was open before lists {live}, one that was opened now {listed}"
        invariants.listed_as_it_loads(replica.view)
        order = sorted(files)
        random.Random(len(self.log)).shuffle(order)
        elsewhere = replica.place.copied("zz-reader", Clock(-5000), order)
        try:
            invariants.same_files_same_view(replica.view, view_of(elsewhere.manager()))
        finally:
            elsewhere.close()
        replica.refs = self.reader.refs(files)
        if replica.reverted:
            return
        saves = self._kept(of=None if everybodys else replica.number)
        if invariants.is_complete(replica.refs):
            invariants.every_side_is_shown(replica.view, replica.refs.values())
            invariants.acknowledged_is_kept(saves, replica.refs.values())
            invariants.acknowledged_is_shown(saves, replica.view, self.stepped_over)

    def _check_received(self, replica: Replica, before: View, known: dict[str, StoredRef], done: Carried) -> None:
        files = replica.place.files()
        for path, data in done.before.items():
            old, new = self.reader.ref(data, files), self.reader.ref(files[path], files)
            if old is not None and (new is None or not new.covers(old)):
                return
        if all(shown.failure is None for shown in replica.view.values()):
            invariants.nothing_disappears(before, replica.view, self.stepped_over)
        if invariants.is_complete(known) and invariants.is_complete(replica.refs):
            invariants.labels_stay(before, replica.view, known.values(), replica.refs.values())


def _undecided(*views: View) -> bool:
    return any(shown.info["undecided"] for view in views for shown in view.values())


def run(history: History, *, place: OpenPlace = MemoryPlace) -> World:
    """Run a history to its end, a full exchange.

    Raises:
        HistoryFailed: a promise was broken, or something raised what it should not.
    """
    world = World(history.replicas, reverts=history.reverts, place=place)
    try:
        for step in history.steps:
            world.do(step)
        world.finish()
    except Exception as error:
        raise HistoryFailed.of(error, world.log, history.script()) from error
    finally:
        with suppress(OSError):
            world.close()
    return world
