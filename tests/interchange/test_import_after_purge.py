"""What was purged here is still in the files of other programs: the next import of them does not bring it back."""

from __future__ import annotations

from pathlib import Path

from storekit import open_store

from .chats import chatgpt, put

FORKED = {"u1": None, "a1": "u1", "a2": "u1", "u2": "a2", "a3": "u2"}


def test_what_was_purged_does_not_come_back(tmp_path: Path) -> None:
    """Not in messages, titles or what else is known of a chat; and the session is not taken for one changed here."""
    manager = open_store(tmp_path / "store")
    secret = "sk-0123"
    before = chatgpt(FORKED).replace(b"u1", secret.encode()).replace(b"Trip", f"Trip {secret}".encode())
    path = put(tmp_path, "conversations.json", before)
    manager.import_sessions(path)
    assert manager.maintenance.purge_text(secret).places
    names = {info.name for info in manager.list_sessions()}
    for new in ({}, {"u4": "a1"}):
        after = chatgpt(FORKED | new).replace(b"u1", secret.encode()).replace(b"Trip", f"Trip {secret}".encode())
        put(tmp_path, "conversations.json", after + b"\n")
        report = manager.import_sessions(path)
        assert (report.new, report.messages, report.notes) == (0, len(new), [])
        assert {info.name for info in manager.list_sessions()} == names
        for name in names:
            session = manager.load_session(name)
            assert secret not in str(session.messages)
            assert secret not in str({**session.metadata, "coda_fs_session.import": ""})
    assert not manager.maintenance.purge_text(secret, dry_run=True).places
