"""Session names, and the file keys made from them (FORMAT.md, "Names and keys")."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import count

from ..errors import InvalidNameError

MAX_NAME_CHARACTERS = 255

_PLAIN_KEY = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")
_NOT_IN_SLUG = re.compile(r"[^a-z0-9]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Windows opens a device for these, whatever the extension; a store is synced to Windows too.
_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", "conin", "conout", "clock"]
    + [f"{port}{n}" for port in ("com", "lpt") for n in range(10)]
)
_SLUG_CHARACTERS = 40
_DIGITS = (8, 12, 16, 24, 32, 64)
"""How much of an id a derived name has: more, where less is taken."""
_DERIVED = re.compile(r"(.+)~[0-9a-f]{8,64}\Z", re.DOTALL)
_LONGEST_DERIVED = 4096
"""Characters: a name of the greatest length, and derived from that more than fifty times."""
_REF_FILE = re.compile(r"([a-z0-9-]{1,42}\.[0-9a-f]{16}|[a-z0-9][a-z0-9_-]{0,62})(?:\.[0-9]+)?\.jsonl\Z")


def normalise_name(name: object, *, derived: bool = False) -> str:
    """Check a session name and return it in NFC, the form in which names are compared and stored.

    Args:
        name: any text of 1 to 255 characters without control characters or lone surrogates.
        derived: the name was computed (``<label>~<hash>``) and may pass the length limit.

    Raises:
        InvalidNameError: anything else, saying what is wrong with it.
    """
    if not isinstance(name, str):
        raise InvalidNameError(f"a session name must be text, not {type(name).__name__}")
    if not name:
        raise InvalidNameError("a session name must have at least one character")
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise InvalidNameError(f"session name {name!a} holds a lone surrogate at {error.start}") from error
    normal = unicodedata.normalize("NFC", name)
    if not derived and len(normal) > MAX_NAME_CHARACTERS:
        raise InvalidNameError(f"session name {normal[:40]!r}... has {len(normal)} characters; 255 is the limit")
    control = _CONTROL.search(normal)
    if control:
        raise InvalidNameError(f"session name {normal!r} holds the control character {control.group()!a}")
    return normal


def checked_name(name: object) -> str:
    """Check and normalise the name of a session that may be there already, a derived one too.

    Raises:
        InvalidNameError: see `normalise_name`.
    """
    # A derived name is its label and a suffix, and may be longer than a name that somebody chose.
    return normalise_name(name, derived=isinstance(name, str) and "~" in name)


def derived(name: str, identity: str) -> Iterator[str]:
    """Yield the names that may be derived from one with an id: each is for where all before it are taken."""
    return (f"{name}~{identity[:digits]}" for digits in _DIGITS)


def is_lengthened(label: str, name: str) -> bool:
    """Tell whether a name, as it was derived from another one, is longer than it had to be, as less was taken."""
    return len(label) > len(name) + 1 + _DIGITS[0]


def origin(name: str) -> str | None:
    """Return what a name may be derived from, judged by its form; None where it does not have that form."""
    # What others write into a header must not keep us busy: it may be any length.
    match = _DERIVED.match(name) if "~" in name and len(name) <= _LONGEST_DERIVED else None
    return match[1] if match else None


def origins(name: str) -> Iterator[str]:
    """Yield a name, and if it has the form of a derived one, what it may be derived from."""
    known: str | None = name
    while known is not None:
        yield known
        known = origin(known)


def session_key(name: str) -> str:
    """Return the file key of a normalised name: the name itself where that is safe on every disk, else slug and hash.

    The same name has the same key on every machine, different names never share one, not even on a
    disk that folds case, and no key contains a path separator, a leading dot or "conflict" (a word by
    which sync tools and people recognise conflict copies).
    """
    if _PLAIN_KEY.match(name) and name not in _DEVICES and "conflict" not in name:
        return name
    slug = _NOT_IN_SLUG.sub("-", name.lower()).strip("-")[:_SLUG_CHARACTERS].strip("-").replace("conflict", "x")
    if slug in _DEVICES:
        slug = f"x-{slug}"
    return f"{slug or 'x'}.{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def key_folders(replica: str, key: str) -> tuple[str, str]:
    """Return the folders, below the refs, in which a replica's refs of a key may be: its own, and one within that.

    The second one is called by the first two digits of the hash of the name that the key is of.
    """
    _, hashed, digits = key.partition(".")
    return replica, f"{replica}/{(digits if hashed else hashlib.sha256(key.encode()).hexdigest())[:2]}"


def ref_path(folder: str, key: str, number: int) -> str:
    """Return the path, below the refs, of the `number`-th ref for a key in a folder, from 1."""
    return f"{folder}/{key}.jsonl" if number == 1 else f"{folder}/{key}.{number}.jsonl"


def ref_paths(folders: Sequence[str], key: str, first: int = 1) -> Iterator[tuple[str, ...]]:
    """Yield the paths of the refs for a key, one number after the other: for each number, the path in each folder."""
    return (tuple(ref_path(folder, key, number) for folder in folders) for number in count(first))


@lru_cache(maxsize=4096)
def key_of_ref(path: str) -> str | None:
    """Return the key that a ref's file name was made from, or None where this package would not give such a name.

    Only a hint, for files whose header cannot be read: the header says whose ref a file is.
    """
    match = _REF_FILE.match(path.rpartition("/")[2])
    return match.group(1) if match and "conflict" not in match.group(1) else None
