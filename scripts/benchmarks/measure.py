"""Time contenders by turns, and hold the results against what they must reach."""

import gc
import math
import random
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from .lab import Lab

Prepare = Callable[[int], Callable[[], object]]  # given the round, make ready (not timed) what is then timed


@dataclass(frozen=True, slots=True)
class Summary:
    """What one contender needed, in `unit`; of a rate, `p95` is the slow end."""

    median: float
    p95: float
    rounds: int
    unit: str

    @classmethod
    def of(cls, values: Iterable[float], unit: str) -> "Summary":
        values = sorted(values)
        return cls(statistics.median(values), values[math.ceil(0.95 * len(values)) - 1], len(values), unit)

    @classmethod
    def of_rate(cls, amount: float, seconds: Sequence[float], unit: str) -> "Summary":
        time = cls.of(seconds, "s")
        return cls(amount / time.median, amount / time.p95, time.rounds, unit)

    @classmethod
    def once(cls, value: float, unit: str) -> "Summary":
        return cls(value, value, 1, unit)


@dataclass(frozen=True, slots=True)
class Check:
    """A value, what it must reach and what it aims at; without limits it only informs."""

    what: str
    value: float
    must: float | None = None
    aim: float | None = None
    unit: str = "x"
    at_least: bool = False  # else at most

    def reaches(self, limit: float) -> bool:
        return self.value >= limit if self.at_least else self.value <= limit

    @property
    def missed(self) -> bool:
        return self.must is not None and not self.reaches(self.must)


@dataclass(slots=True)
class Row:
    title: str
    contenders: dict[str, Summary]
    checks: list[Check]
    notes: list[str] = field(default_factory=list)
    name: str = ""


class RowFunction(Protocol):
    def __call__(self, lab: Lab, /) -> Row: ...


def interleave(contenders: dict[str, Prepare], rounds: int, *, warm_up: int = 1) -> dict[str, list[float]]:
    """Run every contender once per round and return its times in seconds.

    The order within a round is drawn anew each time: what one leaves behind (dirty pages, cold caches, a journal to
    commit) must not always hit the same next one.
    """
    order = list(contenders)
    times: dict[str, list[float]] = {name: [] for name in order}
    draw = random.Random(1)
    gc.collect()
    gc.freeze()  # what earlier rows still hold is nothing the collector should walk through here
    try:
        for turn in range(-warm_up, rounds):
            draw.shuffle(order)
            for name in order:
                seconds = timed(contenders[name](turn + warm_up))
                if turn >= 0:
                    times[name].append(seconds)
    finally:
        gc.unfreeze()
    return times


def timed(run: Callable[[], object]) -> float:
    """Return how long `run` takes; what it returns is thrown away after the clock has stopped."""
    started = time.perf_counter()
    result = run()
    seconds = time.perf_counter() - started
    del result
    return seconds


def ready(run: Callable[..., object], *arguments: Any) -> Prepare:
    """Return a contender that needs nothing made ready."""
    call = partial(run, *arguments)
    return lambda _turn: call


def milliseconds(times: dict[str, list[float]]) -> dict[str, Summary]:
    return {name: Summary.of((1000 * second for second in seconds), "ms") for name, seconds in times.items()}


def ratio(contenders: dict[str, Summary], one: str, other: str, **limits: Any) -> Check:
    """Compare the medians of two contenders."""
    return Check(f"{one} / {other}", contenders[one].median / contenders[other].median, **limits)
