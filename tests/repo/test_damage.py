"""Damaged and torn refs, garbage beside them, and an index that is not what it was."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from coda_fs_session import CorruptionError, StoreFormatError
from coda_fs_session.format.chunks import STANDARD

from .machines import Machine, contents, said


@pytest.fixture
def chat(here: Machine) -> Machine:
    """A store with the session "chat" of three messages in three saves, and another one."""
    here.create("chat", said(0))
    here.change("chat", 1)
    here.change("chat", 2)
    here.create("other", said("fine"))
    return here


def ref_of(machine: Machine, name: str) -> Path:
    return machine.store / "refs" / machine.replica / f"{name}.jsonl"


@pytest.mark.parametrize("cut", [1, 2, 10, 60, -1])
def test_a_torn_save_never_happened(chat: Machine, cut: int) -> None:
    """A last line cut short is left out, and set aside by the next writer; what follows is read by everybody."""
    path = ref_of(chat, "chat")
    data = path.read_bytes()
    last = data.rindex(b"\n", 0, -1) + 1
    path.write_bytes(data[: last + cut] if cut > 0 else data[:-2])
    chat.lose_record()
    torn = path.read_bytes()[last:]
    manager = chat.manager()
    session = manager.load_session("chat")
    assert contents(session) == ["0", "1"]
    session.add_message(said("after")[0])
    manager.save_session(session)
    assert chat.read("chat") == contents(session) == ["0", "1", "after"]
    assert torn not in path.read_bytes().splitlines()
    assert [file.read_bytes() for file in (chat.folder / "state").glob("*/torn/*")] == [torn]


@pytest.mark.parametrize("line", [1, 2, 3, 4])
def test_a_damaged_line_is_located(chat: Machine, line: int) -> None:
    """A changed byte makes the session a damaged one, listed with the file and line; others are as before.

    So it is for whoever has no record of it.
    """
    path = ref_of(chat, "chat")
    chat.lose_record()
    lines = path.read_bytes().splitlines(keepends=True)
    lines[line - 1] = lines[line - 1].replace(b'"20', b'"30', 1)
    path.write_bytes(b"".join(lines))
    damaged = path.read_bytes()
    for use in (
        lambda manager: manager.load_session("chat"),
        lambda manager: manager.create_session("chat"),
        lambda manager: manager.delete_session("chat"),
        lambda manager: manager.create_session("branch", branch_from="chat"),
        lambda manager: manager.rename_session("other", "chat"),
    ):
        with pytest.raises(CorruptionError) as caught:
            use(chat.manager())
        assert (caught.value.path, caught.value.line) == (path, line)
    manager = chat.manager()
    infos = {info.name: info for info in manager.list_sessions()}
    assert infos.keys() == {"chat", "other"}
    assert isinstance(infos["chat"].error, CorruptionError)
    assert infos["other"].error is None
    assert "chat" in manager
    assert chat.read("other") == ["fine"]
    assert path.read_bytes() == damaged


def test_an_open_session_leaves_a_damaged_ref(chat: Machine) -> None:
    """What a session had read before its ref was damaged goes on in a new file; the damaged one keeps its bytes."""
    manager = chat.manager()
    session = manager.load_session("chat")
    path = ref_of(chat, "chat")
    path.write_bytes(path.read_bytes().replace(b'"1"', b'"I"'))
    damaged = path.read_bytes()
    session.add_message(said("mine")[0])
    manager.save_session(session)
    session.add_message(said("more")[0])
    manager.save_session(session)
    assert path.read_bytes() == damaged
    assert chat.read("chat") == contents(session) == ["0", "1", "2", "mine", "more"]
    assert chat.names() == ["chat", "other"]


def test_an_open_session_survives_the_loss_of_its_ref(chat: Machine) -> None:
    """Absence of a file is no deletion: the next save writes a new file with everything."""
    manager = chat.manager()
    session = manager.load_session("chat")
    ref_of(chat, "chat").unlink()
    session.add_message(said("mine")[0])
    manager.save_session(session)
    assert chat.read("chat") == ["0", "1", "2", "mine"]


def test_a_ref_of_a_later_version_is_refused(chat: Machine) -> None:
    """A ref of a later format is no damage: loading says what to upgrade, and the others are as before."""
    path = ref_of(chat, "chat")
    path.write_bytes(path.read_bytes().replace(b'{"coda_fs_session":1', b'{"coda_fs_session":2', 1))
    with pytest.raises(StoreFormatError, match="upgrade"):
        chat.manager().load_session("chat")
    assert isinstance(
        chat.manager().list_sessions()[0].error or chat.manager().list_sessions()[1].error, StoreFormatError
    )


@pytest.mark.parametrize("name", ["notes.txt", "chat.jsonl.bak", "._chat.jsonl", ".tmp-1", "desktop.ini", "Thumbs.db"])
def test_garbage_beside_the_refs(chat: Machine, name: str) -> None:
    """Files of desktops and sync tools among the refs are no sessions."""
    (ref_of(chat, "chat").parent / name).write_bytes(b"\0\1garbage")
    (chat.store / "refs" / name).write_bytes(b"")
    assert chat.names() == ["chat", "other"]
    chat.change("chat", 3)
    assert chat.read("chat") == ["0", "1", "2", "3"]


def test_unknown_header_fields_are_kept(chat: Machine) -> None:
    """What a later version wrote into a header is still there after this one has rewritten it."""
    from coda_fs_session.format.ids import line_id

    path = ref_of(chat, "chat")
    head, _, _ = path.read_bytes().partition(b"\n")
    fields = {**orjson.loads(head), "later": {"b": [1], "a": None}}
    del fields["id"]
    before = orjson.dumps(fields)[:-1]
    path.write_bytes(b'%b,"id":"%b"}\n' % (before, line_id(before).encode()))
    chat.lose_record()
    manager = chat.manager()
    session = manager.load_session("chat")
    for step in range(3):
        session.messages = said(*range(10 * step, 10 * step + 10))
        manager.save_session(session)
        manager.rename_session(session.name, f"step {step}")
    fields = orjson.loads(path.read_bytes().splitlines()[0])
    assert list(fields["later"].items()) == [("b", [1]), ("a", None)]


def index_files(machine: Machine) -> list[Path]:
    files = (machine.folder / "state").glob("*/index*")
    return [file for path in files for file in (path.iterdir() if path.is_dir() else [path])]


@pytest.mark.parametrize(
    "content", [None, b"", b"garbage", b"[1,[]]", b'{"a":1}', b"[1,[[1]]]", b"[0,[]]", b"null", b"stale"]
)
def test_the_index_changes_no_answer(chat: Machine, content: bytes | None) -> None:
    """Deleted, cut, of another version or out of date: what is listed, found and told is the same."""
    chat.manager().list_sessions()
    chat.manager().close()
    stale = {path: path.read_bytes() for path in index_files(chat)}
    assert len(stale) == 3
    chat.manager().rename_session("other", "another")
    chat.change("chat", 3)
    chat.manager().create_session("new").metadata["never"] = "saved"
    expected = [(info.name, info.message_count, info.size_bytes) for info in chat.manager().list_sessions()]
    for path, before in stale.items():
        if content is None:
            path.unlink()
        else:
            path.write_bytes(before if content == b"stale" else content)
    manager = chat.manager()
    assert manager.get_session_info("other") is None
    assert "another" in manager
    assert contents(manager.load_session("chat")) == ["0", "1", "2", "3"]
    assert [(info.name, info.message_count, info.size_bytes) for info in manager.list_sessions()] == expected
    assert sorted(name for name, _, _ in expected) == ["another", "chat", "new"]


def test_an_index_of_another_process_goes_stale(chat: Machine) -> None:
    """A manager that listed the store before sees what others create, rename, replace and delete afterwards."""
    manager = chat.manager()
    assert len(manager.list_sessions()) == 2
    for step in range(20):
        chat.manager().rename_session("other" if step == 0 else f"name {step - 1}", f"name {step}")
        if step % 3 == 2:
            assert f"name {step}" in manager
            assert f"name {step - 1}" not in manager
            assert contents(manager.load_session(f"name {step}")) == ["fine"]
    chat.manager().delete_session("name 19")
    chat.create("new", said("new"))
    assert sorted(info.name for info in manager.list_sessions()) == ["chat", "new"]
    assert "name 19" not in manager


def test_a_shared_ref_damaged_near_its_front(here: Machine) -> None:
    """Two processes take turns, so each reads on from what it knows; what it knows is compared all the same: a ref
    that was damaged there is not written again, and nothing that the session holds is lost."""
    here.create("chat", said("0"))
    first, second = (here.manager(sizes=STANDARD) for _ in range(2))
    mine, theirs = first.load_session("chat"), second.load_session("chat")
    for number in (1, 2, 3):
        mine.add_message(said(f"mine {number}")[0])
        first.save_session(mine)
        theirs.add_message(said(f"theirs {number}")[0])
        second.save_session(theirs)
    (ref,) = here.store.rglob("chat.jsonl")
    damaged = ref.read_bytes().replace(b"mine 1", b"nine 1", 1)
    assert damaged != ref.read_bytes()
    ref.write_bytes(damaged)
    mine.add_message(said("mine 4")[0])
    first.save_session(mine)
    assert ref.read_bytes() == damaged
    first.close()
    found = here.read("chat")
    assert [text for text in found if text.startswith("mine")] == [f"mine {number}" for number in (1, 2, 3, 4)]


def test_a_line_of_ours_that_was_altered_between_two_saves(chat: Machine) -> None:
    """Who shares a ref reads on from what was seen of it, its own lines included: one that is another now is damage.

    What this process knows goes into a new file then, instead of behind a line that nobody can read.
    """
    # In one file, without chunks.
    ours, theirs = chat.manager(sizes=STANDARD), chat.manager(sizes=STANDARD)
    session, other = ours.load_session("chat"), theirs.load_session("chat")
    for manager, each, text in ((theirs, other, "theirs"), (ours, session, "altered")):
        each.add_message(said(text)[0])
        manager.save_session(each)
    chat.lose_record()
    path = ref_of(chat, "chat")
    path.write_bytes(path.read_bytes().replace(b'"altered"', b'"ALTERED"'))
    session.add_message(said("last")[0])
    ours.save_session(session)
    assert chat.read("chat") == ["0", "1", "2", "theirs", "altered", "last"]
