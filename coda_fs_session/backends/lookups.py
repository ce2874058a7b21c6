"""What a backend may know of one name's refs without a look at all: where each look is a request, that counts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from .keys import RefKey, Token
from .verbs import Snapshot, Verbs


class Lookups(Verbs):
    """Hints for finding refs by their paths. The defaults look at all refs."""

    def refs_of(self, replica: str, key: str) -> dict[str, Token]:
        """Return the token of every ref that a replica has, right in its own folder, for a key; by its path.

        Where refs are found by names (`Capabilities.names_by_prefix`), those that are numbered without a gap.

        Args:
            key: a file key: see ``Names and keys`` in FORMAT.md.
        """
        first = f"{replica}/{key}"
        return {
            path: token
            for path, token in self.ref_tokens().items()
            if path.startswith(first) and path.endswith(".jsonl") and _is_number(path[len(first) : -len(".jsonl")])
        }

    def refs_below(self, start: str) -> dict[str, Token]:
        """Return the token of every ref whose path begins with a text, by its path."""
        return {path: token for path, token in self.ref_tokens().items() if path.startswith(start)}

    def ref_replicas(self) -> Collection[str]:
        """Return the replicas that have refs, or anything else of theirs beside these."""
        return {RefKey(path).replica for path in self.ref_tokens()}

    def read_as(self, key: RefKey, token: Token) -> Snapshot:
        """Return a ref as it was under a token, where that is still known; else as it is now. Raises as `read_ref`."""
        return self.read_ref(key)

    def ahead(self, keys: Iterable[RefKey]) -> Iterator[RefKey]:
        """Yield refs that are about to be read, one after the other, and read some of them ahead of that."""
        yield from keys


def _is_number(text: str) -> bool:
    """Tell whether it is what stands between the key and the end of a ref's name: nothing, or a number from 2."""
    number = text[1:]
    return text == "" or (text[0] == "." and number.isascii() and number.isdecimal() and number[0] != "0")
