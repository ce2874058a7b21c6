"""Taking a session out of a store whole: every state that it went through, but for what others show too.

It is deleted, and what only it needs makes way for objects of the same length that hold nothing of it. So the tombstone
leads back as any other does, and covers what other replicas have of the session until they do the same.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

import orjson

from ...backends.base import OBJECT_LIMIT, NewObject, RefKey, Token
from ...errors import SessionNotFoundError, StoreError, printable
from ...format.generations import GenerationId
from ...format.ids import ObjectId, object_id
from ...format.masks import Sieve, of_pattern
from ...format.names import origins, session_key
from ...format.purge_records import PurgedSession, import_hash
from ...format.records import Base, Metadata, Stamped, Tags
from ...format.refs import parse_ref
from ...session.imported import IMPORTED, imported_from
from ..ancestry.shown import Shown
from ..content.state import State
from ..lookup.names import Resolved, resolve, tombstones
from ..repository import Repository
from ..reverts.plans import finish
from ..reverts.put_back import retried
from ..writing.refs import Content, publish
from ..writing.step import step
from .check import fresh_objects
from .replacing import Replacing
from .report import PurgedPlace, PurgeReport
from .texts import ByText, Contexts, without

_AT_ONCE = 16 * 1024 * 1024
"""Bytes of messages that are replaced before refs are looked at again."""
_PARTS = re.compile(rb"[\t\n]")
_EMPTY = b'{"":""}'
_DONE = re.compile(rb'\{"":"[0-9a-f]*\**"\}')


@dataclass(slots=True)
class Everything:
    """All that stands in messages, metadata and labels.

    Attributes:
        signs: what only bytes about the session have, all of each; lines: the hashes of messages that were taken out.
    """

    signs: Sequence[Sequence[bytes]] = ()
    lines: set[str] = field(default_factory=set)

    def may_hold(self, data: bytes) -> bool:
        return True

    def masked(self, line: bytes) -> bytes:
        """Return a message as long, that tells of this one nothing but which it is."""
        room = len(line) - len(_EMPTY)
        if room < 0 or _DONE.fullmatch(line) or not line.startswith(b"{"):
            return line
        self.lines.add(object_id(line))
        # By the place in a list and by this alone are masked lines told apart, where edits had made one of the other.
        told = hashlib.sha256(b"purged" + line).hexdigest()[:room].encode()
        return b'{"":"%b"}' % told.ljust(room, b"*")

    def in_metadata(self, metadata: Metadata) -> dict[str, Stamped]:
        return _ALL.in_metadata(metadata)

    def in_tags(self, tags: Tags) -> Tags:
        """Return tags with other labels, as long in JSON."""
        named = _ALL.in_metadata({label: Stamped(tag.stamp, None) for label, tag in tags.items()})
        return dict(zip(named, tags.values(), strict=True)) if len(named) == len(tags) else tags

    def is_in(self, text: str) -> bool:
        return False

    def is_among(self, data: bytes) -> bool:
        if any(all(sign in data for sign in signs) for signs in self.signs):
            return True
        return bool(self.lines) and any(object_id(part) in self.lines for part in _PARTS.split(data))


_ALL = ByText(of_pattern(re.compile("(?s:.+)")), Sieve(None))


@dataclass(slots=True)
class _Session:
    """What is to go.

    Attributes:
        label: what it goes by; head: its newest state; keys: the refs of it.
        gone: refs of sessions that were purged before: what only they and this one need goes too.
    """

    label: str
    head: State
    keys: list[RefKey]
    gone: list[RefKey] = field(default_factory=list)


def purge_session(repo: Repository, label: str, *, dry_run: bool = False) -> PurgeReport:
    """Take a session out of a store; see `Maintenance.purge`."""
    return _Purge(repo, label, dry_run=dry_run).run()


def obey_session(repo: Repository, name: str, deleted: GenerationId) -> bool | None:
    """Do here what another replica did with a session; None where its tombstone is not here, else whether it was done.

    Args:
        deleted: the delete that ended the session.
    """
    for shown in _all_of(repo, name):
        if shown.head.generation_id == deleted:
            report = _Purge(repo, shown.label, dry_run=False, found=shown).run()
            return bool(report.places)
    return None


def _all_of(repo: Repository, name: str) -> Iterator[Shown]:
    found = resolve(repo, name)
    yield from found.sides
    yield from tombstones(repo, name)


class _Purge:
    def __init__(self, repo: Repository, label: str, *, dry_run: bool, found: Shown | None = None) -> None:
        self._repo, self._label, self._dry_run, self._found = repo, label, dry_run, found
        self._wanted = Everything()
        self._replacing = Replacing(repo, self._wanted, lines=False)
        self._left: list[str] = []
        self._unread: dict[ObjectId, StoreError] = {}

    def run(self) -> PurgeReport:
        repo = self._repo
        if not self._dry_run:
            finish(repo)
            repo.index.last_purge.note()
        repo.objects.purged.look(repo.backend)
        head = (session := self._resolved()).head
        self._wanted.signs = [
            [b'"name":%b,' % orjson.dumps(name), b'"created":"%b"' % head.header.created.encode()]
            for name in (head.name, *head.header.former_names)
        ]
        others, tokens = self._reach_of_others(session)
        done = head.generation_id in repo.objects.purged.sessions
        mine = self._reach(session)
        self._unread |= mine.unread
        there = self._here(mine, others)
        stale = [key for key in session.keys if key != head.key and self._is_stale(key, head)]
        places = () if done and not there and not stale else (self._place(session),)
        shared = self._shared(mine, others) | self._relatives(session)
        if not self._dry_run and places:
            imported = self._imported(head)
            tombstone = head if head.deleted else retried(repo, self._delete)
            session.keys = list(dict.fromkeys([tombstone.key, *session.keys]))
            for key in session.keys:
                retried(repo, partial(self._follow, key, tombstone))
            if tombstone.generation_id not in repo.objects.purged.sessions:
                gone = PurgedSession(tombstone.name, imported)
                self._replacing.record(sessions={tombstone.generation_id: gone})
            self._take_out(session, tokens, others)
        if not self._dry_run:
            repo.objects.forget()
            self._left += repo.backend.scrub(self._wanted.is_among)
            repo.index.last_purge.note()
            repo.index.forget()
            self._left += repo.machine.scrub(self._wanted.is_among, index=True)
        return self._report(session, places, shared)

    def _resolved(self) -> _Session:
        found: Shown | None = self._found
        if found is None:
            resolved = resolve(self._repo, self._label)
            found = resolved.shown or resolved.tombstone
        if found is None:
            raise SessionNotFoundError(self._label)
        if found.head.damage is not None:
            raise found.head.damage
        return _Session(found.label, found.head, [each.key for each in (found.head, *found.covered)])

    def _place(self, session: _Session) -> PurgedPlace:
        head = session.head
        count = 0 if head.deleted else head.count - head.start
        has_more = head.deleted or head.header.commit is not None
        return PurgedPlace(session.label, tuple(range(count)), earlier=has_more, metadata=bool(head.metadata))

    def _imported(self, head: State) -> tuple[str, ...]:
        """Return what an import is to know it by, so that it does not bring it back."""
        metadata = head.metadata
        if head.deleted and head.header.commit is not None:
            with suppress(StoreError):
                metadata = self._repo.objects.commit(head.header.commit).base.metadata
        stored = metadata.get(IMPORTED)
        identity = (
            None if stored is None or stored.value is None else imported_from({IMPORTED: orjson.loads(stored.value)})
        )
        if identity is None:
            return ()
        known = (each.imported[0] for each in self._repo.objects.purged.sessions.values() if each.imported)
        key = min(known, default=secrets.token_hex(32))
        return key, import_hash(key, identity)

    # What is needed by whom

    def _reach_of_others(self, session: _Session) -> tuple[_Uses, dict[str, Token]]:
        """Follow every ref but those of the session, and of others that were purged: these join it.

        Raises:
            StoreError: one cannot be read, so that nobody can tell what it needs.
        """
        backend, purged = self._repo.backend, self._repo.objects.purged.sessions
        reach, tokens = _Uses(fresh_objects(self._repo)), _but(backend.ref_tokens(), session.keys)
        for path in sorted(tokens):
            key = RefKey(path)
            try:
                ref = parse_ref(backend.read_ref(key).data, backend.locate(key))
            except KeyError:
                continue
            except StoreError as error:
                raise self._cannot_tell(error) from error
            if ref.header.deleted and ref.header.generation_id in purged:
                session.gone.append(key)
            else:
                reach.add_ref(ref, path)
        reach.follow()
        for problem in reach.unread.values():
            raise self._cannot_tell(problem) from problem
        return reach, tokens

    def _cannot_tell(self, error: StoreError) -> StoreError:
        return StoreError(
            f"nobody can tell what others need of session {self._label!r}, and nothing more was taken out: {error}. "
            "Repair the store first, then purge again"
        )

    def _reach(self, session: _Session) -> _Uses:
        reach = _Uses(fresh_objects(self._repo))
        for key in dict.fromkeys([*session.keys, *session.gone]):
            with suppress(StoreError, KeyError):
                reach.add_ref(parse_ref(self._repo.backend.read_ref(key).data, key.path), key.path)
        reach.follow()
        return reach

    def _here(self, mine: _Uses, others: _Uses) -> list[ObjectId]:
        """Return the objects that only the session needs, and that are here as they were."""
        purged = self._repo.objects.purged
        found = list[ObjectId]()
        needed = {purged.stand_in(each) for each in others.uses} if purged.objects else set()
        for each in mine.uses:
            if each in others.uses or mine.is_node(each):
                continue
            stand_in = purged.stand_in(each)
            if stand_in is None:
                found += [each] if self._holds_more(each, must_be_here=True) else []
                continue
            # A tool has brought it back, or a text in it was purged before.
            others_need = stand_in in others.uses or stand_in in needed
            found += [one for one in (each, *(() if others_need else (stand_in,))) if self._holds_more(one)]
        return list(dict.fromkeys(found))

    def _shared(self, mine: _Uses, others: _Uses) -> set[str]:
        """Return the names of other sessions that have messages of it."""
        paths = {others.first_by(each) for each in mine.uses if each in others.uses and not mine.is_node(each)}
        names = set()
        for path in paths:
            with suppress(StoreError, KeyError):
                names.add(self._repo.read(RefKey(path)).name)
        return names

    def _relatives(self, session: _Session) -> set[str]:
        """Return the names of its branches and theirs, and of what it is a branch of, and so on.

        They all have its first message, or had it. What is in no object yet is in each of their refs again.
        """
        gone = {key.path for key in session.gone}
        rows = [row for row in self._repo.index.rows() if row.path not in gone]
        groups = [{row.name, *row.former_names, row.parent if row.forked_at else None} - {None} for row in rows]
        own = {session.head.name, *session.head.header.former_names}
        found, more = set[str | None](), set[str | None](own)
        while more:
            found |= more
            more = {name for group in groups if not found.isdisjoint(group) for name in group} - found
        return {row.name for row in rows if row.name in found} - own

    def _holds_more(self, identity: ObjectId, *, must_be_here: bool = False) -> bool:
        """Tell whether an object is here, and has more in it than what stands for such a one."""
        try:
            data = self._repo.backend.get_object(identity, size=None, limit=OBJECT_LIMIT)
        except StoreError as error:
            if must_be_here:
                self._unread[identity] = error
            return False
        return without(data, self._wanted) != data

    # Taking it out

    def _delete(self) -> State:
        repo = self._repo
        with repo.lock(*map(session_key, origins(self._label))):
            resolved: Resolved = resolve(repo, self._label)
            if resolved.head is None:
                if resolved.tombstone is None:
                    raise SessionNotFoundError(self._label)
                return resolved.tombstone.head
            head, now = resolved.head, repo.now()
            header = replace(head.header, updated=now)
            return step(repo, head, "delete", Content(Base(), []), resolved.own, now=now, header=header)

    def _is_stale(self, key: RefKey, head: State) -> bool:
        """Tell whether this replica has to write a ref anew: it is not the tombstone yet."""
        if key.replica != self._repo.replica:
            return False
        with suppress(StoreError, KeyError):
            state = self._repo.read(key)
            return state.damage is None and state.header.replica == key.replica and not self._is_same(state, head)
        return False

    def _is_same(self, state: State, tombstone: State) -> bool:
        return state.deleted and state.generation_id == tombstone.generation_id

    def _follow(self, key: RefKey, tombstone: State) -> None:
        """Let a ref of ours be the tombstone, too, that covers it."""
        repo = self._repo
        if key == tombstone.key or not self._is_stale(key, tombstone):
            return
        with repo.lock(*map(session_key, origins(tombstone.name))), repo.backend.hold(key):
            state = repo.read(key)
            header = replace(tombstone.header, base=replace(tombstone.header.base, metadata={}, tags={}))
            publish(repo, header, [], state)

    def _take_out(self, session: _Session, tokens: dict[str, Token], others: _Uses) -> None:
        """Replace what only the session needs, and put back what somebody has come to need meanwhile."""
        repo, backend = self._repo, self._repo.backend
        mine, gone = self._reach(session), dict[ObjectId, bytes]()
        wanted = self._here(mine, others)
        while True:
            now = _but(backend.ref_tokens(), session.keys)
            if now != tokens:
                others, tokens = self._reach_of_others(session)
                repo.objects.put([NewObject(each, data) for each, data in gone.items() if each in others.uses])
                wanted = [each for each in wanted if each not in others.uses]
            if not wanted:
                break
            batch, size = list[ObjectId](), 0
            while wanted and size < _AT_ONCE:
                batch.append(wanted.pop())
                size += mine.size_of(batch[-1])
            gone = self._replacing.replace(batch, mine)

    def _report(self, session: _Session, places: tuple[PurgedPlace, ...], shared: set[str]) -> PurgeReport:
        locate, own = self._repo.backend.locate, self._repo.replica
        elsewhere = [
            f"{locate(key)} is the replica {key.replica!r}'s to write, which takes it out once it has the record"
            for key in session.keys
            if key.replica != own and not self._is_tombstone(key)
        ]
        left = [
            f"session {name!r} has messages of it, and keeps them: purge that too, if they are to go"
            for name in sorted(shared)
        ]
        left += [
            f"{locate(identity)} cannot be read, so it was not taken out ({error}): purge again once it is here"
            for identity, error in self._unread.items()
        ]
        left += self._left
        return PurgeReport(places, tuple(map(printable, elsewhere)), tuple(map(printable, left)), self._dry_run)

    def _is_tombstone(self, key: RefKey) -> bool:
        with suppress(StoreError, KeyError):
            return self._repo.read(key).deleted
        return False


class _Uses(Contexts):
    """What some refs need."""

    def is_node(self, identity: ObjectId) -> bool:
        """Tell whether an object is a list of others, which holds no text."""
        return all(named.kind == "node" for named in self.uses[identity])

    def first_by(self, identity: ObjectId) -> str:
        """Return the path of the ref that leads to an object first."""
        return next(use.by for use in self.uses[identity].values())

    def size_of(self, identity: ObjectId) -> int:
        """Return how many bytes an object has."""
        return max((named.bytes for named in self.uses.get(identity, ())), default=0)


def _but(tokens: dict[str, Token], keys: Iterable[RefKey]) -> dict[str, Token]:
    """Return the tokens of all refs but some."""
    but = {key.path for key in keys}
    return {path: token for path, token in tokens.items() if path not in but}
