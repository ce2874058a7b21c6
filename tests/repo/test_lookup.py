"""Looking sessions up by name: the folders say when to look closer, and refs that changed hands are noticed."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from coda_fs_session import Session, SessionManager
from coda_fs_session.backends import spread
from coda_fs_session.backends.base import NO_TOKEN, RefFolders, Token
from coda_fs_session.backends.files import listing
from coda_fs_session.backends.files.backend import LocalBackend
from coda_fs_session.backends.machine import changes
from coda_fs_session.repo import repository
from coda_fs_session.repo.index import file, freshness
from coda_fs_session.repo.index.rows import Row

from .machines import Machine, contents, said

SETTLED = 0.1
"""Seconds after which the times of folders tell every further change."""


@pytest.fixture
def there(here: Machine) -> Machine:
    """Another replica that writes the same store."""
    return Machine(here.folder, "there-00000002")


def renamed_in_place(there: Machine) -> tuple[Path, bytes]:
    """Return the ref of a session "chat", and what renaming it to "talk" would make of the file."""
    there.create("chat", said(1))
    ref = there.only_ref()
    before = ref.read_bytes()
    there.manager().rename_session("chat", "talk")
    after = ref.read_bytes()
    ref.write_bytes(before)
    return ref, after


def replace_twice(ref: Path, data: bytes) -> None:
    """Do what replacing a file twice can look like: another content, the first inode, a change in the folder."""
    with ref.open("r+b") as file:
        file.write(data)
        file.truncate()
    (ref.parent / ".passing").touch()
    (ref.parent / ".passing").unlink()


def finds(manager: SessionManager, name: str) -> bool:
    # By name: a listing looks at every file anyway.
    return manager.get_session_info(name) is not None


@pytest.mark.parametrize("counted", [False, True], ids=["elsewhere", "by another process"])
def test_a_ref_replaced_twice_is_noticed(here: Machine, there: Machine, counted: bool) -> None:
    """Processes of one machine count what they replace, so they need not wait until times tell."""
    ref, renamed = renamed_in_place(there)
    if not counted:
        time.sleep(SETTLED)
    manager = here.manager()
    assert finds(manager, "chat")
    replace_twice(ref, renamed)
    if counted:
        there.repository().machine.record.count_change()
    assert finds(manager, "talk")
    assert not finds(manager, "chat")


def test_a_ref_replaced_twice_right_after_a_look_is_noticed_soon(here: Machine, there: Machine) -> None:
    """Within the moment in which a folder's time does not tell, it may be overlooked; not for longer."""
    ref, renamed = renamed_in_place(there)
    manager = here.manager()
    assert finds(manager, "chat")
    replace_twice(ref, renamed)
    finds(manager, "talk")
    time.sleep(SETTLED)
    assert finds(manager, "talk")
    assert not finds(manager, "chat")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no time that tools cannot set")
def test_a_folder_that_is_given_its_former_time_is_looked_into(here: Machine, there: Machine) -> None:
    """As rsync does with folders of a disk on which their times stay when files come, such as FAT.

    What came was not found by its name.
    """
    there.create("chat", said(1))
    ref = there.only_ref()
    away = shutil.move(ref, here.folder / "away")
    time.sleep(SETTLED)
    manager = here.manager()
    assert not finds(manager, "chat")
    former = ref.parent.stat().st_mtime_ns
    shutil.move(away, ref)
    os.utime(ref.parent, ns=(former, former))
    assert finds(manager, "chat")


def test_the_count_of_changes_begins_anew_when_it_has_become_large(
    here: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "_MOST", 3)
    here.create("chat", said(1))
    manager = here.manager()
    for number in range(10):
        here.manager().rename_session("chat", "talk")
        assert finds(manager, "talk")
        here.manager().rename_session("talk", "chat")
        assert finds(manager, "chat")
        assert not finds(manager, "talk"), number
    assert 0 < here.repository().machine.record.changes() <= 3


def test_a_name_is_looked_up_without_a_look_at_every_file(here: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the times of folders tell, and nothing changed: however many sessions there are, it takes as long."""
    here.create("chat", said(1))
    time.sleep(SETTLED)
    manager = here.manager()
    assert finds(manager, "chat")
    monkeypatch.setattr(LocalBackend, "ref_tokens", None)
    assert finds(manager, "chat")
    assert not finds(manager, "talk")


def test_branches_made_in_a_row_do_not_look_at_every_file(here: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process itself has written explains why a folder changed, also while its time does not tell yet."""
    here.create("chat", said(*range(20)))
    # However slow the machine is.
    monkeypatch.setattr(freshness, "_A_MOMENT", 1000.0)
    manager = here.manager()
    looks = []
    tokens = LocalBackend.ref_tokens
    monkeypatch.setattr(LocalBackend, "ref_tokens", lambda backend: looks.append(1) or tokens(backend))
    manager.create_session("first", branch_from="chat")
    manager.load_session("chat")
    before = len(looks)
    for number in range(5):
        manager.create_session(f"branch-{number}", branch_from="chat", at=number)
    assert len(looks) - before <= 1


def test_programs_that_close_nothing_do_not_read_every_ref_again(
    here: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who had to read many refs to look up a name keeps the index for the next process, without any listing."""
    writer = here.manager()
    for number in range(40):
        writer.save_session(writer.create_session(f"chat {number}"))
    time.sleep(SETTLED)
    # Where it had to look at refs whose times did not tell yet, the writer may have kept one.
    for index in (here.folder / "state").glob("*/index*"):
        shutil.rmtree(index) if index.is_dir() else index.unlink()
    read = []
    parse = repository.parse_ref
    monkeypatch.setattr(repository, "parse_ref", lambda data, path: read.append(path) or parse(data, path))
    assert finds(here.manager(), "chat 7")
    assert len(read) >= 40
    read.clear()
    assert finds(here.manager(), "chat 8")
    assert len(set(read)) <= 1  # its own, also for its preview


def test_what_one_program_looked_at_the_next_need_not(here: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list finds that refs have changed, and leaves it to the next look-up to see in which folders. The first program
    that looks keeps that, also if it closes nothing."""
    monkeypatch.setattr(spread, "FLAT_REFS", 0)
    with here.manager() as writer, writer.bulk():
        for number in range(60):
            writer.save_session(writer.create_session(f"chat {number}"))
    for number, ref in enumerate(here.refs(), 1):
        os.utime(ref, (number, number))
    time.sleep(SETTLED)
    lister = here.repository().index
    assert len(lister.rows()) == 60
    lister.keep()
    folders = looks(monkeypatch)
    assert finds(here.manager(), "chat 7")
    assert folders, "the list knows it already, so this shows nothing"
    folders.clear()
    assert finds(here.manager(), "chat 7")
    assert not folders


def looks(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return a list that grows with every listing of the names of refs."""
    made: list[object] = []
    listed = LocalBackend.ref_folders

    def count(backend: LocalBackend, *args: Any, **options: Any) -> RefFolders:
        found = listed(backend, *args, **options)
        if found.contents:
            made.append(found)
        return found

    monkeypatch.setattr(LocalBackend, "ref_folders", count)
    return made


@pytest.fixture
def making(here: Machine, there: Machine, monkeypatch: pytest.MonkeyPatch) -> SessionManager:
    """A manager in the middle of making sessions in a row, which looks at no names for a long time to come."""
    there.create("of there", said(1))
    manager = here.manager()
    manager.create_session("before")
    monkeypatch.setattr(freshness, "_A_MOMENT", 1000.0)
    time.sleep(SETTLED)
    for number in range(2):
        manager.create_session(f"session {number}")
    return manager


def test_sessions_made_in_a_row_do_not_list_the_others(
    making: SessionManager, here: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Making one takes as long whether there are ten or ten thousand."""
    made = looks(monkeypatch)
    for number in range(20):
        making.create_session(f"more {number}")
    assert not made
    assert len(here.names()) == 24
    assert finds(making, "more 7")
    assert made


def test_what_another_process_renamed_is_no_new_name(making: SessionManager, here: Machine) -> None:
    """The file of a renamed session keeps its name: here only the count of changes tells."""
    here.create("talk", said(1, 2))
    for name in ("one more", "and another"):
        making.create_session(name)
    here.manager().rename_session("talk", "chat")
    assert contents(making.create_session("chat")) == ["1", "2"]


def test_what_another_process_renamed_is_no_change_of_ours(making: SessionManager, here: Machine) -> None:
    """A bulk that only appends has counted no change, so that the one which was counted is not its own."""
    here.create("talk", said(1, 2))
    making.create_session("one more")
    session = making.load_session("before")
    with making.bulk():
        session.add_message(said(1)[0])
        making.save_session(session)
        here.manager().rename_session("talk", "chat")
    assert contents(making.create_session("chat")) == ["1", "2"]


@pytest.fixture
def restored(tmp_path: Path) -> bytes:
    """The ref of a session "chat" of two messages, from a backup."""
    elsewhere = Machine(tmp_path / "elsewhere", "there-00000002")
    elsewhere.create("chat", said(1, 2))
    return elsewhere.only_ref().read_bytes()


def test_what_came_among_the_refs_of_others_is_no_new_name(
    making: SessionManager, here: Machine, there: Machine, restored: bytes
) -> None:
    (here.store / "refs" / there.replica / "another.jsonl").write_bytes(restored)
    assert contents(making.create_session("chat")) == ["1", "2"]


def test_what_was_put_among_our_refs_is_no_new_name(making: SessionManager, here: Machine, restored: bytes) -> None:
    """A file that somebody restored has its name, and is found where the new one was to stand."""
    (here.store / "refs" / here.replica / "chat.jsonl").write_bytes(restored)
    assert contents(making.create_session("chat")) == ["1", "2"]
    assert not list((here.store / "refs").glob("*/chat.2.jsonl"))


def test_another_file_name_among_ours_is_noticed_after_a_moment(
    making: SessionManager, here: Machine, restored: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only that can pass unseen while sessions are made in a row, and not for long."""
    (here.store / "refs" / here.replica / "chat (copy).jsonl").write_bytes(restored)
    later = time.monotonic() + 2 * freshness._A_MOMENT
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert contents(making.create_session("chat")) == ["1", "2"]


def test_what_comes_during_a_look_is_noticed_by_the_next(
    making: SessionManager, here: Machine, there: Machine, restored: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands beside is looked at before the names are."""
    # Else the folder would count as one that cannot tell yet.
    monkeypatch.setattr(listing, "is_recent", lambda changed, now: False)
    listed, looked = LocalBackend.ref_folders, []

    def list_and_receive(backend: LocalBackend, *args: Any, **options: Any) -> RefFolders:
        found = listed(backend, *args, **options)
        if "but" not in options:
            looked.append(found)
        if len(looked) == 2:
            (here.store / "refs" / there.replica / "another.jsonl").write_bytes(restored)
        return found

    there.create("more of there", said(1))
    with monkeypatch.context() as context:
        context.setattr(LocalBackend, "ref_folders", list_and_receive)
        # It looks whether there is one, and when it makes one. The second look need not be repeated for a moment.
        making.create_session("one more")
    assert len(looked) == 2
    assert contents(making.create_session("chat")) == ["1", "2"]


def test_a_branch_that_was_put_among_our_refs_meanwhile(making: SessionManager, here: Machine, tmp_path: Path) -> None:
    """As one that another process made at the same time: it is the one that is asked for."""
    elsewhere = here.copied_to(tmp_path / "elsewhere", here.replica)
    elsewhere.manager().create_session("twig", branch_from="before")
    ref = Path("refs", here.replica, "twig.jsonl")
    find = making._sessions.find

    def find_and_receive(name: str, **options: bool) -> Session | None:
        # After the look whether the name is free; an exact one follows for the parent.
        found = find(name, **options)
        (here.store / ref).write_bytes((elsewhere.store / ref).read_bytes())
        return found

    making._sessions.find = find_and_receive  # type: ignore[method-assign]
    twig = making.create_session("twig", branch_from="before")
    assert twig.parent == "before"
    assert [path.name for path in here.refs() if "twig" in path.name] == ["twig.jsonl"]


def test_a_file_that_is_there_but_not_listed(
    making: SessionManager, here: Machine, restored: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that folds case opens under one name what it lists under another: the session gets the next file name."""
    ref = here.store / "refs" / here.replica / "chat.jsonl"
    ref.write_bytes(restored)
    for verb in ("ref_folders", "ref_tokens", "ref_tokens_in"):
        hide(monkeypatch, verb, f"{here.replica}/chat.jsonl")
    making._storage.repo.index.freshness._good_until = 0.0
    making.create_session("chat")
    assert ref.with_name("chat.2.jsonl").exists()


def hide(monkeypatch: pytest.MonkeyPatch, verb: str, hidden: str) -> None:
    real = getattr(LocalBackend, verb)

    def without(*arguments: Any, **options: Any) -> Any:
        found = real(*arguments, **options)
        for refs in found.contents.values() if isinstance(found, RefFolders) else [found]:
            refs.pop(hidden, None)
        return found

    monkeypatch.setattr(LocalBackend, verb, without)


def test_a_damaged_ref_does_not_cost_the_next_process_the_index(here: Machine) -> None:
    """A save beside a file that cannot be read leaves every other row worth keeping."""
    manager = here.manager()
    for number in range(5):
        manager.create_session(f"session {number}")
    session = manager.create_session("chat")
    ref = here.store / "refs" / here.replica / "chat.jsonl"
    ref.write_bytes(b"?" + ref.read_bytes()[1:])
    session.add_message(said(1)[0])
    manager.save_session(session)
    manager.close()
    time.sleep(SETTLED)
    _, rows, _ = file.decode_part(here.repository().machine.recall(file.topic_of(here.replica)))
    assert sum(row.token.size > 0 for row in rows.values()) >= 5


def test_a_token_that_is_not_settled_is_not_kept() -> None:
    """The file has the row, and the next process reads its ref again."""
    tokens = [Token(1, 2, 3), NO_TOKEN, Token(1, 2, 3, 4)]
    rows = {str(number): Row(str(number), token, "chat", "chat") for number, token in enumerate(tokens)}
    kept = dict(zip(rows, [tokens[0], NO_TOKEN, NO_TOKEN], strict=True))
    expected = {path: row._replace(token=kept[path]) for path, row in rows.items()}
    assert file.decode_part(file.encode_part("", rows, {})) == ("", expected, {})
    assert file.decode_listing(file.encode_listing("", dict(zip(rows, tokens, strict=True)), b"")) == ("", kept, b"")


def test_what_passed_unseen_stands_beside_what_was_made(making: SessionManager, here: Machine, restored: bytes) -> None:
    """As if it had come a moment later: there are two sessions then, and nothing is lost."""
    (here.store / "refs" / here.replica / "chat (copy).jsonl").write_bytes(restored)
    session = making.create_session("chat")
    for message in said(3):
        session.add_message(message)
    making.save_session(session)
    both = [name for name in here.names() if name.startswith("chat")]
    assert sorted(here.read(name) for name in both) == [["1", "2"], ["3"]]
