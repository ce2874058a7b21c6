"""The kit itself: it notices what is broken, and says in a user's project what it compared."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from storekit import ROOT, run_python

from coda_fs_session.testing.kit.case import BackendCase
from coda_fs_session.testing.kit.storage_case import StorageCase

from . import broken, broken_files, broken_lookups, broken_storages

KINDS: dict[str, Any] = {
    name: kind
    for module in (broken, broken_files, broken_lookups, broken_storages)
    for name, kind in vars(module).items()
    if isinstance(kind, type) and name.startswith("Test")
}
BROKEN = {name: kind.noticed_by for name, kind in KINDS.items()}


def run_pytest(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run pytest in a fresh interpreter; a warning of pytest's own is an error."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What came of each test that must notice something, by ``<class>::<test>``.

    Some kill a process at a moment that a busy machine can make it miss: those have up to three chances.
    """
    folder = tmp_path_factory.mktemp("broken")
    wanted = [f"{name}::{test}" for name, tests in BROKEN.items() for test in tests]
    outcomes: dict[str, str] = {}
    for _ in range(3):
        paths = [f"{inspect.getfile(KINDS[test.partition('::')[0]])}::{test}" for test in wanted]
        done = run_pytest("-q", "--tb=no", "-rA", f"--rootdir={folder}", *paths, folder=folder)
        found = re.findall(r"^(PASSED|FAILED|ERROR|SKIPPED) \S*?::(Test.+?)(?: - .*)?$", done.stdout, re.MULTILINE)
        assert found, done.stdout + done.stderr
        outcomes |= {test: outcome for outcome, test in found}
        wanted = [test for test in wanted if outcomes[test] == "PASSED" and "killed" in test]
        if not wanted:
            break
    return outcomes


@pytest.mark.parametrize(("name", "test"), [(name, test) for name, tests in BROKEN.items() for test in tests])
def test_what_is_broken_is_noticed(outcomes: dict[str, str], name: str, test: str) -> None:
    """Each test fails for what breaks the promise that it is about: it is not one that cannot fail."""
    assert outcomes[f"{name}::{test}"] == "FAILED"


def test_every_test_has_noticed_something() -> None:
    """A test that is added to the kit comes with something broken that it notices."""
    noticing = {test.partition("[")[0] for tests in BROKEN.values() for test in tests}
    tests = {
        name
        for case in (BackendCase, StorageCase)
        for kind in _all_below(case)
        for name in vars(kind)
        if name.startswith("test_") and kind.__module__.startswith("coda_fs_session.")
    }
    # That syncing is refused, and how, is the manager's affair alone.
    assert tests - noticing == {"test_sync"}
    assert noticing <= tests


def _all_below(kind: type) -> list[type]:
    return [each for below in kind.__subclasses__() for each in (below, *_all_below(below))]


PROJECT = """
import pytest
from coda_fs_session.backends.memory import MemoryBackend
from coda_fs_session.testing import BackendTests, SessionStorageTests


class Careless(MemoryBackend):
    def append_ref(self, key, expected, data):
        return super().append_ref(key, self._refs[key].token, data)


class TestCareless(BackendTests):
    @pytest.fixture
    def backend(self):
        return Careless()

    def read_raw(self, backend, where):
        return b"what is really there"

    def write_raw(self, backend, where, data):
        pass


class TestForgotten(BackendTests):
    pass


class TestForgottenToo(SessionStorageTests):
    pass
"""


def test_a_users_project(tmp_path: Path) -> None:
    """A failing test shows both sides of what it compared; the base classes are not collected; a fixture or hook
    that was forgotten is named."""
    (tmp_path / "test_mine.py").write_text(PROJECT)
    done = run_pytest("-W", "error", "-q", "test_mine.py", folder=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "assert b'what is really there' == b'one\\ntwo\\n'" in done.stdout
    assert "DID NOT RAISE" in done.stdout
    assert "MemoryBackend" not in done.stderr
    assert "::BackendTests::" not in done.stdout
    assert "TestForgotten must override the fixture backend" in done.stdout
    assert "TestForgottenToo must override the fixture storage" in done.stdout


def test_what_needs_no_pytest() -> None:
    """The wrappers are used in programs that have none."""
    done = run_python(
        """
        import sys
        sys.modules["pytest"] = sys.modules["hypothesis"] = None
        from coda_fs_session.testing import Capabilities, Fault, FaultyBackend, LatencyBackend, WrapperBackend
        import coda_fs_session.testing as testing
        assert set(dir(testing)) >= set(testing.__all__)
        try:
            testing.nothing
        except AttributeError as error:
            print(error)
        """
    )
    assert "has no attribute 'nothing'" in done.stdout, done.stderr
