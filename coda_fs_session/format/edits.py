"""What commits tell of saves that replaced messages: of those there may be one for each token of an answer.

FORMAT.md, "Commits", says how it is written down.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import groupby, pairwise
from typing import Any, NamedTuple

from .ids import Chain
from .records import chain_hash, count, decode_time, encode_time, typed

_CHAIN_DIGITS = 64
_UNTOLD = Chain("?")
_MICROSECOND = timedelta(microseconds=1)


class TailEdit(NamedTuple):
    """A save that replaced messages which stood in no object yet: enough of it to tell later where somebody left.

    Attributes:
        position: the first message that was replaced; messages: how many there were after the save.
        chains: the chain hash after each message that was replaced.
        time: of the save; "" where it is not known.
        after: the chain hash after the save; "" where only the messages tell it.
    """

    position: int
    messages: int
    chains: tuple[Chain, ...]
    time: str = ""
    after: Chain = Chain("")

    @property
    def is_whole(self) -> bool:
        return bool(self.time and self.after)


def encode_edits(edits: Sequence[TailEdit]) -> list[object]:
    """Return edits as a commit has them: those in a row that differ in hashes and times alone are one entry."""
    encoded: list[object] = []
    following = 0
    for _, group in groupby(edits, lambda edit: (edit.is_whole, edit.position, edit.messages, len(edit.chains))):
        alike = list(group)
        following += len(alike)
        if alike[0].is_whole:
            encoded += _encoded(alike, edits[following] if following < len(edits) else None)
        else:
            encoded += [[*edit[:2], list(edit.chains), *([edit.time] if edit.time else [])] for edit in alike]
    return encoded


def _encoded(alike: list[TailEdit], following: TailEdit | None) -> Iterator[list[object]]:
    """Yield entries of edits that are alike, which are one where each tells what the one before led to."""
    begin = 0
    for end, edit in enumerate(alike, 1):
        then = alike[end] if end < len(alike) else following
        if end < len(alike) and _told_by(then, edit) == edit.after:
            continue
        group = alike[begin:end]
        moments = [decode_time(each.time) for each in group]
        passed = [(later - earlier) // _MICROSECOND for earlier, later in pairwise(moments)]
        chains = "".join(chain for each in group for chain in each.chains)
        entry = [edit.position, edit.messages, len(edit.chains), chains, [group[0].time, *passed]]
        yield entry if _told_by(then, edit) == edit.after else [*entry, edit.after]
        begin = end


def _told_by(then: TailEdit | None, edit: TailEdit) -> Chain:
    """Return what a later edit tells of the chain hash after this one; "" for nothing."""
    place = edit.messages - then.position - 1 if then is not None else -1
    return then.chains[place] if then is not None and 0 <= place < len(then.chains) else Chain("")


def decode_edits(value: Any) -> tuple[TailEdit, ...]:
    """Raises ValueError or TypeError when `value` is no list of edits."""
    edits: list[TailEdit] = []
    for entry in typed(value, list, "the edits"):
        position, messages, third, *rest = entry
        if count(messages) < count(position):
            raise ValueError("a tail edit leaves fewer messages than it kept")
        if isinstance(third, list):
            for text in rest:
                decode_time(text)
            edits.append(TailEdit(position, messages, tuple(map(chain_hash, third)), *rest[:1]))
        else:
            edits += _decoded(position, messages, third, *rest)
    # Each is told by what came next, so the last first.
    for place in range(len(edits) - 1, -1, -1):
        edit = edits[place]
        if edit.after == _UNTOLD:
            after = _told_by(edits[place + 1] if place + 1 < len(edits) else None, edit)
            if not after:
                raise ValueError("a tail edit of which nothing tells what it led to")
            edits[place] = edit._replace(after=after)
    return tuple(edits)


def _decoded(position: int, messages: int, replaced: Any, chains: Any, times: Any, *after: Any) -> Iterator[TailEdit]:
    first, *passed = typed(times, list, "the times of edits")
    moment = decode_time(first)
    width = count(replaced) * _CHAIN_DIGITS
    if len(typed(chains, str, "chain hashes")) != width * len(times) or len(after) > 1:
        raise ValueError("tail edits have other chain hashes than messages that they replaced")
    for number, further in enumerate((0, *passed)):
        try:
            moment += timedelta(microseconds=typed(further, int, "the microseconds between edits"))
        except OverflowError as error:
            raise ValueError("a tail edit at a time that nobody has seen") from error
        own = chains[number * width : (number + 1) * width]
        digits = tuple(chain_hash(own[at : at + _CHAIN_DIGITS]) for at in range(0, width, _CHAIN_DIGITS))
        told = chain_hash(after[0]) if after and number == len(passed) else _UNTOLD
        yield TailEdit(position, messages, digits, encode_time(moment), told)
