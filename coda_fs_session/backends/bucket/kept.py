"""Objects that were read or put a while ago: they never change, and to read one again is a request."""

from __future__ import annotations

import threading
from collections import OrderedDict

_LARGEST = 256 * 1024
"""Bytes of an object that is kept: messages are kept by who reads them, and what leads to them is smaller."""


class Kept:
    """The last objects, as long as all of them have no more bytes than given."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._bytes = 0
        self._objects: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, identity: str) -> bytes | None:
        with self._lock:
            data = self._objects.get(identity)
            if data is not None:
                self._objects.move_to_end(identity)
            return data

    def keep(self, identity: str, data: bytes) -> None:
        if len(data) > min(_LARGEST, self._most):
            return
        with self._lock:
            if identity not in self._objects:
                self._objects[identity] = data
                self._bytes += len(data)
            while self._bytes > self._most:
                self._bytes -= len(self._objects.popitem(last=False)[1])

    def forget(self, identity: str) -> None:
        with self._lock:
            self._bytes -= len(self._objects.pop(identity, b""))
