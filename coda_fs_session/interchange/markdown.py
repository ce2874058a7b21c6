"""A session as Markdown, and as plain text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ..session.session import Session
from ..session.shapes import Part, model, parts, role

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})", re.MULTILINE)
_LINE = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029]+")


def markdown_of(session: Session) -> Iterator[str]:
    """Yield the parts of a page: what is known of the session, and a heading a message."""
    title = session.metadata.get("title")
    about: dict[str, Any] = {"name": session.name}
    if isinstance(title, str) and title:
        about["title"] = title
    about |= {"messages": len(session), "created": session.created.isoformat(), "updated": session.updated.isoformat()}
    # JSON is YAML, too: whatever a name holds stays within its quotes.
    yield "---\n" + "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in about.items())
    yield "---\n"
    for message in session.iter_messages():
        yield f"\n## {heading(message)}\n"
        for part in parts(message):
            shown = _shown(part)
            if shown:
                yield f"\n{shown}\n"


def heading(message: dict[str, Any]) -> str:
    """Return who says a message, by which model and when, in one line."""
    stamp = message.get("timestamp")
    told = [role(message) or "?", model(message), stamp if isinstance(stamp, str) else ""]
    return _LINE.sub(" ", " · ".join(each for each in told if each))


def _shown(part: Part) -> str:
    if part.kind in ("text", "other"):
        return part.text if part.kind == "text" else fenced(part.text, "json")
    if part.kind == "reasoning":
        return _folded("Reasoning", part.text) if part.text else ""
    if part.kind == "call":
        return _folded(f"Call of {part.name}", part.arguments)
    if part.kind == "result":
        return _folded(f"Result of {part.name}" if part.name else "Result", part.text)
    label = _LINE.sub(" ", part.name or part.kind)
    return f"[{part.kind}: {label}]" if not part.text else f"[{part.kind}: {label}]\n\n{fenced(part.text)}"


def _folded(summary: str, text: str) -> str:
    label = _LINE.sub(" ", summary).replace("&", "&amp;").replace("<", "&lt;")
    return f"<details>\n<summary>{label}</summary>\n\n{fenced(text)}\n\n</details>"


def fenced(text: str, language: str = "") -> str:
    """Return a text as a block of code that nothing in it can end."""
    longest = max((len(match[1]) for match in _FENCE.finditer(text)), default=2)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip(chr(10))}\n{fence}"


def text_of(session: Session) -> Iterator[str]:
    """Yield the messages of a session as text: who says each, and what."""
    for number, message in enumerate(session.iter_messages()):
        lines = [f"{heading(message)}:"]
        for part in parts(message):
            if part.kind == "call":
                lines.append(f"[{part.name}] {part.arguments}")
            elif part.text and part.kind != "reasoning":
                lines.append(part.text)
        yield "\n" * (number > 0) + "\n".join(lines) + "\n"
