"""Options of the test run; pytest only takes them from a `conftest.py` at the top of the tests."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    # To be given as --api-page=PATH: a path after a space would be taken for one more folder of tests.
    parser.addoption("--api-page", metavar="PATH", help="hold this API page against the package, not the tests' own")
