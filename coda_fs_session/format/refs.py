"""Ref files: a header line, then one line a save (FORMAT.md, "Ref files")."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import orjson

from ..errors import CorruptionError, StoreFormatError
from .generations import FIRST_GENERATION, Generation, GenerationId
from .ids import line_id
from .marks import Mark, decode_marks
from .names import normalise_name
from .records import (
    FORMAT_NAME,
    FORMAT_VERSION,
    LARGEST_COUNT,
    LARGEST_WRITTEN,
    NO_TAGS,
    Base,
    CommitLink,
    Metadata,
    Parent,
    Tags,
    check_format,
    count,
    decode_metadata,
    decode_tags,
    decode_time,
    encode_metadata,
    encode_tags,
    unwritable,
)

_PREVIOUS = b'{"prev":"'
_ID_FIELD, _ID_END = b',"id":"', b'"}\n'
_ID_BYTES = len(_ID_FIELD) + 16 + len(b'"}')
_SECTOR = 512
# Of a time in this form, `fromisoformat` is all that `decode_time` would ask besides.
_TIME = rb"(?!0001|9999)[0-9]{4}-[0-9]{2}-[0-9]{2}T(?!24)[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}\+00:00"
_PLAIN_APPEND = re.compile(rb'\{"prev":"([0-9a-f]{16})","time":"(%b)","messages":\[\Z' % _TIME)
_NO_METADATA: Metadata = MappingProxyType({})
_COPIED = 4096
"""Bytes of a line up to which to copy them takes less time than to make a view of them."""


@dataclass(slots=True)
class Header:
    """The first line of a ref: whose it is and the state that its saves build on.

    Attributes:
        created, updated: UTC times as text of fixed width.
        former_names: names before renames, oldest first.
        life: how often the name had been given before, to other conversations, as far as the writer knew.
        generation: what began the present generation, None in the first.
        commit: the newest frozen state.
        marks: when messages came that are no lines of their own any more.
        extra: fields of a later version, kept as they are.
    """

    name: Final[str]
    replica: Final[str]
    created: Final[str]
    updated: Final[str]
    base: Final[Base] = field(default_factory=Base)
    parent: Final[Parent | None] = None
    former_names: Final[tuple[str, ...]] = ()
    life: Final[int] = 0
    generation: Final[Generation | None] = None
    commit: Final[CommitLink | None] = None
    marks: Final[tuple[Mark, ...]] = ()
    extra: Final[Mapping[str, Any]] = field(default_factory=dict)

    @property
    def generation_id(self) -> GenerationId:
        return self.generation.id if self.generation else FIRST_GENERATION

    @property
    def deleted(self) -> bool:
        """True for a tombstone."""
        return self.generation is not None and self.generation.operation == "delete"


_HEADER_FIELDS = {each.name for each in fields(Header)} - {"extra"} | {FORMAT_NAME, "requires", "id"}


class Save(NamedTuple):
    """One save: what it adds, as lines of JSON without newlines.

    Attributes:
        previous: id of the line before.
        replace: position from which on `messages` take the place of what was there; None to append.
        metadata: the keys that changed; tags: the tags that did.
    """

    previous: str
    time: str
    messages: Sequence[bytes] = ()
    replace: int | None = None
    metadata: Metadata = _NO_METADATA
    tags: Tags = NO_TAGS

    @property
    def only_tags(self) -> bool:
        """True where it has nothing that the session's `updated` moves with."""
        return bool(self.tags) and not (self.messages or self.metadata) and self.replace is None


def encode_header(header: Header) -> tuple[bytes, str]:
    """Return the header line with its newline, and its id.

    Raises:
        StoreError: it goes on from what nobody can have written in earnest, and could not be read again.
    """
    base, depth = header.base, header.commit.depth if header.commit else 0
    frozen = header.generation.frozen_messages if header.generation else 0
    if max(base.messages, base.bytes, header.life, depth) > LARGEST_WRITTEN or frozen > LARGEST_COUNT:
        raise unwritable(header.name, max(base.messages, frozen), base.bytes)
    fields: dict[str, Any] = {FORMAT_NAME: FORMAT_VERSION, "name": header.name, "replica": header.replica}
    fields |= {"created": header.created, "updated": header.updated}
    if header.former_names:
        fields["former_names"] = list(header.former_names)
    if header.life:
        fields["life"] = header.life
    for name, record in (("parent", header.parent), ("generation", header.generation), ("commit", header.commit)):
        if record is not None:
            fields[name] = record.to_json()
    if header.marks:
        fields["marks"] = [mark.to_json() for mark in header.marks]
    return _finish(orjson.dumps({**fields, **header.extra, "base": header.base.to_json()})[:-1])


def encode_save(save: Save) -> tuple[bytes, str]:
    """Return the save's line with its newline, and its id.

    Each message stands between two tab characters, which JSON text otherwise never contains, so that
    ``tr '\\t' '\\n'`` lays the messages bare without touching a byte of them.
    """
    line = b'%b%b","time":"%b"' % (_PREVIOUS, save.previous.encode(), save.time.encode())
    if save.replace is not None:
        line += b',"replace":%d' % save.replace
    if save.messages:
        line += b',"messages":[\t%b\t]' % b"\t,\t".join(save.messages)
    elif save.replace is not None:
        line += b',"messages":[]'
    if save.metadata:
        line += b',"metadata":' + orjson.dumps(encode_metadata(save.metadata))
    if save.tags:
        line += b',"tags":' + orjson.dumps(encode_tags(save.tags))
    return _finish(line)


def _finish(before: bytes) -> tuple[bytes, str]:
    identity = line_id(before)
    return b'%b,"id":"%b"}\n' % (before, identity.encode()), identity


def line_end(identity: str) -> bytes:
    """Return how the line of this id ends."""
    return identity.encode() + _ID_END


def previous_of(line: bytes) -> str:
    """Return the id that a save's line follows, whatever comes after it; any text for bytes that are no save."""
    return line[len(_PREVIOUS) : len(_PREVIOUS) + 16].decode("ascii", "replace")


class Ref(NamedTuple):
    """What a ref file says.

    Attributes:
        last_id: id of the last good line; line_ids: of every good line, in order.
        size: bytes up to the end of the last good line.
        torn: what follows it when the last write did not complete; that save never happened.
        damage: the error that describes the first line that does not verify; what is here is intact up to it.
    """

    header: Header
    saves: tuple[Save, ...]
    line_ids: tuple[str, ...]
    size: int
    torn: bytes = b""
    damage: CorruptionError | None = None

    @property
    def last_id(self) -> str:
        return self.line_ids[-1]


def parse_ref(data: bytes, path: object) -> Ref:
    """Read a ref file, verifying every line.

    Args:
        data: the whole file.
        path: what to call the file in errors.

    Returns:
        The ref; look at `damage` before trusting that it is complete.

    Raises:
        CorruptionError: the header does not verify, so that there is nothing to return.
        StoreFormatError: the file is of a newer version.
    """
    where = str(path)
    end = data.find(b"\n") + 1
    header, identity = _parse_header(data[: end or len(data)], where)
    saves, ids, tail = parse_saves(data[end:], identity, where, offset=end, first_line=2)
    return Ref(header, tuple(saves), (identity, *ids), len(data) - len(tail.rest), tail.torn, tail.damage)


class Rest(NamedTuple):
    """What is left of a ref after its last good line: nothing, a torn write, or damage."""

    rest: bytes = b""
    torn: bytes = b""
    damage: CorruptionError | None = None


def parse_saves(
    data: bytes, previous: str, path: object, *, offset: int, first_line: int
) -> tuple[list[Save], list[str], Rest]:
    """Read save lines; `offset` and `first_line` say where in the file `data` begins."""
    saves: list[Save] = []
    ids: list[str] = []
    position = 0
    while position < len(data):
        end = data.find(b"\n", position) + 1
        line = data[position : end or len(data)]
        try:
            save, identity = _parse_save(line, previous)
        except (ValueError, KeyError, TypeError) as error:
            if len(line) == len(data) - position and _is_torn(line, offset + position):
                return saves, ids, Rest(line, torn=line)
            number = first_line + len(saves)
            return saves, ids, Rest(data[position:], damage=_damaged(str(path), number, error))
        saves.append(save)
        ids.append(identity)
        previous = identity
        position = end
    return saves, ids, Rest()


def read_alone(line: bytes) -> tuple[Save, str]:
    """Read one save whatever line came before it, and return it with its id.

    Raises:
        ValueError, KeyError, TypeError: it does not verify.
    """
    return _parse_save(line, previous_of(line))


def _parse_header(line: bytes, path: str) -> tuple[Header, str]:
    try:
        fields = orjson.loads(line)
        if not isinstance(fields, dict):
            raise ValueError("the header is no JSON object")
        check_format(fields, "the ref")
        identity = _verify(line)
        header = Header(
            name=_name(fields["name"]),
            replica=_text(fields["replica"]),
            created=_time(fields["created"]),
            updated=_time(fields["updated"]),
            base=Base.from_json(fields["base"]),
            parent=Parent.from_json(fields["parent"]) if "parent" in fields else None,
            former_names=tuple(_text(name) for name in _list(fields.get("former_names", []))),
            life=_life(fields.get("life", 0)),
            generation=Generation.from_json(fields["generation"]) if "generation" in fields else None,
            commit=CommitLink.from_json(fields["commit"]) if "commit" in fields else None,
            marks=decode_marks(fields["marks"]) if "marks" in fields else (),
            extra=_kept({key: value for key, value in fields.items() if key not in _HEADER_FIELDS}),
        )
    except StoreFormatError as error:
        raise StoreFormatError(f"{path}: {error}", path) from error
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, 1, error) from error
    return header, identity


def _parse_save(line: bytes, previous: str) -> tuple[Save, str]:
    identity = _verify(line)
    # Messages stand between tabs and are not parsed here: the id already vouches for their bytes.
    parts = line.split(b"\t")
    plain = _PLAIN_APPEND.match(parts[0])
    if plain and plain[1] == previous.encode() and len(parts[-1]) == _ID_BYTES + 2 and parts[-1].startswith(b"]"):
        # What nearly every line is, without a JSON parser: opening a session is mostly this.
        messages = tuple(parts[1::2])
        if len(parts) == 3 or parts[2:-1:2].count(b",") == len(messages) - 1 == (len(parts) - 3) // 2:
            time = plain[2].decode()
            datetime.fromisoformat(time)
            # Not by its name: that takes twice as long.
            return tuple.__new__(Save, (previous, time, messages, None, _NO_METADATA, NO_TAGS)), identity
    if len(parts) % 2 == 0 or any(between != b"," for between in parts[2:-1:2]):
        raise ValueError("its messages do not stand between two tabs each")
    fields = orjson.loads(parts[0] + parts[-1]) if len(parts) > 1 else orjson.loads(line)
    if fields["prev"] != previous:
        raise ValueError(f"it follows line {fields['prev']}, but the line before it is {previous}")
    replace = fields.get("replace")
    if replace is not None:
        count(replace)
    metadata = decode_metadata(fields.get("metadata", {}))
    tags = decode_tags(fields["tags"]) if "tags" in fields else NO_TAGS
    return Save(previous, _time(fields["time"]), tuple(parts[1::2]), replace, metadata, tags), identity


def _verify(line: bytes) -> str:
    # A long line is not to be copied for its hash.
    whole = line if len(line) <= _COPIED else memoryview(line)
    identity = line_id(whole[: -_ID_BYTES - 1])
    if not line.endswith(b"%b%b%b" % (_ID_FIELD, identity.encode(), _ID_END)):
        end = line[-_ID_BYTES - 1 :]
        if not (end.startswith(_ID_FIELD) and end.endswith(_ID_END)):
            raise ValueError("the line does not end with its id")
        raise ValueError("the line does not match its id")
    return identity


def _is_torn(line: bytes, offset: int) -> bool:
    """Tell a write cut short by a crash from damage to a line that had been complete.

    A torn write is a prefix of the line, perhaps with sectors of zeros where data never arrived. A
    complete line followed by one wrong byte is a damaged newline.
    """
    if not line.endswith(b"\n"):
        # A newline that would begin a sector may never have arrived; anywhere else a zero in its place is damage.
        if line.endswith(b"\0") and (offset + len(line) - 1) % _SECTOR == 0:
            return True
        try:
            _verify(line[:-1] + b"\n")
        except ValueError:
            return True
        return False
    start = line.find(b"\0")
    while start != -1:
        end = start
        while end < len(line) and line[end] == 0:
            end += 1
        at_edges = (start == 0 or (offset + start) % _SECTOR == 0) and (offset + end) % _SECTOR == 0
        if at_edges:
            return True
        start = line.find(b"\0", end)
    return False


def _damaged(path: str, line: int, cause: Exception) -> CorruptionError:
    problem = f"no {cause}" if isinstance(cause, KeyError) else str(cause)
    return CorruptionError(
        f"the ref is damaged: {problem}; restore the file from a backup or another machine, "
        "or move it away to keep only what other refs hold",
        path,
        line=line,
    )


def _kept(extra: dict[str, Any]) -> dict[str, Any]:
    """Raises TypeError when these fields could not be written again, since they are nested too deeply."""
    if extra:
        orjson.dumps(extra)
    return extra


def _life(value: Any) -> int:
    # Whoever takes the name next must be able to write it too.
    if count(value) > LARGEST_WRITTEN:
        raise ValueError(f"{value!r} is no count of lives")
    return count(value)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{value!r} is no list")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return value


def _name(value: Any) -> str:
    if normalise_name(value, derived=True) != value:
        raise ValueError(f"the name {value!r} is not in Unicode NFC")
    return _text(value)


def _time(value: Any) -> str:
    decode_time(value)
    return _text(value)
