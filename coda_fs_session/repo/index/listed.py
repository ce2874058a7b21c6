"""The answer to the last listing, which is good as long as every ref has the token that it had then."""

from __future__ import annotations

from collections.abc import Mapping

from ...backends.base import MachineState, Token
from .file import LISTING, decode_listing, encode_listing


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

    def answer(self, tokens: Mapping[str, Token]) -> bytes | None:
        """Return the answer, if refs have these tokens."""
        return self._answer if self._tokens == tokens else None

    def set(self, tokens: Mapping[str, Token], answer: bytes) -> None:
        """Take an answer in, as it is while refs have these tokens."""
        self._tokens, self._answer = tokens, answer
        self._is_known = self._is_new = True

    def forget(self) -> None:
        """Believe no earlier answer any more."""
        self._tokens, self._is_known, self._is_new = None, True, False

    def keep(self, horizon: str) -> None:
        """Keep a new answer for the next process."""
        if self._is_new and self._tokens is not None:
            self._machine.remember(LISTING, encode_listing(horizon, self._tokens, self._answer))
            self._is_new = False
