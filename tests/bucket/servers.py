"""Servers of object storages on this machine, for tests."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

LIMIT = 60  # seconds; only a failure waits that long


class Server:
    """An object storage at a port of this machine.

    Attributes:
        options: what a client of it needs to know.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.options: dict[str, Any] = {
            "endpoint": f"http://127.0.0.1:{port}",
            "access_key_id": "id-of-a-test",
            "secret_access_key": "secret-of-a-test",
            "region": "us-east-1",
        }

    def make_bucket(self, name: str) -> str:
        """Make a bucket, and return its URL."""
        self.request("PUT", f"/{name}")
        return f"s3://{name}"

    def request(self, verb: str, path: str, body: bytes = b"") -> int:
        """Make a request of one's own, and return the status."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)
        try:
            connection.request(verb, path, body)
            return connection.getresponse().status
        finally:
            connection.close()


@contextmanager
def moto() -> Iterator[Server]:
    """Run moto's server, which keeps everything in memory."""
    server = Server(free_port())
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(server.port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(server, process)
            yield server
        finally:
            process.kill()


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait_for(server: Server, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + LIMIT
    while True:
        try:
            server.request("GET", "/")
            return
        except OSError:
            assert process.poll() is None, "the server has ended"
            assert time.monotonic() < end, "the server does not answer"
            time.sleep(0.05)
