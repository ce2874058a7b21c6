"""Hypothesis strategies for histories."""

from __future__ import annotations

from hypothesis import strategies as st

from .steps import REPLICAS, VERBS, History, Step

_WEIGHTED = [verb for verb, (weight, _) in VERBS.items() for _ in range(weight)]


def _step(verb: str) -> st.SearchStrategy[Step]:
    return st.tuples(st.just(verb), st.tuples(*(st.integers(0, limit - 1) for limit in VERBS[verb][1])))


def histories(*, reverts: bool = False, longest: int = 30) -> st.SearchStrategy[History]:
    """Draw histories of 2 to 5 replicas that begin with a session on the first."""
    steps = st.lists(st.sampled_from(_WEIGHTED).flatmap(_step), max_size=longest)
    begun = steps.map(lambda drawn: (("create", (0, 0)), ("add", (0, 0, 2)), *drawn))
    return st.builds(History, st.integers(2, REPLICAS), begun, st.just(reverts))
