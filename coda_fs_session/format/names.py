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
_NOT_IN_ASCII_SLUG = re.compile(r"[^a-z0-9]+")
_DASHES = re.compile("-+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Windows opens a device for these, whatever the extension; a store is synced to Windows too.
_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", "conin", "conout", "clock"]
    + [f"{port}{n}" for port in ("com", "lpt") for n in "0123456789\u00b9\u00b2\u00b3"]
)
_SLUG_BYTES = 100
_SURE_BYTES = 60
_ASCII = re.compile(r"[\x00-\x7f]*")
_COMPOSED = "HJTWY"
_PLAIN_START = re.compile(r"[a-z0-9][a-z0-9_-]*\Z")
_DIGITS = (8, 12, 16, 24, 32, 64)
"""How much of an id a derived name has: more, where less is taken."""
_DERIVED = re.compile(r"(.+)~[0-9a-f]{8,64}\Z", re.DOTALL)
_LONGEST_DERIVED = 4096
"""Characters: a name of the greatest length, and derived from that more than fifty times."""
_SLUG = r"[A-Za-z0-9\x80-\U0010ffff-]+"
"""In any form that a disk gives it, and with letters that a later Unicode has."""
_REF_FILE = re.compile(_SLUG.join(("(", r"\.[0-9a-f]{16}|[a-z0-9][a-z0-9_-]{0,62})(?:\.([0-9]+))?\.jsonl\Z")))


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

    Different names never share a key, not even on a disk that folds case or Unicode forms: see `identity_of`. No key
    contains a path separator, a leading dot or "conflict" (a word by which sync tools and people recognise conflict
    copies).
    """
    if _PLAIN_KEY.match(name) and name not in _DEVICES and "conflict" not in name:
        return name
    return f"{_slug(name)}.{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def _slug(name: str) -> str:
    text = name.lower()
    if text.isascii():
        text = _NOT_IN_ASCII_SLUG.sub("-", text)
    else:
        text = unicodedata.normalize("NFC", text)
        text = _DASHES.sub("-", "".join(each if unicodedata.category(each)[0] in "LMN" else "-" for each in text))
    text = text.strip("-").encode()[:_SLUG_BYTES].decode(errors="ignore").strip("-").replace("conflict", "x")
    return f"x-{text}" if text in _DEVICES else text or "x"


def key_starts(prefix: str) -> list[str]:
    """Return texts such that the file key of every name that begins with `prefix` begins with one of them."""
    head = _ASCII.match(prefix)
    text = head[0] if head else ""
    if text[-1:] in _COMPOSED:
        # With a mark behind it, such a letter is another one once it is small.
        text = text[:-1]
    slug = _NOT_IN_ASCII_SLUG.sub("-", text.lower()).lstrip("-")[:_SURE_BYTES]
    known = slug.replace("conflict", "x")
    starts = {known}
    if known.endswith("-"):
        starts = {known, f"{known[:-1]}."}
    for size in range(1, len("conflict")):
        if known.endswith("conflict"[:size]):
            starts.add(f"{known[:-size]}x")
    if any(device.startswith(known) for device in _DEVICES):
        starts.add(f"x-{known}")
    if _PLAIN_START.match(prefix):
        starts.add(prefix[:_SURE_BYTES])
    return sorted(each for each in starts if not any(each != other and each.startswith(other) for other in starts))


def identity_of(key: str) -> str:
    """Return what alone tells a key from every other: of one with a hash the dot and the digits, else the key.

    Disks and versions of this package and of Unicode give the slug before that in different forms.
    """
    return key[max(0, key.rfind(".")) :]


def ascii_key(key: str) -> str:
    """Return a key of the same identity that any encoding of file names has."""
    return key if key.isascii() else f"x{identity_of(key)}"


def key_folders(replica: str, key: str) -> tuple[str, str]:
    """Return the folders, below the refs, in which a replica's refs of a key may be: its own, and one within that.

    The second one is called by the first two digits of the hash of the name that the key is of.
    """
    _, hashed, digits = key.rpartition(".")
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
    return match[1] if match and "conflict" not in match[1].lower() else None


def number_of_ref(path: str) -> int:
    """Return which of the refs of its key a ref is, judged by its file name."""
    match = _REF_FILE.match(path.rpartition("/")[2])
    return int(match[2]) if match and match[2] else 1


def is_of_key(path: str, key: str) -> bool:
    """Tell whether a ref's file name was made from a key, in whatever form that is in it."""
    found = key_of_ref(path)
    return found is not None and identity_of(found) == identity_of(key)
