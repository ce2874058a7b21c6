"""Behind each promise stands a test that exists."""

from __future__ import annotations

import re

from .manual import DOCS, ROOT

ROWS = re.findall(
    r"^\| (?!promise|---)(.*?) \| (.*) \|$", (DOCS / "promises.md").read_text(encoding="utf-8"), re.MULTILINE
)


def test_every_promise_names_a_test() -> None:
    """A test that is moved or removed takes the promise with it, or has a successor here."""
    assert len(ROWS) > 30
    for promise, tests in ROWS:
        named = re.findall(r"`(tests/[\w/*.]+)`", tests) or re.findall(r"`(coda_fs_session\.testing)`", tests)
        assert named, promise
        for each in named:
            assert list(ROOT.glob(each.replace("coda_fs_session.testing", "coda_fs_session/testing"))), each
