"""Syncing with another host: rsync over a stand-in for ssh that stays on this machine."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from cli.command import Command
from storekit import fill, message, open_store, say

from coda_fs_session import (
    SessionManager,
    StoreError,
    StoreFormatError,
    StoreReadOnlyError,
    SyncProgress,
    UnsupportedError,
)

from .stores import tool


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder of the other host, which relative paths are in."""
    tool("rsync")
    home = tmp_path / "home there"
    home.mkdir()
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    # As ssh: it joins the words, and a shell on the other side takes them apart again.
    shell = tmp_path / "rsh"
    shell.write_text(
        '#!/bin/sh\n[ "$1" = desk ] || { echo "no host $1" >&2; exit 255; }\n'
        f'shift\ncd "{home}" && exec sh -c "$*"\n',
        encoding="utf-8",
    )
    shell.chmod(0o755)
    monkeypatch.setenv("RSYNC_RSH", str(shell))
    return home


def here(tmp_path: Path, **options: object) -> SessionManager:
    return open_store(tmp_path / "store", replica="laptop", **options)


def there(home: Path, path: str = "chats") -> SessionManager:
    return open_store(home / path, replica="desk")


def names(manager: SessionManager) -> set[str]:
    return {info.name for info in manager.list_sessions()}


def test_both_hold_the_same(tmp_path: Path, home: Path) -> None:
    """What each side saved is on both; a second run carries nothing; what was continued apart is two sides.

    A sync leaves no temporary files. It once left a folder at each look at the other store's FORMAT.
    """
    seen: list[SyncProgress] = []
    with here(tmp_path) as manager:
        fill(manager, "trip", 3, size=70_000)
        report = manager.sync("desk:chats", progress=seen.append)
        assert (report.pushed.refs, report.pushed.objects > 0, bool(report.pulled)) == (1, True, False)
        assert [each.phase for each in seen] == ["objects"] * (len(seen) - 1) + ["refs"]
        with there(home) as other:
            assert other.load_session("trip").get_messages() == manager.load_session("trip").get_messages()
            fill(other, "theirs")
            say(other, other.load_session("trip"), 11)
        say(manager, manager.load_session("trip"), 10)
        report = manager.sync("desk:chats")
        assert report.pulled.new == ("theirs",)
        assert len(report.pulled.diverged) == 1
        assert not report.problems
        assert not manager.sync("desk:chats").pulled
        with there(home) as other:
            assert names(other) == names(manager)
            assert len(names(manager)) == 3
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize("path", ["a b", "it's $(touch F)", "~/chats", "*", "deep;touch F"])
def test_any_path(tmp_path: Path, home: Path, path: str) -> None:
    """No shell looks at the path on the other side."""
    with here(tmp_path) as manager:
        fill(manager, "trip")
        manager.sync(f"desk:{path}")
    assert sorted(os.listdir(home)) == [path.removeprefix("~/")]
    with there(home, path.removeprefix("~/")) as other:
        assert names(other) == {"trip"}


def test_one_way(tmp_path: Path, home: Path) -> None:
    """A push writes nothing here, and a pull nothing there; a dry run writes nowhere, and counts the same."""
    with there(home) as other:
        fill(other, "theirs")
    with here(tmp_path) as manager:
        fill(manager, "ours")
        dry = manager.sync("desk:chats", dry_run=True)
        assert (dry.pushed.refs, dry.pulled.refs) == (1, 1)
        assert names(manager) == {"ours"}
        pushed = manager.sync("desk:chats", direction="push")
        assert (pushed.pushed, bool(pushed.pulled)) == (dry.pushed, False)
        assert names(manager) == {"ours"}
        fill(manager, "more")
        manager.sync("desk:chats", direction="pull")
        assert names(manager) == {"ours", "theirs", "more"}
    with there(home) as other:
        assert names(other) == {"ours", "theirs"}


def test_what_a_third_machine_wrote_is_not_put_back(tmp_path: Path, home: Path) -> None:
    """An older copy on the other host of what a third machine wrote does not replace the newer one here."""
    store = tmp_path / "store"
    with open_store(store, replica="phone", state_path=str(tmp_path / "phone")) as phone:
        fill(phone, "trip")
        shutil.copytree(store, home / "chats")
        say(phone, phone.load_session("trip"), 7)
    (older,) = home.glob("chats/refs/phone/trip.jsonl")
    moment = older.stat().st_mtime - 2
    os.utime(older, (moment, moment))
    with here(tmp_path) as manager:
        fill(manager, "ours")
        manager.sync("desk:chats")
        assert manager.load_session("trip").get_messages(1) == [message(7)]


@pytest.mark.parametrize("length", [1, 200], ids=["in the tail", "in chunks"])
@pytest.mark.parametrize("later", [0.2, 3600], ids=["within a second", "with an older time"])
def test_the_time_of_a_file_decides_nothing(tmp_path: Path, home: Path, length: int, later: float) -> None:
    """What a third machine wrote last stays here, whatever the times say. rsync once put an older file over it."""
    store = tmp_path / "store"
    with open_store(store, replica="phone", state_path=str(tmp_path / "phone")) as phone:
        fill(phone, "trip")
        fill(phone, "other")
        shutil.copytree(store, home / "chats")
        say(phone, phone.load_session("trip"), *range(length))
    (older,) = home.glob("chats/refs/phone/trip.jsonl")
    (newer,) = store.glob("refs/phone/trip.jsonl")
    os.utime(newer, (1_700_000_000.1, 1_700_000_000.1))
    os.utime(older, (1_700_000_000.1 + later, 1_700_000_000.1 + later))
    with here(tmp_path) as manager:
        fill(manager, "ours")
        count = len(manager.load_session("trip"))
        for _ in range(2):
            report = manager.sync("desk:chats")
            assert len(here(tmp_path).load_session("trip")) == count
            assert not report.pulled.advanced
        assert [info.name for info in manager.list_sessions() if info.sides] == []


def test_a_new_store_is_pulled(tmp_path: Path, home: Path) -> None:
    """Where there is none here yet, a pull makes one; where there is none there, it is an error."""
    with here(tmp_path) as manager:
        with pytest.raises(StoreError, match="no store at desk:chats"):
            manager.sync("desk:chats", direction="pull")
        with there(home) as other:
            fill(other, "theirs")
        manager.sync("desk:chats", direction="pull")
        assert names(manager) == {"theirs"}


def test_what_is_refused(tmp_path: Path, home: Path) -> None:
    """A host that looks like an option, a folder of something else, a newer store: nothing is carried."""
    with here(tmp_path) as manager:
        fill(manager, "trip")
        with pytest.raises(ValueError, match="hyphen"):
            manager.sync("-oProxyCommand=touch F:chats")
        with pytest.raises(StoreError, match="no host nowhere"):
            manager.sync("nowhere:chats")
        (home / "docs").mkdir()
        (home / "docs" / "letter").touch()
        with pytest.raises(StoreFormatError, match="holds no store"):
            manager.sync("desk:docs")
        (home / "newer").mkdir()
        (home / "newer" / "FORMAT").write_text('{"coda_fs_session":2}\n', encoding="utf-8")
        with pytest.raises(StoreFormatError, match=r"desk:newer.*version 2"):
            manager.sync("desk:newer")
    assert {path.name for path in home.rglob("*")} == {"docs", "letter", "newer", "FORMAT"}
    with here(tmp_path, read_only=True) as manager, pytest.raises(StoreReadOnlyError):
        manager.sync("desk:chats")
    with open_store(tmp_path / "database", backend="sqlite") as manager, pytest.raises(UnsupportedError, match="files"):
        manager.sync("desk:chats")


def test_without_rsync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with here(tmp_path) as manager:
        fill(manager, "trip")
        with pytest.raises(UnsupportedError, match="install it"):
            manager.sync("desk:chats")


def test_by_the_command(tmp_path: Path, home: Path) -> None:
    """`coda-session sync HOST:PATH` does the same; a dry run says what it would do."""
    command = Command(tmp_path / "command")
    command.environment["RSYNC_RSH"] = os.environ["RSYNC_RSH"]
    command.fill("trip")
    dry = command("sync", "desk:chats", "--dry-run")
    assert (dry.code, list(home.iterdir())) == (0, [])
    done = command("sync", "desk:chats")
    assert dry.out == "".join(f"would be {line}\n" for line in done.out.splitlines())
    assert done.out.startswith("pushed: 1 refs, ")
    assert command("sync", "desk:chats").out == "pushed: nothing\npulled: nothing\n"
    assert command("sync", "--", "-x:chats").code == 2
    assert command("sync", "nowhere:chats").code == 1
