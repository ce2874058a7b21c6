"""How much memory sessions take: bounds that hold whatever the store holds.

Each is measured in a fresh process, as the growth of its peak: what an allocator keeps for later is counted too.
"""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path

import pytest
from storekit import message, open_store, run_python

MB = 1024 * 1024

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peaks are read from /proc")

PRELUDE = """
    import gc, sys, tracemalloc
    from pathlib import Path
    from coda_fs_session import Session, SessionTooLargeError
    from storekit import message, open_store

    def status(field):
        (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field)]
        return 1024 * int(line.split()[1])

    class Growth:
        def __init__(self):
            gc.collect()
            # From here on the kernel notes the peak anew.
            Path("/proc/self/clear_refs").write_text("5")
            self.before = status("VmRSS:")
        def peak(self):
            return status("VmHWM:") - self.before

    store = Path(sys.argv[1])
"""


def measure(script: str, *arguments: str | Path) -> int:
    """Run a script, which prints one number, after the prelude."""
    run = run_python(textwrap.dedent(PRELUDE) + textwrap.dedent(script), *arguments)
    assert run.returncode == 0, run.stderr
    return int(run.stdout)


BUILD = """
    with open_store(store, max_session_size=0) as manager:
        session = manager.create_session("chat")
        for first in range(int(sys.argv[2]), int(sys.argv[3]), 20_000):
            for number in range(first, first + 20_000):
                session.add_message(message(number, 400))
            manager.save_session(session)
    print(0)
"""


def build(store: Path, count: int) -> None:
    """Make a session of many messages; a process makes not too many of them, each of which may take a minute."""
    for first in range(0, count, 400_000):
        measure(BUILD, store, str(first), str(min(first + 400_000, count)))


@pytest.fixture(scope="module")
def long_session(tmp_path_factory: pytest.TempPathFactory, long_size: bool) -> Path:
    """A store with a long session, to be read."""
    store = tmp_path_factory.mktemp("long") / "store"
    build(store, 1_000_000 if long_size else 100_000)
    return store


def test_iterating_takes_no_more_for_a_long_session(long_session: Path) -> None:
    """Going through a session of any length takes 30 MB at most, the cache included."""
    grown = measure(
        """
        session = open_store(store).load_session("chat")
        growth = Growth()
        count = sum(1 for message in session)
        assert count == len(session)
        print(growth.peak())
        """,
        long_session,
    )
    assert grown <= 30 * MB


def test_parts_and_counts_take_no_more_for_a_very_long_session(tmp_path: Path, long_size: bool) -> None:
    """Parts from anywhere, cuts at the end and a count of tokens take 30 MB at most together: the list is never loaded.

    And the count is kept up to date: asked for again, it reads a few chunks.
    """
    build(tmp_path / "store", 2_000_000 if long_size else 60_000)
    grown = measure(
        """
        from coda_fs_session.backends.files.backend import LocalBackend

        manager = open_store(store, max_session_size=0)
        session = manager.load_session("chat")
        count = len(session)
        growth = Growth()
        for place in (0, count // 3, count // 2, count - 12):
            part = session.get_messages(start=place, stop=place + 10)
            assert part == session[place : place + 10] == list(session.iter_messages(place, place + 10))
            assert part[3] == session[place + 3] == message(place + 3, 400)
        session.drop_last(7)
        manager.save_session(session)
        session.keep_first(count - 1000)
        session.add_message(message(count, 400))
        manager.save_session(session)
        assert (len(session), session[-2]) == (count - 999, message(count - 1001, 400))
        tokens = session.get_token_count()
        assert 0.9 < tokens / (len(session) * 100) < 1.1

        reads = []
        read = LocalBackend.get_object
        LocalBackend.get_object = lambda *args, **named: reads.append(args) or read(*args, **named)
        session.add_message(message(count + 1, 400))
        manager.save_session(session)
        assert session.get_token_count() == tokens + 100
        assert len(reads) < 20
        print(growth.peak())
        """,
        tmp_path / "store",
    )
    assert grown <= 30 * MB


def test_the_last_messages_take_only_their_chunk(long_session: Path) -> None:
    """`get_messages(10)` of a long session reads, decodes and keeps next to nothing of it."""
    grown = measure(
        """
        session = open_store(store).load_session("chat")
        growth = Growth()
        assert len(session.get_messages(10)) == 10
        print(growth.peak())
        """,
        long_session,
    )
    assert grown <= 5 * MB


KEPT = """
    count, size, cached, sessions = map(int, sys.argv[2:])
    with open_store(store, max_session_size=0) as manager:
        for number in range(sessions):
            session = manager.create_session(f"chat {number}")
            session.messages = [message(number * count + each, size) for each in range(count)]
            manager.save_session(session)
    del manager, session
    manager = open_store(store, message_cache_size=cached)
    held = [manager.load_session(f"chat {number}") for number in range(sessions)]
    gc.collect()
    tracemalloc.start()
    for session in held:
        assert len(session.get_messages()) == count
    del session
    gc.collect()
    print(tracemalloc.get_traced_memory()[0])
"""


@pytest.mark.parametrize("cached", [0, 1000])
def test_the_cache_is_bounded_over_all_sessions(tmp_path: Path, cached: int) -> None:
    """However many sessions are read, no more than `message_cache_size` of their messages stay in memory, as the
    lines that they are on disk."""
    kept = measure(KEPT, tmp_path / "store", "1000", "1000", str(cached), "20")
    assert kept <= cached * 1100 + MB // 2


def test_large_messages_do_not_fill_the_cache(tmp_path: Path) -> None:
    """Bug: the cache counted messages only, and a thousand of any size stayed; now it holds 16 KiB for each of
    `message_cache_size`, and nothing that is larger than the whole."""
    kept = measure(KEPT, tmp_path / "store", "20", "1000000", "1000", "3")
    assert kept <= 1000 * 16 * 1024 + MB // 2


@pytest.fixture(scope="module")
def many_sessions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with 100 sessions, whose lines are 10 MB; to be copied."""
    store = tmp_path_factory.mktemp("many") / "store"
    with open_store(store) as manager:
        for number in range(100):
            session = manager.create_session(f"chat {number}")
            session.messages = [message(each, 1000) for each in range(100)]
            manager.save_session(session)
    return store


@pytest.mark.parametrize("autosave", ["0", "10000"])
@pytest.mark.parametrize("how", ["get_messages()", "messages", "metadata", "add_message(message(1))"])
def test_a_session_that_nobody_holds_is_freed(many_sessions: Path, tmp_path: Path, how: str, autosave: str) -> None:
    """Sessions that were read, or changed and saved, and let go of again take no memory, also before autosave comes
    round.

    Bug: autosave held each one whose `messages` had been read until its timer came, five minutes by default.
    """
    shutil.copytree(many_sessions, tmp_path / "store")
    kept = measure(
        """
        manager = open_store(store, autosave_interval=float(sys.argv[2]), message_cache_size=0)
        manager.list_sessions()
        tracemalloc.start()
        for number in range(100):
            session = manager.load_session(f"chat {number}")
            assert session.%s is not 0
            manager.save_session(session)
        del session
        gc.collect()
        print(tracemalloc.get_traced_memory()[0])
        """
        % (how if not how.startswith("add") else f"{how} is None and session"),
        tmp_path / "store",
        autosave,
    )
    # 10 MB of lines were read.
    assert kept <= 5 * MB


@pytest.mark.parametrize("kind", ["text", "base64", "parts", "not ASCII"])
def test_a_huge_message_takes_four_times_its_size(tmp_path: Path, long_size: bool, kind: str) -> None:
    """Adding, saving, opening and reading one message of 200 MB takes 800 MB at most, the caller's own included.

    With text beyond ASCII that one grows: Python keeps its UTF-8 form with it from then on.
    """
    size = (200 if long_size else 40) * MB
    grown = measure(
        """
        import base64, os
        size, kind = int(sys.argv[2]), sys.argv[3]
        with open_store(store, max_session_size=0, durability="full", compress_threshold_bytes=1000) as manager:
            # Everything that is imported late.
            session = manager.create_session("other")
            session.add_message(message(1, 100_000))
            manager.save_session(session)
            session.reload()
            session.get_messages()
        del manager, session
        growth = Growth()
        if kind == "text":
            content = "Some words. " * (size // 12)
        elif kind == "not ASCII":
            content = "Ein paar Wörter, vielleicht größer. " * (size // 39)
        else:
            content = base64.b64encode(os.urandom(size * 3 // 4)).decode()
        if kind == "parts":
            content = [{"type": "image", "image": {"data": content}}]
        mine = {"role": "user", "content": content}
        del content
        with open_store(store, max_session_size=0) as manager:
            session = manager.create_session("chat")
            session.add_message(mine)
            manager.save_session(session)
        del manager, session
        with open_store(store, max_session_size=0) as manager:
            assert manager.load_session("chat").get_messages() == [mine]
        print(growth.peak())
        """,
        tmp_path / "store",
        str(size),
        kind,
    )
    # What does not depend on the size weighs more in the quick one.
    assert grown <= 4 * size + (0 if long_size else 8 * MB)


@pytest.mark.parametrize("nested", [False, True])
def test_a_message_that_is_too_large_is_refused_unwritten(tmp_path: Path, nested: bool) -> None:
    """A message that passes `max_session_size` is refused without a copy of it, and leaves nothing behind."""
    grown = measure(
        """
        session = open_store(store).create_session("chat")
        session.add_message(message(1))
        content = "Some words. " * (200 * 2**20 // 12)
        if sys.argv[2] == "True":
            content = [{"type": "text", "text": content}]
        mine = {"role": "user", "content": content}
        growth = Growth()
        try:
            session.add_message(mine)
        except SessionTooLargeError:
            assert len(session) == 1
            print(growth.peak())
        """,
        tmp_path / "store",
        str(nested),
    )
    assert grown <= MB


def test_a_bulk_save_takes_few_copies(tmp_path: Path) -> None:
    """Saving 100,000 messages at once takes, beside the caller's list, three times their size on disk: their lines,
    what finds later changes, and what is on its way to the disk."""
    grown = measure(
        """
        manager = open_store(store, max_session_size=0)
        session = manager.create_session("other")
        session.messages = [message(number, 1000) for number in range(100)]
        manager.save_session(session)
        messages = [message(number, 450) for number in range(100_000)]
        growth = Growth()
        session = manager.create_session("chat")
        session.messages = messages
        manager.save_session(session)
        print(growth.peak())
        """,
        tmp_path / "store",
    )
    assert grown <= 3 * 500 * 100_000
