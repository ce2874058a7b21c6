"""A store in a database on Windows."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from storekit import ROOT, open_store

from .running import INSTALL, needs_proc, on_windows

pytestmark = needs_proc

WRITERS, SAVES = 2, 60


def test_two_processes_on_a_database(tmp_path: Path) -> None:
    """Both save to one session at a time: no message is lost, and nothing warns."""
    script = """
    import sys
    from pathlib import Path
    from storekit import open_store

    with open_store(Path(sys.argv[1]), backend="sqlite") as manager:
        session = manager.create_session("chat")
        print("ready", flush=True)
        sys.stdin.readline()
        for number in range(int(sys.argv[3])):
            # Large enough that some saves seal what was there.
            session.add_message({"role": "user", "content": f"{sys.argv[2]} {number}", "more": "x" * 2000})
            manager.save_session(session)
    """
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", INSTALL + textwrap.dedent(script), tmp_path / "store", str(number), str(SAVES)],
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(WRITERS)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert (writer.returncode, errors) == (0, "")
    with open_store(tmp_path / "store", backend="sqlite") as manager:
        texts = [each["content"] for each in manager.load_session("chat").get_messages()]
    for number in range(WRITERS):
        own = [text for text in texts if text.startswith(f"{number} ")]
        assert own == [f"{number} {serial}" for serial in range(SAVES)]
    assert len(texts) == WRITERS * SAVES


def test_what_another_manager_has_noted_is_replaced(tmp_path: Path) -> None:
    """No manager keeps the record of a session open, so that any can write it anew, as a seal does."""
    on_windows(
        """
        import sys
        from pathlib import Path
        from storekit import fill, message, open_store, say

        one, two = (open_store(Path(sys.argv[1]), backend="sqlite") for _ in range(2))
        expected = fill(one, "chat")
        for manager in (one, two, one, two):
            session = manager.load_session("chat")
            session.add_message(message(0, 70_000))
            manager.save_session(session)
            say(manager, session, 1)
            expected += [message(0, 70_000), message(1)]
            assert len(session) == len(expected)
        one.close()
        assert two.load_session("chat").get_messages() == expected
        two.close()
        """,
        tmp_path / "store",
    )


def test_an_older_copy_of_a_database(tmp_path: Path) -> None:
    """What this machine had saved is put back, as elsewhere: the record of it is kept, file by file."""
    on_windows(
        """
        import shutil, sys, warnings
        from pathlib import Path
        from storekit import fill, message, open_store, say

        store = Path(sys.argv[1])
        with open_store(store, backend="sqlite") as manager:
            fill(manager, "chat")
        shutil.copytree(store, store.parent / "older")
        with open_store(store, backend="sqlite") as manager:
            say(manager, manager.load_session("chat"), 3, 4)
        shutil.rmtree(store)
        (store.parent / "older").rename(store)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            manager = open_store(store, backend="sqlite")
            assert manager.load_session("chat").get_messages() == [message(number) for number in range(5)]
            manager.close()
        assert [each for each in caught if "put back" in str(each.message)]
        """,
        tmp_path / "store",
    )


def test_another_database_in_its_place(tmp_path: Path) -> None:
    """What was saved in the one before is kept aside, and can be brought back."""
    on_windows(
        """
        import shutil, sys, warnings
        from pathlib import Path
        from storekit import fill, open_store

        store = Path(sys.argv[1])
        with open_store(store, backend="sqlite") as manager:
            expected = fill(manager, "chat")
        shutil.rmtree(store)
        with open_store(store, backend="sqlite", state_path=f"{store}.other") as manager:
            fill(manager, "another")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            manager = open_store(store, backend="sqlite")
        assert [each for each in caught if "kept aside" in str(each.message)]
        assert [info.name for info in manager.kept_aside()] == ["chat"]
        manager.bring_back()
        assert manager.load_session("chat").get_messages() == expected
        manager.close()
        """,
        tmp_path / "store",
    )
