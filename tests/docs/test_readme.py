"""The README is short, and runs again on what it left behind (test_pages.py runs it once)."""

from __future__ import annotations

from pathlib import Path

from .manual import README, problems_of


def test_it_is_short() -> None:
    """It leads to the pages, and does not become one."""
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150


def test_it_runs_again(home: Path) -> None:
    """A reader who comes back on another day finds that the tour still works."""
    assert [problems_of(README, home) for _ in range(2)] == [[], []]
