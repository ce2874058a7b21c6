"""Folders that are no store, or not one of ours: refused with a reason, and never filled."""

from __future__ import annotations

from pathlib import Path

import pytest
from storekit import fill, make_irregular, open_store, untouched, within

from coda_fs_session import CorruptionError, StoreError, StoreFormatError


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    """A storage path that is a file is refused by name, and the file stays as it is."""
    store = tmp_path / "store"
    store.write_text("my notes")
    with pytest.raises(StoreFormatError, match=r"is a file.*another storage_path") as caught:
        open_store(store)
    assert caught.value.path == store
    assert store.read_text() == "my notes"


def test_a_file_above_the_folder(tmp_path: Path) -> None:
    """A storage path below a file is an error of this package too, that names the path."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError) as caught:
        open_store(tmp_path / "file" / "store").create_session("chat")
    assert caught.value.path is not None
    assert str(caught.value.path).startswith(str(tmp_path / "file"))


@pytest.mark.parametrize(
    "names",
    [
        ["thesis.tex"],
        ["README.txt"],
        ["FORMAT.doc"],
        ["refs/heads/main", "objects/pack/", "HEAD", "config"],
        ["refs", "objects/"],
        ["refs/", "objects/", "notes.txt"],
    ],
    ids=["a document", "a readme", "a name like ours", "a bare git repository", "refs as a file", "one file too many"],
)
def test_a_foreign_folder_is_refused_and_untouched(tmp_path: Path, names: list[str]) -> None:
    """A folder that holds something else is never taken for a store, whatever our names it happens to use."""
    store = tmp_path / "store"
    for name in names:
        path = store / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.write_text("somebody else's")
    with untouched(store), pytest.raises(StoreFormatError, match="another storage_path, or an empty folder") as caught:
        open_store(store)
    assert caught.value.path == store


def test_a_folder_that_turns_foreign_after_opening(tmp_path: Path) -> None:
    """The first write looks again: what somebody put there since the manager was made is not mixed with a store."""
    store = tmp_path / "store"
    manager = open_store(store)
    store.mkdir()
    (store / "thesis.tex").write_text("\\begin{document}")
    with untouched(store), pytest.raises(StoreFormatError):
        manager.create_session("chat")


@pytest.mark.parametrize("names", [[], [".DS_Store"], [".stfolder/marker", ".git/HEAD"]], ids=["empty", "one", "two"])
def test_an_empty_folder_is_accepted(tmp_path: Path, names: list[str]) -> None:
    """Dotfiles, which desktops and sync tools leave in empty folders, do not make a folder foreign; they stay."""
    store = tmp_path / "store"
    store.mkdir()
    for name in names:
        (store / name).parent.mkdir(parents=True, exist_ok=True)
        (store / name).write_text("")
    manager = open_store(store)
    assert manager.list_sessions() == []
    fill(manager, "chat")
    assert all((store / name).exists() for name in names)
    assert open_store(store).load_session("chat").get_messages()


@pytest.mark.parametrize("missing", ["FORMAT", "README.txt", ".gitattributes"])
def test_a_store_that_has_not_arrived_whole(tmp_path: Path, missing: str) -> None:
    """Files come in any order: a store without one of its constant files reads, and the next write completes it."""
    store = tmp_path / "store"
    messages = fill(open_store(store), "chat")
    content = (store / missing).read_bytes()
    (store / missing).unlink()
    with untouched(store):
        assert open_store(store).load_session("chat").get_messages() == messages
    open_store(store).create_session("another")
    assert (store / missing).read_bytes() == content


def test_format_under_the_name_of_a_partial_download(tmp_path: Path) -> None:
    """FORMAT on its way, under the name a sync tool gives it meanwhile, does not make the folder foreign."""
    store = tmp_path / "store"
    fill(open_store(store), "chat")
    (store / "FORMAT").rename(store / "FORMAT.a1b2c3.partial")
    (store / "FORMAT.a1b2c3.partial").write_bytes(b'{"coda_fs')
    assert [info.name for info in open_store(store).list_sessions()] == ["chat"]


def test_a_store_of_a_newer_format(tmp_path: Path) -> None:
    """A store of a newer version is not read by guesswork: the error names the version and says to upgrade."""
    store = tmp_path / "store"
    fill(open_store(store), "chat")
    (store / "FORMAT").write_bytes(b'{"coda_fs_session":2,"more":"of it"}\n')
    with untouched(store), pytest.raises(StoreFormatError, match=r"version 2.*upgrade") as caught:
        open_store(store)
    assert caught.value.path == store / "FORMAT"


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 22, b"not json", b"[]", b"1", b"{}", b'{"coda_fs', b'{"other_format":1}\n']
)
def test_a_damaged_format_file(tmp_path: Path, content: bytes) -> None:
    """A FORMAT that is not ours is refused with what it should hold, so that a person can mend it."""
    store = tmp_path / "store"
    messages = fill(open_store(store), "chat")
    good = (store / "FORMAT").read_bytes()
    (store / "FORMAT").write_bytes(content)
    with untouched(store), pytest.raises(StoreFormatError, match="FORMAT") as caught:
        open_store(store)
    assert caught.value.path == store / "FORMAT"
    assert good.decode().strip() in str(caught.value)
    (store / "FORMAT").write_bytes(good)
    assert open_store(store).load_session("chat").get_messages() == messages


@pytest.mark.parametrize("kind", ["folder", "fifo", "link"])
def test_format_is_no_regular_file(tmp_path: Path, kind: str) -> None:
    """FORMAT as a folder, a FIFO or a link is refused at once: no hanging, no following."""
    store = tmp_path / "store"
    fill(open_store(store), "chat")
    path = store / "FORMAT"
    make_irregular(path, kind, tmp_path / "elsewhere")
    with within(10), pytest.raises(CorruptionError, match=r"links are not followed|move it out") as caught:
        open_store(store)
    assert caught.value.path == path


def test_a_store_behind_a_link_is_the_same_store(tmp_path: Path) -> None:
    """The storage path itself may be a link: that is the user's choice, and state belongs to what it leads to."""
    store, link = tmp_path / "store", tmp_path / "link"
    messages = fill(open_store(store), "chat")
    link.symlink_to(store)
    manager = open_store(link, state_path=f"{store}.state")
    assert manager.load_session("chat").get_messages() == messages
    session = manager.load_session("chat")
    session.add_message({"role": "user", "content": "by the other way"})
    manager.save_session(session)
    assert len(list((store / "refs").iterdir())) == 1
    assert len(open_store(store).load_session("chat")) == len(messages) + 1
