"""A ref was put back to an older copy and continued by somebody else, while a process knew more: both sides stay."""

from __future__ import annotations

from pathlib import Path

import pytest
from storekit import message

from coda_fs_session import SessionConflictError, SessionWarning

from .specimen import open_fresh
from .writer import REVERTS, Revert, Writer


def other_process_appends(store: Path, count: int = 1) -> list[dict[str, str]]:
    manager = open_fresh(store)
    session = manager.load_session("chat")
    for number in range(count):
        session.add_message(message(1000 + number))
        manager.save_session(session)
    return session.get_messages()


@pytest.mark.parametrize("revert", REVERTS[:3], ids=lambda revert: revert.__name__.strip("_"))
@pytest.mark.parametrize(("copied", "saves", "others"), [(2, 3, 1), (2, 9, 1), (6, 9, 9), (0, 5, 5), (3, 4, 1)])
def test_both_sides_stay(tmp_path: Path, copied: int, saves: int, others: int, revert: Revert) -> None:
    """Our next save becomes a branch of its own, with a warning; the other's session keeps its name and messages."""
    writer = Writer(tmp_path / "store")
    writer.save(copied)
    older = writer.ref.read_bytes()
    writer.save(saves - copied)
    revert(writer.ref, older)
    theirs = other_process_appends(writer.store, others)
    assert theirs[:copied] == [message(number) for number in range(copied)]
    with pytest.warns(SessionWarning, match="chat~"):
        writer.save()
    ours = [message(number) for number in range(saves + 1)]
    assert writer.session.name.startswith("chat~")
    assert writer.session.parent == "chat"
    assert writer.session.get_messages() == ours
    fresh = open_fresh(writer.store)
    assert sorted(info.name for info in fresh.list_sessions()) == ["chat", writer.session.name]
    assert fresh.load_session("chat").get_messages() == theirs
    assert fresh.load_session(writer.session.name).get_messages() == ours
    writer.save()
    assert len(open_fresh(writer.store).load_session(writer.session.name)) == saves + 2


def test_an_edit_is_refused(tmp_path: Path) -> None:
    """What cannot be put on top is refused, and both sides are where they were: in the file, and in memory."""
    writer = Writer(tmp_path / "store")
    writer.save(2)
    older = writer.ref.read_bytes()
    writer.save()
    REVERTS[0](writer.ref, older)
    theirs = other_process_appends(writer.store)
    writer.session.messages[0]["content"] = "edited"
    mine = writer.session.get_messages()
    for _ in range(2):
        with pytest.raises(SessionConflictError):
            writer.manager.save_session(writer.session)
    assert writer.session.get_messages() == mine
    assert open_fresh(writer.store).load_session("chat").get_messages() == theirs
    kept = writer.manager.create_session("kept", branch_from="chat")
    assert kept.get_messages() == mine
