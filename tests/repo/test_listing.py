"""A list after few changes: only the groups of refs that they have to do with are looked at, and it says the same."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from coda_fs_session import SessionInfo
from coda_fs_session.backends import spread
from coda_fs_session.format.records import Base
from coda_fs_session.format.refs import Header, encode_header
from coda_fs_session.repo.index import index
from coda_fs_session.repo.lookup import listing
from coda_fs_session.repo.lookup.listing import list_infos

from .machines import Machine, said

OLD = "2026-01-02T03:04:05.000006+00:00"
SETTLED = 0.05
"""Seconds after which the times of files tell every further change."""


def listed(machine: Machine, *, anew: bool = False) -> list[SessionInfo]:
    """List as a process of its own, which ends; `anew` as one that nothing was kept for."""
    time.sleep(SETTLED)
    repo = machine.repository()
    if anew:
        repo.machine.recall = lambda topic: None  # type: ignore[method-assign]
    infos = list_infos(repo, keep=not anew)
    for info in infos:
        info.error = str(info.error)  # type: ignore[assignment]
    return infos


def kept(machine: Machine) -> dict[Path, bytes]:
    """Return the files of the index."""
    files = (machine.folder / "state").rglob("*.json")
    return {path: path.read_bytes() for path in files if "own" not in path.parts}


def forget_answer(machine: Machine) -> Path:
    (answer,) = (path for path in kept(machine) if path.name == "listing.json")
    answer.unlink()
    return answer


@pytest.fixture
def five(here: Machine) -> Machine:
    """A machine with five sessions, of which a list was made."""
    for number in range(5):
        here.create(f"chat {number}", said(number))
    listed(here)
    return here


def test_a_save_a_new_name_a_deletion_and_a_branch(five: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is in the next list, in its place, without a look at what it has nothing to do with."""
    five.change("chat 1", "more")
    five.manager().rename_session("chat 2", "talk")
    five.manager().delete_session("chat 3")
    five.manager().create_session("branch", branch_from="chat 4")
    expected = listed(five, anew=True)
    monkeypatch.setattr(listing, "list_anew", None)
    assert listed(five) == expected
    assert {info.name for info in expected} == {"branch", "chat 0", "chat 1", "chat 4", "talk"}


def test_what_is_kept_is_not_written_again_for_one_save(five: Machine) -> None:
    """Only the part that the row of the session is in, and the summary."""
    before = kept(five)
    five.change("chat 1", "more")
    listed(five)
    after = kept(five)
    (answer,) = (path for path in after if path.name == "listing.json")
    assert after[answer] == before[answer]
    assert sum(after[path] != before[path] for path in after) == 2


def test_a_tombstone_that_goes(here: Machine, there: Machine) -> None:
    """Nothing was told of its group: what it had stood before is told of now."""
    here.create("chat", said(1))
    here.send_to(there)
    there.manager().delete_session("chat")
    there.send_to(here)
    assert listed(here) == []
    for path in (here.store / "refs" / there.replica).iterdir():
        path.unlink()
    assert [info.name for info in listed(here)] == ["chat"]


def test_a_name_that_a_derived_one_makes_way_for(here: Machine, there: Machine) -> None:
    """It is told of anew when somebody takes the shorter one, and when that goes."""
    here.create("chat", said("here"))
    there.create("chat", said("there"))
    there.send_to(here)
    (side,) = (info.name for info in listed(here) if info.name != "chat")
    (here.store / "refs" / "third").mkdir()
    ref = here.store / "refs" / "third" / "any.jsonl"
    ref.write_bytes(encode_header(Header(side, "third", OLD, OLD, Base()))[0])
    assert len(listed(here)) == 3
    assert listed(here) == listed(here, anew=True)
    forget_answer(here)
    listed(here)
    ref.unlink()
    assert {info.name for info in listed(here)} == {"chat", side}
    assert listed(here) == listed(here, anew=True)


def test_a_ref_that_can_no_longer_be_read(here: Machine) -> None:
    """Only its key tells which session it belongs to, and a long one not even that."""
    for name in ("chat", "größe"):
        here.create(name, said(name))
    assert [info.error for info in listed(here)] == ["None", "None"]
    (folder := here.store / "refs" / "there").mkdir()
    for path in (here.store / "refs" / here.replica).iterdir():
        (folder / path.name).write_bytes(b"?" + path.read_bytes())
        assert listed(here) == listed(here, anew=True)


def test_parts_that_are_older_than_the_answer(here: Machine) -> None:
    """As a process that had seen less may leave them: what is told of a session is not taken from there."""
    there, names = Machine(here.folder, "there-00000002"), ("chat", "chat~0123abcd")
    for machine, name in zip((here, there), names, strict=True):
        machine.create(name, said(name))
    listed(here)
    manager = here.manager()
    assert "chat" in manager
    manager.close()
    older = kept(here)
    here.change("chat", "more")
    answer = forget_answer(here)
    listed(here)
    for path, content in older.items():
        if path != answer:
            path.write_bytes(content)
    there.change("chat~0123abcd", "more")
    assert {info.name: info.message_count for info in listed(here)} == dict.fromkeys(names, 2)


def test_a_list_by_prefix_reads_few_parts(here: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The names of all parts are kept in one file: a new process reads only the parts that have the names it wants."""
    monkeypatch.setattr(spread, "FLAT_REFS", 4)
    with here.manager() as manager, manager.bulk():
        for number in range(600):
            manager.create_session(f"chat {number}")
    with here.manager() as manager:
        manager.list_sessions()
    time.sleep(SETTLED)
    read: list[str] = []
    load = index.load_part

    def asked() -> tuple[list[str], int]:
        """Return the names that a new process lists, and how many parts it reads for that."""
        read.clear()
        names = [info.name for info in here.manager().list_sessions(prefix="chat 12", order="name")]
        return names, len(read)

    monkeypatch.setattr(
        index, "load_part", lambda machine, folder, kept: read.append(folder) or load(machine, folder, kept)
    )
    expected = sorted(["chat 12", *(f"chat 12{digit}" for digit in range(10))])
    first, second = asked(), asked()
    assert (first[0], second[0]) == (expected, expected)
    assert first[1] > 100
    assert second[1] <= 12
    # What has changed since is read, whatever was kept.
    other = here.manager()
    other.create_session("chat 12 and more")
    other.rename_session("chat 120", "elsewhere")
    other.delete_session("chat 121")
    for _ in range(2):
        names, count = asked()
        assert names == sorted({*expected, "chat 12 and more"} - {"chat 120", "chat 121"})
        assert count <= 16
        # Also where another program has kept these parts anew.
        time.sleep(SETTLED)
        other.list_sessions()
        other.close()
    assert [info.name for info in here.manager().list_sessions(prefix="elsew")] == ["elsewhere"]
