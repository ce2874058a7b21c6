"""Each decision is a page with its context, alternatives and test; DESIGN.md is the map of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .manual import DOCS, ROOT, names

MAP = (DOCS.parent / "DESIGN.md").read_text(encoding="utf-8")
DECISIONS = sorted((DOCS / "design").glob("*.md"))


def test_the_map_is_short_and_complete() -> None:
    """It leads to every page, by its number and its title, and says no more."""
    assert len(MAP.splitlines()) <= 90
    listed = re.findall(r"- \[(\d\d)\]\(docs/design/(.*?)\) (.*)", MAP)
    titles = {page.name: page.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ") for page in DECISIONS}
    assert {name: title for _, name, title in listed} == titles
    assert [number for number, name, _ in listed if not name.startswith(f"{number}-")] == []


def test_the_numbers_are_in_order() -> None:
    """A number is given once, and none is left out."""
    assert [int(page.name[:2]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))


@pytest.mark.parametrize("page", DECISIONS, ids=names)
def test_a_decision_has_four_parts(page: Path) -> None:
    """It has a context, a choice, alternatives and tests; each test that it names exists."""
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"^## (.*)", text, re.MULTILINE) == ["Context", "Choice", "Alternatives", "Test"]
    named = re.findall(r"`(tests/[\w/.]+)`", text.split("\n## Test\n")[1])
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
