"""What readers of documents that are lists of chats have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .parsing import elements
from .skipping import Skips
from .sources import SourceFile
from .tree import MessageTree


def chats(
    files: Iterable[SourceFile], tree_of: Callable[[Any], MessageTree | None], problems: list[str], skips: Skips
) -> Iterator[MessageTree]:
    """Yield the chats of documents.

    Args:
        tree_of: makes a chat of an element, and returns None of one that is none: that is a problem.
    """
    for file in files:
        with file.stream() as stream:
            for element, raw in elements(stream, file.place, skips):
                tree = tree_of(element)
                if tree is None:
                    problems.append(f"{file.name}: an element is no chat, and was left out")
                else:
                    tree.raw = raw
                    yield tree
