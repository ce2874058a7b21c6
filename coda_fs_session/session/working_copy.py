"""A session's messages as they stand in memory, against what its storage has.

As in jj, the working copy is compared with the saved state only when that is asked for; until somebody
wants the live list, nothing is loaded and appending costs the same at any length.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice, takewhile
from typing import Any

from ..errors import InvalidMessageError
from ..format.chunks import size_of
from ..format.jsonl import decode, decode_all, encode_within
from .holders import is_held, is_held_inside
from .prints import FoundMessages, Print, copies, encode_by_block, encode_from, keeping, lines_of, printed, prints_of
from .splice import HeldMessages, MessageSource, Splice, between

_RARELY = 64
"""Saves after which it is looked again, at the latest, whether a live list that was held can be given up."""


class WorkingCopy:
    """The messages of one session: saved ones by reference, added ones as lines, or all of them as a live list.

    Attributes:
        found: what `splice` or `lines` has looked at last.

    Without a live list the messages are ``saved[first : last] + added``.
    """

    def __init__(self, source: MessageSource | None = None, live: list[dict[str, Any]] | None = None) -> None:
        self._source = source
        self._saved = len(source) if source is not None else 0
        self._first, self._last = 0, self._saved
        self._added: list[bytes] = []
        self._added_bytes = 0
        # -1 while nobody has asked for it.
        self._saved_bytes = -1
        self._live = live
        # What the live list was when saved, block by block; where one is missing, only reading the source can tell.
        self._prints: list[Print | None] = []
        # Saves since somebody asked for the live list.
        self._idle = 0
        self.found: FoundMessages = (0, [])

    @classmethod
    def holding(cls, lines: list[bytes], messages: list[dict[str, Any]] | None) -> WorkingCopy:
        """Return one of messages that no storage has; see `content`."""
        copied = cls(live=messages)
        copied._added, copied._added_bytes = lines, sum(map(len, lines)) + len(lines)
        return copied

    @property
    def source(self) -> MessageSource | None:
        """What has the saved messages."""
        return self._source

    @property
    def is_live(self) -> bool:
        """Whether the messages are a live list."""
        return self._live is not None

    def __len__(self) -> int:
        return len(self._live) if self._live is not None else self._last - self._first + len(self._added)

    def live(self) -> list[dict[str, Any]]:
        """Return the one list that callers may change in place."""
        self._idle = 0
        if self._live is None:
            messages = decode_all(self._read(self._first, self._last))
            prints, count = prints_of(messages), len(self._added)
            messages.extend(decode_all(self._added[:count]))
            # A signal handler may have asked for it, or added something, meanwhile.
            if self._live is None:
                self._prints, self._live, rest, self._added = prints, messages, self._added[count:], []
                messages.extend(decode_all(rest))
        return self._live

    def assign(self, messages: list[dict[str, Any]]) -> None:
        """Let `messages` be the live list from now on."""
        self._live, self._idle = messages, 0
        self._added, self._added_bytes = [], 0

    def append(self, message: dict[str, Any], *, limit: int) -> int:
        """Check and copy one message and add it.

        Returns:
            The size the messages have now, as far as it is known without looking for changes in the live list,
            or -1, with nothing added, where that would pass `limit`.

        Raises:
            InvalidMessageError: it would not come back as it went in.
        """
        size = self.size()
        line = encode_within(message, self, limit - size - 1)
        if line is None and self._live is not None:
            size = sum(len(other) + 1 for other in self.lines())
            line = encode_within(message, self, limit - size - 1)
        if line is None:
            return -1
        added = len(line) + 1
        if self._live is None:
            self._added.append(line)
        else:
            self._live.append(decode(line))
        self._added_bytes += added
        return size + added

    def replace_added(self, lines: list[bytes]) -> bool:
        """Put these in place of the messages added since the last save; False, with nothing done, for a live list."""
        if self._live is not None:
            return False
        before = self.found[0] - (self._last - self._first)
        size = size_of(lines) - size_of(self._added[:before])
        self._added[:before], self._added_bytes = lines, self._added_bytes + size
        return True

    def keep_last(self, count: int) -> None:
        """Forget all but the last `count` messages."""
        if count >= len(self):
            return
        if self._live is not None:
            self._idle = 0
            del self._live[: len(self._live) - count]
            return
        from_added = min(count, len(self._added))
        gone, first, last = len(self._added) - from_added, self._last - (count - from_added), self._last
        if first == last:
            first = last = self._saved
        size = self._added_bytes - size_of(self._added[:gone])
        # All at once, or nothing: an interrupt must not take a part of it.
        self._added[:gone], self._first, self._last = [], first, last
        self._added_bytes, self._saved_bytes = size, -1

    def keep_first(self, count: int) -> None:
        """Forget all but the first `count` messages, loading none."""
        if count >= len(self):
            return
        if self._live is not None:
            self._idle = 0
            del self._live[count:]
            return
        kept = min(count, self._last - self._first)
        first, last = (self._first, self._first + kept) if kept else (self._saved, self._saved)
        size = size_of(self._added[: count - kept])
        # As in `keep_last`.
        self._added[count - kept :], self._first, self._last = [], first, last
        self._added_bytes, self._saved_bytes = size, -1

    def size(self) -> int:
        """Return the size of the messages in bytes, changes made in the live list apart."""
        if self._saved_bytes < 0:
            self._saved_bytes = self._source.size(self._first, self._last) if self._source is not None else 0
        return self._saved_bytes + self._added_bytes

    def part(self, positions: range) -> list[dict[str, Any]]:
        """Return deep copies of the messages at ascending positions, reading none before or after these."""
        start, stop, step = positions.start, positions.stop, positions.step
        if self._live is not None:
            return copies(self._live[start:stop:step])
        lines = self._lines(start, stop)
        return decode_all(lines if step == 1 else islice(lines, 0, None, step))

    def messages(self, start: int, stop: int) -> Iterator[dict[str, Any]]:
        """Yield deep copies of the messages from one position to another, which are now, reading as it goes."""
        if self._live is not None:
            return (each for message in self._live[start:stop] for each in copies([message]))
        return map(decode, self._lines(start, stop))

    def _lines(self, start: int, stop: int) -> Iterator[bytes]:
        """Return the lines of these messages, which are no live list, as they are now."""
        kept = self._last - self._first
        added = self._added[max(start - kept, 0) : max(stop - kept, 0)]
        return chain(self._read(self._first + start, self._first + min(stop, kept)), added)

    def lines(self) -> Iterator[bytes]:
        """Yield every message as a line, checked.

        Raises:
            InvalidMessageError: a message in the live list would not come back as it went in.
        """
        if self._live is None:
            as_now = self._lines(0, len(self))
            self.found = (len(self), [])
            yield from as_now
        else:
            snapshot = list(self._live)
            prints: list[Print | None] = []
            self.found = (len(snapshot), prints)
            yield from encode_by_block(snapshot, prints)

    def saved_lines(self) -> Iterator[bytes]:
        """Return what is saved as lines, as it was when it was; raises as `lines_of`."""
        return self._read(0, self._saved) if self._source is not None else lines_of(self._prints, self._saved)

    def content(self) -> tuple[list[bytes], list[dict[str, Any]] | None]:
        """Return the messages as lines, or where there is a live list, its dicts as they are in another list."""
        return ([], list(self._live)) if self._live is not None else (list(self.lines()), None)

    def held(self) -> HeldMessages:
        """Return what the messages are at this moment."""
        live = list(self._live) if self._live is not None else None
        return HeldMessages(live, self._source, self._first, self._last, list(self._added))

    def changed(self) -> bool:
        """Tell whether the messages differ from the saved ones."""
        if self._live is None:
            self._rejoin()
            return self._differs()
        if self._first > 0 or len(self._live) != self._saved:
            return True
        snapshot = list(self._live)
        if printed(self._prints, snapshot) == len(snapshot):
            return False
        try:
            return not self.splice().empty
        except InvalidMessageError:
            return True

    def seems_changed(self) -> bool:
        """Do as `changed`, without reading what is saved: True also where only that could tell."""
        if self._live is None:
            return self._differs()
        snapshot = list(self._live)
        return self._first > 0 or len(snapshot) != self._saved or printed(self._prints, snapshot) < len(snapshot)

    def _differs(self) -> bool:
        return bool(self._added or self._first or self._last < self._saved)

    def _rejoin(self) -> None:
        """Let messages that were cut off the end, and then added again as they were, be the saved ones again."""
        old = self._read(self._last, min(self._last + len(self._added), self._saved))
        again = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(old, self._added, strict=False)))
        if again:
            size = self._added_bytes - size_of(self._added[:again])
            self._added[:again], self._last, self._added_bytes, self._saved_bytes = [], self._last + again, size, -1

    def unsaved(self) -> int:
        """Return how many messages the storage lacks; all from the first change on where it cannot be told exactly."""
        if self._live is None:
            return len(self._added)
        try:
            return len(self.splice().lines)
        except Exception:
            snapshot = list(self._live)
            return len(snapshot) - printed(self._prints, snapshot)

    def extend(self, lines: list[bytes]) -> None:
        """Add messages that were checked before."""
        if self._live is None:
            self._added = [*self._added, *lines]
        else:
            self._live.extend(decode_all(lines))
        self._added_bytes += sum(map(len, lines)) + len(lines)

    def splice(self) -> Splice:
        """Find what changed since the last save: cheap where nothing did but appending, exact always.

        Raises:
            InvalidMessageError: a changed message would not come back as it went in.
        """
        if self._live is None:
            if self._last < self._saved:
                self._rejoin()
            added = list(self._added)
            self.found = (self._last - self._first + len(added), [])
            return Splice(self._first, self._last, added, self._saved, self._saved, self.size())
        snapshot = list(self._live)
        same = printed(self._prints, snapshot)
        again = encode_from(self._prints, snapshot, same)
        if again is None:
            # Another thread has changed it meanwhile.
            return self.splice()
        lines, prints = again
        self.found = (len(snapshot), prints)
        return between(self._source, self._saved, self._first, same, lines)

    def mark_saved(
        self, source: MessageSource | None, found: FoundMessages | None = None, *, merged: bool = False
    ) -> None:
        """Take what a save has found as saved; `source` has it from now on (None: a storage that keeps its own copy).

        What has come in since then is not saved yet, and stays. May be called again with the same source after an
        interrupt, as often as it takes.

        Args:
            found: what the save was about; None: what was found last, or all that is there for a storage of that kind.
            merged: others' changes came in with the save; the live list, if there is one, then shows them too.
        """
        if source is None:
            live = self.live()
            self._saved, self._prints = found or (len(live), prints_of(live))
            self._first, self._last = 0, self._saved
            return
        total, prints = found or self.found
        if merged or self._live is None:
            self._show(source, total)
            return
        saved = len(source)
        self._prints, self._source, self._saved, self._first, self._last = prints, source, saved, 0, saved
        self._saved_bytes, self._added, self._added_bytes = -1, [], 0
        self._give_up_if_idle()

    def advance(self, count: int, found: FoundMessages) -> None:
        """Take messages as saved at the end of the same source, which has them now, and others' before them.

        As `mark_saved`, it may be called again.

        Args:
            count: how many the source has now; with others' there must be no live list.
        """
        if self._live is None:
            gone = found[0] - (self._last - self._first)
            if gone < 0:
                # Taken already, among others'.
                gone = 0
            size = self._added_bytes if gone == len(self._added) else size_of(self._added[:gone])
            # If it is not known yet, what was added will be asked for together with the rest.
            known = self._saved_bytes + size if self._saved_bytes >= 0 and count == found[0] else -1
            # In one step, and in place: a signal handler may add a message right before it.
            rest = self._added_bytes - size
            self._added[:gone], self._saved, self._last = [], count, count
            self._saved_bytes, self._added_bytes = known, rest
        else:
            self._prints, self._saved, self._last, self._saved_bytes = found[1], count, count, -1
            self._added, self._added_bytes = [], 0
            self._give_up_if_idle()

    def _give_up_if_idle(self) -> None:
        """Do without a live list that is saved, that nobody asked for since the save before, and that nobody holds.

        What a program asks for from turn to turn stays: to read it anew takes longer than to compare it.
        """
        self._idle += 1
        idle = self._idle
        # A look takes as long as a comparison. They get rarer while somebody holds something.
        if idle == 1 or (idle & (idle - 1) and idle % _RARELY) or self._live is None or self._is_held():
            return
        # In this order. What nobody holds is not changed any more once it is found unchanged.
        snapshot = list(self._live)
        same = printed(self._prints, snapshot)
        # A signal handler may have asked for it, or added something, meanwhile. None can come in from here on.
        if same == len(snapshot) == self._saved and self._idle == idle and not self._added_bytes:
            self._live, self._prints, self.found = None, [], (same, [])

    def _is_held(self) -> bool:
        """Tell whether somebody may change the live list, or something in it, without asking for it."""
        # Objects of other classes may be known by weak references, which no count has.
        return type(self._live) is not list or is_held(vars(self), "_live") or is_held_inside(self._live)

    def rebase(self, source: MessageSource) -> None:
        """Compare with what `source` has from now on, changing nothing in memory."""
        self.live()
        saved = len(source)
        self._source, self._saved, self._first, self._last = source, saved, 0, saved
        self._saved_bytes, self._prints = -1, []

    def show(self, source: MessageSource) -> None:
        """Take what `source` has, dropping everything else; a live list that somebody holds stays the same object."""
        saved, idle = len(source), self._idle + 1
        self._idle = idle
        if self._live is None or self._is_held() or self._idle != idle:
            self._show(source, None)
            return
        # As in `_give_up_if_idle`; and all at once.
        self._live, self._prints, self._added, self._added_bytes = None, [], [], 0
        self._source, self._saved, self._first, self._last, self._saved_bytes = source, saved, 0, saved, -1

    def _show(self, source: MessageSource, replacing: int | None) -> None:
        """Take what `source` has in place of the first messages, or of all; see `mark_saved`."""
        saved = len(source)
        if self._live is not None:
            # Before anything changes: it may fail.
            fresh = decode_all(source.read(0, saved))
            prints = prints_of(fresh)
            if self._source is not source:
                before = self._live[:replacing]
                self._live[: len(before)], self._source = keeping(before, fresh), source
            self._saved, self._first, self._last, self._saved_bytes = saved, 0, saved, -1
            self._added, self._added_bytes, self._prints = [], 0, prints
        elif self._source is not source:
            gone = len(self._added) if replacing is None else max(replacing - (self._last - self._first), 0)
            size = self._added_bytes - size_of(self._added[:gone])
            self._prints, self._saved_bytes = [], -1
            self._added[:gone], self._added_bytes, self._source = [], size, source
            self._saved, self._first, self._last = saved, 0, saved

    def replace(self, fresh: list[dict[str, Any]], replaced: list[dict[str, Any]]) -> None:
        """Put messages in the place of those at the front of the live list.

        Those that are as they were, at the same place or at the end, stay the same objects: a caller may hold some,
        and edit them.
        """
        self.live()[: len(replaced)] = keeping(replaced, fresh)

    def _read(self, start: int, stop: int) -> Iterator[bytes]:
        """Return the lines of saved messages, by their place among all that are saved."""
        return self._source.read(start, stop) if self._source is not None and start < stop else iter(())
