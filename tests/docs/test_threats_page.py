"""The page on threats: every test that it names exists, every "cannot" names one, and it travels with the package."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import coda_fs_session

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def page() -> str:
    return resources.files(coda_fs_session).joinpath("THREATS.md").read_text(encoding="utf-8")


def test_the_tests_that_it_names_exist() -> None:
    """A test that is renamed or removed takes the claim with it, or has a successor here."""
    named = NAMED.findall(page())
    assert len(named) > 8
    for path, name in named:
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), f"{path} has no {name}"


def test_every_cannot_names_one() -> None:
    """Each item of the section on what cannot be done names at least one test."""
    section = page().split("## What a hostile replica cannot do\n")[1].split("\n## ")[0]
    items = re.split(r"^- ", section, flags=re.MULTILINE)[1:]
    assert len(items) >= 6
    for item in items:
        assert NAMED.search(item), f"no test proves: {item}"


def test_the_readme_leads_to_it() -> None:
    """Whoever reads about syncing or the state folder finds it."""
    assert "(coda_fs_session/THREATS.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
