"""A row about watching a store of many sessions."""

import time

from .children import Child
from .lab import Lab
from .many import LARGEST
from .measure import Check, Row, Summary


def watch(lab: Lab) -> Row:
    """What it takes while nothing happens, and how long after a save it is told by a process with events."""
    results, checks = {}, []
    for size in lab.scale.many:
        ours = lab.store_of(size)
        with Child("benchmarks.watcher", str(ours.store), str(ours.state)) as child:
            child.wait_until_done()
            child.tell(f"idle {lab.scale.idle}")
            share = float(child.read())
            child.wait_until_done()
            seconds = []
            for _ in range(lab.rounds(20)):
                ours.save("session-5", lab.messages.next())
                began = time.perf_counter()
                child.tell("event")
                child.wait_until_done()
                seconds.append(time.perf_counter() - began)
                # Else two saves are told as one.
                time.sleep(0.2)
        idle, event = f"idle, {size:,}", f"an event, {size:,}"
        results[idle] = Summary.once(100 * share, "%")
        results[event] = Summary.of((1000 * each for each in seconds), "ms")
        checks.append(Check(idle, results[idle].median, must=0.5 if size < LARGEST else 2, unit="% of a core"))
        checks.append(Check(event, results[event].median, must=500, unit="ms"))
    return Row("watch, by the sessions in the store", results, checks)
