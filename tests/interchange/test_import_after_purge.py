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


def test_a_session_that_was_purged_does_not_come_back(tmp_path: Path) -> None:
    """Nor does it on a machine that never imported it, or once it has grown or been renamed; `again` brings it back."""
    store, path = tmp_path / "store", put(tmp_path, "conversations.json", chatgpt(FORKED))
    with open_store(store, replica="desk") as manager:
        manager.import_sessions(path)
        names = [info.name for info in manager.list_sessions()]
        for name in names:
            manager.rename_session(name, f"mine: {name}")
            assert manager.maintenance.purge(f"mine: {name}").places
    for grown in ({}, {"u4": "a1"}, {"u5": "a3"}):
        put(tmp_path, "conversations.json", chatgpt(FORKED | grown) + b"\n")
        for replica in ("desk", "laptop"):
            with open_store(store, replica=replica, state_path=f"{store}.{replica}") as manager:
                report = manager.import_sessions(path)
                assert (report.new, report.messages, report.branches) == (0, 0, 0)
                assert all("again=True" in note for note in report.notes)
                assert manager.list_sessions() == []
        assert report.notes
    with open_store(store, replica="desk") as manager:
        manager.import_sessions(path, again=True)
        assert len(manager.list_sessions()) >= len(names)
        manager.import_sessions(path)
        assert len(manager.list_sessions()) >= len(names)
        assert all(len(manager.load_session(info.name)) > 1 for info in manager.list_sessions())
        assert "u1" in str(manager.load_session(manager.list_sessions()[0].name).messages)
    with open_store(store, replica="laptop", state_path=f"{store}.laptop") as manager:
        assert "u1" in str(manager.load_session(manager.list_sessions()[0].name).messages)
        assert manager.maintenance.check(full=True).is_whole
