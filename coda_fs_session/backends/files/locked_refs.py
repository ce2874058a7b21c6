"""The ref files that are held open between saves, and locked while one is saved to."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from ...process import forks
from ...process.interrupts import give_up
from ...process.uncopied import Uncopied
from ..base import Snapshot, Token
from ..disk.descriptors import note_keeper
from ..disk.files import Files, read_bytes
from ..disk.ref_files import read_whole
from ..disk.tokens import COARSE_TICK_NS
from ..machine.stand_ins import StandIns
from .open_ref import OpenRef

OPEN_REFS = 64


class OpenRefs(Uncopied):
    """The ref files that are open, the least recently used closed first."""

    def __init__(self, files: Files, stand_ins: StandIns) -> None:
        self._files = files
        self._stand_ins = stand_ins
        self._refs: OrderedDict[str, OpenRef] = OrderedDict()
        self._mutex = threading.RLock()
        forks.renew(self, forks.Floor.BACKEND)
        note_keeper(self)

    def acquire(self, path: str) -> OpenRef:
        """Take the lock of the file that is at `path` right now, waiting for whoever has it; see `release`.

        Raises:
            OSError: the file is not there or cannot be opened.
            CorruptionError: it is no regular file.
            StoreReadOnlyError: the disk has no locks, and nothing can stand in for them.
        """
        ref = self._take(path)
        try:
            if ref.descriptor < 0:
                ref.open(self._files)
            if not ref.locked:
                ref.lock()
            # Whoever held the lock before us may have replaced the file: then ours is an orphan's.
            ref.now = ref.look() or ref.catch_up(self._files)
        except BaseException:
            self.release(ref)
            raise
        return ref

    def release(self, ref: OpenRef) -> None:
        """Give the lock back; the file stays open for the next save."""
        ref.depth -= 1
        try:
            if ref.depth == 0 and ref.locked:
                ref.unlock()
        finally:
            ref.mutex.release()

    def renew(self, path: str, expected: Token) -> Token:
        """Give a file whose lock this thread holds another token, and return it.

        Raises:
            RefRefusedError: it is not as expected.
        """
        ref = self.acquire(path)
        try:
            ref.expect(expected)
            # Later than any time that may pass for the one before.
            self._files.set_time(path, max(time.time_ns(), expected.stamp + COARSE_TICK_NS))
            ref.now = ref.look() or ref.now
            return ref.now
        finally:
            self.release(ref)

    def read_held(self, path: str, begin: bytes) -> Snapshot | None:
        """Read a file whose lock this thread holds; None where it does not, or where the file was changed even so."""
        # The mutex of a file that another thread holds is not free, and one that nobody holds is not locked.
        if (ref := self._refs.get(path)) is None or not ref.mutex.acquire(blocking=False):
            return None
        try:
            if not ref.locked:
                return None
            data, whole = read_whole(ref.descriptor, ref.now.size, path, begin)
            return Snapshot(data, ref.now) if whole and ref.look() == ref.now else None
        except FileNotFoundError:
            return None
        finally:
            ref.mutex.release()

    def begins_with(self, path: str, front: bytes | bytearray) -> bool:
        """Tell whether a file that is open begins with these bytes; False where it is not open."""
        if (ref := self._refs.get(path)) is None or not ref.mutex.acquire(blocking=False):
            return False
        try:
            return ref.descriptor >= 0 and read_bytes(ref.descriptor, len(front), 0) == front
        finally:
            ref.mutex.release()

    def read_after(self, path: str, known: Token, end: bytes) -> Snapshot | None:
        """Return what follows the end that a file had, if this thread holds its lock, and it has that end there."""
        if (ref := self._refs.get(path)) is None or not ref.mutex.acquire(blocking=False):
            return None
        try:
            return ref.after(known, end) if ref.locked else None
        finally:
            ref.mutex.release()

    def close(self) -> None:
        """Close what no thread is using."""
        with self._mutex:
            for ref in list(self._refs.values()):
                self._close_idle(ref)

    def give_back(self) -> None:
        self.close()

    def _take(self, path: str) -> OpenRef:
        """Take the mutex of a file, and count one more use of it."""
        while True:
            ref = self._get(path)
            ref.mutex.acquire()
            # Closed before it was ours: in use it must be findable, or its thread would wait for itself the next time.
            if self._refs.get(path) is ref:
                ref.depth += 1
                return ref
            ref.mutex.release()

    def recover(self) -> None:
        """Give back what an interrupted operation of this thread holds, and close it."""
        give_up(self._mutex)
        with self._mutex:
            refs = list(self._refs.items())
        for path, ref in refs:
            # Free, or held by this thread, in which no operation is under way.
            if ref.mutex.acquire(blocking=False):
                try:
                    if ref.depth or ref.locked or ref.incoming >= 0:
                        self._refs.pop(path, None)
                        ref.depth = 0
                        ref.close()
                finally:
                    give_up(ref.mutex)

    def _get(self, path: str) -> OpenRef:
        with self._mutex:
            ref = self._refs.get(path)
            if ref is not None:
                self._refs.move_to_end(path)
                return ref
            if len(self._refs) >= OPEN_REFS:
                for old in list(self._refs.values()):
                    if self._close_idle(old):
                        break
            ref = self._refs[path] = OpenRef(path, self._stand_ins)
        return ref

    def _close_idle(self, ref: OpenRef) -> bool:
        """Close a file and forget it, if no thread is using it."""
        if not ref.mutex.acquire(blocking=False):
            return False
        try:
            if ref.depth:
                return False
            del self._refs[ref.path]
            ref.close()
            return True
        finally:
            ref.mutex.release()

    def after_fork(self) -> None:
        """In a child of os.fork: close what is the parent's too, and leave the locks on it to the parent."""
        self._mutex = threading.RLock()
        for ref in self._refs.values():
            ref.forget()
        self._refs = OrderedDict()


class Hold:
    """See `Backend.hold`; no generator, which would give the lock back once more when it is thrown away."""

    def __init__(self, acquire: Callable[[str], OpenRef], release: Callable[[OpenRef], None], path: str) -> None:
        self._acquire = acquire
        self._release = release
        self._path = path

    def __enter__(self) -> None:
        self._ref = self._acquire(self._path)

    def __exit__(self, *_: object) -> None:
        self._release(self._ref)
