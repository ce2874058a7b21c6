"""Messages of about one size, each made distinct by a serial number."""

from itertools import count

import orjson
from recipes.conversations import long_conversation

from .contenders import Message

SMALLEST, LARGEST = 350, 700  # bytes as JSON; they come out at about 500 on average


class Messages:
    def __init__(self, first: int = 0) -> None:
        self._stock = [
            message
            for message in long_conversation(6000, seed=1)
            if message["role"] in ("user", "assistant") and SMALLEST <= len(orjson.dumps(message)) <= LARGEST
        ]
        self._serials = count(first)

    def next(self) -> Message:
        serial = next(self._serials)
        return {**self._stock[serial % len(self._stock)], "serial": serial}

    def take(self, number: int) -> list[Message]:
        return [self.next() for _ in range(number)]

    @property
    def mean_bytes(self) -> float:
        return sum(len(orjson.dumps({**message, "serial": 10**6})) for message in self._stock) / len(self._stock)
