"""The README's Python runs as printed."""

from __future__ import annotations

from pathlib import Path

from coda_fs_session import SessionManager

from .examples import Config, run_examples
from .page import read_page

README = Path(__file__).resolve().parents[2] / "README.md"


def test_examples_of_the_readme_run_twice(config: Config) -> None:
    """Every Python block of the README runs, and again on the store that the first time left behind."""
    passages = read_page(README)
    assert sum(passage.kind == "python" for passage in passages) >= 6
    for _ in range(2):
        with SessionManager(config) as manager:
            assert [str(problem) for problem in run_examples(passages, manager, config)] == []
