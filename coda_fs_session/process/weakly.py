"""Objects that are known as long as anybody holds them, in a process of several threads."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Weakly(Generic[_T]):
    """A set that holds its objects weakly. Another thread may change it while one goes through it.

    A `weakref.WeakSet` raises RuntimeError there.
    """

    def __init__(self) -> None:
        self._objects: weakref.WeakKeyDictionary[_T, None] = weakref.WeakKeyDictionary()

    def add(self, each: _T) -> None:
        self._objects[each] = None

    def discard(self, each: _T) -> None:
        self._objects.pop(each, None)

    def __iter__(self) -> Iterator[_T]:
        # The references are taken in one step.
        return iter([each for ref in self._objects.keyrefs() if (each := ref()) is not None])
