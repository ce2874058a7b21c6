"""A row about answers that are saved as they stream in: what their many states cost, and what gc leaves of them."""

import time
from datetime import timedelta
from itertools import cycle

from coda_fs_session.repo.maintenance.gc import gc

from .contenders.ours import Ours
from .lab import Lab
from .measure import Check, Row, Summary

TOKENS = 50
"""Edits of an answer."""
WORDS = [f"word{number} " for number in range(16)]
FREE_BYTES = 2**20
"""Of a session: what its ref may have before it is rewritten."""


def edits(lab: Lab) -> Row:
    """One session. Time is told of the first and of the last tenth: that each edit costs what the first ones did."""
    number = lab.scale.edits
    ours, plain = Ours(lab.spare(), durable=False), Ours(lab.spare(), durable=False)
    times = streamed(ours, number)
    before = ours.stored_bytes()
    plain.fill("chat", ours.manager.load_session("chat").get_messages())
    let_go(ours)
    after, without = ours.stored_bytes(), plain.stored_bytes()
    over = (after - without - FREE_BYTES) / number
    results = {
        "an edit, the first tenth": Summary.of(times[: number // 10], "ms"),
        "an edit, the last tenth": Summary.of(times[-number // 10 :], "ms"),
        "stored, an edit": Summary.once((before - without) / number, "bytes"),
        "after gc, an edit": Summary.once((after - without) / number, "bytes"),
    }
    slower = results["an edit, the last tenth"].median / results["an edit, the first tenth"].median
    checks = [
        Check("after gc, an edit beyond 1 MiB", over, must=80, unit="bytes"),
        Check("last tenth / first tenth", slower),
    ]
    return Row(f"{number:,} edits of last messages, each saved", results, checks)


def streamed(ours: Ours, number: int) -> list[float]:
    """Let answers come in, token by token, each saved; return how many milliseconds of work each save was."""
    manager, words, times = ours.manager, cycle(WORDS), list[float]()
    session = manager.create_session("chat")
    while len(times) < number:
        session.add_message({"role": "user", "content": f"question {len(times)}"})
        session.add_message({"role": "assistant", "content": ""})
        text = ""
        for _ in range(TOKENS):
            text += next(words)
            session.messages[-1] = {"role": "assistant", "content": text}
            begun = time.process_time()
            manager.save_session(session)
            times.append((time.process_time() - begun) * 1000)
    return times


def let_go(ours: Ours) -> None:
    """Run gc with neither retention nor grace until it has deleted something, a day after the other."""
    engine = ours.manager._engine
    assert engine is not None
    repo, begun = engine.repo, engine.repo.settings.clock()
    for day in range(20):
        repo.settings = repo.settings._replace(clock=lambda day=day: begun + timedelta(days=day))
        with repo.machine.keeping_house("gc"):
            report = gc(repo, grace_days=0, retention_days=0, dry_run=False)
        if report.blocked:
            raise RuntimeError(f"a good store has nothing that keeps gc from its work: {report}")
        if report.freed.files:
            return
    raise RuntimeError("gc has let go of nothing")
