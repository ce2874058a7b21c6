"""What holds for every format: all its texts are there, as often and in whatever order it is imported."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from storekit import open_store

from coda_fs_session import ImportReport, SessionManager
from coda_fs_session.interchange import formats

from .chats import chatgpt, put
from .corpus import CORPUS, WAYS, found, ways
from .test_importing import Four

FORMATS = sorted(CORPUS)
Sessions = dict[str, list[dict[str, Any]]]


def memory() -> SessionManager:
    return SessionManager({"session": {"backend": "memory"}})


def sessions(manager: SessionManager) -> Sessions:
    return {info.name: manager.load_session(info.name).messages for info in manager.list_sessions()}


def written(folder: Path, name: str, files: dict[str, bytes] | None = None) -> list[Path]:
    return [put(folder, f"{name}/{path}", data) for path, data in (files or CORPUS[name]).items()]


def test_every_format_is_here() -> None:
    """A new format gets its source here, but for those that are databases alone."""
    assert set(CORPUS) == set(WAYS) == set(formats.FORMATS) - {"llm"}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("keep", ["none", "rest", "all"])
def test_every_text_is_there(name: str, keep: Any, tmp_path: Path) -> None:
    """Each text that the format's page lists is in a message, and each way through the source is a session."""
    written(tmp_path, name)
    with memory() as manager:
        report = manager.import_sessions(tmp_path / name, keep=keep)
        assert (report.unreadable, report.conversations, report.new) == ([], 1, 1)
        assert ways(sessions(manager).values()) == WAYS[name]
        assert {info.metadata["coda_fs_session.import"]["format"] for info in manager.list_sessions()} == {name}
    assert frozenset().union(*WAYS[name]) == found(b"".join(CORPUS[name].values()))


@pytest.mark.parametrize("backend", ["files", "sqlite", "own storage"])
def test_all_of_them_in_every_store(backend: str, tmp_path: Path) -> None:
    """One import of all formats gives the same sessions, whatever keeps them, and a second one nothing."""
    for name in FORMATS:
        written(tmp_path / "in", name)
    with memory() as manager:
        manager.import_sessions(tmp_path / "in")
        expected = sessions(manager)
    made = SessionManager(storage=Four()) if backend == "own storage" else open_store(tmp_path / "s", backend=backend)
    with made as manager:
        report = manager.import_sessions(tmp_path / "in")
        assert (report.unreadable, report.new) == ([], len(FORMATS))
        assert sessions(manager) == expected
        report = manager.import_sessions(tmp_path / "in", again=True)
        assert (report.unchanged, report.messages) == (len(FORMATS), 0)
        assert sessions(manager) == expected


@pytest.mark.parametrize("seed", range(3))
def test_in_another_order_and_interrupted(seed: int, tmp_path: Path) -> None:
    """Format by format, in any order, and ended anywhere: the same sessions after the last import."""
    for name in FORMATS:
        written(tmp_path / "in", name)
    with memory() as manager:
        manager.import_sessions(tmp_path / "in")
        expected = sessions(manager)
    chance = random.Random(seed)
    with memory() as manager:
        for name in chance.sample(FORMATS, len(FORMATS)):
            manager.import_sessions(tmp_path / "in" / name)
        assert sessions(manager) == expected
    with open_store(tmp_path / "store") as manager:
        for stop in chance.sample(range(1, len(FORMATS)), 4):

            def interrupt(report: ImportReport, stop: int = stop) -> None:
                if report.conversations == stop:
                    raise KeyboardInterrupt

            with pytest.raises(KeyboardInterrupt):
                manager.import_sessions(tmp_path / "in", progress=interrupt)
            there = sessions(manager)
            assert there.items() <= expected.items(), "what is there is whole"
        manager.import_sessions(tmp_path / "in")
        assert sessions(manager) == expected


@pytest.mark.parametrize("name", FORMATS)
def test_deleted_and_imported_again(name: str, tmp_path: Path) -> None:
    """What was deleted stays so, branches too, until it is asked for."""
    written(tmp_path, name)
    with open_store(tmp_path / "store") as manager:
        manager.import_sessions(tmp_path / name)
        expected = ways(sessions(manager).values())
        for info in manager.list_sessions():
            manager.delete_session(info.name)
        assert manager.import_sessions(tmp_path / name).messages == 0
        written(tmp_path, name)
        for note in (tmp_path / "store.state").rglob("imports*"):
            note.unlink()
        if name != "coda":
            report = manager.import_sessions(tmp_path / name)
            assert (report.new, report.grew, report.messages) == (0, 0, 0)
            assert sessions(manager) == {}
        manager.import_sessions(tmp_path / name, again=True)
        assert ways(sessions(manager).values()) == expected


ODD: list[Any] = [None, 0, -1, 1e300, "", "x", [], {}, [[]], [None], {"a": None}, True, "\ud800", 2**70, {"type": 5}]


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Return JSON, or lines of it, with a value taken out or another one in its place."""
    try:
        records = [json.loads(line) for line in data.split(b"\n") if line.strip()]
    except ValueError:
        return broken(data, chance)
    for _ in range(chance.randrange(1, 3)):
        holder, key = chance.choice([*_places(records), ([None], 0)])
        if chance.random() < 0.3:
            del holder[key]
        elif chance.random() < 0.3 and isinstance(holder, list):
            holder.insert(key, copy.deepcopy(chance.choice(records)))
        else:
            holder[key] = copy.deepcopy(chance.choice(ODD))
    return b"".join(json.dumps(each).encode() + b"\n" for each in records)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each place in a value: what holds it, and its key there; of what holds nothing any more, an end."""
    pending = [value]
    while pending:
        at = pending.pop()
        for key in list(at) if isinstance(at, dict) else range(len(at)):
            yield at, key
            if isinstance(at[key], (dict, list)):
                pending.append(at[key])


def broken(data: bytes, chance: random.Random) -> bytes:
    """Return bytes with some of them taken out, put in twice, or changed."""
    start = chance.randrange(len(data))
    end = min(len(data), start + chance.choice([1, 1, 5, 100]))
    piece = chance.choice([b"", data[start:end] * 2, bytes([chance.randrange(256)]), b"\xff\xfe", b"\0"])
    return data[:start] + piece + data[end:]


@pytest.mark.parametrize("name", FORMATS)
def test_sources_that_are_damaged(name: str, tmp_path: Path, long_size: bool, seed: int) -> None:
    """Whatever is wrong with a file: no crash, no loss in silence, and what is beside it is imported.

    A word that the file still has is somewhere in the store, or there is a note, or the file is told as unreadable.
    Two things are left out as the manual says: runs of aider without a prompt, what is beside requests and responses.
    """
    put(tmp_path, "beside/conversations.json", chatgpt({"u1": None}, title="Beside", texts={"u1": "beside"}))
    for number in range(2000 if long_size else 10):
        chance = random.Random(f"{name} {seed} {number}")
        files = dict(CORPUS[name])
        path = chance.choice(sorted(files))
        files[path] = (broken if number % 3 == 0 else mutated)(files[path], chance)
        written(tmp_path, name, files)
        with memory() as manager:
            report = manager.import_sessions(tmp_path / name, tmp_path / "beside", keep="all")
            assert "mistake" not in str(report.unreadable), (number, report.unreadable, files[path])
            there = sessions(manager)
            assert any(each[0].get("content") == "beside" for each in there.values() if each), (number, report)
            metadata = [info.metadata for info in manager.list_sessions()]
            lost = found(b"".join(files.values())) - found([list(there.values()), metadata])
            is_left_out = name == "api" or (name == "aider" and b"\n#### " not in files[path])
            assert not lost or is_left_out or report.notes or report.unreadable, (number, lost, files[path])
