"""Stored text on its way to a person: nothing in it may drive a terminal, or a shell that it is pasted into."""

from __future__ import annotations

import re

# Controls but tab and newline, marks that turn the direction of writing, separators that break lines, lone surrogates,
# and tag characters, which nobody sees.
_UNSAFE = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_PLAIN = re.compile(r"[\w@%+=:,./-][\w@%+=:,./~-]*", re.ASCII)


def safe(text: str) -> str:
    r"""Return a text with ``^[`` for an escape sign and ``\u{202e}`` for a mark; lines and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub(_visible, text.replace("\r\n", "\n"))


def safe_line(text: str) -> str:
    """Return a text as one line, for a cell: tabs and newlines are shown as ``^I`` and ``^J`` too."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub(_visible, text).replace("\n", "^J").replace("\t", "^I")


def safe_json(line: str) -> str:
    """Return JSON with those signs escaped: in JSON they stand in texts only."""
    return line if line.isascii() else _UNSAFE.sub(_escape, line)


def is_safe(text: str) -> bool:
    """Tell whether a text can be shown as it is."""
    return _UNSAFE.search(text) is None


def quoted(name: str) -> str:
    """Return a name as a shell takes it, for copying; one with signs that cannot be shown as ``$'…'``."""
    if _PLAIN.fullmatch(name):
        return name
    if _UNSAFE.search(name):
        inner = name.replace("\\", "\\\\").replace("'", "\\'")
        return "$'" + _UNSAFE.sub(_escape, inner) + "'"
    return "'" + name.replace("'", "'\"'\"'") + "'"


def _visible(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20 or code == 0x7F:
        return f"^{chr(code ^ 0x40)}"
    return f"\\u{{{code:x}}}"


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code > 0xFFFF:
        code -= 0x10000
        return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
    return f"\\u{code:04x}"
