"""Text for people: what the demo prints, cut to the columns of a terminal, and how far it has come."""

from __future__ import annotations

import json
import os
import sys
import time
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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


class Stopwatch:
    """Times of the steps, for the table at the end."""

    def __init__(self) -> None:
        self.times: list[tuple[str, float]] = []

    @contextmanager
    def __call__(self, what: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.times.append((what, time.perf_counter() - start))

    @property
    def last(self) -> str:
        return duration(self.times[-1][1])

    def show(self) -> None:
        for what, seconds in self.times:
            print(f"  {cell(what, 84)}{duration(seconds):>10}")


class Progress:
    """Tells on stderr how far a step has come, if it takes longer than a moment: in one line, or now and then one.

    Args:
        what: that is counted, such as "messages imported".
        total: how many there are.
    """

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._count, self._shown = what, total, 0, False
        self._live = sys.stderr.isatty()
        self._next = time.monotonic() + (0.5 if self._live else 5)

    def step(self, count: int = 1) -> None:
        self._count += count
        if time.monotonic() >= self._next:
            line = f"  ... {self._count:,} of {self._total:,} {self._what}"
            print(f"\r{line}" if self._live else line, end="" if self._live else "\n", file=sys.stderr, flush=True)
            self._next = time.monotonic() + (0.1 if self._live else 5)
            self._shown = True

    def end(self) -> None:
        if self._live and self._shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
