"""What `scripts/read_store` takes and prints: parts of names, ref files, Markdown, and a session that goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from storekit import message, open_store, ref_of, say, within

from coda_fs_session import SessionManager
from coda_fs_session.repo.writing.save import MOST_SAVES

from .reading import READ_STORE, needs_zstdcat, read_store


@pytest.fixture
def store(tmp_path: Path) -> Path:
    with open_store(tmp_path / "store") as manager:
        for number, name in enumerate(("Holiday in March", "Holiday plans", "work/üben")):
            say(manager, manager.create_session(name), number)
        manager.create_session("Holiday", branch_from="Holiday plans")
    return tmp_path / "store"


def run(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([READ_STORE, *arguments], cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("part", "number"), [("march", 0), ("PLANS", 1), ("u\u0308b", 2), ("Holiday", 1), ("work/", 2)]
)
def test_a_part_of_a_name(store: Path, part: str, number: int, capsys: pytest.CaptureFixture[str]) -> None:
    """A part that one name has means that session, in any case and form, and stderr says which; a whole name comes
    first."""
    assert json.loads(read_store(store, part)) == message(number)
    names = ["Holiday in March", "Holiday plans", "work/üben"]
    assert capsys.readouterr().err == ("" if part == "Holiday" else f"read_store: this is {names[number]!r}\n")


def test_a_part_of_several_names(store: Path) -> None:
    """The names are shown, and nothing else; so where there is none that it is a part of."""
    done = run(store, "holi")
    assert (done.returncode, done.stdout) == (1, "")
    for name in ("Holiday", "Holiday in March", "Holiday plans"):
        assert repr(name) in done.stderr
    done = run(store, "nobody")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no session is called 'nobody'" in done.stderr


@pytest.mark.parametrize("form", ["alone", "beside the store", "below the store", "in the folder"])
def test_a_ref_file(store: Path, form: str) -> None:
    """The file that grep found is shown as it is, by its path."""
    (path,) = (path for path in store.glob("refs/*/*") if b'1,"name":"Holiday plans"' in path.read_bytes())
    arguments: list[str | Path] = {
        "alone": [path],
        "beside the store": [store, path],
        "below the store": [store, path.relative_to(store)],
        "in the folder": [path.name],
    }[form]
    done = run(*arguments, cwd=path.parent if form == "in the folder" else None)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == message(1)
    assert json.loads(run(*arguments, "--metadata", cwd=path.parent).stdout) == {}


def test_a_ref_file_that_others_have_covered(tmp_path: Path) -> None:
    """A file is read alone: also what an older copy says, which no name means any more."""
    store = tmp_path / "store"
    manager = open_store(store)
    session = manager.create_session("chat")
    say(manager, session, 1)
    older = store / "refs" / "another-11111111"
    older.mkdir()
    (older / "copy.jsonl").write_bytes(ref_of(store, "chat").read_bytes())
    say(manager, session, 2)
    assert len(read_store(store, "chat").splitlines()) == 2
    assert len(read_store(older / "copy.jsonl").splitlines()) == 1


@needs_zstdcat
def test_markdown(tmp_path: Path) -> None:
    """A heading for each message, its text as it is, calls and values as JSON; no image, and no terminal codes."""
    store = tmp_path / "store"
    with open_store(store) as manager:
        session = manager.create_session("chat")
        session.messages = [
            {"role": "user", "content": "What is *this*?\n\n```py\nx\n```"},
            {"role": "user", "content": [{"type": "text", "text": "See"}, {"type": "image", "data": "iVBOR" * 30_000}]},
            {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "look", "arguments": "{}"}}]},
            {"role": "tool", "content": {"found": ["ä", 1]}},
            {"text": "without a role"},
            {"role": "assistant", "content": "bell \x07 and \x1b[31mred"},
        ]
        manager.save_session(session)
    assert read_store(store, "chat", "--markdown").decode() == (
        "# chat\n\n"
        "## user\n\nWhat is *this*?\n\n```py\nx\n```\n\n"
        "## user\n\nSee\n\n*[image]*\n\n"
        '## assistant\n\n```json\n{"function": {"name": "look", "arguments": "{}"}}\n```\n\n'
        '## tool\n\n```json\n{"found": ["ä", 1]}\n```\n\n'
        '## message\n\n```json\n{"text": "without a role"}\n```\n\n'
        "## assistant\n\nbell \ufffd and \ufffd[31mred\n\n"
    )


@contextmanager
def following(*arguments: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    with (
        within(60),
        subprocess.Popen(
            [READ_STORE, *arguments, "--follow"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as reader,
    ):
        try:
            yield reader
        finally:
            reader.kill()


def next_numbers(reader: subprocess.Popen[bytes], count: int) -> list[int]:
    assert reader.stdout is not None
    lines = [reader.stdout.readline() for _ in range(count)]
    return [int(json.loads(line)["content"].split()[1]) for line in lines]


@pytest.mark.parametrize("by", ["name", "file"])
def test_following(tmp_path: Path, by: str) -> None:
    """Every message comes once, also where the file is written anew; an edit shows what follows from there again."""
    store = tmp_path / "store"
    manager = open_store(store)
    session = manager.create_session("chat")
    say(manager, session, 0)
    with following(*([store, "chat"] if by == "name" else [ref_of(store, "chat")])) as reader:
        assert next_numbers(reader, 1) == [0]
        numbers = range(1, MOST_SAVES + 6)
        for number in numbers:
            say(manager, session, number)
        assert next_numbers(reader, len(numbers)) == [*numbers]
        session.messages[-2] = message(1000)
        manager.save_session(session)
        assert next_numbers(reader, 2) == [1000, numbers[-1]]
        assert reader.stderr is not None
        assert b"changed" in reader.stderr.readline()
        reader.send_signal(signal.SIGINT)
        assert reader.wait() == 130
        assert reader.stderr.read() == b""


def test_following_the_other_machine(tmp_path: Path) -> None:
    """A name is followed whoever goes on with it, and to its end."""
    store = tmp_path / "store"
    here, there = (
        SessionManager({"session": {"storage_path": store, "state_path": tmp_path / name, "replica": name}})
        for name in ("here", "there")
    )
    say(here, here.create_session("chat"), 0)
    with following(store, "chat") as reader:
        assert next_numbers(reader, 1) == [0]
        say(there, there.create_session("chat"), 1)
        assert next_numbers(reader, 1) == [1]
        here.delete_session("chat")
        assert reader.wait() == 1
        assert reader.stderr is not None
        assert b"'chat'" in reader.stderr.read()


def test_a_reader_that_goes_away(store: Path) -> None:
    """`| head` ends it without a word."""
    done = subprocess.run(
        ["bash", "-c", f"{READ_STORE} {store} 'Holiday plans' --markdown --follow | head -n1"],
        capture_output=True,
        timeout=60,
        env=os.environ,
        check=False,
    )
    assert (done.stdout, done.stderr) == (b"# Holiday plans\n", b"")


@pytest.mark.parametrize(
    "arguments", [[], ["--follow"], ["{store}", "--markdown"], ["{store}", "a", "b"], ["{store}", "a", "--colour"]]
)
def test_usage(store: Path, arguments: list[str]) -> None:
    """What it does not know is told, with what it does."""
    done = run(*(each.replace("{store}", str(store)) for each in arguments))
    assert done.returncode == 2
    assert "scripts/read_store STORE" in done.stderr
