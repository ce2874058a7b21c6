"""Options of the test run, which pytest only takes from a `conftest.py` at the top of the tests, and one fixture."""

from __future__ import annotations

import gc
import random
import signal
from pathlib import Path

import hypothesis
import pytest
from storekit import Opener, open_store


def pytest_configure(config: pytest.Config) -> None:
    # A job in the background is started with Ctrl-C ignored, and would hand that on to every program of a test.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # What these modules find wrong is shown as if a test had.
    pytest.register_assert_rewrite("gone_back_sessions", "held_sessions", "hostile_store")
    # Like `seed` below: the quick size looks at the same examples each time, the long one at new ones. How long an
    # example takes says how busy the machine is, and nothing about the package.
    hypothesis.settings.register_profile(
        "coda",
        derandomize=not config.getoption("--long"),
        deadline=None,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    hypothesis.settings.load_profile("coda")


def pytest_addoption(parser: pytest.Parser) -> None:
    # To be given as --api-page=PATH: a path after a space would be taken for one more folder of tests.
    parser.addoption("--api-page", metavar="PATH", help="hold this API page against the package, not the tests' own")
    parser.addoption("--long", action="store_true", help="the long size of the crash and process tests: minutes")
    parser.addoption("--seed", type=int, metavar="N", help="repeat a random choice that an earlier run has printed")


def pytest_collection_finish() -> None:
    # Thousands of tests are objects that live to the end. Tests that ask for garbage, and it comes by itself too, need
    # not go through these each time.
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    # What the plugin says at the start is not seen with -q.
    order = config.getoption("randomly_seed", None)
    if order is not None and (terminalreporter.stats.get("failed") or terminalreporter.stats.get("error")):
        terminalreporter.write_line(f"The same order again: --randomly-seed={order}")


@pytest.fixture(scope="session")
def long_size(request: pytest.FixtureRequest) -> bool:
    """True where `--long` asks for the long size of a test."""
    return bool(request.config.getoption("--long"))


@pytest.fixture
def seed(request: pytest.FixtureRequest, long_size: bool) -> int:
    """A seed for random choices: always the same one in the quick size, a new one each time in the long one."""
    given = request.config.getoption("--seed")
    chosen = given if given is not None else random.SystemRandom().getrandbits(32) if long_size else 0
    print(f"--seed={chosen}")
    return int(chosen)


@pytest.fixture(params=["files", "memory", "sqlite"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Opens managers over each backend; with files and a database, always on the same store."""
    return lambda **options: open_store(tmp_path / "store", backend=request.param, **options)


@pytest.fixture(params=["files", "memory", "sqlite", "custom"])
def again(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Opens managers on one store, be it in memory or a storage with four methods."""
    if request.param in ("files", "sqlite"):
        return lambda **options: open_store(tmp_path / "store", backend=request.param, **options)
    # Late: most tests need no storage of their own.
    from test_custom_storage import DictStorage, manage

    storage = DictStorage() if request.param == "custom" else open_store(tmp_path, backend="memory")._storage
    return lambda **options: manage(storage, **options)
