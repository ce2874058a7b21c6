"""What a new ref names is in no file that is on a list: it is put into another one before the ref is written.

An object may be here already, in a file that a replica has condemned, or one that a tool has brought back. Nobody who
acknowledges or deletes knows of the new ref yet. So from reading the lists until the ref is written they wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from ..backends.base import OBJECT_LIMIT, Backend, MachineState, NewObject, RefKey
from ..errors import SessionNotFoundError, StoreError
from ..format.records import Tags
from ..format.refs import parse_ref
from .content.objects import Objects
from .listed import ListedNames

if TYPE_CHECKING:
    from .maintenance.reach import Reach


class _Thread(threading.local):
    """What a thread is in."""

    waited_for = False


class Naming:
    """The blocks in which refs are written.

    Args:
        backend: where refs are written at once, with nothing held back.
        objects: of the store.
    """

    def __init__(self, backend: Backend, machine: MachineState, objects: Objects, listed: ListedNames) -> None:
        self._backend = backend
        self._machine = machine
        self._objects = objects
        self._listed = listed
        self._thread = _Thread()

    @contextmanager
    def of_refs(self, refs: Sequence[tuple[RefKey, bytes]]) -> Iterator[None]:
        """Write refs within the block, new ones or in place of others.

        Raises:
            StoreError: what they name could not be put into another file; the block is not entered.
        """
        with self._waited_for():
            if self._listed():
                for key, data in refs:
                    self._secure(partial(_add_ref, key, data), key)
            yield

    @contextmanager
    def of_branch(self, parent: str) -> Iterator[None]:
        """Put the objects of a new branch within the block, and write its ref; a purge of the parent waits.

        Where each look is a request, nothing waits: nothing is purged there.

        Raises:
            SessionNotFoundError: the parent was purged since what the branch is made of was read.
        """
        if self._backend.capabilities.costly:
            yield
            return
        with self._waited_for():
            purged = self._objects.purged
            known = set(purged.sessions)
            purged.look(self._backend)
            if any(gone.name == parent for step, gone in purged.sessions.items() if step not in known):
                raise SessionNotFoundError(parent)
            yield

    @contextmanager
    def of_tags(self, tags: Tags) -> Iterator[None]:
        """Write tags within the block, at the end of a ref; raises as `of_refs`."""
        with self._waited_for():
            if self._listed():
                self._secure(lambda reach: reach.add_tags(tags, ""), None)
            yield

    @contextmanager
    def _waited_for(self) -> Iterator[None]:
        """Let gc and purges wait for the block; within another one of this thread they do so already."""
        if self._thread.waited_for:
            yield
            return
        with self._machine.naming():
            self._thread.waited_for = True
            try:
                yield
            finally:
                self._thread.waited_for = False

    def _secure(self, add: Callable[[Reach], None], before: RefKey | None) -> None:
        """Put what is named, and is in a file that is on a list, into another one.

        Args:
            add: takes in what is named; before: what is in this ref by now is named already.
        """
        # Late: hardly any program comes here.
        from .maintenance.reach import Reach

        known = Reach(self._objects)
        if before is not None:
            with suppress(KeyError, StoreError):
                _add_ref(before, self._backend.read_ref(before).data, known)
        put = set[str]()
        while True:
            reach = Reach(self._objects, known.uses)
            add(reach)
            reach.follow()
            stand_ins = map(self._objects.purged.stand_in, reach.uses)
            named = {*reach.uses, *(each for each in stand_ins if each is not None)} & self._listed.ids - put
            if not named:
                return
            self._backend.put_objects(self._read(sorted(named)))
            put |= named
            if not reach.unread.keys() & named:
                # What a list node names was not to be seen while that was kept aside.
                return

    def _read(self, identities: Sequence[str]) -> Iterator[NewObject]:
        for identity in identities:
            data = None
            with suppress(StoreError):
                data = self._backend.get_object(identity, size=None, limit=OBJECT_LIMIT)
            # One that is being deleted right now is kept aside before.
            data = data or self._machine.read_deleted(identity)
            # One that is still on its way is looked for by whoever acknowledges.
            if data is not None:
                yield self._objects.copied(identity, data)


def _add_ref(key: RefKey, data: bytes, reach: Reach) -> None:
    # One that is of a newer version, or damaged, is another replica's, which looks itself.
    with suppress(StoreError):
        reach.add_ref(parse_ref(data, key.path), key.path)
