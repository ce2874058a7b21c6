"""Naming a session and a point in it, and times."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from coda_fs_session.cli.exits import CommandError
from coda_fs_session.cli.points import readings
from coda_fs_session.cli.times import ago, moment, size

from .command import ANSWER, HELLO, Command

NOW = datetime(2026, 11, 15, 12, 0)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("draft", []),
        ("draft~3", [("draft", None, 3, None, None)]),
        ("draft@40", [("draft", "40", None, None, None)]),
        ("draft@{2 hours ago}", [("draft", "{2 hours ago}", None, None, None)]),
        ("draft:7", [("draft", None, None, 7, None)]),
        ("draft:-1", [("draft", None, None, -1, None)]),
        ("draft:3-9", [("draft", None, None, 3, 9)]),
        ("@:7", [("@", None, None, 7, None)]),
        ("a@b", [("a", "b", None, None, None)]),
        ("a@0123456789ab:12", [("a", "0123456789ab:12", None, None, None)]),
        ("a@0123456789ab:12:12345678", [("a", "0123456789ab:12:12345678", None, None, None)]),
        ("a@0123456789ab.1/000000000000:2", [("a", "0123456789ab.1/000000000000:2", None, None, None)]),
        (
            "a@v1~2:3",
            [("a@v1~2", None, None, 3, None), ("a@v1", None, 2, 3, None), ("a", "v1", 2, 3, None)],
        ),
    ],
)
def test_how_a_text_is_read(text: str, found: list[tuple[object, ...]]) -> None:
    """The whole text is a name first; then what stands at its end is taken off."""
    ways = list(readings(text))
    assert ways[0] == (text, None, None, None, None)
    assert [tuple(way) for way in ways[1:]] == found


@pytest.mark.parametrize("name", ["trip~3", "a@2", "chat:7", "@", "x@{1}", "~", ":", "@@", "-n", "a b/c"])
def test_a_whole_name_wins(command: Command, name: str) -> None:
    """A session that has the whole text as its name is the one that is meant."""
    command.fill(name, {"role": "user", "content": "this one"})
    command.fill("other")
    done = command("show", "--", name)
    assert (done.code, done.out) == (0, "[1] user\nthis one\n")
    assert command("append", "-m", "more", "--", name).out == "2\n"


def test_points_of_a_session(filled: Command) -> None:
    """Each way to name messages shows these."""
    first, second = f"[1] user\n{HELLO['content']}\n", f"[2] assistant (gpt-4)\n{ANSWER['content']}\n"
    for name in ("notes", "note", "notes@2", "notes:1-2", "note~0"):
        assert filled("show", name).out == f"{first}\n{second}", name
    for name in ("notes@1", "notes~1", "notes:1", "notes:-2", "note~1:-1"):
        assert filled("show", name).out == first, name
    assert filled("show", "notes:2").out == filled("show", "notes", "-n", "1").out == second
    assert filled("show", "notes", "--head", "1").out == first
    assert filled("show", "notes@0").out == ""
    assert filled("show", "9eda1058").out == filled("show", "helper").out


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("2d", timedelta(days=2)),
        ("3 hours ago", timedelta(hours=3)),
        ("1 week ago", timedelta(days=7)),
        ("90 min ago", timedelta(minutes=90)),
        ("today", timedelta(hours=12)),
        ("Yesterday", timedelta(hours=36)),
        ("now", timedelta()),
        ("2026-11-01", timedelta(days=14, hours=12)),
        ("2026-11-15T09:30", timedelta(hours=2, minutes=30)),
    ],
)
def test_times_that_people_write(text: str, back: timedelta) -> None:
    """Each form means a local time."""
    assert moment(text, NOW) == NOW - back


@pytest.mark.parametrize("text", ["", "soon", "2x", "-1d", "999999999w", "2026-13-01", "٣d"])
def test_what_is_no_time(text: str) -> None:
    """Anything else is refused, and the error shows what can be given."""
    with pytest.raises(CommandError, match="2026-11-01"):
        moment(text, NOW)


def test_times_and_sizes_that_people_read() -> None:
    """Short, and never wrong by more than what is left out."""
    spans = [0, 59, 60, 3599, 3600, 86399, 86400, 6 * 86400, 8 * 86400, -60]
    assert [ago(NOW - timedelta(seconds=span), NOW) for span in spans] == [
        *("now", "now", "1 min ago", "59 min ago", "1 h ago", "23 h ago", "yesterday", "6 days ago"),
        *("2026-11-07", "2026-11-15"),
    ]
    assert [size(count) for count in (0, 999, 1000, 9949, 9950, 31_000, 1_234_567, 999_600)] == [
        *("0 B", "999 B", "1.0 kB", "9.9 kB", "10 kB", "31 kB", "1.2 MB", "1.0 MB")
    ]
