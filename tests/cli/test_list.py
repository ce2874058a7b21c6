"""`list` and `show`: what is shown, on a terminal, in a pipe and as JSON."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from coda_fs_session import SessionInfo

from .command import ANSWER, HELLO, Command, nothing_changes

FIELDS = [
    *("name", "message_count", "created_at", "updated_at", "metadata", "size_bytes", "parent", "forked_at"),
    *(
        "replica",
        "error",
        "diverged_from",
        "undecided",
        "survived_delete",
        "reverted",
        "sides",
        "diverged_at",
        "preview",
    ),
]


READING = [
    *("", "list", "list --deleted", "list -l", "show @", "show chat --meta", "show chat@{1}", "search hello", "doctor"),
    *(
        "history chat",
        "tree",
        "diff chat chat",
        "stats",
        "replicas",
        "stats --by role",
        "export chat",
        "tag chat",
        "delete --dry-run *",
        "check --full",
        "repair",
        "gc",
    ),
]
"""Every verb that only reads."""


def names(out: str) -> list[str]:
    return [line.split("\t")[0] for line in out.splitlines()]


def test_a_pipe_gets_rows(filled: Command) -> None:
    """All rows, between tabs, without a header, with ISO times; who is hidden is said on stderr."""
    done = filled("list")
    assert names(done.out) == ["trip by train", "notes", "trip to Oman"]
    assert re.fullmatch(
        r"trip by train\t2\t\d{4}-\d\d-\d\dT[\d:]+[+-]\d\d:\d\d\t\d+\ttrip to Oman@1", done.out.splitlines()[0]
    )
    assert done.err == "showing 3 of 3 (1 hidden: --all)\n"
    assert filled("-q", "list").err == ""


@pytest.mark.parametrize("columns", [20, 80, 200])
def test_a_terminal_gets_columns(filled: Command, columns: int) -> None:
    """Aligned and cut to the width, with a header."""
    done = filled("list", "--color", "never", terminal=True, columns=columns)
    lines = done.out.splitlines()
    assert len(lines) == 4
    assert max(map(len, lines)) <= columns
    if columns >= 80:
        assert lines[0].split() == ["NAME", "MSGS", "UPDATED", "SIZE", "FROM"]
        assert re.fullmatch(r"trip by train +2  now +\d+ B  trip to Oman@1", lines[1])


def test_json_has_the_fields_of_the_library(filled: Command) -> None:
    """One object a line; the names are those of `SessionInfo`, and an interface."""
    rows = [json.loads(line) for line in filled("list", "--json").out.splitlines()]
    assert [list(row) for row in rows] == [FIELDS] * 3
    assert set(SessionInfo.__dataclass_fields__) == set(FIELDS)
    assert (rows[2]["name"], rows[2]["metadata"]["topic"]) == ("trip to Oman", "travel")
    assert rows[2]["preview"] == {"first": HELLO["content"], "last": ANSWER["content"], "role": "assistant"}
    assert filled("list", "-l", "notes").out.rstrip("\n").endswith(f"\t{HELLO['content']}")
    picked = filled("list", "--fields", "name,parent")
    assert json.loads(picked.out.splitlines()[0]) == {"name": "trip by train", "parent": "trip to Oman"}


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("trip*",), ["trip by train", "trip to Oman"]),
        (("*o*",), ["notes", "trip to Oman"]),
        (("notes", "trip by*"), ["trip by train", "notes"]),
        (("nowhere",), []),
        (("-n", "1"), ["trip by train"]),
        (("--sort", "name"), ["notes", "trip by train", "trip to Oman"]),
        (("--sort", "name", "--reverse"), ["trip to Oman", "trip by train", "notes"]),
        (("--reverse",), ["trip to Oman", "notes", "trip by train"]),
        (("--where", "topic=travel"), ["trip by train", "trip to Oman"]),
        (("--where", "source.tool=chat", "*Oman"), ["trip to Oman"]),
        (("--since", "1h", "--until", "now"), ["trip by train", "notes", "trip to Oman"]),
        (("--until", "yesterday"), []),
        (("--errors",), []),
        (("--all", "h*"), ["helper"]),
    ],
)
def test_what_is_chosen(filled: Command, arguments: tuple[str, ...], found: list[str]) -> None:
    """Globs, times, metadata and orders choose; a list of none is no error."""
    done = filled("list", *arguments)
    assert (done.code, names(done.out)) == (0, found)


def test_what_cannot_be_read_is_listed(command: Command) -> None:
    """A damaged session is in the list; the footer counts it, `--errors` says why, and `show` ends with 5."""
    command.fill("good")
    command.fill("bad")
    (ref,) = command.store.glob("refs/*/bad.jsonl")
    ref.write_bytes(b"{}\n" + ref.read_bytes())
    done = command("list")
    assert "bad\t" in done.out
    assert "1 unreadable: --errors" in done.err
    assert names(command("list", "--errors").out) == ["bad"]
    assert command("show", "bad").code in (1, 5)


def test_a_screen_has_twenty(command: Command) -> None:
    """On a terminal there are 20, and the footer says how many there are; a pipe gets all."""
    with command.manager() as manager, manager.bulk():
        for number in range(25):
            manager.create_session(f"chat {number:02}")
    done = command("list", terminal=True)
    assert len(done.out.splitlines()) == 21
    assert done.err == "showing 20 of 25 (all: -n 0)\n"
    assert len(command("list", "-n", "0", terminal=True).out.splitlines()) == 26
    assert len(command("list").out.splitlines()) == len(command("list", "--json", terminal=True).out.splitlines()) == 25


def test_show_as_json_is_the_messages(filled: Command) -> None:
    """The messages as they are stored, one a line; fields pick of them."""
    assert [json.loads(line) for line in filled("show", "notes", "--json").out.splitlines()] == [HELLO, ANSWER]
    assert filled("show", "notes", "--fields", "role").out == '{"role":"user"}\n{"role":"assistant"}\n'
    assert filled("show", "notes", "-r", "assistant", "--json").out == filled("show", "notes:2", "--json").out


def test_show_code_blocks(filled: Command) -> None:
    """-x is the first block and --xl the last, raw; without any it is an error."""
    assert filled("show", "trip by train", "-x").out == "ls\n"
    assert filled("show", "trip by train", "--xl").out == "x = 1\n"
    assert filled("show", "notes", "-x").code == 3


def test_show_tools_and_metadata(command: Command) -> None:
    """Calls and results are short unless asked for; reasoning only when asked for; metadata a line a key."""
    command.fill(
        "agent",
        {
            "role": "assistant",
            "reasoning_content": "hm",
            "tool_calls": [{"id": "1", "function": {"name": "ls", "arguments": '{"path": "' + "x" * 300 + '"}'}}],
        },
        {"role": "tool", "tool_call_id": "1", "content": "a\nb"},
        topic="files",
        days=14,
    )
    short = command("show", "agent").out
    assert short.startswith('[1] assistant\n→ ls {"path": "xxx')
    assert short.endswith("…\n\n[2] tool\n←  a b\n")
    assert "hm" not in short
    assert "x" * 300 in command("show", "agent", "--tools", "full").out
    assert command("show", "agent", "--tools", "none").out == ""
    assert command("show", "agent", "--tools", "none", "--reasoning").out == "[1] assistant\nhm\n"
    assert command("show", "agent", "--meta").out == "topic\tfiles\ndays\t14\n"
    assert json.loads(command("show", "agent", "--meta", "--json").out) == {"topic": "files", "days": 14}
    assert command("show", "agent", "--md").out.startswith("## 1. assistant\n\n→ ls")


@pytest.mark.parametrize("backend", ["files", "sqlite"])
def test_reading_changes_nothing(tmp_path: Path, backend: str) -> None:
    """Below the store nothing changes, byte for byte, and a store that cannot be written is read."""
    command = Command(tmp_path, backend)
    assert command("new", "chat", "--set", "topic=travel", "--set", "days:=14").err == "made chat\n"
    assert command("append", "chat", "-m", "Hello").out == "1\n"
    assert command("append", "chat", "--jsonl", stdin=json.dumps(ANSWER) + "\n\n").out == "2\n"
    folders = [path for path in [command.store, *command.store.rglob("*")] if path.is_dir()]
    with nothing_changes(command.store):
        for folder in folders:
            folder.chmod(0o555)
        try:
            assert command("show", "nowhere").code == 3
            for line in READING:
                assert command(*line.split()).code == 0, line
        finally:
            for folder in folders:
                folder.chmod(0o755)
    assert command("show", "chat", "--meta").out == "topic\ttravel\ndays\t14\n"
    if backend == "sqlite":
        assert command("list", "-s", str(command.store / "sessions.db")).out == command("list").out
        assert command("list", "-s", str(tmp_path / "config.toml")).code == 2


def test_the_config(command: Command, tmp_path: Path) -> None:
    """The store is that of -s, then of the environment, then of the config; templates are in the config."""
    folder = command.home / ".config" / "coda-fs-session"
    folder.mkdir(parents=True)
    config = folder / "config.toml"
    config.write_text(
        f'[session]\nstorage_path = "{tmp_path}/configured"\n[templates.review]\nsystem = "Review {{what}}."\n',
        encoding="utf-8",
    )
    del command.environment["CODA_FS_STORE"]
    assert command("new", "pr", "--template", "review", "-p", "what=code", "--set", "a=b").code == 0
    assert command("show", "pr").out == "[1] system\nReview code.\n"
    assert command("new", "pr", "--template", "review", "-p", "what=code").code == 4
    assert command("new", "pr2", "--template", "review").code == 2
    assert command("new", "pr2", "-p", "what=code").code == 2
    assert os.listdir(tmp_path / "configured") != []
    assert command("list", "-s", str(tmp_path / "elsewhere")).code == 10
    assert command("-s", str(tmp_path / "configured"), "list").out == command("list").out != ""
    command.environment["CODA_FS_STORE"] = str(tmp_path / "elsewhere")
    assert command("list").code == 10


def test_append(command: Command) -> None:
    """Texts from -m and stdin, messages from JSON lines; all of them or none."""
    assert command("append", "chat", "--create", "-m", "Hello").out == "1\n"
    assert command("append", "@", "-r", "assistant", stdin="two\nlines\n").out == "2\n"
    assert command("-q", "append", "chat", "-m", "-", stdin="three").out == ""
    for bad in ("{}\nnull\n", "{}\n{\n", '{"a": NaN}\n'):
        done = command("append", "chat", "--jsonl", stdin=bad)
        assert (done.code, done.out) == (2, ""), bad
    assert command("append", "chat", "--jsonl", "-m", "x").code == 2
    with command.manager() as manager:
        assert manager.load_session("chat").get_messages() == [
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "two\nlines"},
            {"role": "user", "content": "three"},
        ]
