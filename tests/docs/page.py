"""Read an API page: its code blocks, signatures and properties, each with its place on the page."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent, indent

_FENCE = re.compile(r"(?P<indent>\s*)(?P<marks>`{3,}|~{3,})\s*(?P<language>[\w+-]*)(?P<note>[^`]*)")
_HEADING = re.compile(r" {0,3}(?P<level>#{1,6})\s+(?P<title>.*?)\s*#*")
_SIGNATURE = re.compile(r"`?(?P<text>\w+\(.*\)(?:\s*->.*?)?)`?")
_PROPERTY = re.compile(r"\s*[-*+]\s+`(?P<text>\w+\s*:[^`]+)`.*")
TOOLS = ("jq", "zstdcat", "zstdgrep", "rg", "sqlite3", "awk", "sha256sum", "tail", "timeout")
_LANGUAGES = {"py": "python", "python3": "python"}


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a page that promises something.

    Its kind is the language of a code block ("python", "toml", ...), or "listing" for Python that only declares
    classes, "signature" for a heading that shows a call, "property" for a list item such as `name: str`.
    """

    page: Path
    line: int
    kind: str
    text: str
    section: tuple[str, ...] = ()  # the headings that it stands under, innermost first
    note: str = ""  # what stands after the language of a code block


@dataclass(frozen=True, slots=True)
class Problem:
    """A promise of the page that does not hold."""

    passage: Passage
    reason: str

    def __str__(self) -> str:
        first = self.passage.line
        numbered = "\n".join(f"{number:5} | {line}" for number, line in enumerate(self.passage.text.split("\n"), first))
        return f"{self.passage.page}:{first}: {self.reason}\n\n{indent(numbered, '  ')}\n"


def read_page(path: Path) -> list[Passage]:
    """Return what the page promises, in page order.

    Raises:
        ValueError: A code block is never closed.
    """
    passages = []
    headings: dict[int, str] = {}
    lines = enumerate(path.read_text(encoding="utf-8").split("\n"), start=1)
    for number, line in lines:
        section = tuple(headings[level] for level in sorted(headings, reverse=True))
        if fence := _FENCE.fullmatch(line):
            text = _code(path, number, fence, lines)
            kind = _LANGUAGES.get(fence["language"].lower(), fence["language"].lower())
            if kind == "python" and _only_declares(text):
                kind = "listing"
            passages.append(Passage(path, number + 1, kind, text, section, fence["note"].strip()))
        elif heading := _HEADING.fullmatch(line):
            level = len(heading["level"])
            headings = {above: title for above, title in headings.items() if above < level}
            if signature := _SIGNATURE.fullmatch(heading["title"]):
                section = tuple(headings[above] for above in sorted(headings, reverse=True))
                passages.append(Passage(path, number, "signature", signature["text"], section))
            headings[level] = heading["title"]
        elif section and section[0].lower() == "properties" and (item := _PROPERTY.fullmatch(line)):
            passages.append(Passage(path, number, "property", item["text"], section))
    return passages


def _code(path: Path, opened_at: int, fence: re.Match[str], lines: Iterator[tuple[int, str]]) -> str:
    # Code may itself contain fences, in a docstring for instance: those are indented further, or shorter.
    mark, length, depth = fence["marks"][0], len(fence["marks"]), len(fence["indent"])
    closing = re.compile(rf"\s{{0,{depth + 3}}}{mark}{{{length},}}\s*")
    code: list[str] = []
    for _, line in lines:
        if closing.fullmatch(line):
            return dedent("\n".join(code))
        code.append(line)
    raise ValueError(f"{path}:{opened_at}: this code block is never closed")


def _only_declares(code: str) -> bool:
    """Tell whether the code is nothing but classes whose methods have no body."""
    try:
        statements = ast.parse(code).body
    except SyntaxError:
        return False  # running it will tell what is wrong
    return bool(statements) and all(isinstance(node, ast.ClassDef) and _is_outline(node) for node in statements)


def _is_outline(node: ast.ClassDef) -> bool:
    members = [member for member in node.body if not _is_filler(member)]
    return bool(members) and all(map(_is_declaration, members))


def _is_declaration(member: ast.stmt) -> bool:
    if isinstance(member, ast.FunctionDef):
        return all(map(_is_filler, member.body))
    return isinstance(member, ast.AnnAssign)


def _is_filler(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)  # a docstring, or `...`


def missing_tools(passage: Passage) -> list[str]:
    """Return the tools that a block of commands calls and this machine has not."""
    script = passage.text if passage.kind == "sh" else ""
    called = (tool for tool in TOOLS if re.search(rf"(?:^|[|;(]|-exec)\s*{tool}\b", script, re.MULTILINE))
    return [tool for tool in called if shutil.which(tool) is None]
