"""Making a value that JSON refuses one that can be stored."""

from __future__ import annotations

import base64
import math
from collections import deque
from collections.abc import Iterable, KeysView, Mapping, Set, ValuesView
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from enum import Enum
from typing import Any, NamedTuple

from ..errors import InvalidMessageError
from .jsonl import LARGEST_INTEGER, MAX_DEPTH, SMALLEST_INTEGER, encode_value, has_surrogate, is_plain

_MOST_REPEATED = 200_000
_STEPS = 8
"""How often a value may become another one that is not JSON either, as an enum of dates does."""
_JSON = frozenset((str, int, float, bool, type(None), dict, list))
_TEXTUAL = frozenset(
    (
        *("decimal.Decimal", "uuid.UUID", "fractions.Fraction", "builtins.complex", "ipaddress._IPAddressBase"),
        "zoneinfo.ZoneInfo",
    )
)
"""Classes whose `str` says all of a value; by name, since a program may need none of their modules."""


class Change(NamedTuple):
    """What `jsonable` changed at one place.

    Attributes:
        path: where, such as ``value.results[3].at``, in the value as it is now.
        was: the type that stood there, or what was wrong with it; became: what stands there now.
    """

    path: str
    was: str
    became: str


def jsonable(value: Any, path: str = "value") -> tuple[Any, list[Change]]:
    """Return a value in a form that `Session.add_message` takes, and what had to be changed for that.

    Nothing that was given is changed. A value that can be stored as it is comes back itself, without changes. It is
    never an error, whatever the value is: of an object that no form is known for, its `repr` is stored.

    Text with lone surrogates gets U+FFFD for each. NaN and infinities become text, as do integers over 64 bits. A tuple
    or set becomes a list, a named tuple, dataclass or pydantic model a dict, bytes become base64, an enum its value,
    dates ISO 8601, a `timedelta` its seconds. Keys become text. What holds itself, or is nested deeper than 200 levels,
    is cut there.

    Args:
        path: what to call the value in the changes.

    Returns:
        The value, and a `Change` for each place, in order.
    """
    if is_plain(value):
        with suppress(InvalidMessageError):
            encode_value(value, path)
            return value, []
    maker = _Maker(path)
    made = maker.make(value)
    return (made, maker.changes) if maker.changes else (value, [])


class _Place(NamedTuple):
    """Where a value stands: in `holder`, which is under construction, at `key`."""

    holder: Any
    key: Any
    above: _Place | None


class _Maker:
    """Works without recursion: what is given may be nested as deep as memory goes."""

    def __init__(self, path: str) -> None:
        self.changes: list[Change] = []
        self._path = path
        # Containers that the one at work is in, and all that were met: held, or their ids would be used again.
        self._around: set[int] = set()
        self._met: dict[int, Any] = {}
        self._repeated = 0

    def make(self, value: Any) -> Any:
        top: list[Any] = [None]
        pending: list[tuple[Any, _Place, int] | int] = [(value, _Place(top, 0, None), 1)]
        while pending:
            step = pending.pop()
            if isinstance(step, int):
                # All that is in this one is done.
                self._around.discard(step)
                continue
            given, place, depth = step
            simple = self._simple(given, place)
            if not isinstance(simple, (dict, list)):
                place.holder[place.key] = simple
                continue
            problem = self._too_much(given, simple, depth)
            if problem is not None:
                place.holder[place.key] = self._note(place, *problem)
                continue
            self._around.add(id(given))
            pending.append(id(given))
            made: Any = self._keys(simple, place) if isinstance(simple, dict) else [None] * len(simple)
            place.holder[place.key] = made
            children = zip(made, list(simple.values()), strict=True) if isinstance(simple, dict) else enumerate(simple)
            pending += reversed([(child, _Place(made, key, place), depth + 1) for key, child in children])
        return top[0]

    def _too_much(self, given: Any, simple: Any, depth: int) -> tuple[str, str, str] | None:
        if id(given) in self._around:
            return "a value that holds itself", "text", "(holds itself)"
        if depth > MAX_DEPTH:
            return f"a value nested deeper than {MAX_DEPTH} levels", "its repr", _shown(given)
        if id(given) in self._met:
            # The same one again. Some structures are small, and endless when they are written out.
            self._repeated += 1 + len(simple)
            if self._repeated > _MOST_REPEATED:
                return "a value that is repeated too often", "text", "(repeated too often)"
        self._met[id(given)] = given
        return None

    def _simple(self, value: Any, place: _Place) -> Any:
        """Return a value of a JSON type; what is in a dict or list is still as it was given."""
        kind = type(value)
        if kind is str:
            return value if not has_surrogate(value) else self._note(place, "lone surrogates", "U+FFFD", _clean(value))
        if value is None or kind is bool or kind is dict or kind is list:
            return value
        if kind is int:
            if SMALLEST_INTEGER <= value <= LARGEST_INTEGER:
                return value
            return self._note(place, "an integer over 64 bits", "text", _digits(value))
        if kind is float:
            return value if math.isfinite(value) else self._note(place, f"the float {value}", "text", str(value))
        became, made = "", value
        for _ in range(_STEPS):
            try:
                step, made = _known(made)
            except Exception:
                # It is code of the program's that answers here.
                break
            became = became or step
            if type(made) in _JSON:
                self._note(place, kind.__name__, became, None)
                return self._simple(made, place)
        return self._note(place, kind.__name__, "its repr", _shown(value))

    def _keys(self, value: dict[Any, Any], place: _Place) -> dict[str, Any]:
        made: dict[str, Any] = {}
        taken = {key for key in value if type(key) is str}
        for key in value:
            text = key if type(key) is str else _key(key)
            text = _clean(text) if has_surrogate(text) else text
            while text in made or (text != key and text in taken):
                # Two keys that became one must not cost a value.
                text += "~"
            made[text] = None
            if type(key) is not str or text != key:
                was = "lone surrogates in a key" if type(key) is str else f"a key of type {type(key).__name__}"
                self._note(_Place(made, text, place), was, "text", None)
        return made

    def _note(self, place: _Place, was: str, became: str, made: Any) -> Any:
        steps: list[str] = []
        at: _Place | None = place
        while at is not None and at.above is not None:
            key = at.key
            steps.append(f"[{key}]" if isinstance(key, int) else f".{key}" if key.isidentifier() else f"[{key!r}]")
            at = at.above
        self.changes.append(Change(self._path + "".join(reversed(steps)), was, became))
        return made


def _known(value: Any) -> tuple[str, Any]:
    """Return what a value of another type becomes: what to call that, and the value one step nearer to JSON."""
    kind = type(value)
    if isinstance(value, Enum):
        return "its value", value.value
    if isinstance(value, str):
        return "text", str.__str__(value)
    if isinstance(value, int):
        return "a number", int.__int__(value)
    if isinstance(value, float):
        return "a number", float.__float__(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "base64", base64.b64encode(bytes(value)).decode()
    if isinstance(value, (datetime, date, time)):
        return "ISO 8601 text", value.isoformat()
    if isinstance(value, timedelta):
        return "seconds", value.total_seconds()
    if any(f"{each.__module__}.{each.__qualname__}" in _TEXTUAL for each in kind.__mro__):
        return "text", str(value)
    if not isinstance(value, type):
        found = _from_its_class(value, kind)
        if found is not None:
            return found
    if isinstance(value, Mapping):
        return "a dict", dict(value.items())
    if isinstance(value, (Set, KeysView)):
        return "a list", _in_order(value)
    if isinstance(value, (tuple, list, deque, range, ValuesView)):
        return "a list", list(value)
    return "its repr", _shown(value)


def _from_its_class(value: Any, kind: type) -> tuple[str, Any] | None:
    """Return what the class of a value has to say about its form."""
    if callable(getattr(kind, "model_dump", None)):
        return "a dict", value.model_dump()
    fields = getattr(kind, "__dataclass_fields__", None)
    if fields is not None:
        return "a dict", {name: getattr(value, name) for name in fields if hasattr(value, name)}
    fields = getattr(kind, "__attrs_attrs__", None)
    if fields is not None:
        return "a dict", {field.name: getattr(value, field.name) for field in fields}
    if callable(getattr(kind, "_asdict", None)):
        return "a dict", value._asdict()
    if callable(getattr(kind, "__fspath__", None)):
        path = value.__fspath__()
        return "text", path.decode(errors="replace") if isinstance(path, bytes) else path
    if hasattr(kind, "dtype") and callable(getattr(kind, "tolist", None)):
        # An array, or a single number of one.
        return "plain numbers", value.tolist()
    return None


def _in_order(values: Iterable[Any]) -> list[Any]:
    """Return what is in a set in an order that is the same in every process, as far as the values tell one."""
    items = list(values)
    try:
        return sorted(items)
    except TypeError:
        return sorted(items, key=lambda item: (type(item).__name__, _shown(item)))


def _key(key: Any) -> str:
    """Return what a key becomes, as `json.dumps` has it where that has a form for it."""
    if isinstance(key, Enum):
        key = key.value
    if isinstance(key, str):
        return str.__str__(key)
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    if type(key) is int:
        return _digits(key)
    try:
        became, made = _known(key)
    except Exception:
        return _shown(key)
    return made if isinstance(made, str) and became != "base64" else _shown(key) if became != "a number" else repr(made)


def _digits(value: int) -> str:
    try:
        return str(value)
    except ValueError:
        # So large that Python refuses to write it in decimal.
        return hex(value)


def _clean(text: str) -> str:
    """Return a text with U+FFFD for each lone surrogate; two halves of one character become that."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _shown(value: Any) -> str:
    try:
        return _clean(str.__str__(repr(value)))
    except Exception:
        return f"<{type(value).__name__}>"
