"""Rules about lists, times and odd values, for the machine that does with sessions whatever users may do."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

from held_sessions import HeldSessions
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from session_model import names, odd_values, places

from coda_fs_session import SessionInfo, jsonable

HIDDEN = "coda_fs_session.hidden"
DAY = datetime(2024, 5, 17, 12, 30, 0, 5, tzinfo=UTC)
days = st.integers(0, 5).map(lambda number: DAY + timedelta(days=number))
ORDERS = {
    "updated": lambda info: -info.updated.timestamp(),
    "created": lambda info: -info.created.timestamp(),
    "size": lambda info: -info.size_bytes,
    "name": lambda info: 0,
}
ODD = [float("nan"), (1, (2,)), {1}, "\ud800", 2**64, {2: 1}, b"x", DAY, [{"deep": (DAY,)}]]


class ListedSessions(HeldSessions):
    """Asks for lists, and saves at times of its own."""

    @rule(
        which=places,
        prefix=st.sampled_from([None, "", "a", "b", "na", "nobody"]),
        where=st.none() | st.fixed_dictionaries({"topic": odd_values}),
        since=st.none() | days,
        order=st.sampled_from([*ORDERS]),
        limit=st.none() | st.integers(0, 4),
        hidden=st.booleans(),
    )
    def list_some(
        self, which: int, prefix: Any, where: Any, since: Any, order: Any, limit: int | None, hidden: bool
    ) -> None:
        """A list of some sessions is what a filter leaves of all, also where it is asked for page by page."""
        manager = self.manager[which % self.managers]

        def wanted(info: SessionInfo) -> bool:
            return (
                info.name.startswith(prefix or "")
                and (hidden or not info.metadata.get(HIDDEN))
                and (since is None or info.updated >= since)
                and (where is None or same(info.metadata, where))
            )

        infos = sorted(filter(wanted, manager.list_sessions(hidden=True)), key=lambda info: info.name)
        infos.sort(key=ORDERS[order])
        asked = {"prefix": prefix, "where": where, "since": since, "order": order, "hidden": hidden}
        assert manager.list_sessions(**asked, limit=limit) == infos[:limit]
        pages, after = [], None
        while page := manager.list_sessions(**asked, limit=2, after=after):
            pages += page
            after = page[-1].cursor
        assert pages == infos

    @precondition(lambda self: self.open)
    @rule(place=places, hide=st.booleans(), save=st.booleans())
    def hide(self, place: int, hide: bool, save: bool) -> None:
        mine = self.one(place)
        mine.session.update_metadata({HIDDEN: hide})
        mine.metadata[HIDDEN] = hide
        self.save(mine, save)

    @rule(name=names, which=places, created=days, updated=st.none() | days)
    def create_with_times(self, name: str, which: int, created: datetime, updated: datetime | None) -> None:
        """A new session has the times that it is given; one that is there has its own."""
        if name in self.stored:
            return
        self.create(name, which, created_at=created, updated_at=updated)
        info = self.fresh_manager().get_session_info(name)
        if not any(each.session.name == name and each.changed for each in self.open):
            assert (info.created, info.updated) == (created, updated or created)

    @precondition(lambda self: self.open)
    @rule(place=places, updated=days)
    def save_at(self, place: int, updated: datetime) -> None:
        """A save has the time that it is given."""
        mine = self.one(place)
        name, changed = mine.session.name, mine.changed
        if changed and name in self.stored and self.stored[name].version == mine.base.version:
            self.save(mine, updated_at=updated)
            assert self.fresh_manager().get_session_info(name).updated == mine.session.updated == updated

    @precondition(lambda self: self.open)
    @rule(place=places, value=st.sampled_from(ODD), save=st.booleans())
    def add_anything(self, place: int, value: Any, save: bool) -> None:
        """What cannot be stored is, once it was made storable."""
        mine = self.one(place)
        storable, changes = jsonable(value)
        assert changes
        message = {"role": "user", "content": storable}
        mine.session.add_message(message)
        mine.messages.append(copy.deepcopy(message))
        self.save(mine, save)


def same(metadata: dict[str, Any], where: dict[str, Any]) -> bool:
    """Tell whether metadata have some values, where True is no 1, and 1.0 is one."""
    return all(
        key in metadata and metadata[key] == value and isinstance(metadata[key], bool) == isinstance(value, bool)
        for key, value in where.items()
    )
