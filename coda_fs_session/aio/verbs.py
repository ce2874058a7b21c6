"""From a verb that blocks to a coroutine."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from functools import partial, wraps
from inspect import signature
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from ..manager.manager import SessionManager

_P = ParamSpec("_P")
_R = TypeVar("_R")
_T_co = TypeVar("_T_co", covariant=True)
_T = TypeVar("_T")


class Host(Protocol[_T_co]):
    """What has coroutines in place of verbs."""

    @property
    def _blocking(self) -> _T_co: ...

    async def _in_turn(self, work: Callable[[], _R], about: Iterable[object], *, last: bool = ...) -> _R: ...


class Part:
    """Some of a manager's verbs, which wait for the same calls as its own."""

    def __init__(self, manager: Host[SessionManager]) -> None:
        self._manager = manager

    async def _in_turn(self, work: Callable[[], _R], about: Iterable[object], *, last: bool = False) -> _R:
        return await self._manager._in_turn(work, about, last=last)


def verb(
    method: Callable[Concatenate[_T, _P], _R], *named: str, last: bool = False
) -> Callable[Concatenate[Host[_T], _P], Coroutine[Any, Any, _R]]:
    """Return a verb as a coroutine.

    Args:
        named: the parameters that say which sessions it is about, by name or object.
        last: it waits for all calls that came before it.
    """
    parameters = list(signature(method).parameters)[1:]
    places = [(name, parameters.index(name)) for name in named]

    @wraps(method)
    async def run(self: Host[_T], /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        about = [args[place] if place < len(args) else kwargs.get(name) for name, place in places]
        return await self._in_turn(partial(method, self._blocking, *args, **kwargs), about, last=last)

    return run
