"""Somebody edits a ref by hand, or a tool changes its bytes: what this machine has recorded of it goes on."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from repo.machines import Machine, contents, said

from coda_fs_session import CorruptionError, SessionExistsError, SessionWarning, StoreReadOnlyError

SAVED = ["word", "1", "last"]

Edit = Callable[[bytes], bytes]
EDITS: dict[str, Edit] = {
    "an empty line at the end": lambda data: data + b"\n",
    "one word for another": lambda data: data.replace(b"word", b"wird"),
    "a mark in front": lambda data: b"\xef\xbb\xbf" + data,
    "other ends of lines": lambda data: data.replace(b"\n", b"\r\n"),
    "conflict markers": lambda data: data.replace(b"\n", b"\n<<<<<<< HEAD\n", 1),
}


def _in_place(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _anew(path: Path, data: bytes) -> None:
    other = path.with_name(".other")
    other.write_bytes(data)
    other.replace(path)


every_edit = pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
every_way = pytest.mark.parametrize("way", [_in_place, _anew], ids=["in place", "anew"])


@pytest.fixture
def here(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path, "")
    machine.create("chat", said(*SAVED[:2]))
    machine.change("chat", *SAVED[2:])
    machine.manager().close()
    return machine


@every_edit
@every_way
def test_it_goes_on(here: Machine, edit: Edit, way: Callable[[Path, bytes], None]) -> None:
    """Bug: one key pressed in an editor, and the session could neither be read nor continued, with all of it recorded.

    It goes on in a file beside; the edited one keeps its bytes, and the user is told once. Bug: the first look at one
    whose header is damaged, after it was put back, was an IndexError.
    """
    ref = here.only_ref()
    edited = edit(ref.read_bytes())
    way(ref, edited)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        manager = here.manager()
        session = manager.load_session("chat")
        assert contents(session) == SAVED
        session.add_message(said("on")[0])
        manager.save_session(session)
        assert contents(manager.create_session("chat")) == here.read("chat") == [*SAVED, "on"]
    texts = [str(each.message) for each in caught if each.category is SessionWarning]
    assert len(texts) == 1
    assert all(part in texts[0] for part in ("'chat'", str(ref), "damaged", "chat.2.jsonl"))
    assert ref.read_bytes() == edited
    assert [(info.name, info.error) for info in here.manager().list_sessions()] == [("chat", None)]


@pytest.mark.parametrize("verb", ["delete", "rename", "branch", "partial", "rename to"])
def test_every_verb(here: Machine, verb: str) -> None:
    """Whatever is asked for first finds the session as it was saved."""
    here.create("other", said("fine"))
    ref = next(path for path in here.refs() if path.name == "chat.jsonl")
    ref.write_bytes(EDITS["one word for another"](ref.read_bytes()))
    # What was last looked at is the ref as it is: opening sees no reason to look again.
    manager = here.manager()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SessionWarning)
        if verb == "delete":
            manager.delete_session("chat")
            assert here.names() == ["other"]
        elif verb == "rename":
            manager.rename_session("chat", "talk")
            assert here.read("talk") == SAVED
        elif verb == "branch":
            manager.create_session("branch", branch_from="chat")
            assert here.read("branch") == SAVED
        elif verb == "partial":
            assert contents(manager.load_session("chat", partial=True)) == SAVED
        else:
            with pytest.raises(SessionExistsError):
                manager.rename_session("other", "chat")
            assert here.read("chat") == SAVED


@pytest.mark.parametrize("change", ["gone", "older", "a mark in front", "other ends of lines"])
def test_the_first_look_after_it_was_put_back(tmp_path: Path, change: str) -> None:
    """Bug: the manager that put something back could not load it: IndexError, or no session of that name."""
    here = Machine(tmp_path, "")
    here.create("chat", said("one"))
    ref = here.only_ref()
    older = ref.read_bytes()
    here.change("chat", "two")
    here.manager().close()
    if change == "gone":
        ref.unlink()
    else:
        _anew(ref, older if change == "older" else EDITS[change](ref.read_bytes()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SessionWarning)
        manager = here.manager()
    assert contents(manager.load_session("chat")) == ["one", "two"]
    assert contents(manager.load_session("chat")) == ["one", "two"]


def test_a_store_that_cannot_be_written(here: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is that of the damaged file, as without a record: nothing is written, and nothing is lost."""
    ref = here.only_ref()
    ref.write_bytes(EDITS["one word for another"](ref.read_bytes()))
    manager = here.manager()
    backend = manager._storage.repo.backend  # type: ignore[attr-defined]

    def refused(*arguments: object) -> None:
        raise StoreReadOnlyError(os.strerror(30))

    with monkeypatch.context() as patch:
        patch.setattr(backend, "create_ref", refused)
        with pytest.raises(CorruptionError, match="does not match its id"):
            manager.load_session("chat")
    with pytest.warns(SessionWarning, match="damaged"):
        assert here.read("chat") == SAVED
