"""Every verb, on each backend; what is refused changes nothing."""

from __future__ import annotations

import json
import os
import shlex
import stat
import sys
from datetime import datetime
from importlib import import_module
from pathlib import Path

import pytest

from coda_fs_session import Session, SessionManager
from coda_fs_session.cli.verbs import ALIASES, VERBS, module_of

from .command import ANSWER, HELLO, Command, nothing_changes

HOSTILE = [
    "-n",
    "--",
    "a b",
    "$(touch F)",
    "`x`;*",
    "a'\"b",
    "trip~3",
    "a@2:1",
    "漢字/🙂",
    "~",
    "@{1}",
    "C:\\x",
    "a" * 255,
]

NEED_OTHERS = ("watch", "view", "sync", "import")
"""Verbs whose examples need somebody else, or go on until Ctrl-C; they have tests of their own."""


@pytest.fixture
def command(on_each: Command) -> Command:
    return on_each


def test_the_table_of_verbs() -> None:
    """Each verb has a module, says in the table what its help begins with, and has two examples."""
    for name, line in VERBS.items():
        found = import_module(f"coda_fs_session.cli.{module_of(name)}").command
        assert found.name == name
        assert len(found.examples) == 2, name
        assert all(f"coda-session {name}" in example for example in found.examples), name
        assert line.short.endswith(".")
    assert set(ALIASES.values()) <= VERBS.keys()


@pytest.mark.parametrize("name", [name for name in VERBS if name not in NEED_OTHERS])
def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The examples at the end of a help do what they say, on a store that has what they are about."""
    command = Command(tmp_path)
    command.fill("trip", *[HELLO, ANSWER] * 21, days=14, topic="travel")
    command.fill("draft", HELLO, {"role": "assistant", "content": "```sh\nls\n```"})
    command.fill("test/one")
    monkeypatch.chdir(tmp_path)
    command.fill("gone")
    assert command("delete", "gone").code == 0
    if name == "discard":
        (command.store / "notes.txt").write_bytes(b"stray")
    if name == "retire":
        long_ago = datetime(2024, 3, 2)
        with command.manager(replica="desk-1b2c3d4e", state_path=str(tmp_path / "desk")) as desk:
            desk.save_session(Session("old", [HELLO], created_at=long_ago, updated_at=long_ago))
    found = import_module(f"coda_fs_session.cli.{module_of(name)}").command
    for example in found.examples:
        before, _, line = example.rpartition(" | ")
        words = shlex.split(line)[1:]
        if name == "edit" and "-m" not in words:
            words += ["-m", "edited"]
        done = command(*words, stdin=before)
        assert done.code == 0, (example, done)


@pytest.mark.parametrize("name", VERBS)
def test_help(filled: Command, name: str) -> None:
    """`VERB --help`, `VERB -h` and `help VERB` say the same, within 100 columns, without a store."""
    done = filled(name, "--help", "-s", "/nowhere")
    assert done.code == 0
    assert done.out == filled(name, "-h").out == filled("help", name).out
    assert max(map(len, done.out.splitlines())) <= 100


def test_help_of_the_command(filled: Command) -> None:
    """All verbs are listed; pages of the manual come by name."""
    shown = filled("--help").out
    assert all(f"  {name}" in shown for name in VERBS)
    assert "syncing\t" in filled("help").out
    assert filled("help", "syncing").out.startswith("# Syncing\n")
    assert filled("help", "FORMAT").code == 0
    assert filled("help", "history.md").out.startswith("# History")
    assert filled("help", "nothing").code == 3


def test_branch(command: Command) -> None:
    """A branch begins at the point that is named; a name that is taken is refused, also if it is that branch."""
    command("append", "trip", "-m", "With a beach")
    assert command("branch", "trip", "whole").err == "made whole, which goes on from trip after 3\n"
    assert command("branch", "trip@1", "one").code == command("branch", "trip~1", "two").code == 0
    assert [len(command.texts(name)) for name in ("whole", "one", "two")] == [3, 1, 2]
    assert command("branch", "trip@1", "one").code == 4
    assert command("branch", "trip:2", "other").code == 2
    assert command("branch", "tri", "other").code == 3
    assert "\ttrip@1\n" in command("list", "one").out


def test_rename_and_delete(command: Command) -> None:
    """Each says what was done; only whole names, and globs that match, are taken."""
    done = command("rename", "trip", "holiday")
    assert (done.out, done.err) == ("", "renamed trip to holiday (undo: coda-session rename holiday trip)\n")
    assert command("rename", "holi", "x").code == 3
    command.fill("other")
    assert command("rename", "other", "holiday").code == 4
    before = command("list").out
    assert command("delete", "*o*", "--dry-run").out == "would delete holiday\nwould delete other\n"
    assert command("delete", "*o*").code == 4
    assert command("delete", "holiday", "nowhere", "--yes").code == 3
    assert command("delete", "x*").code == 3
    assert command("list").out == before
    assert command("rm", "holiday", "o*", "--yes").err == "".join(
        f"deleted {name} (undo: coda-session restore {name})\n" for name in ("holiday", "other")
    )
    assert command("list").out == ""


def test_metadata(command: Command) -> None:
    """Texts and JSON are set, found and removed; one that is not there is an error, and nothing changes."""
    assert command("set", "trip", "topic=travel", "days:=14", 'a:={"b": true}', "coda_fs_session.x=1").code == 0
    assert json.loads(command("show", "trip", "--meta", "--json").out) == {
        "topic": "travel",
        "days": 14,
        "a": {"b": True},
        "coda_fs_session.x": "1",
    }
    for wanted in ("topic=travel", "days=14", "days:=14", "a.b=true", "a.b:=true", "coda_fs_session.x=1"):
        assert command("list", "--where", wanted).out.startswith("trip\t"), wanted
    for other in ("topic=trave", 'days:="14"', "a.b=1", "a.b:=1", "a.c=1", "nothing=1", "coda_fs_session.x:=1"):
        assert command("list", "--where", other).out == "", other
    for bad in (["list", "--where", "topic"], ["set", "trip", "=x"], ["set", "trip", "a:={"]):
        assert command(*bad).code == 2, bad
    assert command("unset", "trip", "days", "nothing").code == 3
    assert command("unset", "trip", "days", "topic", "a").code == 0
    assert command("show", "trip", "--meta").out == "coda_fs_session.x\t1\n"


def test_edit_a_text(command: Command) -> None:
    """A text is edited in an editor or given; what is the same is not saved."""
    assert command("edit", "trip:1", "-m", "New").err == "changed trip:1 (undo: coda-session undo trip)\n"
    command.environment["VISUAL"] = f"{sys.executable} -c \"import sys; f = open(sys.argv[1], 'r+'); f.write('Oh!')\""
    assert command("edit", "trip:-1").code == 0
    assert command.texts("trip") == ["New", f"Oh!{ANSWER['content'][3:]}"]
    assert command("edit", "trip:1", "-m", "New").err == "nothing was changed\n"
    for place, code in (("trip", 2), ("trip:1-2", 2), ("trip:3", 3), ("tri:1", 3)):
        assert command("edit", place, "-m", "x").code == code
    assert command("edit", "trip:1", "--raw", "-m", '{"role": "user", "content": [1]}').code == 0
    assert command("edit", "trip:1", "-m", "{").code == 2
    assert command.texts("trip")[0] == [1]


@pytest.mark.parametrize("change", ["append", "set"])
def test_edit_beside_another(command: Command, change: str) -> None:
    """Where the session changes meanwhile nothing is saved, and the text is in a file for the user alone."""
    other = [
        sys.executable,
        "-m",
        "coda_fs_session",
        change,
        "trip",
        *(["-m", "there"] if change == "append" else ["a=b"]),
    ]
    script = f"import subprocess, sys; subprocess.run({other!r}, check=True); open(sys.argv[1], 'w').write('mine')"
    command.environment["EDITOR"] = f"{sys.executable} -c {shlex.quote(script)}"
    done = command("edit", "trip:1")
    assert done.code == 4
    kept = Path(done.err.rpartition(" ")[2].strip())
    assert kept.read_text(encoding="utf-8") == "mine"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert command.texts("trip") == [HELLO["content"], ANSWER["content"], *(["there"] if change == "append" else [])]


def test_export(command: Command, tmp_path: Path) -> None:
    """To stdout, a file and a folder; the files are those of the library; what is there stays."""
    command.fill("a/b")
    command.fill("a?b")
    assert json.loads(command("export", "trip").out)["messages"] == [HELLO, ANSWER]
    file = tmp_path / "trip.json"
    assert command("export", "trip", "-o", str(file)).err == f"exported trip to {file}\n"
    assert command("export", "trip", "-o", str(file)).code == 4
    assert command("export", "trip", "-o", str(file), "--overwrite").code == 0
    folder = f"{tmp_path}/out/"
    assert command("export", "--all", "-o", folder).code == 0
    assert sorted(os.listdir(folder)) == ["a_b-2.json", "a_b.json", "trip.json"]
    os.remove(f"{folder}/trip.json")
    done = command("-q", "export", "--all", "-o", folder)
    # It once told of what came after an error, also to who wanted to hear of errors alone.
    assert (done.code, [line.partition(":")[0] for line in done.err.splitlines()]) == (8, ["error", "error"])
    assert command("export", "--all", "-o", str(file)).code == 2
    assert command("export").code == command("export", "trip", "--all").code == 2
    with SessionManager({"session": {"backend": "memory"}}) as manager:
        assert manager.import_session(f"{folder}/a_b.json").name in ("a/b", "a?b")


def test_sync(command: Command, tmp_path: Path) -> None:
    """Both stores hold the same afterwards; a bad target is a usage error."""
    there = Command(tmp_path / "there")
    there.fill("theirs")
    with nothing_changes(command.store), nothing_changes(there.store):
        dry = command("sync", str(there.store), "--dry-run")
        assert command("sync", f"{tmp_path}/none", "--dry-run").out.startswith("would be pushed: 1 new (trip)")
        new = command("sync", str(there.store), "--dry-run", "-s", f"{tmp_path}/none")
        assert (new.code, new.out.splitlines()[1].partition(",")[0]) == (0, "would be pulled: 1 new (theirs)")
    assert not (tmp_path / "none").exists()
    done = command("sync", str(there.store))
    assert (done.code, dry.out) == (0, f"would be {done.out.replace('pulled', 'would be pulled')}")
    assert done.out.startswith("pushed: 1 new (trip)")
    assert there("list", "--fields", "name").out == command("list", "--fields", "name").out
    assert command("sync", str(command.store)).code == 2
    assert command("sync", "s3://chats?x=1").code == 2
    assert command("sync", "https://chats").code == 2
    assert command("sync", str(there.store), "--push", "--pull").code == 2
    with nothing_changes(command.store):
        assert command("sync", f"{tmp_path}/new", "--push").out.splitlines()[1] == "pulled: nothing"


def test_stats_and_doctor(command: Command, tmp_path: Path) -> None:
    """Numbers are those of the library; the doctor says where everything is."""
    stats = dict(line.split("\t") for line in command("stats").out.splitlines())
    assert (stats["sessions"], stats["messages"], stats["unreadable"]) == ("1", "2", "0")
    assert json.loads(command("stats", "--json").out)["logical_bytes"] == int(stats["logical_bytes"])
    assert command("stats", "--by", "role").out == "user\t1\t7\nassistant\t1\t8\n"
    assert [json.loads(line)["model"] for line in command("stats", "--by", "model", "--json").out.splitlines()] == [
        "gpt-4"
    ]
    assert command("stats", "--by", "day").out.endswith("\t2\n")
    replica, own, _, refs, size = command("replicas").out.removesuffix("\n").split("\t")
    assert (own, refs) == ("own", "1")
    told = json.loads(command("replicas", "--json").out)
    assert (told["id"], told["is_own"], told["bytes"]) == (replica, True, int(size))
    told = json.loads(command("doctor", "--json").out)
    assert told["store"] == f"{command.store} ({command.backend})"
    assert told["state"].startswith(str(tmp_path / "state"))
    assert told["problems"] == []
    (tmp_path / ".stfolder").mkdir()
    assert "set state_path elsewhere" in command("doctor").out
    none = command("doctor", "-s", str(tmp_path / "none"))
    assert none.code == 10
    assert f"none yet at {tmp_path}/none" in none.out


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names(tmp_path: Path, name: str) -> None:
    """Every verb takes any name, after --."""
    command = Command(tmp_path)
    assert command("new", "--", name).code == 0
    assert command("append", "-m", "Hello", "--", name).out == "1\n"
    assert command("set", "--", name, "a=b").code == 0
    assert json.loads(command("list", "--json").out)["name"] == name
    assert command("show", "--", name).out == command("show", "@").out == "[1] user\nHello\n"
    assert command("edit", "-m", "Bye", "--", f"{name}:1").code == 0
    assert command("branch", "--", f"{name}@1", "other").code == 0
    assert command("history", "--", name).out.count("\n") >= 2
    assert command("tag", "--", name, "asked").code == command("tag", "-d", "--", name, "asked").code == 0
    assert command("unset", "--", name, "a").code == command("undo", "--", name).code == 0
    assert command("tree", "--", name).code == command("diff", "--", name, "other").code == 0
    assert command("merge", "--", "other", name).code == command("cherry-pick", "--", f"{name}:1", "other").code == 0
    assert command("search", "Bye", "--in", name, "--json").code == 0
    assert command("export", "-o", f"{tmp_path}/out/", "--", name).code == 0
    assert len(os.listdir(tmp_path / "out")) == 1
    assert command("rename", "--", name, "x").code == command("rename", "--", "x", name).code == 0
    assert command("delete", "--", name).code == command("restore", "--", name).code == 0
    assert command("delete", "--", name).code == 0
    assert json.loads(command("list", "--json").out)["name"] == "other"
    assert not list(command.home.rglob("F"))
