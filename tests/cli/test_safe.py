"""Stored text cannot drive a terminal, nor a shell that it is pasted into."""

from __future__ import annotations

import json
import subprocess

import pytest

from coda_fs_session.cli.columns import cut, width
from coda_fs_session.cli.safe import quoted, safe, safe_json, safe_line

from .command import Command

HOSTILE = "\x1b]0;owned\x07\x9b31m\u202eabc\u2066\u200b\r\x08"


def test_signs_are_shown() -> None:
    """Controls and marks are shown by name, and letters of any script stay."""
    assert safe("\x1b[31m\x7f\u202e") == "^[[31m^?\\u{202e}"
    assert safe("a\r\nb\tc\n") == "a\nb\tc\n"
    assert safe_line("a\nb\tc") == "a^Jb^Ic"
    assert safe("Größe 漢字 🙂") == "Größe 漢字 🙂"
    assert json.loads(safe_json(json.dumps(HOSTILE + "\U000e0041", ensure_ascii=False))) == HOSTILE + "\U000e0041"


@pytest.mark.parametrize(
    "name", ["plain", "a b", "a'b", "$(touch F)", "`x`", "a;b", "*", "a\\b", "-n", "~root", "漢", "a\u202eb'"]
)
def test_a_quoted_name_is_the_name(name: str) -> None:
    """What is printed for copying is that name for a shell, and nothing in it runs."""
    done = subprocess.run(["bash", "-c", f"printf %s {quoted(name)}"], capture_output=True, text=True, check=True)
    # `printf` itself would take -n for an option.
    assert done.stdout == name or name == "-n"
    assert safe(quoted(name)) == quoted(name)


def test_widths() -> None:
    """East Asian letters take two places and combining ones none; a cut text has room."""
    assert [width(text) for text in ("abc", "漢字", "e\u0301", "")] == [3, 4, 1, 0]
    assert cut("漢字漢字", 5) == "漢字…"
    assert cut("abc", 3) == "abc"
    assert cut("abcd", 3) == "ab…"


@pytest.mark.parametrize("terminal", [True, False])
def test_nothing_hostile_is_written(command: Command, terminal: bool) -> None:
    """Names, metadata, roles, models and texts come out harmless, from every verb that shows them, also in a pipe."""
    command.fill(
        "a\u202eb",
        {"role": HOSTILE, "content": HOSTILE, "model": HOSTILE},
        {"role": "assistant", "tool_calls": [{"function": {"name": HOSTILE, "arguments": HOSTILE}}]},
        **{"k" + HOSTILE: HOSTILE},
    )
    for arguments in (
        ("list",),
        ("list", "--json"),
        ("list", "-l"),
        ("show", "@"),
        ("show", "@", "--tools", "full"),
        ("show", "@", "--json"),
        ("show", "@", "--md"),
        ("show", "@", "--meta"),
        ("show", "@" + HOSTILE),
        (),
    ):
        done = command("--color", "never", *arguments, terminal=terminal)
        written = done.out + done.err
        assert not any(sign in written for sign in "\x1b\x07\x9b\u202e\u2066\u200b\r\x08"), arguments
