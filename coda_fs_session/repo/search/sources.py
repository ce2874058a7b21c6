"""Where what is searched comes from: the engine, or a storage of four methods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple, Protocol

from ...backends.base import NO_TOKEN, RefKey, Token
from ...errors import SessionError, SessionTooLargeError, StoreError
from ...format.tree import Entry
from ...session.info import SessionInfo, microseconds_of
from ...storage import SessionStorage
from ..content.state import State
from ..lookup.answers import Answer
from ..lookup.listing import Told, list_anew, splice
from ..repository import Repository


class Shown(NamedTuple):
    """A session as a list shows it.

    Attributes:
        key: of what holds it; token: of the state of that.
        updated: microseconds since 1970-01-01 UTC.
        is_good: it can be loaded.
    """

    key: str
    token: Token
    name: str
    updated: int
    is_good: bool = True


class Piece(NamedTuple):
    """An object in a list of messages.

    Attributes:
        first: the position of its first message in the list; messages: how many of its messages the list has.
        entry: what it is in the list tree; None for a tail.
    """

    name: bytes
    first: int
    messages: int
    entry: Entry | None = None
    height: int = 0


class Content(Protocol):
    """The messages of a session as they are now: those in objects, then those in none."""

    head: str
    start: int
    base: int
    inline: Sequence[bytes]

    @property
    def pieces(self) -> Sequence[Piece]: ...

    def lines_of(self, piece: Piece) -> list[bytes]:
        """Return all message lines in a chunk or tail. Raises StoreError."""

    def below(self, piece: Piece) -> list[Piece]:
        """Return what is in a list node. Raises StoreError."""

    def data_of(self, piece: Piece) -> bytes:
        """Return the bytes of a chunk or tail. Raises StoreError."""

    def line(self, position: int) -> bytes:
        """Return a message line. Raises StoreError, or IndexError where there is none."""


class Source(Protocol):
    def sessions(self) -> list[Shown]:
        """Return every session, newest first. Raises StoreError."""

    def content(self, key: str) -> Content:
        """Return what a session has. Raises SessionError, or KeyError where it is gone."""


class _Listed(NamedTuple):
    """An earlier list, and the sessions in it. Another thread may be given a later one at any moment."""

    answer: bytes
    decoded: Answer
    shown: list[Shown]

    @classmethod
    def of(cls, answer: bytes, before: Mapping[str, Token]) -> _Listed:
        decoded = Answer.of(answer)
        # Those that were kept are plain tuples.
        then = [Token(*each) for each in islice(before.values(), len(decoded.names))]
        return cls(answer, decoded, list(map(Shown, before, then, decoded.names, decoded.updated)))


class RefSource:
    """The sessions of an opened store."""

    def __init__(self, repo: Repository) -> None:
        self._repo = repo
        self._listed: _Listed | None = None

    def sessions(self) -> list[Shown]:
        self._repo.objects.heed_purges()
        listing = self._repo.index.listing()
        if listing is not None:
            listed = self._listed
            if listed is None or listing.answer is not listed.answer:
                listed = self._listed = _Listed.of(listing.answer, listing.before)
            if not listing.changed:
                return listed.shown
            spliced = splice(self._repo, listing, listed.decoded)
            if spliced is not None:
                return spliced.apply(listed.shown.copy(), _shown(spliced.told, listing.tokens))
        told, tokens = list_anew(self._repo)
        self._repo.index.keep()
        return _shown(told, tokens)

    def content(self, key: str) -> RefContent:
        return RefContent(self._repo, self._repo.read(RefKey(key)))


def _shown(told: Told, tokens: Mapping[str, Token]) -> list[Shown]:
    return [
        Shown(view.row.path, tokens.get(view.row.path, NO_TOKEN), view.label, view.row.updated or 0, error is None)
        for view, error in told.views
    ]


class RefContent:
    """What a ref says, and its objects."""

    def __init__(self, repo: Repository, state: State) -> None:
        self._repo = repo
        self._state = state
        header = state.header
        # Its first line names all that the lines after it build on.
        self.head = state.line_ids[0]
        self.start = header.base.start
        self.base = header.base.messages
        self.inline: Sequence[bytes] = state.messages.lines

    @property
    def pieces(self) -> list[Piece]:
        base, first = self._state.header.base, 0
        found = []
        for height, entry in base.spine.entries():
            found.append(Piece(bytes.fromhex(entry.id), first, entry.messages, entry, height))
            first += entry.messages
        if base.tail is not None:
            found.append(Piece(bytes.fromhex(base.tail.id), first, base.tail.messages))
        return found

    def below(self, piece: Piece) -> list[Piece]:
        assert piece.entry is not None
        first, found = 0, []
        for entry in self._repo.objects.node(piece.entry):
            found.append(Piece(bytes.fromhex(entry.id), first, entry.messages, entry, piece.height - 1))
            first += entry.messages
        return found

    def lines_of(self, piece: Piece) -> list[bytes]:
        if piece.entry is not None:
            self._refuse_too_large(piece.entry)
            return self._repo.objects.chunk(piece.entry)
        tail = self._state.header.base.tail
        assert tail is not None
        return self._repo.objects.whole_tail(tail)

    def data_of(self, piece: Piece) -> bytes:
        if piece.entry is None:
            return b"".join(line + b"\n" for line in self.lines_of(piece))
        self._refuse_too_large(piece.entry)
        return self._repo.objects.get(piece.entry.id, size=piece.entry.bytes, limit=piece.entry.bytes)

    def line(self, position: int) -> bytes:
        try:
            return next(self._state.messages.read(position, position + 1))
        except StopIteration:
            raise IndexError(position) from None

    def _refuse_too_large(self, entry: Entry) -> None:
        most = self._repo.settings.max_session_bytes
        if entry.bytes > most:
            raise SessionTooLargeError(f"an object has {entry.bytes} bytes, and a session may have {most}")


class StorageSource:
    """The sessions of a storage that keeps each as a whole."""

    def __init__(self, storage: SessionStorage) -> None:
        self._storage = storage

    def sessions(self) -> list[Shown]:
        infos: list[SessionInfo] = self._storage.list_all() or []
        found = [
            Shown(info.name, token := _token_of(info), info.name, token.stamp, info.error is None) for info in infos
        ]
        return sorted(found, key=lambda each: (-each.updated, each.key))

    def content(self, key: str) -> WholeContent:
        session = self._storage.load(key)
        if session is None:
            raise KeyError(key)
        return WholeContent(list(session._state.copy.lines()))


def _token_of(info: SessionInfo) -> Token:
    times = microseconds_of(info.created_at), microseconds_of(info.updated_at)
    return Token(times[0], info.size_bytes, times[1], info.message_count)


class WholeContent:
    """The messages of a session that was loaded."""

    head = ""
    start = base = 0
    pieces: Sequence[Piece] = ()

    def __init__(self, lines: list[bytes]) -> None:
        self.inline: Sequence[bytes] = lines

    def lines_of(self, piece: Piece) -> list[bytes]:
        raise KeyError(piece.name)

    def below(self, piece: Piece) -> list[Piece]:
        raise KeyError(piece.name)

    def data_of(self, piece: Piece) -> bytes:
        raise KeyError(piece.name)

    def line(self, position: int) -> bytes:
        return self.inline[position]


def chunks_of(content: Content) -> Iterator[tuple[Piece, int] | StoreError]:
    """Yield the chunks and the tail of a session with their positions, newest first; or why some cannot be told."""
    pending = [(piece, piece.first) for piece in content.pieces]
    while pending:
        piece, first = pending.pop()
        if piece.entry is None or piece.height == 0:
            yield piece, first
            continue
        try:
            pending += [(below, first + below.first) for below in content.below(piece)]
        except StoreError as error:
            yield error


UNREADABLE = (SessionError, KeyError)
