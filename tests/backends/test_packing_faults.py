"""Packing that fails, is killed, or finds a damaged pack: no record is lost, and none is wrong."""

from __future__ import annotations

import contextlib
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from crash.conftest import scratch
from crash.recording import Recorder
from faults.failing import FOR_GOOD, ONCE, FailingFiles, Fault, When

from coda_fs_session import SessionWarning
from coda_fs_session.backends.machine import packing

from .packed import OWN, Contents, append, at_once, files_of, found, kept, key, line, opened, some

__all__ = ["at_once", "scratch"]


class Killed(BaseException):
    """The process ends here: whatever it would do after is not done."""


class KilledFiles(FailingFiles):
    def _make(self, name: str, call: Callable[..., object], *arguments: object) -> object:
        try:
            return super()._make(name, call, *arguments)
        except OSError as error:
            if self.fault is not None and error.errno == self.fault.error:
                raise Killed from error
            raise


def trials(
    scratch: Path, monkeypatch: pytest.MonkeyPatch, kind: type[FailingFiles]
) -> Iterator[tuple[Fault, Contents]]:
    """Pack some records, half of them for the second time, once for each call that may fail and each way."""
    contents = some()
    start = scratch / "start"
    kept(start, contents)
    writer = opened(start)
    for ref in list(contents)[::2]:
        append(writer, ref, contents, line(99))
    writer.give_back()
    ways: list[tuple[When, float]] = [("before", ONCE), ("before", FOR_GOOD), ("after", ONCE), ("short", FOR_GOOD)]

    def run(fault: Fault | None) -> FailingFiles:
        state = scratch / "state"
        shutil.rmtree(state, ignore_errors=True)
        shutil.copytree(start, state)
        files = kind(state, fault)
        with monkeypatch.context() as patch, contextlib.suppress(Killed):
            patch.setattr(packing, "Files", lambda: files)
            patch.setattr(packing, "in_parallel", lambda call, items: [call(each) for each in items])
            packing.pack(files, packing.Packs(), f"{state}/own", OWN, [OWN, f"{OWN}/a0", f"{OWN}/a1"])
        return files

    for number in range(run(None).made):
        for when, lasting in ways if kind is FailingFiles else [("before", FOR_GOOD), ("after", FOR_GOOD)]:
            fault = Fault(number, 5 if number % 2 else 28, when, lasting)
            run(fault)
            yield fault, contents


@pytest.mark.parametrize("kind", [FailingFiles, KilledFiles])
def test_packing_that_fails_loses_nothing(
    scratch: Path, monkeypatch: pytest.MonkeyPatch, kind: type[FailingFiles]
) -> None:
    """Whichever call fails, or is the last one before the process is killed: every record is whole, saving goes on,
    and the next program packs."""
    count = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error", SessionWarning)
        for fault, contents in trials(scratch, monkeypatch, kind):
            state, count = scratch / "state", count + 1
            assert found(state) == contents, fault
            now = dict(contents)
            record = opened(state)
            for ref in now:
                append(record, ref, now, line(1, "after"))
            record.close()
            assert files_of(state) == set(), fault
            assert found(state) == now, fault
    assert count > 40


def test_what_was_durable_stays_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pack and its name last before the first file goes that is in it: no power failure takes old records away."""
    recorder = Recorder(tmp_path)
    monkeypatch.setattr(packing, "Files", lambda: recorder)
    record = opened(tmp_path, recorder)
    record.keep(key("1.jsonl"), line(1))
    record.close()
    names = [(call.name, os.path.basename(call.target or call.path)) for call in recorder.calls]
    (named,) = (place for place, call in enumerate(names) if call == ("rename", packing.PACK))
    scratch = os.path.basename(recorder.calls[named].path)
    gone = next(place for place, call in enumerate(recorder.calls) if call.name == "rename" and place > named)
    assert names.index(("sync_data", scratch)) < named < names.index(("sync_folder", OWN), named) < gone


def test_a_damaged_pack_never_tells_anything_wrong(tmp_path: Path) -> None:
    """Whatever byte of it changes, or wherever it ends: a record is whole or lacking, which is warned of, and saving
    goes on and keeps a record again."""
    contents = {each: data for each, data in some().items() if each.path.count("/") == 1}
    kept(tmp_path, contents)
    pack = tmp_path / "own" / OWN / packing.PACK
    whole, lacking = pack.read_bytes(), 0
    changed = [whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :] for place in range(len(whole))]
    for data in (*changed, *(whole[:size] for size in range(0, len(whole), 7)), b"[[", bytes(len(whole))):
        pack.write_bytes(data)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            record = opened(tmp_path)
            read = {each: record.read(each) for each in contents if each in record.tokens(OWN)}
            assert {each: record.read(each) for each in contents if record.end(each) is not None} == read
        assert all(each is None or each == contents[ref] for ref, each in read.items())
        is_whole = read == contents
        lacking += not is_whole
        assert is_whole or len([each for each in caught if "is damaged" in str(each.message)]) == 1
    assert lacking > len(whole) // 2
    now = dict(contents)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SessionWarning)
        pack.write_bytes(whole[: len(whole) // 2])
        record = opened(tmp_path)
        for ref in now:
            append(record, ref, now, line(1, "after"))
        record.close()
    assert found(tmp_path) == now


def test_a_disk_without_room_keeps_what_it_has(tmp_path: Path) -> None:
    """Packing is given up in silence; what was a file stays one."""
    contents = some()
    record = opened(tmp_path)
    for each, data in contents.items():
        record.keep(each, data)
    record._files = FailingFiles(tmp_path, Fault(0, 28, "before", FOR_GOOD))
    with warnings.catch_warnings():
        warnings.simplefilter("error", SessionWarning)
        record.close()
    assert found(tmp_path) == contents
    assert len(files_of(tmp_path)) == len(contents)
