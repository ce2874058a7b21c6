"""aider: ``.aider.chat.history.md``, in which each run is a session."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from .fields import Keep, message
from .skipping import Skips, nothing
from .sources import Head, SourceFile
from .times import moment
from .tree import MessageTree, Node, made_id

NAME = "aider"
_BEGINS = "# aider chat started at "
_PROMPT, _OUTPUT = "#### ", "> "


def picks(name: str) -> bool:
    """Tell whether a file in a folder may be one of this format."""
    return name.startswith(".aider.chat.history") and name.endswith(".md")


def fits(head: Head) -> bool:
    """Tell whether a file is of this format."""
    return re.search(rb"^" + _BEGINS.encode(), head.data, re.MULTILINE) is not None


def links(file: SourceFile) -> set[str]:
    """Return what a file shares with those that it is read together with."""
    return {file.path}


def read(files: Sequence[SourceFile], keep: Keep, problems: list[str], skips: Skips = nothing) -> Iterator[MessageTree]:
    """Yield the runs of files; one in which nobody said anything is none."""
    for file in files:
        with file.stream() as stream:
            run: list[str] = []
            start = ""
            for raw in stream:
                line = raw.decode(errors="replace").rstrip("\r\n")
                if line.startswith(_BEGINS):
                    yield from _tree(start, run, keep)
                    start, run = line.removeprefix(_BEGINS).strip(), []
                else:
                    run.append(line)
            yield from _tree(start, run, keep)


def _tree(start: str, lines: list[str], keep: Keep) -> Iterator[MessageTree]:
    said = _said(lines)
    prompt = next((text for role, text in said if role == "user"), None)
    if prompt is None:
        return
    # A hash: redaction leaves by which id an import knows a chat.
    tree = MessageTree(NAME, f"{start} {made_id(None, prompt)}")
    tree.created = moment(start)
    above: str | None = None
    for number, (role, text) in enumerate(said, 1):
        # By the place: the last one may still grow.
        above = tree.add(Node(str(number), above, [message(role, text, id=str(number))])).id
    tree.current = above or ""
    yield tree


def _said(lines: list[str]) -> list[tuple[str, str]]:
    """Take a run apart: lines of a prompt, what the program printed, and all else is the answer."""
    said: list[tuple[str, list[str]]] = []
    for line in lines:
        if line.startswith(_PROMPT) or line == _PROMPT.strip():
            role, text = "user", line[len(_PROMPT) :]
        elif line.startswith(_OUTPUT) or line == _OUTPUT.strip():
            role, text = "tool", line[len(_OUTPUT) :]
        else:
            role, text = "assistant", line
        if said and (said[-1][0] == role or not line):
            said[-1][1].append(text)
        elif line:
            said.append((role, [text]))
    return [(role, "\n".join(line.removesuffix("  ") for line in text).strip("\n")) for role, text in said]
