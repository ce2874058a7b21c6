"""Commits: objects that freeze one state of a session (FORMAT.md, "Commits").

Each commit links to the one before it and, as a shortcut, to one further back, chosen so that any
ancestor is O(log n) steps away: the jump pointers of Myers, "An applicative random-access stack" (1983).
"""

from typing import Any, NamedTuple, Protocol

import orjson

from ..errors import StoreFormatError
from .edits import TailEdit, decode_edits, encode_edits
from .generations import FIRST_GENERATION, Generation, GenerationId
from .ids import is_hex64
from .marks import Mark, decode_marks
from .records import (
    FORMAT_NAME,
    FORMAT_VERSION,
    LARGEST_COUNT,
    Base,
    CommitLink,
    check_format,
    decode_time,
    typed,
    unwritable,
)
from .tree import Entry


class Commit(NamedTuple):
    """A frozen state.

    Attributes:
        reason: the operation that froze it; "seal" for a state between edits of the tail, "tag" for one that got a tag,
            and "merged" for one that a merge took in.
        generation: the generation that the state belongs to, None for the first.
        line: id of the ref line that was last when it was frozen.
        edits: how saves had edited the tail since the ref was written, oldest first.
        replaced: chunks with the messages that those edits replaced, oldest first.
        previous: the commit before; skip: one further back.
        marks: when the messages came.
        replica: that wrote it; "" where it is not known.
        step: of a tag, the last step on the path of the state; "" where that is what began its generation.
    """

    name: str
    time: str
    updated: str
    reason: str
    line: str
    base: Base
    generation: Generation | None = None
    previous: CommitLink | None = None
    skip: CommitLink | None = None
    edits: tuple[TailEdit, ...] = ()
    replaced: tuple[Entry, ...] = ()
    marks: tuple[Mark, ...] = ()
    replica: str = ""
    step: str = ""

    @property
    def depth(self) -> int:
        return self.previous.depth + 1 if self.previous else 0

    @property
    def generation_id(self) -> GenerationId:
        return self.generation.id if self.generation else FIRST_GENERATION


class Skipping(Protocol):
    """What a shortcut is chosen by: a commit, or what is kept of one."""

    @property
    def depth(self) -> int: ...
    @property
    def skip(self) -> CommitLink | None: ...


def skip_link(previous: CommitLink, before: Skipping, skipped: Skipping | None) -> CommitLink:
    """Return where a new commit's shortcut goes.

    Args:
        previous: the link to the commit before the new one; before: that commit.
        skipped: the commit that `before.skip` names, None where it has none.
    """
    if before.skip is None or skipped is None or skipped.skip is None:
        return previous
    same_stride = before.depth - before.skip.depth == before.skip.depth - skipped.skip.depth
    return skipped.skip if same_stride else previous


def encode_commit(commit: Commit) -> bytes:
    """Return the bytes of the commit object: one line of JSON.

    Raises:
        StoreError: it is of a state that could not be read again.
    """
    if max(commit.base.messages, commit.base.bytes) > LARGEST_COUNT:
        raise unwritable(commit.name, commit.base.messages, commit.base.bytes)
    fields: dict[str, Any] = {FORMAT_NAME: FORMAT_VERSION, "commit": commit.reason, "name": commit.name}
    if commit.replica:
        fields["replica"] = commit.replica
    if commit.step:
        fields["step"] = commit.step
    fields |= {"time": commit.time, "updated": commit.updated, "line": commit.line}
    for name, record in (("generation", commit.generation), ("previous", commit.previous), ("skip", commit.skip)):
        if record is not None:
            fields[name] = record.to_json()
    if commit.edits:
        fields["edits"] = encode_edits(commit.edits)
    if commit.replaced:
        fields["replaced"] = [entry.to_json() for entry in commit.replaced]
    if commit.marks:
        fields["marks"] = [mark.to_json() for mark in commit.marks]
    return orjson.dumps({**fields, "base": commit.base.to_json()}) + b"\n"


def decode_commit(data: bytes) -> Commit:
    """Read a commit object whose hash has been verified.

    Raises:
        ValueError: it is no commit.
        StoreFormatError: it is one of a newer version.
    """
    try:
        fields = orjson.loads(data)
        check_format(fields, "the commit")
        decode_time(fields["time"])
        decode_time(fields["updated"])
        return Commit(
            name=typed(fields["name"], str, "a name"),
            time=fields["time"],
            updated=fields["updated"],
            reason=typed(fields["commit"], str, "a reason"),
            line=typed(fields["line"], str, "the id of a line"),
            base=Base.from_json(fields["base"]),
            generation=Generation.from_json(fields["generation"]) if "generation" in fields else None,
            previous=CommitLink.from_json(fields["previous"]) if "previous" in fields else None,
            skip=CommitLink.from_json(fields["skip"]) if "skip" in fields else None,
            edits=decode_edits(fields["edits"]) if "edits" in fields else (),
            replaced=tuple(map(Entry.from_json, fields.get("replaced", []))),
            marks=decode_marks(fields.get("marks", [])),
            replica=typed(fields.get("replica", ""), str, "a replica"),
            step=_step(fields["step"]) if "step" in fields else "",
        )
    except StoreFormatError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the object is no commit: {error!r}") from error


def _step(value: Any) -> str:
    if not is_hex64(value):
        raise ValueError(f"{value!r} is no step")
    return str(value)
