"""A dry run of a merge, and of a pick."""

from __future__ import annotations

from dataclasses import replace

import pytest
from repo.machines import Machine, said
from storekit import untouched

from coda_fs_session import SessionNotFoundError


def test_a_dry_run(here: Machine, there: Machine, derived: str) -> None:
    """It tells what the merge does, also of a session that gets another name by it, and changes nothing."""
    with here.manager(read_only=True) as manager, untouched(here.store):
        dry = manager.branches.merge("chat", derived, dry_run=True)
        assert manager.branches.merge("chat", derived, dry_run=True) == dry
        assert sorted(info.name for info in manager.list_sessions()) == ["chat", derived]
    manager = here.manager()
    session = manager.load_session("chat")
    session.add_message(said("unsaved")[0])
    with untouched(here.store):
        assert manager.branches.merge("chat", derived, dry_run=True) == dry
        with pytest.raises(SessionNotFoundError):
            manager.branches.merge("chat", "nowhere", dry_run=True)
        with pytest.raises(ValueError, match="itself"):
            manager.branches.merge("chat", "chat", dry_run=True)
        picked = manager.branches.cherry_pick("chat", [0, 1], derived, dry_run=True)
        assert (picked.name, picked.added) == (derived, 2)
    assert session.has_unsaved_changes
    report = there.manager().branches.merge("chat", derived)
    assert dry == replace(report, entry="")
    assert dry.name == "chat"
