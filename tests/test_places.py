"""Where a store may be: paths of any bytes, folders that all may write, places that are on no disk of this machine."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from storekit import fill, message, open_store, say

from coda_fs_session import ConfigError, SessionManager, SessionWarning

ELSEWHERE = [
    *("s3://chats/home", "https://example.org/chats", "file:///home/me/chats", "sftp://me@host/chats"),
    *("host:chats", "me@host:chats", "host:/chats", "::1:chats", "remote:", "C:\\chats", "C:/chats"),
]


@pytest.mark.parametrize("backend", ["files", "sqlite"])
def test_a_path_that_is_not_utf_8(tmp_path: Path, backend: str) -> None:
    """A folder that an old disk or an archive named in another encoding is as good as any other."""
    if sys.platform == "darwin":
        pytest.skip("the disks of macOS take only UTF-8 as a name")

    def odd(name: str) -> Path:
        return tmp_path / (os.fsdecode(b"caf\xe9 ") + name)

    def opened() -> SessionManager:
        return open_store(odd("store"), backend=backend)

    with opened() as manager, manager.watch() as watch:
        expected = fill(manager, "chat", 3, size=70_000)
        event = watch.next(timeout=30)
        assert event is not None
        assert event.name == "chat"
        say(manager, manager.load_session("chat"), 3)
        manager.create_session("branch", branch_from="chat")
        assert manager.sync(odd("target")).pushed.new == ("branch", "chat")
        assert not manager.sync(odd("target")).pushed
        exported = manager.export_session("chat", odd("chat.json"))
        manager.import_session(exported, name="imported")
        assert repr(manager)
    for manager in (opened(), open_store(odd("target"), state_path=str(odd("other state")))):
        with manager:
            assert manager.load_session("chat").get_messages() == [*expected, message(3)]
            assert {"branch", "chat"} <= {info.name for info in manager.list_sessions()}
            assert manager.stats().sessions >= 2


@pytest.mark.parametrize("place", ELSEWHERE)
@pytest.mark.parametrize("make", [str, Path])
def test_a_place_that_is_no_folder_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, make: Callable[[str], object]
) -> None:
    """A URL or a host is refused, as a target and as an option, with what to write for a folder of that name.

    They used to become folders of these names in the working directory.
    """
    monkeypatch.chdir(tmp_path)
    with open_store(tmp_path / "store") as manager:
        fill(manager, "chat")
        if make is Path or place not in ("host:chats", "me@host:chats", "host:/chats", "s3://chats/home"):
            with pytest.raises(ValueError, match=r"a folder of this machine is needed.*'\./"):
                manager.sync(make(place))  # type: ignore[arg-type]
    # A store may be in a bucket, what this machine keeps of it may not.
    in_bucket = make is str and place == "s3://chats/home"
    for option in ("state_path",) if in_bucket else ("storage_path", "state_path"):
        with pytest.raises(ConfigError, match=rf"session\.{option} = .*a folder of this machine is needed"):
            SessionManager({"session": {"storage_path": "here", option: make(place)}})
    monkeypatch.setenv("CODA_FS_STATE", place)
    with pytest.raises(ConfigError, match="CODA_FS_STATE"):
        SessionManager({"session": {"storage_path": "here"}})
    assert sorted(os.listdir(tmp_path)) == ["store", "store.state"]


@pytest.mark.parametrize("name", ["./host:chats", "./s3:/chats", "sub/host:chats", "a folder", "~x"])
def test_a_folder_with_a_colon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Such a folder is named with ./ or by its absolute path."""
    monkeypatch.chdir(tmp_path)
    if name == "~x":
        name = f"./{name}"
    with open_store(tmp_path / "store") as manager:
        fill(manager, "chat")
        assert manager.sync(name).pushed.new == ("chat",)
        assert not manager.sync((tmp_path / name).absolute()).pushed
    with SessionManager({"session": {"storage_path": name, "state_path": "./a:b", "autosave_interval": 0}}) as manager:
        assert len(manager.load_session("chat")) == 3
    assert (tmp_path / name / "FORMAT").is_file()
    assert (tmp_path / "a:b").is_dir()


@pytest.mark.parametrize("backend", ["files", "sqlite"])
def test_a_store_that_everybody_may_write(tmp_path: Path, backend: str) -> None:
    """Opening it warns, and names the folder and what to do; one of this user or group does not."""
    store = tmp_path / "store"
    for mode, warned in ((0o777, True), (0o1777, True), (0o775, False), (0o700, False)):
        store.mkdir(exist_ok=True)
        store.chmod(mode)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with open_store(store, backend=backend) as manager:
                manager.create_session("chat")
        told = [each for each in caught if each.category is SessionWarning]
        assert all(str(store) in str(each.message) and "chmod o-w" in str(each.message) for each in told)
        assert bool(told) == warned
        assert all(each.filename.endswith("storekit.py") for each in told)
