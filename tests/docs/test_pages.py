"""Every page of the documentation runs alone, in a fresh home, with nothing but what a reader has."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from .manual import ALL, CONTRIBUTING, DOCS, PACKAGE, README, ROOT, names, problems_of
from .page import missing_tools, read_page

# CONTRIBUTING is for people with a clone.
WITH_BLOCKS = [page for page in ALL if page != CONTRIBUTING and "```" in page.read_text(encoding="utf-8")]

ELSEWHERE = {
    ("README.md", "install"): "needs a clone, or a package index",
    ("README.md", "clone"): "the scripts of the repository have tests of their own",
    ("syncing.md", "machines"): "needs two machines: tests/sync/test_rsync_page.py runs it",
    ("syncing.md", "bucket"): "needs a bucket: tests/bucket/test_hub.py does the same",
    ("buckets.md", "bucket"): "needs a bucket, or a package index: tests/bucket/test_hub.py does the same",
    ("text-tools.md", "endless"): "does not end: test_text_tools.py runs it",
    ("text-tools.md", "clone"): "a script of the repository: test_text_tools.py runs it",
    ("command-line.md", "endless"): "needs fzf, and a person",
    ("command-line.md", "elsewhere"): "needs the extra, and a person at a browser: tests/cli/test_view.py runs it",
    ("viewer.md", "elsewhere"): "needs the extra, another machine, and a person: tests/cli/test_view.py runs it",
    ("figures.md", "clone"): "tests/test_bench.py runs it",
}
"""Blocks that an empty home cannot run, by page and by the note after their language: why, and what runs them."""


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=names)
def test_a_page_runs_alone(page: Path, home: Path) -> None:
    """Each block of a page runs after those above it, and prints what the page says."""
    assert "\n\n".join(problems_of(page, home)) == ""


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=names)
def test_no_command_is_passed_over(page: Path) -> None:
    """The tools that a page's commands call are on this machine."""
    missing = {tool for each in read_page(page) if not each.note for tool in missing_tools(each)}
    if missing:
        pytest.skip(f"some commands of {page.name} did not run, as this is not on this machine: {' '.join(missing)}")


def test_what_is_passed_over_is_known() -> None:
    """A block that is not run says why, and each reason is still needed."""
    noted = {(page.name, each.note) for page in WITH_BLOCKS for each in read_page(page) if each.note}
    assert noted == ELSEWHERE.keys()


def test_every_page_is_in_the_table_of_the_readme() -> None:
    """Nothing is written that nobody finds."""
    text = README.read_text(encoding="utf-8")
    assert [page.name for page in DOCS.glob("*.md") if f"(coda_fs_session/docs/{page.name})" not in text] == []


def test_the_manual_ships() -> None:
    """The wheel has the whole folder of the package, pages and examples included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["hatch"]["build"]["targets"] == {"wheel": {"packages": ["coda_fs_session"]}}
    assert PACKAGE == ROOT / "coda_fs_session"


def test_links_lead_somewhere() -> None:
    """Each link of a page names a file that is there, and a heading of it."""
    dead = [
        f"{names(page)}: {link}#{heading}"
        for page in ALL
        for link, heading in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8"))
        if not (page.parent / link).exists() or (heading and heading not in headings(page.parent / link))
    ]
    assert dead == []


def headings(page: Path) -> set[str]:
    """Return what a link may name: headings in small letters, with hyphens for spaces, without other signs."""
    found = re.findall(r"^#+ (.*)", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```python\nundefined\n```", "NameError"),
        ("```python\nimport sys\nsys.exit(3)\n```", "SystemExit"),
        ("```python\nx = 1\n```\n\n```python\nx.y\n```", "AttributeError"),
        ("```python\nprint(1)\n```\n\n```text\n2\n```", "what is printed is\n1"),
        ("```sh\necho a\n```\n\n```text\nb\n```", "what is printed is\na"),
        ("```python\nprint(1)\n```\n\nIt says:\n\n```text\n1\n```", "right below no block"),
        ("```sh\nfalse | cat\n```", "ended with 1"),
        ("```toml\n[session]\nautosave_interval = 'often'\n```", "ConfigError"),
    ],
)
def test_a_page_that_does_not_hold_fails(text: str, said: str, home: Path) -> None:
    """What raises, ends with an error or prints something else is reported, with its place."""
    page = home / "page.md"
    page.write_text(f"# Title\n\n{text}\n", encoding="utf-8")
    (problem,) = problems_of(page, home)
    assert problem.startswith("page.md:")
    assert said in problem
