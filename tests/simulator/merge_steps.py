"""Steps of a history that bring sessions together."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter

from coda_fs_session.repo.branches.three_way import STRATEGIES
from coda_fs_session.session.session import Session

from .machines import Replica
from .reader import marks_along
from .tool_steps import ToolSteps
from .views import lines_of


class MergeSteps(ToolSteps):
    """What may happen to two sessions of a replica; each step returns None, since any session may have changed."""

    _branched: set[int]

    def _merge(self, replica: Replica, place: int, other: int, strategy: int) -> None:
        """Merge one session into another one: what both have is there, and nothing twice that no side has twice."""
        names = sorted(replica.view)
        if len(names) < 2:
            return
        into = names.pop(place % len(names))
        source = names[other % len(names)]
        ours, theirs = (lines_of(replica.manager.load_session(name)) for name in (into, source))
        how = STRATEGIES[strategy]
        self._tell(replica, f"merges {source!r} into {into!r} ({how})")
        report = replica.manager.branches.merge(source, into, strategy=how)
        replica.reverted = False
        session = replica.manager.load_session(report.name)
        merged = lines_of(session)
        assert len(merged) == len(ours) + report.added - report.removed, f"{report} of {len(ours)} messages"
        sides, result = (Counter(ours), Counter(theirs)), Counter(merged)
        assert result <= sides[0] | sides[1], "there is more in the merge than in either side"
        assert result >= sides[0] & sides[1], "what both sides have is not in the merge"
        for lines in (ours, theirs):
            self._step_over(lines)
        self._branched.update(marks_along(merged)[-1:])
        self._touch(replica, session)
        self._acknowledge(replica, session)
        self._hold(replica, session)

    @abstractmethod
    def _step_over(self, lines: tuple[bytes, ...], common: int = 0) -> None: ...

    @abstractmethod
    def _touch(self, replica: Replica, session: Session) -> None: ...

    @abstractmethod
    def _acknowledge(self, replica: Replica, session: Session) -> None: ...

    @abstractmethod
    def _hold(self, replica: Replica, session: Session) -> None: ...
