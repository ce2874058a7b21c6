"""What can stand at the cursor, for the completion of a shell. It loads no verb unless an option is asked for.

A shell puts what it gets into the line that the user is going to run. So bash gets words that are quoted already; zsh
and fish quote themselves.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from .safe import is_safe, quoted
from .verbs import ALIASES, VERBS

WANTED = "_CODA_SESSION_COMPLETE"
"""The variable by which a shell asks; its value is the shell."""
_LINE, _BREAKS = "_CODA_SESSION_LINE", "_CODA_SESSION_BREAKS"
_FILES = "files"
_OPEN = ("-s", "--store", "--config")
_MOST = 1000


class Typed(NamedTuple):
    """A line up to the cursor.

    Attributes:
        words: the whole words before the one at the cursor, without quotes; word: that one, as far as it is typed.
        kept: how many characters of `word` stay, since bash replaces only what comes after a sign that breaks words.
        quote: the quote that is open, "" for none.
    """

    words: list[str]
    word: str
    kept: int
    quote: str


def complete(arguments: Sequence[str]) -> int:
    """Write what can stand at the cursor: first what kind it is, then a line each."""
    shell = os.environ[WANTED]
    if shell == "bash":
        typed = read_line(os.environ.get(_LINE, ""), os.environ.get(_BREAKS, ""))
    else:
        typed = Typed(list(arguments[:-1]), arguments[-1] if arguments else "", 0, "")
    try:
        found = list(candidates(typed.words, typed.word))
    except Exception:
        # A store that cannot be read is told of by the verb itself, when it is run.
        found = []
    kind = _FILES if found == [_FILES] else "words"
    if kind == _FILES:
        lines: Iterable[str] = ()
    elif shell == "bash":
        lines = for_bash(found, typed)
    else:
        lines = filter(is_safe, found)
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")  # type: ignore[union-attr]
    sys.stdout.write("".join(f"{line}\n" for line in (kind, *lines)))
    return 0


def read_line(line: str, breaks: str) -> Typed:
    """Take a line of bash apart, up to the cursor.

    Args:
        breaks: signs that begin a new word for bash where no quote is around them.
    """
    words: list[str] = []
    word, quote, kept, begun = "", "", 0, False
    signs = iter(line)
    for sign in signs:
        if quote == "'":
            if sign == quote:
                quote, kept = "", len(word)
            else:
                word += sign
        elif sign == "\\":
            following = next(signs, "")
            word += following if not quote or following in '"\\$`' else sign + following
            begun = True
        elif quote:
            if sign == quote:
                quote, kept = "", len(word)
            else:
                word += sign
        elif sign in "'\"":
            quote, kept, begun = sign, len(word), True
        elif sign in " \t\n":
            if begun:
                words.append(word)
            word, kept, begun = "", 0, False
        else:
            word += sign
            begun = True
            if sign in breaks:
                kept = len(word)
    # The first is the command itself.
    return Typed(words[1:], word, kept, quote)


def for_bash(found: Iterable[str], typed: Typed) -> list[str]:
    """Return words as bash is to put them in place of what is typed: nothing in them runs, and each stays one word."""
    rests = [each[typed.kept :] for each in found]
    if typed.quote == "'":
        return [_closed(rest.replace("'", "'\\''"), "'") for rest in rests if is_safe(rest)]
    if typed.quote:
        return [_closed(_in_double_quotes(rest), '"') for rest in rests if is_safe(rest) and "!" not in rest]
    inserted = [quoted(rest) for rest in rests]
    if any(each != rest for each, rest in zip(inserted, rests, strict=True)):
        # All alike, so that what they have in common is put in with its quote.
        inserted = [each if each != rest else f"'{rest}'" for each, rest in zip(inserted, rests, strict=True)]
    return inserted


def _closed(text: str, quote: str) -> str:
    """Close the quote where bash does not, since a text that ends with that sign looks closed to it."""
    return text + quote if text.endswith(quote) else text


def _in_double_quotes(text: str) -> str:
    for sign in '\\"$`':
        text = text.replace(sign, f"\\{sign}")
    return text


def candidates(words: Sequence[str], word: str) -> Iterator[str]:
    """Yield what can stand in place of a word; `files` alone means the name of a file."""
    given, rest = _options(words)
    verb = ALIASES.get(rest[0], rest[0]) if rest else ""
    if words and words[-1] in _OPEN:
        yield _FILES
    elif not verb:
        options = _own_options() if word.startswith("-") else ()
        yield from _beginning(word, (*VERBS, *ALIASES, *options))
    elif verb not in VERBS:
        return
    elif "--" not in words and (word.startswith("-") or (words[-1].startswith("-") and words[-1] != rest[0])):
        yield from _of_options(verb, words[-1], word, given)
    else:
        yield from _of_verb(verb, word, given)


def _of_options(verb: str, before: str, word: str, given: Mapping[str, str]) -> Iterator[str]:
    import click

    from .app import app

    command = app.get_command(click.Context(app), verb)
    assert command is not None
    found = {name: each for each in command.params if isinstance(each, click.Option) for name in each.opts}
    option = found.get(before)
    if option is not None and not option.is_flag:
        if isinstance(option.type, click.Choice):
            yield from _beginning(word, map(str, option.type.choices))
        elif before in ("-o", "--output", "--from", *_OPEN):
            yield _FILES
    elif word.startswith("-"):
        yield from _beginning(word, [*(name for name in found if name.startswith("--")), "--help"])
    else:
        yield from _of_verb(verb, word, given)


def _own_options() -> list[str]:
    from .app import app

    return [name for each in app.params for name in each.opts if name.startswith("--")]


def _of_verb(verb: str, word: str, given: Mapping[str, str]) -> Iterator[str]:
    takes = VERBS[verb].takes
    if takes == "sessions":
        yield from _sessions(word, given)
    elif takes == "files":
        yield _FILES
    elif takes == "pages":
        from .commands.help import page_names

        yield from _beginning(word, (*page_names(), *VERBS))
    else:
        yield from _beginning(word, takes.split())


def _sessions(word: str, given: Mapping[str, str]) -> Iterator[str]:
    from .run import Run

    run = Run()
    run.store, run.config = given.get("--store"), given.get("--config")
    # Not by prefix: where many begin so, that takes longer than the whole list.
    names = _beginning(word, (info.name for info in run.reading().list_sessions()))
    yield from islice(names, _MOST)


def _beginning(word: str, every: Iterable[str]) -> Iterator[str]:
    return (each for each in every if each.startswith(word))


def _options(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Return the options that say which store it is, and the words that are none of these."""
    given: dict[str, str] = {}
    rest: list[str] = []
    left = iter(words)
    for word in left:
        if word in _OPEN:
            given["--store" if word == "-s" else word] = os.path.expanduser(next(left, ""))
        elif word == "--color" and not rest:
            next(left, "")
        elif rest or not word.startswith("-"):
            rest.append(word)
    return given, rest
