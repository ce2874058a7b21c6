"""The answer to an earlier listing, which is good but for the refs that have other tokens than they had then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from itertools import compress
from operator import ne
from typing import NamedTuple

from ...backends.base import NO_TOKEN, MachineState, Token
from .file import LISTING, decode_listing, encode_listing


class Listing(NamedTuple):
    """An earlier answer, and what has become of refs since.

    Attributes:
        before: the tokens of all refs then, those first that sessions of the answer stand for, in its order.
        tokens: of all refs, as of now.
        changed: paths of refs that changed, came or went, and of those that the answer was not sure of.
    """

    answer: bytes
    before: Mapping[str, Token]
    tokens: Mapping[str, Token]
    changed: Set[str]


def most_changed(refs: int) -> int:
    """Return after how many changes a list of so many refs is made anew, which takes as long as some forty of them."""
    return 16 + refs // 200


class Listed:
    """What was told of all sessions, in this process or one before."""

    def __init__(self, machine: MachineState) -> None:
        self._machine = machine
        self._is_known = False
        self._tokens: Mapping[str, Token] | None = None
        self._answer = b""
        self._is_new = False  # since it was kept

    def known(self, horizon: str) -> bool:
        """Tell whether there is an answer from since stamps were believed up to a horizon."""
        if not self._is_known:
            kept = decode_listing(self._machine.recall(LISTING))
            if kept is not None and kept[0] == horizon:
                _, self._tokens, self._answer = kept
            self._is_known = True
        return self._tokens is not None

    def since(self, tokens: Mapping[str, Token]) -> Listing:
        """Return the answer that is known, where refs have these tokens now."""
        before = self._tokens or {}
        # No loop of our own: a list after few changes is little more than this.
        changed = set(compress(tokens, map(ne, map(before.get, tokens), tokens.values())))
        if len(before) != len(tokens) or not changed <= before.keys():
            changed |= before.keys() - tokens.keys()
        return Listing(self._answer, before, tokens, changed)

    def set(self, tokens: Mapping[str, Token], answer: bytes, heads: Iterable[str], unsure: Set[str]) -> None:
        """Take an answer in, as it is while refs have these tokens.

        Args:
            heads: the paths of what it stands for, in its order.
            unsure: paths of refs of which it can change though they do not.
        """
        self._tokens = {**dict.fromkeys(heads, NO_TOKEN), **tokens, **dict.fromkeys(unsure, NO_TOKEN)}
        self._answer = answer
        self._is_known = self._is_new = True

    def forget(self) -> None:
        """Believe no earlier answer any more."""
        self._tokens, self._is_known, self._is_new = None, True, False

    def keep(self, horizon: str, *, drop: bool) -> None:
        """Keep a new answer for the next process.

        Args:
            drop: keep no earlier one: of what it tells something may have been purged since.
        """
        if self._is_new and self._tokens is not None:
            self._machine.remember(LISTING, encode_listing(horizon, self._tokens, self._answer))
            self._is_new = False
        elif drop and self._machine.recall(LISTING):
            self._machine.remember(LISTING, b"")
