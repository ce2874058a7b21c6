"""Damaged stores give the error that names the damage, or none where nothing was lost that had been saved."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from storekit import open_store, untouched

import coda_fs_session
from coda_fs_session import StoreError

from .reading import FIXTURES, READ_STORE, load_lines, needs_zstdcat

CASES = sorted(path.parent for path in (FIXTURES / "corrupt").glob("*/expected.json"))

pytestmark = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def _expected(case: Path) -> dict[str, Any]:
    return json.loads((case / "expected.json").read_bytes())


def test_the_library_names_the_damage(case: Path, tmp_path: Path) -> None:
    """The error has the class, file and line of the damage; harmless damage loses what was never acknowledged."""
    expected = _expected(case)
    store = Path(shutil.copytree(case / "store", tmp_path / "store"))
    with untouched(store):
        if expected["error"] is None:
            with open_store(store) as manager:
                assert len(load_lines(manager, expected["session"]).splitlines()) == expected["messages"]
            return
        with pytest.raises(getattr(coda_fs_session, expected["error"])) as caught, open_store(store) as manager:
            manager.load_session(expected["session"]).get_messages()
    error = caught.value
    assert type(error).__name__ == expected["error"]
    assert isinstance(error, StoreError)
    assert error.path == store / expected["path"]
    assert getattr(error, "line", None) == expected["line"]
    assert str(store / expected["path"]) in str(error)


def test_other_sessions_are_not_affected(case: Path, tmp_path: Path) -> None:
    """Damage to one session keeps no other from being read; only a store of a newer format stays shut."""
    expected = _expected(case)
    if expected.get("path") == "FORMAT":
        return
    store = Path(shutil.copytree(case / "store", tmp_path / "store"))
    with untouched(store), open_store(store) as manager:
        infos = {info.name: info for info in manager.list_sessions()}
        assert len(manager.load_session(expected["other"]).get_messages()) == 1
    assert infos[expected["other"]].error is None
    assert expected["session"] in infos


@pytest.mark.parametrize("kind", ["quick", "full"])
def test_a_check_finds_it(case: Path, tmp_path: Path, kind: str) -> None:
    """A check finds what was damaged and nothing else, and changes nothing."""
    expected = _expected(case)
    if "check" not in expected:
        return
    store = Path(shutil.copytree(case / "store", tmp_path / "store"))
    with untouched(store):
        report = open_store(store, read_only=True).maintenance.check(full=kind == "full")
    found = [[each.rule, Path(each.path).relative_to(store).as_posix(), each.line] for each in report.findings]
    assert found == expected["check"][kind]
    assert expected["check"]["full"]


def test_a_repair_brings_back_what_is_intact(case: Path, tmp_path: Path) -> None:
    """A repair mends these files, loses these messages and no others, and needs no second one."""
    expected = _expected(case)
    if "repair" not in expected:
        return
    expected, session = expected["repair"], expected["session"]
    store = Path(shutil.copytree(case / "store", tmp_path / "store"))
    with open_store(store) as manager:
        report = manager.maintenance.repair(dry_run=False)
    assert [Path(each.path).relative_to(store).as_posix() for each in report.mended] == expected["mended"]
    assert [
        [each.session, [[places.start, places.stop] for places in each.messages]] for each in report.lost
    ] == expected["lost"]
    with open_store(store) as manager:
        assert manager.maintenance.repair().mended == ()
        if expected["messages"] is not None:
            assert len(manager.load_session(session).get_messages()) == expected["messages"]


@needs_zstdcat
def test_read_store_agrees(case: Path) -> None:
    """The reader without the package fails just where the library does, and reads what is harmless.

    What contradicts itself with right hashes, either of them may tell at another place, or only when it matters.
    """
    expected = _expected(case)
    if "by_writer" in expected:
        return
    command = [READ_STORE, case / "store", expected["session"]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == (expected["error"] is None)
    if expected["error"] is None:
        assert len(done.stdout.splitlines()) == expected["messages"]
    else:
        assert done.stdout == ""
        assert Path(expected["path"]).name in done.stderr
        assert expected["line"] is None or f"line {expected['line']}:" in done.stderr
