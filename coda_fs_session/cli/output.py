"""What the command writes: data on stdout, talk on stderr; a terminal gets colour and a pager."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import IO, Any

from .exits import CommandError
from .safe import safe, safe_json

_LEAST_WIDTH = 20
_ON_A_SCREEN = 20


class Output:
    """Where one run of the command writes.

    Attributes:
        terminal: stdout is one; width: its columns; quiet: say nothing of what was done.
        as_json: the verb writes JSON lines; fields: only these, None for all.
    """

    def __init__(self) -> None:
        self.terminal = _is_terminal(sys.stdout)
        self.quiet = False
        self.as_json = False
        self.fields: tuple[str, ...] | None = None
        self.color = "auto"
        self.may_page = True
        self._held: list[str] | None = []
        self._lines = 0
        self._pager: Any = None
        for stream in (sys.stdout, sys.stderr):
            reconfigure = getattr(stream, "reconfigure", None)
            if reconfigure is not None:
                reconfigure(errors="backslashreplace")

    @property
    def width(self) -> int:
        return max(_size()[0], _LEAST_WIDTH)

    def write(self, text: str) -> None:
        """Write data; what a screen has no room for goes to a pager."""
        if self._pager is not None:
            self._pager.stdin.write(text)
        elif self._held is None or not (self.terminal and self.may_page):
            _write(text)
        else:
            self._held.append(text)
            self._lines += text.count("\n")
            if self._lines >= _size()[1]:
                self._page()

    def write_json(self, value: Mapping[str, Any]) -> None:
        """Write one object as a line, with those of its fields that were asked for."""
        import orjson

        if self.fields is not None:
            value = {name: value[name] for name in self.fields if name in value}
        self.write(safe_json(orjson.dumps(value, default=str).decode()) + "\n")

    def note(self, text: str) -> None:
        """Say something on stderr, beside the data."""
        if not self.quiet:
            self.problem(text)

    def problem(self, text: str) -> None:
        """Say on stderr what is wrong, also to who wants to hear of nothing else."""
        if sys.stderr is not None:
            sys.stderr.write(safe(text) + "\n")

    def most(self, number: int | None) -> int | None:
        """Return how many rows to show where `number` was asked for: 0 is all, and None what a screen has room for."""
        if number is None:
            return _ON_A_SCREEN if self.terminal and not self.as_json else None
        return number or None

    def dim(self, text: str) -> str:
        return self._styled(text, "2")

    def tint(self, text: str, number: int) -> str:
        return self._styled(text, f"3{number}")

    def _styled(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colored() else text

    def _colored(self) -> bool:
        if self.color != "auto":
            return self.color == "always"
        if os.environ.get("CLICOLOR_FORCE", "0") not in ("", "0"):
            return True
        return self.terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def finish(self) -> None:
        """Write what is held, and wait until the pager is left.

        Raises:
            BrokenPipeError: nobody reads what is left.
        """
        held, self._held = self._held, None
        if self._pager is not None:
            self._end_pager()
        elif held:
            _write("".join(held))
        if sys.stdout is not None:
            sys.stdout.flush()

    def leave_pager(self) -> None:
        """Wait until the pager is left, after an interrupt: it has the terminal, and shows what it got until then."""
        if self._pager is not None:
            with suppress(OSError):
                self._end_pager()

    def _end_pager(self) -> None:
        pager, self._pager = self._pager, None
        try:
            pager.stdin.close()
        finally:
            _wait(pager)

    def _page(self) -> None:
        """Start the pager, and give it what is held."""
        import subprocess

        held, self._held = self._held or [], None
        command = _pager()
        if command:
            self._pager = subprocess.Popen(
                command,
                shell=True,
                stdin=subprocess.PIPE,
                env={"LESS": "FRX", "LV": "-c", **os.environ},
                encoding="utf-8",
                errors="backslashreplace",
            )
        for text in held:
            self.write(text)


def _pager() -> str:
    """Return the command of the pager, "" for none."""
    for name in ("CODA_FS_PAGER", "PAGER"):
        if name in os.environ:
            command = os.environ[name].strip()
            return "" if command == "cat" else command
    from shutil import which

    return "less" if which("less") else ""


def _wait(pager: Any) -> None:
    while True:
        try:
            pager.wait()
            return
        except KeyboardInterrupt:
            # The pager gets it too, and knows what it means there.
            continue


def _size() -> tuple[int, int]:
    """Return the columns and lines of the terminal, as the environment says, or else the terminal."""
    # Not by shutil, which takes ten milliseconds to load.
    try:
        columns, lines = os.get_terminal_size(sys.__stdout__.fileno())  # type: ignore[union-attr]
    except (AttributeError, ValueError, OSError):
        columns, lines = 80, 24
    return _given("COLUMNS") or columns or 80, _given("LINES") or lines or 24


def _given(name: str) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else 0


def _is_terminal(stream: IO[str] | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        # It was closed.
        return False


def _write(text: str) -> None:
    if sys.stdout is None:
        # It was closed when this process began.
        raise CommandError("stdout is closed")
    sys.stdout.write(text)
