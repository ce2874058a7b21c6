"""Rules that go back, and that bring sessions together, for the machine that does whatever users may do."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule
from listed_sessions import ListedSessions
from session_model import Open, Stored, by_key, messages, names, places, text

from coda_fs_session import SessionExistsError, SessionManager, UnsupportedError
from coda_fs_session.repo.lookup.names import resolve

strategies = st.sampled_from(["append", "interleave", "ours", "theirs"])


class GoneBackSessions(ListedSessions):
    """Takes changes back, names states, merges, picks, and changes several sessions in one go."""

    @rule(name=names, which=places, again=st.booleans())
    def undo(self, name: str, which: int, again: bool) -> None:
        """An undo leads to a state that there was, and the state before it can be gone back to."""
        manager = self._ready(which, name)
        if manager is None:
            return
        history, before = manager.history(name), self.stored[name]
        entries = list(history)
        assert entries[0].messages == len(before.messages)
        known = [text(history.at(entry.id).get_messages()) for entry in entries]
        try:
            made = history.undo()
        except SessionExistsError:
            # The name from before a rename is another session's now.
            return
        if made is None:
            return
        now = self._name_now(manager, name)
        found = self.fresh_manager().load_session(now)
        assert (made.kind, made.messages) == ("undo", len(found))
        assert text(found.get_messages()) in known[1:]
        if "metadata stays" in made.note:
            assert by_key(found.metadata) == by_key(before.metadata)
        self._follow(which, manager, name, now)
        if again:
            manager.history(now).restore(entries[0].id)
            back = self._follow(which, manager, now, now)
            assert text(back.messages) == text(before.messages)

    @rule(name=names, which=places, at=places, label=st.sampled_from(["x", "y"]), how=st.sampled_from(["tag", "go"]))
    def name_a_state(self, name: str, which: int, at: int, label: str, how: str) -> None:
        """A state is what it was, by its id or by a tag, and going back to it shows just that."""
        manager = self._ready(which, name)
        if manager is None:
            return
        history = manager.history(name)
        entries, tags = list(history), set(history.tags())
        entry = entries[at % len(entries)]
        past = history.at(entry.id)
        assert len(past) == entry.messages
        if how == "tag":
            if label in tags:
                history.untag(label)
                assert set(history.tags()) == tags - {label}
            else:
                history.tag(label, entry.id)
                fresh = self.fresh_manager().history(name)
                assert set(fresh.tags()) == tags | {label}
                assert text(fresh.at(label).get_messages()) == text(past.get_messages())
            self._follow(which, manager, name, name, same=True)
            return
        wanted = text(past.get_messages())
        history.restore(entry.id)
        assert text(self._follow(which, manager, name, name).messages) == wanted

    @rule(name=names, which=places)
    def undelete(self, name: str, which: int) -> None:
        """A deleted session is there again, as it was."""
        manager = self.manager[which % self.managers]
        deleted = {info.name: info for info in manager.deleted_sessions()}
        assert not deleted.keys() & self.stored.keys()
        if name not in deleted:
            return
        manager.history(name).restore()
        # An object that is left over from before belongs to no manager now.
        self.open = [each for each in self.open if each.manager != which % self.managers or each.session.name != name]
        info, found = manager.get_session_info(name), self.fresh_manager().load_session(name)
        assert info is not None
        assert len(found) == deleted[name].message_count
        kept = copy.deepcopy((found.get_messages(), dict(found.metadata)))
        self.stored[name] = Stored(*kept, info.parent, info.forked_at, self.next_version())

    @rule(source=names, into=names, which=places, strategy=strategies)
    def merge(self, source: str, into: str, which: int, strategy: Any) -> None:
        """What both have stays, what comes is the other's, nothing is there twice, and a second merge adds nothing."""
        manager = self._ready(which, source, into)
        if manager is None:
            return
        ours, theirs = (by_number(self.stored[name].messages) for name in (into, source))
        may_be_sides = self._may_be_sides(manager, source, into)
        report = manager.branches.merge(source, into, strategy=strategy)
        found = by_number(self.fresh_manager().load_session(into).get_messages())
        assert report.name == into
        assert ours & theirs <= found <= ours | theirs
        assert (report.added, report.removed) == (len(found - ours), len(ours - found))
        if source not in manager:
            assert may_be_sides
            del self.stored[source]
            self.open = [each for each in self.open if each.session.name != source]
        else:
            again = manager.branches.merge(source, into)
            assert (again.added, again.removed) == (0, 0)
            # What is open of it shows what others had saved to it.
            self._follow(which, manager, source, source, same=True)
        self._follow(which, manager, into, into, same=not report.added and not report.removed)

    def _may_be_sides(self, manager: SessionManager, source: str, into: str) -> bool:
        """Tell whether one session may have been one with another: that had its name, and both began with one message.

        Then nothing tells them from sides of one session, and a merge takes one in.
        """
        head = resolve(manager._storage.repo, into).head  # type: ignore[attr-defined]
        assert head is not None
        return source in head.header.former_names and first_of(manager, source) == first_of(manager, into) is not None

    @rule(source=names, into=names, which=places, taken=st.lists(places, max_size=3))
    def cherry_pick(self, source: str, into: str, which: int, taken: list[int]) -> None:
        """What is picked comes at the end, in the order that was asked for."""
        manager = self._ready(which, source, into)
        if manager is None or not (there := self.stored[source].messages):
            return
        chosen = [place % len(there) for place in taken]
        expected = [*self.stored[into].messages, *(there[place] for place in chosen)]
        manager.branches.cherry_pick(source, chosen, into)
        self._follow(which, manager, source, source, same=True)
        assert text(self._follow(which, manager, into, into, same=not chosen).messages) == text(expected)

    @rule(name=names, new=names, which=places, added=st.lists(messages, max_size=3), fails=st.booleans())
    def in_one_go(self, name: str, new: str, which: int, added: list[dict[str, Any]], fails: bool) -> None:
        """A session goes on and a branch of it begins, both at the end of a block; or neither, where that fails."""
        manager = self._ready(which, name)
        if manager is None or new in self.stored:
            return
        mine = self.opened(which % self.managers, manager.load_session(name))
        for message in added:
            mine.session.add_message(copy.deepcopy(message))
        held = copy.deepcopy([*mine.messages, *added])
        try:
            with manager.transaction() as change:
                branch = change.create_session(new, branch_from=name)
                change.save_session(mine.session)
                with pytest.raises(UnsupportedError):
                    manager.history(name).undo()
                if fails:
                    raise ZeroDivisionError
        except ZeroDivisionError:
            mine.session.reload()
            return
        if added:
            there = self.stored[name]
            self.stored[name] = Stored(held, there.metadata, there.parent, there.forked_at, self.next_version())
            self.opened(which % self.managers, mine.session)
        self.open = [each for each in self.open if each.manager != which % self.managers or each.session.name != new]
        parts = copy.deepcopy((held, self.stored[name].metadata))
        self.stored[new] = Stored(*parts, name, len(held), self.next_version())
        self.opened(which % self.managers, branch)

    # What follows

    def _ready(self, which: int, *wanted: str) -> SessionManager | None:
        """Return the manager, if the sessions are there and differ, and it holds nothing unsaved of them."""
        which %= self.managers
        held = [each for each in self.open if each.manager == which and each.session.name in wanted]
        if len(set(wanted)) < len(wanted) or not self.stored.keys() >= set(wanted) or any(e.changed for e in held):
            return None
        return self.manager[which]

    def _name_now(self, manager: SessionManager, name: str) -> str:
        listed = {info.name for info in manager.list_sessions(hidden=True)}
        came, gone = listed - self.stored.keys(), self.stored.keys() - listed
        assert (came, gone) == (set(), set()) or (len(came), gone) == (1, {name})
        return came.pop() if came else name

    def _follow(self, which: int, manager: SessionManager, before: str, name: str, *, same: bool = False) -> Open:
        """Note what a session is stored as now; what is open of it in the manager shows that."""
        which %= self.managers
        there, found = self.stored.pop(before), self.fresh_manager().load_session(name)
        if not same:
            kept = copy.deepcopy((found.get_messages(), dict(found.metadata)))
            there = Stored(*kept, there.parent, there.forked_at, self.next_version())
        self.stored[name] = there
        session = manager.load_session(name)
        gone = [each for each in self.open if each.manager == which and each.session.name in (before, name)]
        self.open = [each for each in self.open if each not in gone]
        return self.opened(which, session)


def first_of(manager: SessionManager, name: str) -> str | None:
    """Return the first message that a session ever had, None where it had none."""
    history = manager.history(name)
    had = [entry.id for entry in history if entry.messages and not entry.side]
    return text(history.at(had[-1]).get_messages()[0]) if had else None


def by_number(found: list[dict[str, Any]]) -> set[tuple[str, int]]:
    """Return messages, each with how often it came before."""
    seen: Counter[str] = Counter()
    numbered = set()
    for message in map(text, found):
        numbered.add((message, seen[message]))
        seen[message] += 1
    return numbered
