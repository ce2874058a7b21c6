"""The formats that can be read, and telling which one a file is of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ..errors import ExportError
from . import (
    aider,
    api,
    chatgpt,
    claude,
    claude_code,
    codex,
    gemini,
    gptme,
    langchain,
    librechat,
    llm,
    openai,
    opencode,
    openwebui,
    own,
    pi,
    sharegpt,
    sillytavern,
)
from .fields import Keep
from .skipping import Skips
from .sources import Head, SourceFile
from .tree import MessageTree


class Format(NamedTuple):
    """What is known of a format.

    Attributes:
        picks: tells by the name of a file in a folder whether it is worth a look.
        fits: tells by its content whether it is of this format.
        links: returns what a file shares with those that must be read together with it.
        read: yields the chats of files that belong together, but for those that are skipped. Of a document that is
            cut, an ExportError comes before the first one; what is odd elsewhere goes to its list of problems.
    """

    name: str
    picks: Callable[[str], bool]
    fits: Callable[[Head], bool]
    links: Callable[[SourceFile], set[str]]
    read: Callable[[Sequence[SourceFile], Keep, list[str], Skips], Iterator[MessageTree]]


FORMATS = {
    module.NAME: Format(module.NAME, module.picks, module.fits, module.links, module.read)
    for module in (
        chatgpt,
        claude,
        claude_code,
        codex,
        openai,
        own,
        gemini,
        pi,
        opencode,
        llm,
        openwebui,
        librechat,
        gptme,
        sharegpt,
        langchain,
        sillytavern,
        aider,
        api,
    )
}


def format_of(file: SourceFile, name: str | None = None) -> Format | None:
    """Return the format of a file by its content, None where it is of none.

    Args:
        name: the format that it must be, where somebody said so.

    Raises:
        ExportError: it may be of two formats.
        ValueError: there is no format of this name.
    """
    if name is not None:
        return named(name)
    head = Head(file)
    found = [each for each in FORMATS.values() if each.name != api.NAME and each.fits(head)]
    if not found:
        # Only what is of no program: many keep requests among what is theirs.
        found = [FORMATS[api.NAME]] if api.fits(head) else []
    if len(found) > 1:
        raise ExportError(f"may be {' or '.join(each.name for each in found)}: say which with format=", file.place)
    return found[0] if found else None


def named(name: str) -> Format:
    """Return the format of a name.

    Raises:
        ValueError: there is none.
    """
    if name not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, not {name!r}")
    return FORMATS[name]
