"""Text for people: what the demo prints, cut to the columns of a terminal."""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from collections.abc import Sequence
from typing import Any

Message = dict[str, Any]


def said(message: Message) -> object:
    """Return what is worth showing of a message: its text, or else the tools that it calls."""
    content = message.get("content")
    if isinstance(content, list):  # text in parts, as several APIs have it
        content = " ".join(str(part["text"]) for part in content if isinstance(part, dict) and "text" in part)
    calls = message.get("tool_calls")
    functions = [call.get("function") for call in (calls if isinstance(calls, list) else []) if isinstance(call, dict)]
    called = [f"{call.get('name')}({call.get('arguments')})" for call in functions if isinstance(call, dict)]
    return content or " ".join(called)


def words(value: object, limit: int) -> str:
    """Return the text of a value on one printable line of at most `limit` columns."""
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * limit]).split())
    return line if columns(line) <= limit else cut(line, limit - 1).rstrip() + "…"


def columns(text: str) -> int:
    """Count terminal columns: Chinese characters take two, combining marks none."""
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def cut(text: str, limit: int) -> str:
    while columns(text) > limit:
        text = text[:-1]
    return text


def cell(text: str, width: int) -> str:
    text = words(text, width)
    return text + " " * (width - columns(text))


def duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"


def size(count: int) -> str:
    for unit, factor in (("MB", 1_000_000), ("kB", 1_000)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} bytes"


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's' if noun[-1] != 'h' else 'es'}"


def show_messages(messages: Sequence[Message], first: int) -> None:
    for number, message in enumerate(messages, first):
        print(f"  {number:>7,}  {words(message.get('role'), 9):<9}  {words(said(message), 84)}")


BOLD, PLAIN = ("\033[1m", "\033[0m") if sys.stdout.isatty() and "NO_COLOR" not in os.environ else ("", "")


def heading(text: str) -> None:
    print(f"\n{BOLD}{text}{PLAIN}\n")
