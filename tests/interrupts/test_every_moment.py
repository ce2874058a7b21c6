"""An interrupt, such as Ctrl-C, at every moment of what a program does with a manager."""

from __future__ import annotations

import gc
import os
import random
import threading
from collections.abc import Iterable

import pytest
from storekit import Opener

from coda_fs_session import Session
from interrupts.moments import KINDS, Interrupter
from interrupts.works import EVERY, Maker, append, edit, first_save, say, texts_of

PATIENCE = 30.0


class Trial:
    """One store, in which work after work is interrupted."""

    def __init__(self, make: Opener, maker: Maker) -> None:
        self.manager = make()
        # In memory every manager has a store of its own.
        self.reader = make() if repr(self.manager).find("memory") < 0 else self.manager
        self._maker = maker
        self.count = 0
        self._expected: set[str] = set()

    def interrupt(self, at: int, kind: type[BaseException], *, opcodes: bool, again: int = 0) -> int:
        """Do the work, interrupted at a moment, and do it again, which must be as if it had not been.

        Args:
            again: interrupt the second time, too, at this moment.

        Returns:
            How many moments there are, where there is none of this number; else 0.
        """
        self.count += 1
        name = f"chat-{self.count}"
        work = self._maker(self.manager, name)
        moment = Interrupter(at, kind, opcodes=opcodes)
        moment.call(work.do)
        if not moment.hit:
            self._expected |= {each for each, texts in work.expected.items() if texts is not None}
            return moment.count
        where = f"at moment {at} ({kind.__name__})"
        self._nobody_waits(work.sessions, where)
        if again:
            Interrupter(again, kind, opcodes=opcodes).call(work.do)
            where = f"{where}, then {again}"
            self._nobody_waits(work.sessions, where)
        work.do()
        for each, texts in work.expected.items():
            assert (each in self.reader) == (texts is not None), f"{each} {where}"
            if texts is not None:
                assert _shown(self.reader.load_session(each)) == _shortened(texts), f"{each} stored {where}"
        for session in work.sessions:
            assert not session.has_unsaved_changes, f"{session.name} {where}"
            # The next save must neither repeat anything nor skip it.
            say(session, "next")
            self.manager.save_session(session)
            texts = _shortened([*(work.expected[session.name] or ()), "next"])
            assert _shown(session) == texts, f"{session.name} in memory {where}"
            assert _shown(self.reader.load_session(session.name)) == texts, f"{session.name} stored {where}"
        self._expected |= {each for each, texts in work.expected.items() if texts is not None}
        return 0

    def _nobody_waits(self, sessions: list[Session], where: str) -> None:
        """Another thread, and another manager, can go on with the store and with the sessions."""
        done: list[BaseException | None] = []

        def use() -> None:
            try:
                self.manager.get_session_info("beside")
                beside = self.reader.create_session("beside")
                beside.update_metadata({"seen": where})
                self.reader.save_session(beside)
                for session in sessions:
                    session.get_messages()
                done.append(None)
            except BaseException as error:
                done.append(error)

        thread = threading.Thread(target=use, daemon=True)
        thread.start()
        thread.join(PATIENCE)
        assert done == [None], f"{done or 'somebody waits for ever'} {where}"

    def close(self) -> None:
        """End it; nothing is there that should not be, such as a save that became a session of its own."""
        names = {info.name for info in self.reader.list_sessions()}
        assert names - {"beside"} == self._expected
        for manager in {self.manager, self.reader}:
            manager.close()


def _shortened(texts: Iterable[str]) -> list[str]:
    return [text if len(text) < 50 else f"{text[:10]}... ({len(text)})" for text in texts]


def _shown(session: Session) -> list[str]:
    return _shortened(texts_of(session))


def _open_files() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def _sweep(make: Opener, maker: Maker, *, most: int, opcodes: bool = False, again: bool = False) -> int:
    """Interrupt a work at each of its moments, or at `most` of them, and return at how many."""
    trial = Trial(make, maker)
    total = trial.interrupt(0, KeyboardInterrupt, opcodes=opcodes)
    before = _open_files()
    moments = range(1, total + 1, max(1, total // most))
    for number, at in enumerate(moments):
        kind = KINDS[number % len(KINDS)] if len(moments) < total else KeyboardInterrupt
        trial.interrupt(at, kind, opcodes=opcodes, again=1 + at // 2 if again else 0)
    trial.close()
    # Each in the very step that opens or closes a file costs one: Python has no means against that.
    assert _open_files() <= before + max(1, len(moments) // 20), "descriptors are left open"
    return len(moments)


def test_a_save_at_every_moment(make: Opener, long_size: bool) -> None:
    """An interrupted save is like one that failed: saved again, each message is there once and in order, in the session
    and in the store; nobody else is kept waiting, and no file is left open."""
    assert _sweep(make, append, most=10**9 if long_size else 120, opcodes=long_size) > 50


@pytest.mark.parametrize("maker", EVERY, ids=lambda maker: maker.__name__)
def test_every_work(make: Opener, maker: Maker, long_size: bool) -> None:
    """The same for whatever else is done with a manager, and for whatever a signal handler raises."""
    _sweep(make, maker, most=10**9 if long_size else 7)


@pytest.mark.parametrize("maker", [append, edit, first_save], ids=lambda maker: maker.__name__)
def test_interrupted_twice(make: Opener, maker: Maker, long_size: bool) -> None:
    """The same where what is done again is interrupted, too."""
    _sweep(make, maker, most=10**9 if long_size else 7, again=True)


@pytest.mark.parametrize("maker", EVERY, ids=lambda maker: maker.__name__)
def test_random_moments(make: Opener, maker: Maker, seed: int, long_size: bool) -> None:
    """The same at other moments each time, for each kind of what is raised."""
    rng, trial = random.Random(f"{seed} {maker.__name__}"), Trial(make, maker)
    total = trial.interrupt(0, KeyboardInterrupt, opcodes=False)
    for kind in KINDS * (100 if long_size else 1):
        trial.interrupt(rng.randrange(1, total + 1), kind, opcodes=False)
    trial.close()
