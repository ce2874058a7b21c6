"""Steps of a history that go back: undo, restore, undelete, tags."""

from __future__ import annotations

from contextlib import suppress

from coda_fs_session import ObjectNotYetHereError

from .machines import Replica
from .merge_steps import MergeSteps
from .reader import marks_along
from .tool_steps import Results
from .views import lines_of


class HistorySteps(MergeSteps):
    """What people do to go back. What they went back from can be gone back to, and is not shown any more."""

    def _undo(self, replica: Replica, place: int) -> None:
        """Take the last change of a session back; what was there before is its newest entry but one."""
        names = sorted(replica.view)
        if not names:
            return
        name = names[place % len(names)]
        session = replica.manager.load_session(name)
        before = lines_of(session)
        history = replica.manager.history(name)
        newest = next(iter(history))
        entry = history.undo()
        replica.reverted = False
        self._tell(replica, f"takes back the last change of {name!r}: {newest.kind}")
        if entry is None:
            assert lines_of(session) == before, f"nothing was left to take back of {name!r}, and it changed"
            return
        self._went_back(replica, session.name, before)
        # What it took in, or what somebody else deleted, may be a side again now.
        for info in replica.manager.list_sessions():
            # Of others something may not have arrived.
            with suppress(ObjectNotYetHereError):
                side = replica.manager.load_session(info.name)
                self._branched.update(marks_along(lines_of(side))[-1:])
                self._touch(replica, side)
        again = replica.manager.history(session.name)
        assert lines_of(again.at(newest.id)) == before, f"{name!r}: what was taken back cannot be gone back to"

    def _restore(self, replica: Replica, place: int, entry: int) -> None:
        """Bring a session to one of the last states that it was at."""
        names = sorted(replica.view)
        if not names:
            return
        name = names[place % len(names)]
        before = lines_of(replica.manager.load_session(name))
        history = replica.manager.history(name)
        entries = [each for each, _ in zip(history, range(12), strict=False)]
        to = entries[entry % len(entries)]
        then = lines_of(history.at(to.id))
        history.restore(to.id)
        replica.reverted = False
        self._tell(replica, f"brings {name!r} back to {to.id} ({to.kind}, {to.messages} messages)")
        assert lines_of(replica.manager.load_session(name)) == then, f"{name!r} is not what it was at {to.id}"
        self._went_back(replica, name, before)

    def _undelete(self, replica: Replica, place: int) -> None:
        """Bring a deleted session back."""
        deleted = replica.manager.deleted_sessions()
        if not deleted:
            return
        info = deleted[place % len(deleted)]
        replica.manager.history(info.name).restore()
        self._tell(replica, f"brings {info.name!r} back, which was deleted")
        assert len(replica.manager.load_session(info.name)) == info.message_count
        self._went_back(replica, info.name, ())

    def _tag(self, replica: Replica, place: int, label: int) -> Results:
        names = sorted(replica.view)
        if not names:
            return set()
        name, chosen = names[place % len(names)], f"t{label}"
        lines = lines_of(replica.manager.load_session(name))
        replica.manager.history(name).tag(chosen)
        replica.reverted = False
        self._tell(replica, f"calls what {name!r} is {chosen!r}")
        # Opened anew: a tag is durable, as a save is.
        found = replica.place.manager().history(name)
        assert lines_of(found.at(chosen)) == lines, f"{chosen!r} of {name!r} is not what it was"
        return {lines}

    def _went_back(self, replica: Replica, name: str, before: tuple[bytes, ...]) -> None:
        session = replica.manager.load_session(name)
        after = lines_of(session)
        common = 0
        for one, other in zip(before, after, strict=False):
            if one != other:
                break
            common += 1
        self._step_over(before, common)
        self._branched.update(marks_along(after)[-1:])
        self._touch(replica, session)
        self._acknowledge(replica, session)
        self._hold(replica, session)
