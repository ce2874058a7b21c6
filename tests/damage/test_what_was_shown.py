"""An older copy stands over a session, and somebody takes away what he sees of it: what he did not see stays."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from repo.machines import Machine, contents, said

from coda_fs_session import Session, SessionConflictError, SessionManager, SessionWarning

ALL = [str(number) for number in range(20)]


@contextmanager
def warned() -> Iterator[list[str]]:
    texts: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield texts
    texts += [str(each.message) for each in caught if each.category is SessionWarning]


class Reverted:
    """A session of 20 messages, or fewer, under a file that shows one, and a manager that has been open all along."""

    def __init__(self, folder: Path, opened: str, count: int = len(ALL)) -> None:
        self.machine = Machine(folder, "")
        self.machine.create("chat", said(ALL[0]))
        ref = self.machine.only_ref()
        older = ref.read_bytes()
        for text in ALL[1:count]:
            self.machine.change("chat", text)
        self.manager: SessionManager = self.machine.manager()
        self.session: Session | None = self.manager.load_session("chat") if opened == "before" else None
        ref.write_bytes(older)
        if opened == "after":
            with warned():
                self.session = self.manager.load_session("chat")

    def all(self) -> dict[str, list[str]]:
        manager = self.machine.manager()
        return {info.name: contents(manager.load_session(info.name)) for info in manager.list_sessions()}


@pytest.mark.parametrize("opened", ["not", "after"])
@pytest.mark.parametrize("gone", [False, True], ids=["reverted", "gone"])
def test_delete(tmp_path: Path, opened: str, gone: bool) -> None:
    """Bug: the delete first put back what had been acknowledged, and then deleted it too, unseen."""
    there = Reverted(tmp_path, opened)
    if gone:
        # What is shown is what another machine has of it.
        other = there.machine.copied_to(tmp_path / "other", "other-00000001")
        other.change("chat", "theirs")
        other.send_to(there.machine)
        next(path for path in there.machine.refs() if "other" not in str(path)).unlink()
    with warned() as texts:
        there.manager.delete_session("chat")
    assert any("put back" in text for text in texts)
    assert any("only what was shown of it was deleted" in text for text in texts)
    assert there.all() == {"chat": ALL}
    (info,) = there.manager.list_sessions()
    assert info.survived_delete is not gone
    # Now it was shown.
    with warned() as texts:
        there.manager.delete_session("chat")
    assert texts == []
    assert there.all() == {}


@pytest.mark.parametrize("count", [3, len(ALL)], ids=["the tail", "sealed since"])
@pytest.mark.parametrize("opened", ["not", "after"])
def test_rename(tmp_path: Path, opened: str, count: int) -> None:
    """What was shown has the new name, and so has an object that shows it; the rest stays under the old one."""
    there = Reverted(tmp_path, opened, count)
    with warned() as texts:
        there.manager.rename_session("chat", "talk")
    assert any("only what was shown of it was renamed" in text for text in texts)
    assert there.all() == {"chat": ALL[:count], "talk": ALL[:1]}
    if there.session is not None:
        assert there.session.name == "talk"
        there.session.add_message(said("on")[0])
        there.manager.save_session(there.session)
        assert there.all() == {"chat": ALL[:count], "talk": [*ALL[:1], "on"]}


@pytest.mark.parametrize("verb", ["delete", "rename"])
def test_an_open_object_has_shown_it(tmp_path: Path, verb: str) -> None:
    """Who holds the whole session in an object takes the whole of it."""
    there = Reverted(tmp_path, "before")
    with warned() as texts:
        if verb == "delete":
            there.manager.delete_session("chat")
        else:
            there.manager.rename_session("chat", "talk")
    assert len(texts) == 1
    assert there.all() == ({} if verb == "delete" else {"talk": ALL})


@pytest.mark.parametrize("verb", ["clear", "truncate", "edit", "replace"])
def test_changes_of_what_was_loaded(tmp_path: Path, verb: str) -> None:
    """An edit of the older state is an edit of another conversation: it is refused, and what was put back stays."""
    there = Reverted(tmp_path, "after")
    session = there.session
    assert session is not None
    if verb == "replace":
        there.manager.create_session("empty")
        exported = there.manager.export_session("empty", tmp_path / "empty.json")
        # To create one has put back the rest: here an object with unsaved changes is in the way.
        session.messages[0]["content"] = "edited"
    elif verb == "clear":
        session.clear_messages()
    elif verb == "truncate":
        session.truncate_messages(0)
    else:
        session.messages[0]["content"] = "edited"
    act: Any = partial(there.manager.save_session, session)
    if verb == "replace":
        act = partial(there.manager.import_session, exported, name="chat", on_exists="replace")
    with warned() as texts, pytest.raises(SessionConflictError):
        act()
    assert texts or verb == "replace"
    assert there.all()["chat"] == ALL
