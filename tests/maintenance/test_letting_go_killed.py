"""A program that is killed as it answers a list, or as it deletes what all have let go."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from storekit import message

from coda_fs_session.format.lists import decode_list

from .carrying import object_names, said_by
from .collecting import TEXT
from .test_gc_killed import Killed, killed_at
from .test_letting_go import Two


@pytest.mark.parametrize("step", ["answers", "deletes"])
def test_killed_before_any_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, seed: int, long_size: bool
) -> None:
    """Nothing that is needed is gone, or is only in a file that it has let go; and the next program goes on."""
    two = Two(tmp_path)
    two.say_again()
    condemned = two.condemn()
    two.carrier.carry()
    if step == "deletes":
        two.close(two.lap)
        two.carrier.carry()
        two.desk.until(lambda report: report.waiting_for == () and report.condemned.files == 0)
        two.desk.run()
        two.desk.run()
        assert said_by(two.desk, "desk").done == (condemned,)
        two.carrier = type(two.carrier)(two.desk, two.lap, deletes=False)
        # A tool brings the file back, and has lost the other one.
        shutil.copy(two.lap.store / two.left, two.desk.store / two.left)
        two.carrier.carry()
        for name in object_names(two.lap.store):
            if ".2." in name:
                (two.lap.store / name).unlink()
    made = [two.lap.store, Path(f"{two.lap.store}.state")]
    for folder in made:
        shutil.copytree(folder, folder.with_name(f"{folder.name}.made"))
    ends = set()
    every = 1 if long_size else 2
    for call in range(seed % every, 200, every):
        for folder in made:
            shutil.rmtree(folder)
            shutil.copytree(folder.with_name(f"{folder.name}.made"), folder)
        try:
            with killed_at(call, monkeypatch):
                two.close(two.lap)
        except Killed:
            is_done = False
        else:
            is_done = True
        listed = decode_list(two.lap.file(condemned).read_bytes())
        elsewhere = {name[11:75] for name in object_names(two.lap.store) - listed}
        has_answered = condemned in said_by(two.lap, "lap").acknowledged
        is_gone = two.left not in object_names(two.lap.store)
        ends.add((has_answered, is_gone))
        if (step == "answers" and has_answered) or is_gone:
            assert two.left[11:75] in elsewhere
        two.close(two.lap)
        assert condemned in said_by(two.lap, "lap").acknowledged
        assert (two.left in object_names(two.lap.store)) is (step == "answers")
        with two.lap.open() as manager:
            assert manager.load_session("again").messages == [message(99, TEXT)]
            assert manager.maintenance.check(full=True).is_whole
        if is_done:
            break
    assert is_done
    assert ends == ({(False, False), (True, False)} if step == "answers" else {(True, False), (True, True)})
