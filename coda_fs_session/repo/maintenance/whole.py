"""Taking a session out of a store whole: every state that it went through, but for what others show too.

It is deleted, and what only it needs makes way for objects of the same length that hold nothing of it. So the tombstone
leads back as any other does, and covers what other replicas have of the session until they do the same.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

import orjson

from ...backends.base import OBJECT_LIMIT, NewObject, RefKey, Token
from ...errors import SessionNotFoundError, StoreError, printable
from ...format.ids import ObjectId
from ...format.names import origins, session_key
from ...format.purge_records import Deleted, PurgedSession, import_hash
from ...format.records import Base
from ...format.refs import parse_ref
from ...session.imported import IMPORTED, imported_from
from ..ancestry.shown import Shown
from ..content.state import State
from ..lookup.names import Resolved, resolve, tombstones
from ..repository import Repository
from ..reverts.plans import finish
from ..reverts.put_back import retried
from ..writing.refs import Content
from ..writing.step import step
from .check import fresh_objects
from .everything import Everything
from .needs import Needs
from .parting import Ended, as_deleted, follow, joined, own_sides, part
from .replacing import Replacing
from .report import PurgedPlace, PurgeReport
from .texts import without

_AT_ONCE = 16 * 1024 * 1024
"""Bytes of messages that are replaced before refs are looked at again."""


@dataclass(slots=True)
class _Session:
    """What is to go.

    Attributes:
        keys: the refs of it; created: when it was made, as they say.
        parted: refs of ours that went another way before it was deleted.
        gone: refs of sessions that were purged before: what only they and this one need goes too.
    """

    ended: Ended
    keys: list[RefKey]
    created: set[str]
    parted: list[RefKey] = field(default_factory=list)
    gone: list[RefKey] = field(default_factory=list)

    @property
    def label(self) -> str:
        """What it goes by."""
        return self.ended.shown.label

    @property
    def head(self) -> State:
        """Its newest state."""
        return self.ended.shown.head


class Obeyed(NamedTuple):
    """What was done with a session that another replica has purged.

    Attributes:
        taken: something of it was taken out.
        kept: how many messages stay that were added here, and that the other replica did not know.
    """

    taken: bool
    kept: int


def purge_session(repo: Repository, label: str, *, dry_run: bool = False) -> PurgeReport:
    """Take a session out of a store; see `Maintenance.purge`."""
    return _Purge(repo, label, dry_run=dry_run).run()


def obey_session(repo: Repository, deleted: Deleted) -> Obeyed | None:
    """Do here what another replica did with a session; None where its tombstone is not here.

    Args:
        deleted: what ended the session.
    """
    found = [ended for shown in _all_of(repo, deleted.name) if (ended := as_deleted(shown, deleted)) is not None]
    if not found:
        return None
    run = _Purge(repo, found[0].shown.label, dry_run=False, found=joined(found))
    report = run.run()
    return Obeyed(bool(report.places), run.kept)


def _all_of(repo: Repository, name: str) -> Iterator[Shown]:
    found = resolve(repo, name)
    yield from found.sides
    yield from tombstones(repo, name)


class _Purge:
    def __init__(self, repo: Repository, label: str, *, dry_run: bool, found: Ended | None = None) -> None:
        self._repo, self._label, self._dry_run = repo, label, dry_run
        self._found, self.kept = found, 0
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
            [b'"name":%b,' % orjson.dumps(name), b'"created":"%b"' % created.encode()]
            for name in (head.name, *head.header.former_names)
            for created in session.created
        ]
        others, tokens = self._reach_of_others([*session.keys, *session.parted], session.gone)
        done = Deleted(head.generation_id, head.name) in repo.objects.purged.sessions
        mine = self._reach(session)
        self._unread |= mine.unread
        there = self._here(mine, others)
        stale = [key for key in session.keys if key != head.key and self._is_stale(key, head)]
        places = () if done and not there and not stale and not session.parted else (self._place(session),)
        shared = self._shared(mine, others) | self._relatives(session)
        if not self._dry_run and places:
            imported = self._imported(head)
            tombstone = head if head.deleted else retried(repo, self._delete)
            if not session.ended.is_past:
                session.keys = list(dict.fromkeys([tombstone.key, *session.keys]))
            for key in session.keys:
                retried(repo, partial(self._follow, key, tombstone))
            tombstones = [tombstone]
            for key in session.parted:
                parted = retried(repo, partial(part, repo, key, tombstone))
                if parted is not None:
                    mine.add_taken_in(parted.merged)
                    self.kept += parted.now.live_count
                    tombstones += [parted.now] if parted.now.deleted else []
            ended = {
                Deleted(each.generation_id, each.name) for each in tombstones
            } - repo.objects.purged.sessions.keys()
            if ended:
                self._replacing.record(sessions={each: PurgedSession(each.name, imported) for each in ended})
            others = self._take_out(session, tokens, others, mine)
            # Of branches that were being made.
            shared |= self._shared(mine, others) | self._relatives(session)
        if not self._dry_run:
            repo.objects.forget()
            self._left += repo.backend.scrub(self._wanted.is_among)
            repo.index.last_purge.note()
            repo.index.forget()
            self._left += repo.machine.scrub(self._wanted.is_among, index=True)
        return self._report(session, places, shared)

    def _resolved(self) -> _Session:
        ended = self._found
        if ended is None:
            resolved = resolve(self._repo, self._label)
            shown = resolved.shown or resolved.tombstone
            if shown is None:
                raise SessionNotFoundError(self._label)
            ended = Ended(shown)
        head, covered = ended.shown.head, ended.shown.covered
        if head.damage is not None:
            raise head.damage
        heads = covered if ended.is_past else (head, *covered)
        session = _Session(ended, [each.key for each in heads], {each.header.created for each in heads})
        if ended.is_past:
            # Of the session that goes on from there.
            session.created.discard(head.header.created)
        if self._found is not None:
            session.parted += own_sides(self._repo, _all_of(self._repo, head.name), head)
        return session

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

    def _reach_of_others(self, keys: Iterable[RefKey], gone: list[RefKey]) -> tuple[Needs, dict[str, Token]]:
        """Follow every ref but some, and but those of other sessions that were purged: these are added to `gone`.

        Raises:
            StoreError: one cannot be read, so that nobody can tell what it needs.
        """
        backend, purged = self._repo.backend, self._repo.objects.purged.sessions
        reach = Needs(fresh_objects(self._repo), purged)
        tokens = _but(backend.ref_tokens(), keys)
        for path in sorted(tokens):
            key = RefKey(path)
            try:
                ref = parse_ref(backend.read_ref(key).data, backend.locate(key))
            except KeyError:
                continue
            except StoreError as error:
                raise self._cannot_tell(error) from error
            if reach.is_over(ref.header):
                gone.append(key)
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

    def _reach(self, session: _Session) -> Needs:
        reach = Needs(fresh_objects(self._repo))
        self._add(reach, session, [*session.keys, *session.parted, *session.gone])
        return reach

    def _add(self, reach: Needs, session: _Session, keys: Iterable[RefKey]) -> None:
        ended = session.ended
        for link in (*ended.sides, *([ended.shown.head.header.commit] if ended.is_past else [])):
            reach.add_commit(link, ended.shown.head.key.path)
        for key in dict.fromkeys(keys):
            with suppress(StoreError, KeyError):
                reach.add_ref(parse_ref(self._repo.backend.read_ref(key).data, key.path), key.path)
        reach.follow()

    def _here(self, mine: Needs, others: Needs) -> list[ObjectId]:
        """Return the objects that only the session needs, and that are here as they were."""
        purged = self._repo.objects.purged
        found = list[ObjectId]()
        needed = {*others.uses, *(one for each in others.uses for one in purged.stand_ins(each))}
        for each in mine.uses:
            if each in others.uses or mine.is_node(each):
                continue
            stand_ins = [*purged.stand_ins(each)]
            # A tool has brought it back, or a text in it was purged before.
            here = [each, *(one for one in stand_ins if one not in needed)]
            found += [one for one in here if self._holds_more(one, must_be_here=not stand_ins)]
        return list(dict.fromkeys(found))

    def _shared(self, mine: Needs, others: Needs) -> set[str]:
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
            follow(repo, tombstone, repo.read(key))

    def _take_out(self, session: _Session, tokens: dict[str, Token], others: Needs, mine: Needs) -> Needs:
        """Replace what only the session needs, and put back what somebody has come to need meanwhile.

        Returns:
            what others need by now.
        """
        repo, backend = self._repo, self._repo.backend
        gone = dict[ObjectId, bytes]()
        # What deleting it has written.
        self._add(mine, session, [*session.keys, *session.gone])
        wanted = self._here(mine, others)
        while True:
            repo.machine.wait_for_naming()
            now = _but(backend.ref_tokens(), session.keys)
            if now != tokens:
                others, tokens = self._reach_of_others(session.keys, session.gone)
                repo.objects.put([NewObject(each, data) for each, data in gone.items() if each in others.uses])
                wanted = [each for each in wanted if each not in others.uses]
            if not wanted:
                return others
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


def _but(tokens: dict[str, Token], keys: Iterable[RefKey]) -> dict[str, Token]:
    """Return the tokens of all refs but some."""
    but = {key.path for key in keys}
    return {path: token for path, token in tokens.items() if path not in but}
