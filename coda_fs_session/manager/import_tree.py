"""One chat of another program, and the sessions that it has here."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, NamedTuple

from ..errors import InvalidNameError, SessionExistsError, UnsupportedError
from ..format.jsonl import encode_message
from ..format.names import checked_name
from ..interchange import own
from ..interchange.naming import branch_name, name_of, short_id, title_of
from ..interchange.times import moment
from ..interchange.tree import Branch, Message, MessageTree, identity
from ..repo.going_back import GoingBack
from ..session.imported import IMPORTED, MIRROR, import_note, imported_from
from ..session.session import Session
from .branching import branch as make_branch
from .core import Manager
from .import_masks import Masks

SOURCE = "source"

Key = tuple[str, str, str, str]
"""Format, account, chat and branch."""


class Known(NamedTuple):
    """A session that was imported before."""

    name: str
    note: dict[str, Any]


class _Path(NamedTuple):
    """All of a branch: its messages, the records that they are of, and their lines."""

    messages: list[Message]
    ids: list[str]
    lines: list[bytes]


Imported = dict[Key, Known]


def identities(manager: Manager) -> Imported:
    """Return the sessions of a store that were imported, by what they were imported from."""
    found: Imported = {}
    # By name: of several sides the one that kept the name counts.
    for info in sorted(manager._storage.list_all() or (), key=lambda info: (info.diverged_from is not None, info.name)):
        key = imported_from(info.metadata)
        if key is not None:
            found.setdefault(key, Known(info.name, import_note(info.metadata)))  # type: ignore[arg-type]
    return found


class TreeImport:
    """Brings what is new of one chat into the store.

    A session here that is as it was imported follows its source. One that was changed here stays as it is, and what is
    new goes into a branch of it.

    Args:
        known: the sessions of the store by what they were imported from; what is made is added.
        ever: hashes of all that was ever imported here: what is there and not in the store was deleted.
        deleted: names of sessions that were deleted, on whatever machine.
        masks: what was taken out of the chat, since it was purged here.
    """

    def __init__(
        self,
        manager: Manager,
        tree: MessageTree,
        split: list[Branch],
        known: Imported,
        ever: dict[str, int],
        deleted: Collection[str],
        *,
        masks: Masks,
        again: bool,
        dry_run: bool,
    ) -> None:
        self._manager, self._tree, self._split = manager, tree, split
        self._known, self._ever, self._deleted = known, ever, deleted
        self._masks, self._again, self._dry_run = masks, again, dry_run
        self.is_new = self._known.get(self._key("")) is None
        self.added = self.branches = 0
        self.notes: list[str] = []
        self.made: dict[str, int] = {}
        self._name, self._title = "", self._hooked_title()

    def run(self, names: str) -> None:
        """Store what is new, the sessions before their branches."""
        there = self._known.get(self._key(""))
        if there is not None and there.note.get(MIRROR):
            # Its program writes it here itself, each record as it is.
            self.notes.append(f"{there.name} has it already, record by record, from the program itself: left as it is")
            return
        self._name = there.name if there else checked_name(name_of(self._tree, self._title, names))
        for place, branch in enumerate(self._split):
            self._bring(branch, self._whole(place), branch.id)
        self.is_new = self.is_new and self.added > 0

    def _key(self, branch: str) -> Key:
        return (self._tree.format, self._tree.account, self._tree.id, branch)

    def _whole(self, place: int) -> _Path:
        """Return all of a branch, with what it has from others."""
        branch = self._split[place]
        runs, at = [(branch, len(branch.messages))], branch.at
        while branch.parent is not None:
            branch = self._split[branch.parent]
            if branch.at < at:
                runs.append((branch, at - branch.at))
            at = min(at, branch.at)
        whole = _Path([], [], [])
        for branch, count in reversed(runs):
            whole.messages.extend(branch.messages[:count])
            whole.ids.extend(branch.ids[:count])
            whole.lines.extend(branch.lines[:count])
        return whole

    def _bring(self, branch: Branch, path: _Path, key: str) -> None:
        """Bring the session of a branch to what the source has, or make it.

        Args:
            path: all of the branch.
            key: what it is known by: its own id, or that of its first record that is not in a session changed here.
        """
        known = self._known.get(self._key(key))
        if known is None:
            self._create(branch, path, key)
            return
        self.made[_short(self._key(key))] = 1
        if branch.tags:
            self.notes.append(f"{known.name} was here already: the tags that it has stay, and it gets no others")
        lines = self._hooked(known.name, path)
        note = self._note(branch, key, lines)
        if known.note == note:
            return
        session = self._manager._load(known.name)
        stored = [bytes(line) for line in session._state.copy.lines()]
        same = _same(stored, lines)
        as_imported = _hash(self._masks.as_imported(stored))
        is_ours = as_imported == known.note.get("sha") and len(stored) == known.note.get("messages")
        if same == len(lines):
            # The source has no more than is here: what is more is of this store, or was taken out of the source.
            if same == len(stored) or (not is_ours and known.note.get("sha") != note["sha"]):
                self._save(session, branch, path, None, note)
            return
        if is_ours and (same == len(stored) or _are_among(_ids(session.iter_messages()), _ids(path.messages))):
            # It went on, its last records grew, or one came late and belongs before others.
            self._save(session, branch, path, same, note)
            self.added += len(lines) - len(stored)
            return
        count = known.note.get("messages")
        if type(count) is int and count == len(lines) and known.note.get("sha") == note["sha"]:
            # Only what is said of it is new.
            self._save(session, branch, path, None, note)
            return
        self.notes.append(f"{known.name} was changed here: what is new goes into a branch of it")
        first = path.ids[same]
        if self._known.get(self._key(first)) is None:
            self._fork(branch, path, first, session, same)
        elif first != key:
            self._bring(branch, path, first)

    def _create(self, branch: Branch, path: _Path, key: str) -> None:
        """Make the session of a branch, in the store of one that shares what came before."""
        if self._was_taken_out(branch, key):
            return
        parent = None if branch.parent is None else self._known.get(self._key(self._split[branch.parent].id))
        if parent is not None and not self._dry_run:
            session = self._manager._load(parent.name)
            stored = [bytes(line) for _, line in zip(range(branch.at), session._state.copy.lines(), strict=False)]
            same = _same(stored, self._hooked(parent.name, path, branch.at))
            self._fork(branch, path, key, session, same)
            return
        name = self._name if not key else branch.title or branch_name(self._name, key)
        if self._dry_run:
            self._count(key, len(branch.messages))
            self._known[self._key(key)] = Known(name, {})
            return
        states = [*self._tagged(branch, path), path]
        first = states[0]
        note = self._note(branch, key, self._hooked(name, first))
        metadata = dict(branch.metadata) | self._described(branch, key, note)
        created, updated = self._times(branch, path.messages)
        for candidate in self._free(name):
            session = Session(candidate, first.messages, metadata, created_at=created, updated_at=updated)
            try:
                self._manager._save(session)
            except SessionExistsError:
                if self._is_there(candidate, path):
                    return
                continue
            self._count(key, len(branch.messages))
            self._made(key, session.name, note)
            self._go_through(session, branch, key, states)
            return

    def _fork(self, branch: Branch, path: _Path, key: str, parent: Session, same: int) -> None:
        """Make a session with the first messages of another one, and with what comes after in the source."""
        if self._was_taken_out(branch, key):
            return
        name = branch.title or branch_name(self._name, key)
        self._count(key, len(path.messages) - same)
        if self._dry_run:
            self._known[self._key(key)] = Known(name, {})
            return
        created, updated = self._times(branch, path.messages)
        for candidate in self._free(name):
            try:
                session = make_branch(
                    self._manager, candidate, parent.name, same, created_at=created, updated_at=updated
                )
            except SessionExistsError:
                continue
            note = self._note(branch, key, self._hooked(candidate, path))
            session.metadata.pop(SOURCE, None)
            session.metadata.update(branch.metadata)
            states = [*self._tagged(branch, path), path]
            if branch.tags:
                note = self._note(branch, key, self._hooked(candidate, states[0]))
                same = min(same, _same(states[0].lines, path.lines))
            self._save(session, branch, states[0], same, note)
            self._made(key, session.name, note)
            self._go_through(session, branch, key, states)
            return

    def _save(self, session: Session, branch: Branch, path: _Path, at: int | None, note: dict[str, Any]) -> None:
        """Store what is said of a session now, and from some message on those of the source."""
        if self._dry_run:
            return
        with session._lock:
            if at is not None:
                session.keep_first(at)
                for message in path.messages[at:]:
                    if session._state.copy.append(message, limit=session._state.limit) < 0:
                        session.reload()
                        raise session._state.too_large()
                session._changed()
            described = self._described(branch, str(note["branch"]), note)
            titled = import_note(session.metadata).get("title")
            if titled is not None and session.metadata.get("title") != titled:
                # Somebody gave it another title here.
                described.pop("title", None)
            if any(session.metadata.get(key) != value for key, value in described.items()):
                session.update_metadata(described)
        if session.has_unsaved_changes:
            _, updated = self._times(branch, path.messages)
            self._manager._save(session, updated=updated)
        self._known[self._key(str(note["branch"]))] = Known(session.name, note)

    def _tagged(self, branch: Branch, path: _Path) -> list[_Path]:
        """Return the states that the tags of a session name."""
        states = []
        for tag in branch.tags:
            messages = [*path.messages[: tag.at], *tag.messages]
            states.append(_Path(messages, [], [encode_message(message, "") for message in messages]))
        return states

    def _go_through(self, session: Session, branch: Branch, key: str, states: list[_Path]) -> None:
        """Bring a session from the first of its states to the last one, and tag the others.

        Its note tells of the state that it is at. So an import that was ended in between goes on as with any other.
        """
        engine = self._manager._engine
        for tag, state, following in zip(branch.tags, states, states[1:], strict=False):
            try:
                if engine is None:
                    raise UnsupportedError("a store without a history has no tags")
                GoingBack(engine).tag(session.name, tag.label, None)
                self._manager._storage.refresh(session)
            except (InvalidNameError, UnsupportedError) as error:
                self.notes.append(f"{session.name}: the tag {tag.label!r} was left out: {error}")
            same = _same(state.lines, following.lines)
            at = None if same == len(state.lines) == len(following.lines) else same
            self._save(session, branch, following, at, self._note(branch, key, self._hooked(session.name, following)))

    def _described(self, branch: Branch, key: str, note: dict[str, Any]) -> dict[str, Any]:
        described: dict[str, Any] = {IMPORTED: note}
        if self._tree.format == own.NAME:
            return described
        described["title"] = self._title
        if not key and self._tree.rest:
            described[SOURCE] = self._tree.rest
        return described

    def _note(self, branch: Branch, key: str, lines: list[bytes]) -> dict[str, Any]:
        """Return what a session says of its source; nothing in it depends on this machine, or on when it is."""
        tree = self._tree
        note: dict[str, Any] = {"format": tree.format}
        if tree.account:
            note["account"] = tree.account
        note |= {"id": tree.id, "branch": key, "messages": len(lines), "sha": _hash(lines)}
        if tree.format != own.NAME:
            note["title"] = self._title
        return note | ({"current": True} if branch.current else {})

    def _hooked(self, name: str, path: _Path, count: int | None = None) -> list[bytes]:
        """Return the first messages as they are stored: after the hooks."""
        hooks = self._manager._hooks
        if hooks is None:
            return path.lines[:count]
        return hooks.before_create(Session(name, path.messages[:count]))[0]

    def _hooked_title(self) -> str:
        """Return the title as hooks leave it, or the messages that it is made of: names have it, which hooks leave."""
        tree, messages, hooks = self._tree, self._split[0].messages, self._manager._hooks
        if hooks is None or tree.format == own.NAME:
            return title_of(tree, tree.title, messages)
        session = Session(short_id(tree), messages, {} if tree.title is None else {"title": tree.title})
        hooks.before_create(session)
        return title_of(tree, session.metadata.get("title"), session.messages)

    def _was_taken_out(self, branch: Branch, key: str) -> bool:
        """Tell whether a session was deleted, or it or what it begins with was purged, here or on another machine."""
        if self._again:
            return False
        keys, above = [self._key(key)], branch.parent
        while above is not None and (one := self._key(self._split[above].id)) not in self._known:
            keys.append(one)
            above = self._split[above].parent
        if any(map(self._masks.was_purged, keys)):
            self.notes.append(f"{self._name} was purged, and was left out: again=True imports it all the same")
            return True
        name = self._name if not key else branch_name(self._name, key)
        was_named = self._tree.format != own.NAME and name in self._deleted
        return was_named or _short(keys[0]) in self._ever

    def _is_there(self, name: str, path: _Path) -> bool:
        """Tell whether a session of this package's own JSON is in the store that it came from."""
        if self._tree.format != own.NAME:
            return False
        session = self._manager._load(name)
        return [bytes(line) for line in session._state.copy.lines()] == path.lines

    def _free(self, name: str) -> list[str]:
        suffix = f" #{short_id(self._tree)}"
        first = name if name.endswith(suffix) else f"{name}{suffix}"
        return [name, first, *(f"{first} ({number})" for number in range(2, 100))]

    def _times(self, branch: Branch, messages: list[Message]) -> tuple[datetime | None, datetime | None]:
        """Return when a session was made and last changed: by its messages, and as its source says."""
        first, last = _stamp(messages), _stamp(reversed(messages))
        created = branch.created or self._tree.created or first
        updated = branch.updated or last or self._tree.updated or created
        return created, updated

    def _count(self, key: str, messages: int) -> None:
        self.added += messages
        self.branches += bool(key)

    def _made(self, key: str, name: str, note: dict[str, Any]) -> None:
        self._known[self._key(key)] = Known(name, note)
        self.made[_short(self._key(key))] = 1


def _short(key: Key) -> str:
    return hashlib.sha256(f"{identity(*key[:3])}\0{key[3]}".encode(errors="replace")).hexdigest()[:16]


def _same(some: list[Any], others: list[Any]) -> int:
    """Return how many of the first ones are the same."""
    count = 0
    for one, other in zip(some, others, strict=False):
        if one != other:
            break
        count += 1
    return count


def _are_among(some: list[Any], others: list[Any]) -> bool:
    """Tell whether all of some stand among others, in their order."""
    left = iter(others)
    return all(each is not None and each in left for each in some)


def _stamp(messages: Iterable[Message]) -> datetime | None:
    """Return the first time that messages have."""
    return next((found for each in messages if (found := moment(each.get("timestamp"))) is not None), None)


def _ids(messages: Iterable[Message]) -> list[Any]:
    return [message.get("id") for message in messages]


def _hash(lines: list[bytes]) -> str:
    hashed = hashlib.sha256()
    for line in lines:
        hashed.update(line)
        hashed.update(b"\n")
    return hashed.hexdigest()[:32]
