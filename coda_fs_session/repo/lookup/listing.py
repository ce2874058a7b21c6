"""From rows of the index to what users are told of each session."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import suppress
from itertools import chain, compress
from typing import NamedTuple, TypeVar

from ...backends.base import RefKey, Token
from ...errors import SessionError, StoreError
from ...format.names import is_lengthened, key_of_ref, session_key
from ...session.info import SessionInfo
from ..ancestry.shown import Shown, View
from ..ancestry.sides import sides_of
from ..index.groups import groups
from ..index.listed import Listing
from ..index.rows import KnownRef, Row, ViewRow, row_of
from ..notes import encode_note
from ..repository import Repository
from ..reverts import verdict
from .answers import Answer, Previews, decode_answer, encode_answer, infos_of, preview_of
from .names import read_refs, related, related_to, view_of

T = TypeVar("T")

_SHARE = 1 / 16
"""Of all names: to read a ref takes as long as to list some sessions."""


def list_infos(repo: Repository, *, keep: bool = True) -> list[SessionInfo]:
    """Return what is known of every session, newest first, reading only refs that changed since the index was kept.

    Args:
        keep: keep the index for the next process.
    """
    listing = repo.index.listing()
    spliced = None
    if listing is not None:
        answer = Answer.of(listing.answer)
        infos = infos_of(answer.columns, answer.few, Previews(answer.names, listing.answer))
        if not listing.changed:
            return infos
        spliced = splice(repo, listing, answer)
    infos = list_anew(repo)[0].infos() if spliced is None else spliced.apply(infos, spliced.told.infos())
    if keep:
        repo.index.keep()
    return infos


class Told(NamedTuple):
    """What is told of groups of refs, newest first.

    Attributes:
        views: each with what is wrong with it.
        wide: the paths of each group of more than one ref.
        unsure: a path of each group of which what is told can change without its refs.
        reverted: the paths of refs that have less than this machine had saved.
    """

    views: list[tuple[ViewRow, SessionError | None]]
    wide: list[list[str]]
    unsure: set[str]
    reverted: set[str]

    def infos(self) -> list[SessionInfo]:
        infos = infos_of(*decode_answer(encode_answer([view for view, _ in self.views])))
        for info, (view, error) in zip(infos, self.views, strict=True):
            info.error = error
            info.reverted = _stands_for(view, self.reverted)
            info.preview = preview_of(view.row)
        return infos


def _tell(repo: Repository, rows: Iterable[Row]) -> Told:
    rows = list(rows)
    told = Told([], [], set(), _reverted(repo, rows))
    told.unsure.update(told.reverted)
    for group in groups(rows):
        found, all_here = _views(repo, group)
        found = _with_previews(repo, group, found)
        told.views.extend(found)
        if not all_here or not all(view.row.is_previewed for view, _ in found):
            told.unsure.add(group[0].path)
        if len(group) > 1:
            told.wide.append([row.path for row in group])
    told.views.sort(key=lambda each: (-(each[0].row.updated or 0), each[0].label))
    return told


class Splice(NamedTuple):
    """How an answer differs from what is so now.

    Attributes:
        gone: the numbers of sessions that are others now, the largest first.
        told: what is so instead; places: where each of it belongs among the others, once those are gone.
    """

    gone: list[int]
    told: Told
    places: list[int]

    def apply(self, found: list[T], new: Sequence[T]) -> list[T]:
        """Return something told of every session with what is told of those that are others now."""
        for number in self.gone:
            del found[number]
        for place, each in zip(reversed(self.places), reversed(new), strict=True):
            found.insert(place, each)
        return found


def list_anew(repo: Repository) -> tuple[Told, Mapping[str, Token]]:
    """Tell of every session, and return the tokens of all refs too."""
    repo.index.reader.make_previews()
    rows = repo.index.rows()
    told = _tell(repo, rows)
    previews = (encode_note(preview_of(view.row)) for view, _ in told.views)
    answer = b"\n".join((encode_answer([view for view, _ in told.views]), encode_note(told.wide), *previews))
    repo.index.keep_listing(answer, rows, [view.row.path for view, _ in told.views], told.unsure)
    return told, {row.path: row.token for row in rows}


def splice(repo: Repository, listing: Listing, answer: Answer) -> Splice | None:
    """Return how an earlier answer differs from what is so now; None where all is to be looked at.

    Nothing else can have changed but what the names of these refs, then and now, have to do with.
    """
    names, updated = answer.names, answer.updated
    paths = set(listing.changed)
    while True:
        concerned = paths.union(*(group for group in answer.wide if not paths.isdisjoint(group)))
        # Each session has the place of its head, and its name is one that others may make way for.
        gone = set(compress(range(len(names)), map(concerned.__contains__, listing.before)))
        labels = {names[number] for number in gone}
        labels.update(chain.from_iterable((row.name, *row.former_names) for row in repo.index.at(concerned)))
        rows = related_to(filter(None, labels), repo.index.last_named)
        concerned.update(row.path for row in rows)
        if concerned == paths:
            break
        paths = concerned
    for row in rows:
        if row.path not in listing.changed and row.token != listing.tokens.get(row.path):
            # The parts of the index are older than the answer.
            return None
        if not row.readable and session_key(row.name) != row.name:
            # Its key does not tell which names it belongs to.
            return None
    told = _tell(repo, rows)
    stay = [number for number in range(len(names)) if number not in gone]
    places = [
        bisect_left(stay, (-(view.row.updated or 0), view.label), key=lambda number: (-updated[number], names[number]))
        for view, _ in told.views
    ]
    return Splice(sorted(gone, reverse=True), told, places)


def _with_previews(
    repo: Repository, rows: Sequence[Row], views: list[tuple[ViewRow, SessionError | None]]
) -> list[tuple[ViewRow, SessionError | None]]:
    """Return what some refs add up to with what a list shows of the messages, which their own rows have."""
    if len(rows) == 1 and rows[0].is_previewed:
        return views
    known = {row.path: row for row in rows}
    found = []
    for view, error in views:
        row = repo.index.previewed(known.get(view.row.path, view.row))
        shown = view.row._replace(first=row.first, last=row.last, role=row.role, is_previewed=row.is_previewed)
        found.append((view._replace(row=shown), error))
    return found


def good_rows(repo: Repository, rows: Iterable[Row]) -> list[Row]:
    """Return the row of the newest state of each session that is listed without an error, of those of all refs."""
    found = chain.from_iterable(_views(repo, group)[0] for group in groups(rows))
    return [view.row for view, error in found if error is None]


def find_info(repo: Repository, name: str) -> SessionInfo | None:
    """Return what is known of one session."""
    # Looking a name up compares no sizes and times; what is shown of it must be of now.
    rows = [repo.index.fresh(row) for row in related(repo.index, name)]
    for view, error in chain.from_iterable(
        _with_previews(repo, group, _views(repo, group)[0]) for group in groups(rows)
    ):
        if view.label == name:
            (info,) = infos_of(*decode_answer(encode_answer([view])))
            info.error = error
            info.reverted = _stands_for(view, _reverted(repo, rows))
            info.preview = preview_of(view.row)
            return info
    return None


def find_named(repo: Repository, prefix: str) -> list[SessionInfo] | None:
    """Return what is known of the sessions whose names begin with a text, newest first; None where a list is quicker.

    Names are looked up without a look at every ref. What has one of them is read again.
    """
    names, total = repo.index.starting(prefix)
    if len(names) > total * _SHARE:
        return None
    # Where others diverged, a session goes by a name that was derived from the one it has.
    names += [prefix[:place] for place, character in enumerate(prefix) if character == "~"]
    found = related_to(filter(None, names), repo.index.last_named)
    rows = [repo.index.fresh(row, as_listed=True) for row in found]
    return [info for info in _tell(repo, rows).infos() if info.name.startswith(prefix)]


def infos_of_refs(repo: Repository, keys: Iterable[RefKey]) -> tuple[set[str], list[SessionInfo]] | None:
    """Return all names that some refs decide on, and what is known of each session of these names.

    None where the refs do not tell, as those that are gone, or have a file name that belongs to no name in them.

    Raises:
        StoreError: something cannot be read.
    """
    paths: set[str] = set()
    names: set[str] = set()
    for key in keys:
        try:
            header = repo.read(key).header
        except (KeyError, SessionError):
            return None
        known = {header.name, *header.former_names}
        if key_of_ref(key.path) not in {session_key(name) for name in known}:
            return None
        paths.add(key.path)
        names |= known
    rows = {row.path: repo.index.fresh(row) for name in names for row in related(repo.index, name)}
    if not paths <= rows.keys():
        return None
    return names.union(*((row.name, *row.former_names) for row in rows.values())), _tell(repo, rows.values()).infos()


def _reverted(repo: Repository, rows: Iterable[Row]) -> set[str]:
    """Return the paths of refs that have less than this machine had saved."""
    paths: set[str] = set()
    for row in rows:
        if row.differs and RefKey(row.path).replica == repo.replica:
            with suppress(KeyError, SessionError):
                if verdict.is_reverted(repo, repo.read(RefKey(row.path))):
                    paths.add(row.path)
    return paths


def _stands_for(view: ViewRow, paths: Set[str]) -> bool:
    """Tell whether what is shown is one of some refs, or covers one, whichever replica wrote it."""
    return bool(paths) and (view.row.path in paths or any(ref.path in paths for ref in view.refs))


def _views(repo: Repository, rows: Sequence[Row]) -> tuple[list[tuple[ViewRow, SessionError | None]], bool]:
    """Return what a group of refs adds up to, and what is wrong with it; False where that can change without them."""
    if len(rows) == 1 and not rows[0].problem:
        return [] if rows[0].deleted else [(ViewRow(rows[0].name, rows[0]), None)], True
    known = repo.index.view(rows)
    if known is not None:
        return [(view, None) for view in known if not view.row.deleted], True
    refs = read_refs(repo, sorted(rows, key=lambda row: row.path))
    problem: SessionError | None = None
    try:
        resolved = view_of(repo, refs, rows)
    except StoreError as error:
        resolved, problem = View((), (), complete=False), error
    complete = resolved.complete and len(refs.heads) == len(rows) and not any(row.problem for row in rows)
    if not resolved.sessions and refs.unreadable:
        problem = next(reversed(refs.unreadable.values()))
    if problem is not None:
        # What is still known of it.
        best = max(rows, key=lambda row: (row.updated or 0, row.path))
        return [(ViewRow(best.name, best), problem)], False
    sides, all_told = sides_of(resolved.sessions)
    complete = complete and all_told
    views = [_view_row(shown, *others) for shown, others in zip(resolved.sessions, sides, strict=True)]
    # Where a name was taken, it can become free without a change of these refs.
    if complete and not any(is_lengthened(shown.label, shown.head.name) for shown in resolved.sessions):
        repo.index.keep_view(rows, [*views, *map(_view_row, resolved.deleted)])
    doubt = next(iter(refs.doubts.values()), None)
    errors = [shown.head.damage or doubt for shown in resolved.sessions]
    return list(zip(views, errors, strict=True)), complete


def _view_row(shown: Shown, sides: tuple[str, ...] = (), diverged_at: int | None = None) -> ViewRow:
    """Return what the index keeps of a session."""
    covered = (KnownRef(ref.key.path, ref.last_id, ref in shown.merged, ref in shown.same) for ref in shown.covered)
    refs = (KnownRef(shown.head.key.path, shown.head.last_id), *covered)
    return ViewRow(
        shown.label,
        row_of(shown.head),
        shown.diverged_from,
        shown.undecided is not None,
        shown.survived_delete,
        refs,
        sides,
        diverged_at,
    )


def infos_of_rows(rows: Iterable[tuple[str, Row, SessionError | None]]) -> list[SessionInfo]:
    """Return what rows tell, each by itself under its label, newest first."""
    ordered = sorted(rows, key=lambda each: (-(each[1].updated or 0), each[0]))
    infos = infos_of(*decode_answer(encode_answer([ViewRow(label, row) for label, row, _ in ordered])))
    for info, (_, row, error) in zip(infos, ordered, strict=True):
        info.error, info.preview = error, preview_of(row)
    return infos
