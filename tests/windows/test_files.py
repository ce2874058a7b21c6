"""A store of files on Windows: it can be read, and writing says what to use in its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from storekit import fill, open_store, untouched

from .running import UNLIKE_TEXT, needs_proc, on_windows

pytestmark = needs_proc


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store of files with plain and compressed objects, made on this system."""
    path = tmp_path / "store"
    with open_store(path, compress_threshold_bytes=100_000) as manager:
        fill(manager, "chat", 5, size=70_000)
        fill(manager, "long", 100, size=1000)
        manager.create_session("branch", branch_from="long", at=40)
        session = manager.create_session("compressed")
        session.messages = UNLIKE_TEXT
        manager.save_session(session)
    assert any(b"\r\n" in path.read_bytes() and b"\x1a" in path.read_bytes() for path in path.glob("objects/*/*.zst"))
    return path


def test_reading_a_store_of_files(store: Path) -> None:
    """Every message is read as it was saved, also with the index of an earlier look; nothing in the store changes."""
    with untouched(store):
        for _ in range(2):
            on_windows(
                """
                import sys
                from pathlib import Path
                from storekit import message, open_store
                from windows.running import UNLIKE_TEXT

                with open_store(Path(sys.argv[1])) as manager:
                    counts = {info.name: info.message_count for info in manager.list_sessions()}
                    assert counts == {"chat": 5, "long": 100, "compressed": 2, "branch": 40}
                    assert manager.load_session("compressed").get_messages() == UNLIKE_TEXT
                    for name, size in {"chat": 70_000, "long": 1000, "branch": 1000}.items():
                        expected = [message(number, size) for number in range(counts[name])]
                        assert manager.load_session(name).get_messages() == expected
                """,
                store,
            )


def test_a_listing_tells_of_each_file_what_reading_tells(store: Path) -> None:
    """The numbers of files are there, which listing a folder does not give on Windows: the index is believed."""
    on_windows(
        """
        import sys
        from coda_fs_session.backends.base import RefKey
        from coda_fs_session.backends.files.backend import LocalBackend

        backend = LocalBackend(sys.argv[1])
        tokens = backend.ref_tokens()
        assert len(tokens) == 4
        for path, token in tokens.items():
            assert token._replace(listed=0) == backend.read_ref(RefKey(path)).token
        """,
        store,
    )


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_what_is_no_file(store: Path, tmp_path: Path, kind: str) -> None:
    """A link is not followed, though no flag of Windows says so, and a folder is called one."""
    (ref,) = store.glob("refs/*/chat.jsonl")
    ref.rename(tmp_path / "elsewhere")
    if kind == "link":
        ref.symlink_to(tmp_path / "elsewhere")
    else:
        ref.mkdir()
    on_windows(
        f"""
        import sys
        from pathlib import Path

        import pytest
        from coda_fs_session import CorruptionError
        from storekit import open_store

        with open_store(Path(sys.argv[1])) as manager, pytest.raises(CorruptionError, match="{kind}"):
            manager.load_session("chat")
        """,
        store,
    )


def test_writing_a_store_of_files_is_refused(store: Path) -> None:
    """The error says what to use in its place; and that works: SQLite takes over what is in the store."""
    with untouched(store):
        on_windows(
            """
            import sys
            from pathlib import Path

            import pytest
            from coda_fs_session import StoreReadOnlyError
            from storekit import message, open_store
            from windows.running import UNLIKE_TEXT

            store = Path(sys.argv[1])
            manager = open_store(store)
            session = manager.load_session("chat")
            session.add_message(message(5))
            for change in (
                lambda: manager.create_session("new"),
                lambda: manager.create_session("new", branch_from="chat", at=2),
                lambda: manager.save_session(session),
                lambda: manager.rename_session("long", "longer"),
                lambda: manager.delete_session("long"),
                lambda: open_store(store.parent / "none").create_session("chat"),
            ):
                with pytest.raises(StoreReadOnlyError, match='on Windows .* backend = "sqlite"'):
                    change()
            assert not (store.parent / "none").exists()

            with open_store(store.parent / "database", backend="sqlite") as database:
                with pytest.raises(StoreReadOnlyError, match='on Windows .* backend = "sqlite"'):
                    database.create_session("other")
                    database.sync(store, direction="push")
                report = database.sync(store, direction="pull")
                assert report.problems == ()
                assert len(database.load_session("long")) == 100
                assert database.load_session("compressed").get_messages() == UNLIKE_TEXT
            """,
            store,
        )
