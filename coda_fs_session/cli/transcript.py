"""Messages as a person reads them: as text, and as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..session.shapes import model, parts, role, text
from .safe import safe, safe_line

if TYPE_CHECKING:
    from ..session.shapes import Part
    from .output import Output

_COLORS = {"user": 4, "assistant": 2, "system": 5, "developer": 5, "tool": 3}
_SHORT = 160
_FENCE = re.compile(r"^( {0,3})(`{3,}|~{3,})[^\n]*\n(.*?)^ {0,3}\2[`~]*[ \t]*$\n?", re.MULTILINE | re.DOTALL)


class Transcript:
    """How messages are shown.

    Args:
        markdown: with headings of Markdown; tools: "full", "short" or "none"; reasoning: show it.
    """

    def __init__(self, out: Output, *, markdown: bool = False, tools: str = "short", reasoning: bool = False) -> None:
        self._out = out
        self._markdown = markdown
        self._tools = tools
        self._reasoning = reasoning
        self._begun = False

    def write(self, number: int, message: dict[str, Any]) -> None:
        """Write a message, which is the `number`-th from 1."""
        title = heading(message)
        passages = list(self._passages(message))
        if not passages and any(part.kind in ("call", "result", "reasoning") for part in parts(message)):
            # Nothing of it is to be shown.
            return
        if self._begun:
            self._out.write("\n")
        self._begun = True
        if self._markdown:
            self._out.write(f"## {number}. {safe_line(title)}\n\n")
        else:
            shown = self._out.tint(safe_line(title), _COLORS.get(role(message), 6))
            self._out.write(f"{self._out.dim(f'[{number}]')} {shown}\n")
        for passage in passages:
            self._out.write(passage.rstrip("\n") + "\n")

    def _passages(self, message: dict[str, Any]) -> Iterator[str]:
        for part in parts(message):
            if part.kind in ("text", "other"):
                yield safe(part.text)
            elif part.kind == "reasoning":
                if self._reasoning:
                    yield self._out.dim(safe(part.text))
            elif part.kind in ("call", "result"):
                if self._tools != "none":
                    yield self._tool(part)
            else:
                yield self._out.dim(f"[{part.kind}{_after(part.name or part.text)}]")

    def _tool(self, part: Part) -> str:
        words = part.arguments if part.kind == "call" else part.text
        sign = "→" if part.kind == "call" else "←"
        if self._tools == "full":
            return self._out.dim(f"{sign} {safe_line(part.name)}\n{safe(words)}".rstrip())
        line = safe_line(" ".join(words[: 4 * _SHORT].split()))
        return self._out.dim(f"{sign} {safe_line(part.name)} {line[:_SHORT]}{'…' if len(line) > _SHORT else ''}")


def heading(message: dict[str, Any]) -> str:
    """Return whose a message is, and of which model."""
    said, by = role(message) or "?", model(message)
    return f"{said} ({by})" if by else said


def text_of_message(message: dict[str, Any]) -> str:
    """Return what a message says, or else its JSON."""
    said = text(message)
    if said:
        return said
    import json

    return json.dumps(message, ensure_ascii=False)


def _after(words: str) -> str:
    return f" {safe_line(words[:_SHORT])}" if words else ""


def code_blocks(message: dict[str, Any]) -> list[str]:
    """Return what stands in the code blocks of a message."""
    return [match[3] for match in _FENCE.finditer(text(message) + "\n")]
