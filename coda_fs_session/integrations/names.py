"""From the keys of frameworks to names of sessions, and back."""

from __future__ import annotations

import hashlib
from urllib.parse import quote, unquote

_PLAIN = "".join(map(chr, range(32, 127))).replace("%", "").replace("/", "")
_LONGEST = 255
_KEPT = 180
_CUT = "%."
"""Stands before the hash in a name that was too long, and for an empty part alone. Quoting makes neither."""
_EMPTY = "%"


def name_of(prefix: str, *parts: str) -> str:
    """Return the name of the session for a key of so many parts: no two keys have the same one.

    Printable ASCII stays but for ``%`` and ``/``, and parts are joined by ``/``. What would be longer than a name may
    be ends with a hash.
    """
    name = prefix + "/".join(quote(part, _PLAIN, errors="surrogatepass") or _EMPTY for part in parts)
    if len(name) <= _LONGEST:
        return name
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:32]
    return f"{name[:_KEPT]}{_CUT}{digest}"


def parts_of(prefix: str, name: str) -> tuple[str, ...] | None:
    """Return the key that a name stands for; None where the name does not tell, being no such one or cut."""
    if not name.startswith(prefix) or is_cut(name):
        return None
    told = name[len(prefix) :].split("/")
    return tuple("" if part == _EMPTY else unquote(part, errors="surrogatepass") for part in told)


def is_cut(name: str) -> bool:
    """Tell whether a name was too long, and does not tell its key."""
    return name[_KEPT : _KEPT + len(_CUT)] == _CUT
