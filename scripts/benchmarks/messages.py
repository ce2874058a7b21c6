"""Real messages, each made distinct by a serial number."""

from itertools import count
from pathlib import Path
from typing import Any

import orjson

from .contenders import Message

CONVERSATIONS = Path(__file__).parents[2] / "fixtures" / "conversations"
SMALLEST, LARGEST = 350, 700  # bytes as JSON; they come out at about 500 on average


class Messages:
    def __init__(self, first: int = 0) -> None:
        self._real = [
            message
            for conversation in real_conversations()
            for message in conversation["messages"]
            if message["role"] in ("user", "assistant") and SMALLEST <= len(orjson.dumps(message)) <= LARGEST
        ]
        self._serials = count(first)

    def next(self) -> Message:
        serial = next(self._serials)
        return {**self._real[serial % len(self._real)], "serial": serial}

    def take(self, number: int) -> list[Message]:
        return [self.next() for _ in range(number)]

    @property
    def mean_bytes(self) -> float:
        return sum(len(orjson.dumps({**message, "serial": 10**6})) for message in self._real) / len(self._real)


def real_conversations(limit: int | None = None) -> list[dict[str, Any]]:
    """Return the conversations of the repository, or only the first ones of each file."""
    return [orjson.loads(line) for path in conversation_files() for line in path.read_bytes().splitlines()[:limit]]


def conversation_files() -> list[Path]:
    files = sorted(CONVERSATIONS.glob("*.jsonl"))
    if not files:
        raise SystemExit(f"no conversations in {CONVERSATIONS}: is this a whole copy of the repository?")
    return files
