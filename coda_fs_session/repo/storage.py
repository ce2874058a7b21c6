"""The engine as a `SessionStorage`: sessions in front, refs and objects behind."""

from __future__ import annotations

import warnings
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from ..errors import SessionConflictError, SessionError, SessionNotFoundError, SessionWarning, StoreError
from ..format.records import Stamped, decode_time, encode_time
from ..format.tree import Entry
from ..session import Session, SessionInfo
from ..storage import SessionStorage, StoreStats
from . import publish, steps
from . import save as engine
from .attempts import AttemptLandedError
from .heads import resolve
from .index import Row, row_of
from .messages import Draft
from .repository import Repository
from .state import Attempt, Head

_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True, eq=False)
class HeadSource:
    """The live messages of a head, for a session's working copy."""

    head: Head

    def __len__(self) -> int:
        return self.head.live_count

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        return self.head.messages.read(self.head.start + start, self.head.start + stop)

    def size(self, start: int, stop: int) -> int:
        if start == 0 and stop == len(self):
            return self.head.live_bytes
        if start >= stop:
            return 0
        messages, first = self.head.messages, self.head.start
        return messages.bytes_before(first + stop) - messages.bytes_before(first + start)


class RepoStorage(SessionStorage):
    """Keeps sessions in a repository.

    A save is durable when it returns, and safe beside other processes and machines.
    """

    tracks_changes = True

    def __init__(self, repo: Repository) -> None:
        self.repo = repo
        self._heads: weakref.WeakKeyDictionary[Session, Head] = weakref.WeakKeyDictionary()
        self._attempts: weakref.WeakKeyDictionary[Session, dict[str, Attempt]] = weakref.WeakKeyDictionary()

    def save(self, session: Session) -> None:
        head = self._heads.get(session)
        if head is None:
            self.create(session)
            return
        while True:
            splice = session._splice()
            metadata = session._metadata_change()
            if splice.empty and not metadata.values:
                self._settle(session, head)
                return
            try:
                saved, merged = engine.save(self.repo, head, splice, metadata.values)
            except AttemptLandedError as landed:
                head = self._rebase(session, landed.head)
            else:
                source = session._copy.source
                if saved is head and isinstance(source, HeadSource) and source.head is head and not metadata.values:
                    session._advance(decode_time(saved.updated))
                else:
                    self._settle(session, saved, merged=merged)
                return

    def load(self, name: str) -> Session | None:
        resolved = resolve(self.repo, name)
        if resolved.head is None:
            return None
        if resolved.doubt is not None:
            warnings.warn(
                f"session {name!r} may lack what only a damaged file held: {resolved.doubt}",
                SessionWarning,
                stacklevel=4,
            )
        return self._open(resolved.head)

    def _open(self, head: Head) -> Session:
        parent = head.header.parent
        session = Session._stored(
            head.name,
            HeadSource(head),
            dict(head.values()),
            created=decode_time(head.header.created),
            updated=decode_time(head.updated),
            parent=parent.name if parent else None,
        )
        self._heads[session] = head
        return session

    def delete(self, name: str) -> None:
        if not steps.delete(self.repo, name):
            raise SessionNotFoundError(name)

    def list_all(self) -> list[SessionInfo]:
        infos = self.look()
        self.repo.index.keep()
        return infos

    def look(self) -> list[SessionInfo]:
        """Return what `list_all` does, without writing the index down: for those who look all the time."""
        infos = []
        for name, rows in _by_name(self.repo.index.rows()).items():
            info = self._info_of(name, rows)
            if info is not None:
                infos.append(info)
        return infos

    def info(self, name: str) -> SessionInfo | None:
        rows = _by_name(self.repo.index.named(name)).get(name)
        # Looking a name up compares no sizes and times; what is shown of it must be of now.
        return self._info_of(name, [self.repo.index.fresh(row) for row in rows]) if rows else None

    def create(self, session: Session) -> None:
        draft = Draft(self.repo.objects, self.repo.sizes)
        draft.extend(session._splice_all())
        now = self.repo.now()
        metadata = {key: Stamped(now, value) for key, value in session._metadata_change_all().items()}
        draft.finish()
        try:
            head = steps.create(
                self.repo,
                session.name,
                publish.Content(draft.base(), draft.loose),
                metadata,
                created=encode_time(session._created),
                updated=encode_time(session._updated),
                attempted=self._attempts.setdefault(session, {}),
            )
        except AttemptLandedError as landed:
            self._rebase(session, landed.head)
            self.save(session)
        else:
            self._settle(session, head)
        del self._attempts[session]

    def branch(self, parent: Session, name: str, at: int | None) -> Session:
        head = self._heads.get(parent)
        if head is None:
            return super().branch(parent, name, at)
        splice = parent._splice()
        metadata = publish.merged(self.repo, head, parent._metadata_change().values)
        return self._open(steps.fork(self.repo, head, splice, name, metadata=metadata, at=at))

    def rename(self, old: str, new: str) -> None:
        renamed = steps.rename(self.repo, old, new)
        if renamed is None:
            raise SessionNotFoundError(old)
        for session, head in list(self._heads.items()):
            if head.key == renamed.key and steps.steps_from(renamed, head):
                # What is not saved yet was changed against the same messages: it applies after the rename too.
                self._heads[session] = renamed.copy()

    def is_branch_of(self, info: SessionInfo, parent: str) -> bool:
        if info.parent is None or info.parent == parent:
            return info.parent == parent
        return any(info.parent in row.former_names and row.name == parent for row in self.repo.index.named(parent))

    def refresh(self, session: Session) -> bool:
        head = self._heads.get(session)
        current = resolve(self.repo, session.name, known=head).head
        if current is None:
            return False
        if head is None or (current.key, current.token) != (head.key, head.token) or current.metadata != head.metadata:
            self._take(session, current)
        return True

    def reload(self, session: Session) -> bool:
        """Bring a session to the state that is kept, dropping unsaved changes; False where none is kept."""
        current = resolve(self.repo, session.name).head
        if current is None:
            return False
        self._take(session, current)
        return True

    def stats(self) -> StoreStats:
        infos = [info for info in self.list_all() if info.error is None]
        heads = [head for info in infos if (head := resolve(self.repo, info.name).head) is not None]
        uses: Counter[tuple[str, int]] = Counter()
        for head in heads:
            # Totals do not need every list node; loading says what is wrong with a session.
            with suppress(StoreError):
                uses.update(self._message_objects(head))
        stored = [size for _, size in self.repo.backend.objects()]
        refs = sum(self.repo.backend.ref_sizes())
        return StoreStats(
            sessions=len(infos),
            messages=sum(info.message_count for info in infos),
            logical_bytes=sum(info.size_bytes for info in infos),
            stored_bytes=sum(stored) + refs,
            objects=len(stored),
            shared_bytes=sum((count - 1) * size for (_, size), count in uses.items()),
        )

    def close(self) -> None:
        self.repo.index.keep()
        self.repo.backend.close()

    def _message_objects(self, head: Head) -> Counter[tuple[str, int]]:
        """Count how often each object, with its size, is used for a session's messages."""
        # A level at a time, and a node once however often it is named: a small store can say that it has any number.
        nodes: Counter[Entry] = Counter()
        for level in reversed(head.header.base.spine.levels):
            below: Counter[Entry] = Counter()
            for node, count in nodes.items():
                for entry in self.repo.objects.node(node):
                    below[entry] += count
            below.update(level)
            nodes = below
        found: Counter[tuple[str, int]] = Counter({(entry.id, entry.bytes): count for entry, count in nodes.items()})
        tail = head.header.base.tail
        if tail is not None:
            found[tail.id, tail.bytes] += 1
        return found

    def _settle(self, session: Session, head: Head, *, merged: bool = False) -> None:
        """Let a session stand on the head that its save led to."""
        self._heads[session] = head
        session._name = head.name
        session._parent = head.header.parent.name if head.header.parent else None
        session._settle(HeadSource(head), dict(head.values()), decode_time(head.updated), merged=merged)

    def _rebase(self, session: Session, head: Head) -> Head:
        """Let a session stand on a head that has part of its changes; what it holds stays."""
        self._heads[session] = head
        session._rebase(HeadSource(head), dict(head.values()))
        return head

    def _take(self, session: Session, head: Head) -> None:
        """Show a head in a session, with nothing of the session's own kept."""
        self._heads[session] = head
        parent = head.header.parent
        session._show(
            HeadSource(head),
            dict(head.values()),
            created=decode_time(head.header.created),
            updated=decode_time(head.updated),
            parent=parent.name if parent else None,
        )

    def _info_of(self, name: str, rows: list[Row]) -> SessionInfo | None:
        good = [row for row in rows if not row.problem]
        live = [row for row in good if not row.deleted and row.name == name]
        if len(rows) == 1 and good:
            return _info(live[0]) if live else None
        if not live and len(good) == len(rows):
            return None
        try:
            resolved = resolve(self.repo, name)
        except (SessionConflictError, StoreError) as error:
            return _failed(name, rows, error)
        if resolved.head is None:
            return None
        info = _info(row_of(resolved.head))
        info.error = resolved.doubt
        return info


def _by_name(rows: list[Row]) -> dict[str, list[Row]]:
    """Group the rows by session name; unreadable refs go with the session whose key their file name has."""
    grouped: dict[str, list[Row]] = {}
    names_of_key: dict[str, set[str]] = {}
    for row in rows:
        if row.readable and row.name:
            grouped.setdefault(row.name, []).append(row)
            names_of_key.setdefault(row.key, set()).add(row.name)
    for row in rows:
        for former in {*row.former_names} - {row.name}:
            # It may cover a ref that still has the former name.
            if former in grouped:
                grouped[former].append(row)
        if not row.readable:
            for name in names_of_key.get(row.key, {row.name}):
                grouped.setdefault(name, []).append(row)
    return grouped


def _info(row: Row) -> SessionInfo:
    return SessionInfo(
        row.name,
        row.messages,
        _local(row.created),
        _local(row.updated),
        orjson.loads(row.metadata),
        row.size,
        row.parent,
        row.forked_at,
        row.replica,
    )


def _failed(name: str, rows: list[Row], error: SessionError) -> SessionInfo:
    """Describe a session that cannot be loaded by what is still known of it."""
    best = max([row for row in rows if row.name == name] or rows, key=lambda row: (row.updated, row.path))
    if best.created:
        info = _info(best)
        info.error = error
        return info
    return SessionInfo(name, 0, _local(_EPOCH.isoformat()), _local(_EPOCH.isoformat()), {}, 0, error=error)


def _local(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone().replace(tzinfo=None)
