"""A hub without a cloud: a store in memory behind requests that are counted and that take their time."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

from coda_fs_session.backends.base import Sign, Token
from coda_fs_session.backends.memory import MemoryBackend
from coda_fs_session.backends.wrapper import T, WrapperBackend
from coda_fs_session.errors import StoreError
from coda_fs_session.repo.storage import RepoStorage
from coda_fs_session.repo.sync.hub import storage_of

_FREE = frozenset(["locate"])


class Hub(WrapperBackend):
    """A store in memory as a bucket would be one: every verb is a request.

    Attributes:
        requests: how often each verb was called; seconds: what each takes.
        fails_at: the number of the request that fails, and all after it, from 0; None for none.
        busiest: how many requests were under way at a time, at most.
    """

    def __init__(self, *, seconds: float = 0) -> None:
        super().__init__(MemoryBackend())
        self.capabilities = self.inner.capabilities._replace(costly=True)
        self.requests: Counter[str] = Counter()
        self.seconds = seconds
        self.fails_at: int | None = None
        self.after = False
        self.busiest = 0
        self._busy = 0
        self._mutex = threading.Lock()

    def address(self) -> str:
        # Also where something else is put in its place.
        return f"hub-of-a-test-{id(self)}"

    def call(self, verb: str, act: Callable[[], T]) -> T:
        if verb in _FREE:
            return act()
        with self._mutex:
            number = self.requests.total()
            self.requests[verb] += 1
            self._busy += 1
            self.busiest = max(self.busiest, self._busy)
        try:
            time.sleep(self.seconds)
            failing = self.fails_at is not None and number >= self.fails_at
            if failing and not self.after:
                raise StoreError("the hub is not reached, on purpose")
            done = act()
            if failing:
                raise StoreError("the answer of the hub is lost, on purpose")
            return done
        finally:
            with self._mutex:
                self._busy -= 1

    def look(self) -> tuple[dict[str, Token], dict[str, Sign | None]]:
        def act() -> tuple[dict[str, Token], dict[str, Sign | None]]:
            assert isinstance(self.inner, MemoryBackend)
            files = {
                replica: Sign((hash(self.inner.read_replica_file(replica)),)) for replica in self.inner.replica_files()
            }
            return self.inner.ref_tokens(), files

        return self.call("look", act)

    def forget(self) -> Counter[str]:
        """Begin to count anew; return what was counted."""
        counted, self.requests = self.requests, Counter()
        return counted

    def storage(self) -> RepoStorage:
        """Open the hub as a sync does, each time anew."""
        return storage_of(self)
