"""What must be true of every replica after whatever people and sync tools did. Each function is one promise.

They raise AssertionError. Those that take a `View` know nothing of the format; those that take refs compare the
engine with the reader in `simulator.reader`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from .reader import Files, StoredRef, marks_along, newest
from .views import Shown, View


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What a session held when its save returned."""

    replica: int
    name: str
    lines: tuple[bytes, ...]

    @property
    def mark(self) -> int:
        return marks_along(self.lines)[-1]


def reading_writes_nothing(before: Files, after: Files) -> None:
    """Opening a store, listing it and loading every session leaves every file as it is."""
    changed = sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
    assert not changed, f"reading changed {changed}"


def same_files_same_view(here: View, elsewhere: View) -> None:
    """A view is a function of the files alone: not of who reads, nor when, nor of the order in which they came."""
    assert sorted(here) == sorted(elsewhere), f"one shows {sorted(here)}, the other {sorted(elsewhere)}"
    for name, shown in here.items():
        assert shown == elsewhere[name], f"{name!r} is not the same:\n  {shown}\n  {elsewhere[name]}"


def listed_as_it_loads(view: View) -> None:
    """A list says of every session whether it can be loaded, what stands in the way, and how many messages it has.

    But for objects that have not arrived: messages are read when they are asked for, and a list reads none.
    """
    for name, shown in view.items():
        listed = shown.info["error"]
        if shown.failure == "ObjectNotYetHereError":
            continue
        assert listed == shown.failure, f"{name!r} is listed with error {listed}, and loading it gives {shown.failure}"
        if shown.lines is not None:
            size = len(shown.lines), sum(map(len, shown.lines)) + len(shown.lines)
            assert (shown.info["message_count"], shown.info["size_bytes"]) == size, (
                f"{name!r}: {shown.info}, but {size}"
            )


def every_side_is_shown(view: View, refs: Iterable[StoredRef]) -> None:
    """Every state that nothing continues is shown once, under its name or one derived from it, and nothing else is.

    Only where all objects are here: without them nobody can tell what continues what. Nor can this reader, which
    compares messages, where some were replaced before they came into chunks: such an edit is a step on a path too, and
    the messages between two of them need not be kept. Of those, `acknowledged_is_kept` is what can be said.
    """
    refs = list(refs)
    edited = {name for ref in refs if ref.edited for name in (ref.name, *ref.former_names)}
    expected = Counter((ref.name, ref.live) for ref in newest(refs) if not ref.deleted and ref.name not in edited)
    shown = Counter((each.label, each.lines) for each in view.values() if each.label not in edited)
    lacking, extra = expected - shown, shown - expected
    assert not lacking, f"not shown: {told(lacking)}; shown instead: {told(extra)}"
    assert not extra, f"shown, but not there: {told(extra)}"


def acknowledged_is_kept(saves: Iterable[Acknowledged], refs: Iterable[StoredRef]) -> None:
    """What a save acknowledged is in the store: as the beginning of what some ref says, or once said, or has frozen."""
    kept: set[int] = set().union(*(ref.told for ref in refs))
    lost = [save for save in saves if save.mark not in kept]
    assert not lost, f"lost: {told((save.name, save.lines) for save in lost)}"


def acknowledged_is_shown(saves: Iterable[Acknowledged], view: View, stepped_over: Collection[int]) -> None:
    """What a save acknowledged is the beginning of some session of the list, until somebody who had it before his
    eyes edited, cleared, truncated or deleted it.

    Needs no knowledge of the format at all.
    """
    shown = _beginnings(view)
    lost = [save for save in saves if save.mark not in shown and save.mark not in stepped_over]
    assert not lost, f"not shown: {told((save.name, save.lines) for save in lost)}"


def deleted_stays_deleted(view: View, deleted: Collection[int]) -> None:
    """What somebody deleted is not shown again as it was, unless another did something with it that he did not know of.

    Args:
        deleted: marks of sessions that were deleted, and that nobody else branched, renamed or described.
    """
    back = [(name, each.lines) for name, each in view.items() if each.lines and marks_along(each.lines)[-1] in deleted]
    assert not back, f"deleted, and shown again: {told(back)}"


def nothing_disappears(before: View, after: View, stepped_over: Collection[int]) -> None:
    """Receiving files takes nothing away: what was shown is a beginning of something that is shown.

    Unless somebody stepped over it knowingly; and unless a file was replaced by an older copy of itself.
    """
    shown = _beginnings(after)
    for name, each in before.items():
        if each.lines:
            mark = marks_along(each.lines)[-1]
            assert mark in shown or mark in stepped_over, f"{name!r} has disappeared: {told([(name, each.lines)])}"


def labels_stay(before: View, after: View, known: Iterable[StoredRef], now_known: Iterable[StoredRef]) -> None:
    """A name moves to another conversation only when a side arrives that was not seen before.

    Args:
        known, now_known: the refs before and after. Where each side of before, tombstones too, goes on in one side now,
            and there is no other, all names stay; unless somebody renamed a session, be it to what it had been called
            before. Names of which this reader sees other sides than are shown are left out: see `every_side_is_shown`.
    """
    sides, sides_now = newest(known), newest(now_known)
    unclear = _shown_otherwise(before, sides) | _shown_otherwise(after, sides_now)
    sides = [side for side in sides if side.name not in unclear]
    sides_now = [side for side in sides_now if side.name not in unclear]
    goes_on = [[place for place, now in enumerate(sides_now) if now.covers(side)] for side in sides]
    one_to_one = len(sides) == len(sides_now) and sorted(goes_on) == [[place] for place in range(len(sides_now))]
    if not one_to_one:
        return
    pairs = [(side, sides_now[place]) for side, (place,) in zip(sides, goes_on, strict=True)]
    if any((side.name, side.former_names) != (now.name, now.former_names) for side, now in pairs):
        return
    for side, now in pairs:
        old, new = _names_of(side, before), _names_of(now, after)
        # Of sides that look alike it cannot be told which is which.
        if len(old) == len(new) == 1:
            assert old == new, f"no new side has come, but what was {old[0]!r} is now {new[0]!r}"


def others_stay(before: View, after: View, result: Collection[tuple[bytes, ...]]) -> None:
    """Working on one session changes the name and content of no other.

    Args:
        result: the messages of the session after the work on it.
    """
    for name, each in before.items():
        now = after.get(name)
        if now is not None and now.lines in result:
            continue
        assert now is not None, f"work on another session made {name!r} go away; now there are {sorted(after)}"
        # What could not be read may be readable now: the work may have brought an object that was missing.
        assert each.lines in (None, now.lines), f"work on another session changed {name!r}: {_both(each, now)}"


def stores_agree(stores: Iterable[Files]) -> None:
    """After a full exchange all replicas have the same files, byte for byte."""
    first, *others = stores
    for other in others:
        reading_writes_nothing(first, other)


def is_complete(refs: Mapping[str, StoredRef]) -> bool:
    """Tell whether every object that the refs need is here."""
    return not any(ref.missing for ref in refs.values())


def told(states: Iterable[tuple[str, tuple[bytes, ...] | None]]) -> str:
    """Return texts of sessions for people: of each message, the beginning."""
    return "; ".join(
        f"{name!r}: "
        + (
            "unreadable"
            if lines is None
            else ", ".join(line.partition(b'"content":"')[2][:6].decode() for line in lines)
        )
        for name, lines in states
    )


def _beginnings(view: View) -> set[int]:
    return {mark for each in view.values() if each.lines is not None for mark in marks_along(each.lines)}


def _shown_otherwise(view: View, sides: Iterable[StoredRef]) -> set[str]:
    """Return names, and what their sessions had been called, whose sides are not those that are shown."""
    expected = Counter((side.name, side.live) for side in sides if not side.deleted)
    shown = Counter((each.label, each.lines) for each in view.values())
    names = {name for name, _ in (expected - shown) + (shown - expected)}
    return names.union(*(side.former_names for side in sides if side.name in names))


def _names_of(side: StoredRef, view: View) -> list[str]:
    if side.deleted:
        # It shows nothing; what is shown and looks like it is another side.
        return []
    return [name for name, shown in view.items() if shown.label == side.name and shown.lines == side.live]


def _both(before: Shown, after: Shown) -> str:
    return told([("before", before.lines), ("after", after.lines)])
