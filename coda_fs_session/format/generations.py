"""Generations: what a session is between two operations such as a clear, a rename or a merge (FORMAT.md, "Generation").

Their ids are of content alone, so the same operation on the same state is one step, whichever machine does it.
"""

import hashlib
from typing import Any, Literal, NamedTuple, NewType, get_args

import orjson

from ..errors import StoreFormatError
from .ids import Chain, is_hex64
from .records import CommitLink, chain_hash, count, typed

GenerationId = NewType("GenerationId", str)
"""64 lower-case hexadecimal digits that name one generation of a session, or another step of its path."""

FIRST_GENERATION = GenerationId("0" * 64)
"""The generation of a session that has only ever been appended to."""

Operation = Literal[
    "clear", "edit", "truncate", "undo", "restore", "rename", "delete", "create", "merge", "part", "pick"
]
OPERATIONS: frozenset[str] = frozenset(get_args(Operation))

_GOES_TO = frozenset(["undo", "restore", "part"])


class StateId(NamedTuple):
    """Names a state of a session, on every machine alike.

    Attributes:
        step: the last step on its path; `FIRST_GENERATION` where there is none.
        messages: how many messages it has, hidden ones included; chain: their chain hash.
    """

    step: GenerationId
    messages: int
    chain: Chain

    def to_json(self) -> list[object]:
        return [self.step, self.messages, self.chain]

    @classmethod
    def from_json(cls, value: Any) -> "StateId":
        """Raises ValueError when `value` names no state."""
        step, messages, chain = typed(value, list, "a state")
        if not is_hex64(step):
            raise ValueError("a state must be [step, messages, chain]")
        return cls(GenerationId(step), count(messages), chain_hash(chain))


class TakenIn(NamedTuple):
    """A state that a merge took in, and the commit that freezes it."""

    state: StateId
    commit: CommitLink

    def to_json(self) -> list[object]:
        return [*self.state.to_json(), self.commit.to_json()]

    @classmethod
    def from_json(cls, value: Any) -> "TakenIn":
        """Raises ValueError when `value` is no state with its commit."""
        *state, commit = typed(value, list, "what was merged")
        return cls(StateId.from_json(state), CommitLink.from_json(commit))


class Picked(NamedTuple):
    """One message that a pick took over: the name of the session it is from, and the chain hash after it there."""

    name: str
    chain: Chain

    def to_json(self) -> list[object]:
        return [self.name, self.chain]

    @classmethod
    def from_json(cls, value: Any) -> "Picked":
        """Raises ValueError when `value` is no picked message."""
        name, chain = typed(value, list, "what was picked")
        return cls(typed(name, str, "a name"), chain_hash(chain))


class Generation(NamedTuple):
    """What began the present generation; it has no time and no replica in it, so that equal steps have equal ids.

    Attributes:
        frozen_messages, frozen_chain: the state before, up to which the parent generation counts.
        start, messages, chain: the state right after the operation.
        name: the new name, for a rename.
        to: the state that it goes back to, for an undo, a restore and a part.
        merged: what a merge took in; picked: what a pick took over.
    """

    parent: GenerationId
    operation: Operation
    frozen_messages: int
    frozen_chain: Chain
    start: int
    messages: int
    chain: Chain
    name: str | None = None
    to: StateId | None = None
    merged: tuple[TakenIn, ...] = ()
    picked: tuple[Picked, ...] = ()

    @property
    def id(self) -> GenerationId:
        return GenerationId(hashlib.sha256(orjson.dumps([*self._identity(), *self._from_elsewhere()])).hexdigest())

    def _identity(self) -> list[object]:
        frozen, result = [self.frozen_messages, self.frozen_chain], [self.start, self.messages, self.chain]
        return [self.parent, self.operation, frozen, result, self.name]

    def _from_elsewhere(self) -> list[object]:
        """Return what the id has as its sixth element; no commit is in it, since commits have times."""
        if self.to is not None:
            return [[self.to.to_json()]]
        if self.merged:
            return [[each.state.to_json() for each in self.merged]]
        return [[each.to_json() for each in self.picked]] if self.picked else []

    def to_json(self) -> dict[str, object]:
        parent, operation, frozen, result, name = self._identity()
        fields = {"id": self.id, "parent": parent, "operation": operation, "frozen": frozen, "result": result}
        if name is not None:
            fields["name"] = name
        if self.to is not None:
            fields["to"] = self.to.to_json()
        if self.merged:
            fields["merged"] = [each.to_json() for each in self.merged]
        if self.picked:
            fields["picked"] = [each.to_json() for each in self.picked]
        return fields

    @classmethod
    def from_json(cls, value: Any) -> "Generation":
        """Read a generation out of a record whose hash has been verified.

        Raises:
            ValueError: `value` is no generation, or its id is wrong.
            StoreFormatError: its operation is none that this version knows.
        """
        fields = typed(value, dict, "a generation")
        operation = typed(fields["operation"], str, "an operation")
        if operation not in OPERATIONS:
            raise StoreFormatError(
                f"it says {operation!r} was done to the session, which this version of the package does not know: "
                "upgrade coda-fs-session"
            )
        if not is_hex64(fields["parent"]):
            raise ValueError("a generation has no parent")
        (frozen_messages, frozen_chain), (start, messages, chain) = fields["frozen"], fields["result"]
        generation = cls(
            GenerationId(fields["parent"]),
            operation,
            count(frozen_messages),
            chain_hash(frozen_chain),
            count(start),
            count(messages),
            chain_hash(chain),
            fields.get("name"),
            StateId.from_json(fields["to"]) if "to" in fields else None,
            tuple(map(TakenIn.from_json, typed(fields.get("merged", []), list, "what was merged"))),
            tuple(map(Picked.from_json, typed(fields.get("picked", []), list, "what was picked"))),
        )
        generation._check_fields()
        if generation.id != fields["id"]:
            raise ValueError(f"the generation's id should be {generation.id}")
        return generation

    def _check_fields(self) -> None:
        """Raises ValueError when it lacks what its operation needs, or has what belongs to another one."""
        has = self.to is not None, bool(self.merged), bool(self.picked)
        if has != (self.operation in _GOES_TO, self.operation == "merge", self.operation == "pick"):
            raise ValueError(f"a generation of the operation {self.operation!r} has other fields than it needs")
