"""One word a thing: what the table in CONTRIBUTING calls otherwise occurs in no identifier of the package."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from .manual import ALL, CONTRIBUTING, DOCS, PACKAGE, names

TABLE = CONTRIBUTING.read_text(encoding="utf-8").split("\n## Words\n")[1]
ROWS = re.findall(r"^\| (?!word|---)(.*?) \| .*? \| (.*?) \|$", TABLE, re.MULTILINE)
GONE = {word: instead for instead, words in ROWS for word in words.split(", ")}

PHRASES = ("whoever", "come to stand", "comes to stand", "came to stand")
"""What the manual says in other words."""


def identifiers(source: str) -> Iterator[tuple[int, str]]:
    """Yield the names that a module gives or uses, with their lines."""
    for node in ast.walk(ast.parse(source)):
        for field in ("id", "attr", "name", "arg", "asname"):
            name = getattr(node, field, None)
            if isinstance(name, str):
                yield getattr(node, "lineno", 0), name


def parts(identifier: str) -> list[str]:
    """Split an identifier: `LockedRefs` and `locked_refs` are two words each."""
    return re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", identifier).lower())


def words_that_are_gone(source: str, module: str = "") -> list[str]:
    found = [(0, module), *identifiers(source)]
    return [f"line {line}: {name} (say {GONE[part]})" for line, name in found for part in parts(name) if part in GONE]


def has_words_of_a_framework(path: Path) -> bool:
    """Tell whether a module is an adapter: what it implements has the names that a framework has given."""
    return PACKAGE / "integrations" in path.parents and path.stem not in ("extras", "names", "escapes", "sessions")


@pytest.mark.parametrize(
    "path",
    sorted(path for path in set(PACKAGE.rglob("*.py")) - set(DOCS.rglob("*.py")) if not has_words_of_a_framework(path)),
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_no_identifier_has_a_word_that_is_gone(path: Path) -> None:
    """A second word for a thing makes a reader look for the difference."""
    assert words_that_are_gone(path.read_text(encoding="utf-8"), path.stem) == []


def test_the_table_is_read() -> None:
    """It has words, none of them twice, and a word in use is not forbidden elsewhere."""
    assert len(GONE) >= 15
    assert len(GONE) == sum(len(words.split(", ")) for _, words in ROWS)
    assert not GONE.keys() & {part for word, _ in ROWS for part in word.split()}


def test_the_glossary_has_every_word() -> None:
    """The words of the table are those of the manual's glossary."""
    glossary = re.findall(r"^\| ([\w ]+) \|", (DOCS / "glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert [word for word, _ in ROWS if word not in glossary and "_" not in word] == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def f(blob): pass", 1),
        ("class MyBlobs: ...\nclass MyBlob: ...", 1),
        ("import x as tomb", 1),
        ("a.tomb_of = clone_1", 2),
        ("object_ = 'blob'  # blob", 0),
        ("tombstone = peers = 1", 0),
    ],
)
def test_what_counts(source: str, found: int) -> None:
    """Whole words of identifiers count; texts and comments do not, nor words that only begin alike."""
    assert len(words_that_are_gone(source)) == found


@pytest.mark.parametrize("page", ALL, ids=names)
def test_pages_are_plain(page: Path) -> None:
    """No page has a phrase that says what a plainer one says."""
    text = " ".join(page.read_text(encoding="utf-8").lower().split())
    assert [phrase for phrase in PHRASES if phrase in text] == []
