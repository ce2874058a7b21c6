"""The whole API against a model of dicts and lists, over every backend, with one manager and with two on one store."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from gone_back_sessions import GoneBackSessions
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule, run_state_machine_as_test
from search.oracle import Oracle, found_by, told
from session_model import Open, Stored, by_key, edit_in_place, messages, names, odd_values, places, text

from coda_fs_session import (
    InvalidMessageError,
    Session,
    SessionConflictError,
    SessionExistsError,
    SessionNotFoundError,
    SessionWarning,
)
from coda_fs_session.session import shapes


class SessionMachine(GoneBackSessions):
    """Does to sessions what users may do, and the same to lists and dicts."""

    @initialize(first=st.lists(messages, min_size=4, max_size=15), second=st.lists(messages, max_size=3))
    def start(self, first: list[dict[str, Any]], second: list[dict[str, Any]]) -> None:
        self.begin()
        for name, start in (("a", first), ("b", second)):
            for which in range(self.managers):
                self.create(name, which)
            mine = self.open[-1]
            mine.messages = copy.deepcopy(start)
            mine.session.messages = copy.deepcopy(start)
            self.save(mine)

    @rule(name=names, which=places)
    def create(self, name: str, which: int, **times: Any) -> None:
        """A new name gives an empty stored session, a known one what is stored, or its open object with changes."""
        which %= self.managers
        held = next((e for e in self.open if e.manager == which and e.session.name == name), None)
        session = self.manager[which].create_session(name, **times)
        if held is not None and held.changed:
            assert session is held.session
            return
        self.stored.setdefault(name, Stored(version=self.next_version()))
        mine = self.opened(which, session)
        if held is not None and held is not mine:
            self.open = [each for each in self.open if each is not held]

    @precondition(lambda self: self.open)
    @rule(place=places, new=st.lists(messages, min_size=1, max_size=6), save=st.booleans())
    def add(self, place: int, new: list[dict[str, Any]], save: bool) -> None:
        mine = self.one(place)
        for message in new:
            mine.session.add_message(message)
            mine.messages.append(copy.deepcopy(message))
            message["role"] = "changed after it was added"
        self.save(mine, save)

    @precondition(lambda self: self.open)
    @rule(
        place=places, bad=st.sampled_from([float("nan"), (1,), {1}, "\ud800", 2**64, {2: 1}, b"x"]), deep=st.booleans()
    )
    def refuse(self, place: int, bad: Any, deep: bool) -> None:
        """What cannot be stored is refused at once, and nothing changes."""
        with pytest.raises(InvalidMessageError):
            self.one(place).session.add_message({"content": [bad] if deep else bad})

    @precondition(lambda self: self.open)
    @rule(place=places, keep=st.sampled_from([None, 0, 1, 2, 3, 4, 5, 8, 12]), save=st.booleans())
    def truncate(self, place: int, keep: int | None, save: bool) -> None:
        mine = self.one(place)
        if keep is None:
            mine.session.clear_messages()
        else:
            mine.session.truncate_messages(keep)
        del mine.messages[: max(len(mine.messages) - (keep or 0), 0)]
        self.save(mine, save)

    @precondition(lambda self: self.open)
    @rule(place=places, count=st.sampled_from([0, 1, 2, 3, 5, 8, 12]), keep=st.booleans(), save=st.booleans())
    def cut_the_end(self, place: int, count: int, keep: bool, save: bool) -> None:
        mine = self.one(place)
        if keep:
            mine.session.keep_first(count)
            del mine.messages[count:]
        else:
            mine.session.drop_last(count)
            del mine.messages[max(len(mine.messages) - count, 0) :]
        self.save(mine, save)

    @precondition(lambda self: self.open)
    @rule(place=places, start=st.none() | st.integers(-14, 14), stop=st.none() | st.integers(-14, 14))
    def read_a_part(self, place: int, start: int | None, stop: int | None) -> None:
        mine = self.one(place)
        part = mine.messages[start:stop]
        assert text(mine.session.get_messages(start=start, stop=stop)) == text(part)
        assert text(mine.session[start:stop]) == text(part)
        assert text(list(mine.session.iter_messages(start, stop))) == text(part)
        assert text(list(reversed(mine.session))) == text(mine.messages[::-1])

    @precondition(lambda self: self.open)
    @rule(place=places)
    def count_tokens(self, place: int) -> None:
        """A count is that of the messages as they are, whatever was counted before."""
        mine = self.one(place)
        assert mine.session.get_token_count() == Session("model", mine.messages).get_token_count()

    @precondition(lambda self: self.open)
    @rule(
        place=places,
        at=places,
        message=messages,
        how=st.sampled_from(["nested", "insert", "delete", "replace", "move", "slice"]),
        save=st.booleans(),
    )
    def edit(self, place: int, at: int, message: dict[str, Any], how: str, save: bool) -> None:
        """The live list may be changed in any way that a list allows."""
        mine = self.one(place)
        for edited in (mine.session.messages, mine.messages):
            edit_in_place(edited, at, copy.deepcopy(message), how)
        self.save(mine, save)

    @precondition(lambda self: self.open)
    @rule(place=places, new=st.lists(messages, max_size=8), keep=places, save=st.booleans())
    def assign(self, place: int, new: list[dict[str, Any]], keep: int, save: bool) -> None:
        mine = self.one(place)
        mine.messages = copy.deepcopy(mine.messages[:keep] + new)
        mine.session.messages = copy.deepcopy(mine.messages)
        self.save(mine, save)

    @precondition(lambda self: self.open)
    @rule(
        place=places,
        key=st.sampled_from(["topic", "größe"]),
        value=odd_values,
        remove=st.booleans(),
        save=st.booleans(),
    )
    def set_metadata(self, place: int, key: str, value: Any, remove: bool, save: bool) -> None:
        mine = self.one(place)
        if remove:
            mine.session.metadata.pop(key, None)
            mine.metadata.pop(key, None)
        else:
            mine.session.update_metadata({key: value})
            mine.metadata[key] = copy.deepcopy(value)
        self.save(mine, save)

    @precondition(lambda self: self.open)
    @rule(place=places, checked=st.booleans(), on_conflict=st.none() | st.just("raise"))
    def save_one(self, place: int, checked: bool, on_conflict: str | None) -> None:
        """What is as expected is saved as without; what is not changes nothing."""
        mine = self.one(place)
        options: dict[str, Any] = {"on_conflict": on_conflict}
        if checked:
            with pytest.raises(SessionConflictError):
                self.manager[mine.manager].save_session(mine.session, expected="another")
            options["expected"] = mine.session.revision
        self.save(mine, **options)

    def save(self, mine: Open, wanted: bool = True, **options: Any) -> None:
        """A save on top of what is stored stores exactly what the session holds; see `save_stale` for others."""
        if not wanted:
            return
        manager, name = self.manager[mine.manager], mine.session.name
        if name not in self.stored or self.stored[name].version != mine.base.version:
            self.save_stale(mine)
            return
        changed = mine.changed
        manager.save_session(mine.session, **options)
        assert mine.session.name == name
        if changed:
            self.stored[name] = Stored(
                *copy.deepcopy((mine.messages, mine.metadata)),
                mine.base.parent,
                mine.base.forked_at,
                self.next_version(),
            )
        mine.base = copy.deepcopy(self.stored[name])

    def save_stale(self, mine: Open) -> None:
        """What was changed elsewhere is never overwritten, and no message is lost: merged, branched off, or refused."""
        before, changed = copy.deepcopy(self.stored), mine.changed
        added = mine.messages[len(mine.base.messages) :]
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", SessionWarning)
                self.manager[mine.manager].save_session(mine.session)
        except SessionConflictError:
            assert changed
            self.open.remove(mine)
            return
        if not changed:
            self.open.remove(mine)
            return
        name = mine.session.name
        assert mine.only_appends or name in before
        there = self.fresh_manager().load_session(name)
        result = there.get_messages()
        if name in before:
            others = before[name]
            expected = others.messages + added
            if text(result) != text(expected):
                assert not mine.only_appends
                assert text(result) == text(mine.messages)
                assert text(others.messages) == text(mine.base.messages)
            assert not caught
            self.stored[name] = Stored(result, there.metadata, others.parent, others.forked_at, self.next_version())
        else:
            assert [str(w.message) for w in caught if name in str(w.message)]
            assert text(result) == text(mine.messages)
            assert by_key(there.metadata) == by_key(mine.metadata)
            parent = there.parent
            self.stored[name] = Stored(
                result, there.metadata, parent, len(mine.base.messages) + len(added), self.next_version()
            )
        mine.messages, mine.metadata = copy.deepcopy((result, there.metadata))
        mine.base = copy.deepcopy(self.stored[name])
        self.open = [e for e in self.open if e is mine or e.manager != mine.manager or e.session.name != name]

    @rule(child=names, parent=names, at=st.none() | st.integers(0, 12), which=places)
    def branch(self, child: str, parent: str, at: int | None, which: int) -> None:
        """A branch holds what the parent's open object holds, saved or not, and is stored at once."""
        which %= self.managers
        manager = self.manager[which]
        held = next((e for e in self.open if e.manager == which and e.session.name == parent), None)
        if child in self.stored:
            stored = self.stored[child]
            if stored.parent == parent and at in (None, stored.forked_at):
                self.opened(which, manager.create_session(child, branch_from=parent, at=at))
            elif stored.parent is None:
                with pytest.raises(SessionExistsError):
                    manager.create_session(child, branch_from=parent, at=at)
            return
        source = held if held is not None and held.changed else self.stored.get(parent)
        if source is None:
            with pytest.raises(SessionNotFoundError):
                manager.create_session(child, branch_from=parent, at=at)
            # An unchanged object of a session that somebody else has taken away belongs to no manager now.
            self.open = [each for each in self.open if each is not held]
            return
        if at is not None and at > len(source.messages):
            with pytest.raises(ValueError, match="at must be"):
                manager.create_session(child, branch_from=parent, at=at)
            if held is not None:
                self.opened(which, held.session)
            return
        session = manager.create_session(child, branch_from=parent, at=at)
        taken = copy.deepcopy(source.messages[:at])
        self.stored[child] = Stored(taken, copy.deepcopy(source.metadata), parent, len(taken), self.next_version())
        self.open = [e for e in self.open if e.manager != which or e.session.name != child]
        self.opened(which, session)
        if held is not None and not held.changed:
            self.opened(which, manager.load_session(parent))

    @rule(name=names, which=places, revive=st.booleans())
    def delete(self, name: str, which: int, revive: bool) -> None:
        """A deleted session is gone, until somebody explicitly saves an object of it."""
        which %= self.managers
        if name not in self.stored:
            with pytest.raises(SessionNotFoundError):
                self.manager[which].delete_session(name)
            self.manager[which].delete_session(name, missing_ok=True)
            # An object of it that is left over from before somebody else deleted it belongs to no manager now.
            self.open = [each for each in self.open if each.manager != which or each.session.name != name]
            return
        held = next((e for e in self.open if e.manager == which and e.session.name == name), None)
        self.manager[which].delete_session(name)
        del self.stored[name]
        if held is not None and held.session.name != name:
            # It is of a session that others have renamed, which had this name before: it goes by its own.
            self.open.remove(held)
        elif held is not None and revive:
            self.manager[which].save_session(held.session)
            self.stored[name] = Stored(*copy.deepcopy((held.messages, held.metadata)), version=self.next_version())
            held.base = copy.deepcopy(self.stored[name])
        elif held is not None:
            self.open.remove(held)

    @rule(old=names, new=names, which=places)
    def rename(self, old: str, new: str, which: int) -> None:
        which %= self.managers
        manager = self.manager[which]
        if old == new:
            return
        if old not in self.stored:
            with pytest.raises(SessionNotFoundError):
                manager.rename_session(old, new)
        elif new in self.stored:
            with pytest.raises(SessionExistsError):
                manager.rename_session(old, new)
        else:
            held = next((e for e in self.open if e.manager == which and e.session.name == old), None)
            follows = held is not None and held.base.version == self.stored[old].version
            manager.rename_session(old, new)
            self.open = [e for e in self.open if e.manager != which or e.session.name != new or e is held]
            self.stored[new] = self.stored.pop(old)
            self.stored[new].version = self.next_version()
            if held is not None and not follows and held.session.name != new:
                # An object of a session that others have renamed, which had this name before: it goes by its own.
                self.open.remove(held)
            elif held is not None:
                assert held.session.name == new
                if not held.changed:
                    self.opened(which, held.session)
                elif follows:
                    held.base.version = self.stored[new].version

    @precondition(lambda self: self.open)
    @rule(place=places)
    def reload(self, place: int) -> None:
        """Reloading drops unsaved changes; the live list stays the same object."""
        mine = self.one(place)
        name = mine.session.name
        try:
            mine.session.reload()
        except SessionNotFoundError:
            assert name not in self.stored
            return
        # Another manager may have renamed it: then the open session follows.
        assert mine.session.name in self.stored
        self.open.remove(mine)
        self.opened(mine.manager, mine.session)

    @rule(name=names, onto=names, on_exists=st.sampled_from(["raise", "replace", "skip"]))
    def export_and_import(self, name: str, onto: str, on_exists: Any) -> None:
        """A session comes back from its export as it was, under its own name or another."""
        if name not in self.stored:
            return
        reader = self.fresh_manager()
        path = reader.export_session(name, self.folder / "export.json", overwrite=True)
        exported = copy.deepcopy(self.stored[name])
        if onto in self.stored and on_exists == "raise":
            with pytest.raises(SessionExistsError):
                reader.import_session(path, name=onto)
            return
        session = reader.import_session(path, name=onto, on_exists=on_exists)
        if onto not in self.stored or on_exists == "replace":
            old = self.stored.get(onto)
            kept = (old.parent, old.forked_at) if old else (None, None)
            same = (
                old
                and text(old.messages) == text(exported.messages)
                and by_key(old.metadata) == by_key(exported.metadata)
            )
            if not same:
                self.stored[onto] = Stored(exported.messages, exported.metadata, *kept, version=self.next_version())
        assert text(session.get_messages()) == text(self.stored[onto].messages)

    @rule(which=places, place=places, at=places, start=places, length=st.sampled_from([1, 9, 500]))
    def search(self, which: int, place: int, at: int, start: int, length: int) -> None:
        """A piece of what a stored message says is found wherever it is stored, and nowhere else."""
        messages = [each for name in sorted(self.stored) for each in self.stored[name].messages][place % 7 :]
        said = shapes.searched_text(messages[at % len(messages)]) if messages else "nothing"
        oracle = Oracle({name: stored.messages for name, stored in self.stored.items()})
        query = said[start // 20 :][:length]
        assert found_by(self.manager[which % self.managers], query) == told(oracle.find(query)), query

    @rule(which=places)
    def reopen(self, which: int) -> None:
        """A manager that goes away without being closed takes only what was not saved with it."""
        which %= self.managers
        self.open = [each for each in self.open if each.manager != which]
        self.manager[which] = self.fresh_manager()


CASES: dict[str, Callable[[], type[SessionMachine]]] = {
    "memory": lambda: type("Memory", (SessionMachine,), {}),
    "files": lambda: type("Files", (SessionMachine,), {"backend": "files"}),
    "sqlite": lambda: type("Sqlite", (SessionMachine,), {"backend": "sqlite"}),
    "two managers, memory": lambda: type("TwoOverMemory", (SessionMachine,), {"managers": 2}),
    "two managers, files": lambda: type("TwoOverFiles", (SessionMachine,), {"managers": 2, "backend": "files"}),
    "two managers, sqlite": lambda: type("TwoOverSqlite", (SessionMachine,), {"managers": 2, "backend": "sqlite"}),
}


@pytest.mark.parametrize("case", CASES)
def test_api_agrees_with_dicts_and_lists(case: str, long_size: bool) -> None:
    """Whatever is done with sessions in whatever order, memory and store hold what lists and dicts would."""
    size = settings(
        max_examples=1000 if long_size else 7,
        stateful_step_count=60 if long_size else 25,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(CASES[case](), settings=size)
