"""The verbs that keep house."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from coda_fs_session import SessionManager
from coda_fs_session.backends.base import NewObject
from coda_fs_session.format.ids import object_id
from coda_fs_session.format.lists import encode_list
from coda_fs_session.repo import replica_files
from coda_fs_session.repo.storage import RepoStorage

from .command import Command, nothing_changes


@pytest.fixture
def command(on_each: Command) -> Command:
    return on_each


def test_what_is_wrong_with_an_earlier_state(tmp_path: Path) -> None:
    """It counts: a check ends with 5 where a commit is damaged, with 6 where one is not here, and so does a repair."""
    command = Command(tmp_path)
    command.fill("trip")
    assert command("rename", "trip", "journey").code == 0
    (commit,) = (path for path in command.store.glob("objects/*/*") if b'"commit"' in path.read_bytes())
    good = commit.read_bytes()
    commit.write_bytes(good + b" ")
    assert [command(*verb).code for verb in (("check", "--full"), ("repair",), ("repair", "--yes"))] == [5, 5, 5]
    commit.unlink()
    assert [command(*verb).code for verb in (("check", "--full"), ("repair",))] == [6, 6]


def test_gc(tmp_path: Path) -> None:
    """It says what would be deleted and what keeps the rest, and does its step with --yes."""
    command = Command(tmp_path)
    command.fill("trip")
    done = command("gc")
    assert done.out == "0 files (0 B) would be deleted\n0 files (0 B) would be condemned\n"
    assert command("gc", "--yes").out == "0 files (0 B) deleted\n0 files (0 B) condemned\n"
    told = json.loads(command("gc", "--json").out)
    assert (told["freed"], told["dry_run"]) == ({"files": 0, "bytes": 0}, True)


def test_check_and_repair(tmp_path: Path) -> None:
    """Damage ends a check with 5; a repair only says what it would do, without --yes, and counts messages from 1."""
    command = Command(tmp_path)
    command.fill("trip")
    assert command("check").code == 0
    assert command("repair").err == "there is nothing to repair\n"
    (path,) = command.store.glob("refs/*/trip.jsonl")
    good = path.read_bytes()
    path.write_bytes(good.replace(b"March", b"Marsh"))
    done = command("check")
    assert (done.code, done.out.split()[0]) == (5, "damage")
    assert "`coda-session repair`" in done.out
    assert json.loads(command("check", "--json").out)["rule"] == "ref-line"
    with nothing_changes(command.store):
        done = command("repair")
    assert done.out.startswith(f"would mend  {path}: ")
    assert done.err == "nothing was done: --yes does it\n"
    backup = command.store.rename(tmp_path / "backup")
    (backup / path.relative_to(command.store)).write_bytes(good)
    lost = tmp_path / "lost"
    shutil.copytree(backup, lost)
    (lost / path.relative_to(command.store)).write_bytes(good.replace(b"March", b"Marsh"))
    done = command("repair", "-s", str(lost))
    assert (done.code, done.out.splitlines()[1]) == (
        5,
        "lost  trip: messages 1 to 2: they stood in the lines that are damaged",
    )
    done = command("repair", "-s", str(lost), "--from", str(backup), "--yes")
    assert (done.code, done.out.split()[0]) == (0, "mended")
    assert command("check", "-s", str(lost), "--full").code == 0
    assert command("show", "-s", str(lost), "trip").code == 0
    assert command("repair", "-s", str(lost), "--from", str(lost)).code == 2


def test_discard(tmp_path: Path) -> None:
    """A file that a check has named goes with --yes; every other path is an error of usage."""
    command = Command(tmp_path)
    command.fill("trip")
    (path,) = command.store.glob("refs/*/trip.jsonl")
    assert command("discard", str(path)).code == 2
    stray = command.store / "stray"
    stray.write_bytes(b"x")
    assert "or `coda-session discard PATH` throws it away" in command("check").out
    done = command("discard", str(stray))
    assert done.out == f"would discard  {stray}: the store knows no such file\n"
    assert (done.err, stray.exists()) == ("nothing was done: --yes does it\n", True)
    done = command("discard", str(stray), "--yes")
    assert (done.code, done.out.split()[0], stray.exists()) == (0, "discarded", False)
    assert Path(done.err.split()[-1]).read_bytes() == b"x"
    backup = path.read_bytes()
    path.write_bytes(b"{}" + backup)
    done = command("discard", str(path))
    assert done.out.splitlines()[1].startswith("lost  trip: nobody can tell how many messages: ")
    assert "`coda-session repair`" in done.out


def condemn_nothing_needed(manager: SessionManager) -> None:
    """Condemn an object that is not here."""
    assert isinstance(manager._storage, RepoStorage)
    repo, data = manager._storage.repo, encode_list([f"objects/ab/ab{62 * '0'}.jsonl"])
    repo.objects.put([NewObject(object_id(data), data)])
    replica_files.say(repo, lambda said: replace(said, condemned=object_id(data)))


def test_retire(tmp_path: Path) -> None:
    """It tells of the last session, takes --force for one that wrote lately, and shows as retired from then on."""
    command = Command(tmp_path)
    command.fill("trip")
    with command.manager(replica="lap", state_path=str(tmp_path / "lap")) as lap:
        lap.save_session(lap.create_session("on the train"))
    done = command("retire", "lap")
    assert done.code == 2
    assert done.err.endswith("if it is gone for good all the same, add `--force`\n")
    assert "`coda-session replicas`" in command("retire", "pal").err
    done = command("retire", "lap", "--force")
    assert done.out.startswith("would retire  lap: 1 refs, which stay; the last is of 'on the train', 20")
    assert done.err == "nothing was done: --yes does it\n"
    with command.manager() as manager:
        condemn_nothing_needed(manager)
    assert "waits for the replica lap, which answers" in command("gc").err
    assert "`coda-session retire lap`" in command("gc").err
    assert command("retire", "lap", "--force", "--yes").out.startswith("retired  lap: ")
    assert command("retire", "lap", "--yes").err == "it was retired before\n"
    assert command("gc").err == ""
    assert command("replicas").out.splitlines()[0].split("\t")[:2] == ["lap", "retired"]


def test_forget(tmp_path: Path) -> None:
    """It tells what only the record has of a store that is gone, and forgets it with --yes, beside a store or none."""
    command = Command(tmp_path)
    command.fill("trip")
    gone = command.store.rename(tmp_path / "drawer").parent / command.store.name
    done = command("forget", str(gone))
    assert (done.code, done.out) == (0, "would forget  trip: only the record has the last 2 of 2 messages\n")
    assert "--yes does it" in done.err
    done = command("forget", str(gone), "--yes", "-s", str(tmp_path / "drawer"))
    assert (done.code, done.out) == (0, "forgot  trip: 2 messages, none of which only the record has\n")
    assert (
        command("forget", str(gone), "-s", str(tmp_path / "drawer")).err
        == f"nothing is recorded of a store that was at {gone}\n"
    )
    assert command("forget", "https://example.org/x").code == 2
