"""A proxy between a client and an object storage that counts requests, and spoils some of them as it is told."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from .servers import LIMIT, Server

Fault = Literal["403", "429", "500", "503", "cut before", "cut after", "cut body", "flip", "hang"]
"""What happens to a request: a status in place of an answer; the connection is cut before the storage has it, after
that, or in the answer's body; a bit of that is another one; or no answer comes.
"""
FAULTS: tuple[Fault, ...] = ("403", "429", "500", "503", "cut before", "cut after", "cut body", "flip")
_HOP = ("connection", "transfer-encoding", "content-length", "keep-alive")


class Proxy(Server):
    """A storage behind a proxy.

    Attributes:
        verbs: how many requests of each kind came: ``LIST`` is a GET of a listing.
        delay: seconds that each takes longer.
        without: headers that are left out of requests, in lower case.
        spoil: is asked for each request, by its kind and key, whether something is to happen to it.
    """

    def __init__(self, port: int, upstream: Server) -> None:
        super().__init__(port)
        self.options = upstream.options_at(port)
        self.upstream = upstream
        self.verbs: Counter[str] = Counter()
        self.delay = 0.0
        self.without: tuple[str, ...] = ()
        self.spoil: Callable[[str, str], Fault | None] = lambda verb, key: None
        self.closing = threading.Event()

    def spoil_number(self, number: int, fault: Fault, *, times: int = 1) -> None:
        """Let something happen to the request of this number from now on, and to those right after it."""
        seen = iter(range(10**9))
        self.spoil = lambda verb, key: fault if number <= next(seen) < number + times else None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: ClassVar[Proxy]

    def log_message(self, *args: object) -> None:
        return

    def _answer(self) -> None:
        proxy = self.proxy
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        place = urlsplit(self.path)
        is_list = self.command == "GET" and ("list-type" in place.query or "comp=list" in place.query)
        verb = "LIST" if is_list else self.command
        proxy.verbs[verb] += 1
        if proxy.delay:
            time.sleep(proxy.delay)
        fault = proxy.spoil(verb, place.path)
        if fault == "hang":
            proxy.closing.wait(LIMIT)
        if fault in ("cut before", "hang"):
            self._cut()
            return
        if fault and fault.isdigit():
            code = "AccessDenied" if fault == "403" else "SlowDown"
            self._send(int(fault), [], f"<Error><Code>{code}</Code><Message>of a test</Message></Error>".encode())
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() not in (*_HOP, *proxy.without)}
        upstream = http.client.HTTPConnection("127.0.0.1", proxy.upstream.port, timeout=LIMIT)
        try:
            upstream.request(self.command, self.path, body, headers)
            answer = upstream.getresponse()
            found, said = answer.read(), [each for each in answer.getheaders() if each[0].lower() not in _HOP]
        finally:
            upstream.close()
        if fault == "cut after":
            self._cut()
            return
        if fault == "flip" and verb == "GET" and found:
            middle = len(found) // 2
            found = found[:middle] + bytes([found[middle] ^ 1]) + found[middle + 1 :]
        self._send(answer.status, said, found, whole=fault != "cut body")

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _answer

    def _send(self, status: int, headers: list[tuple[str, str]], body: bytes, *, whole: bool = True) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(body if whole else body[: len(body) // 2])
        if not whole:
            self._cut()

    def _cut(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(2)


@contextmanager
def proxy_of(upstream: Server) -> Iterator[Proxy]:
    """Run a proxy in threads of this process."""
    handler: Any = type("Handler", (_Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        served.daemon_threads = True
        proxy = handler.proxy = Proxy(served.server_address[1], upstream)
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.closing.set()
            served.shutdown()
            thread.join(LIMIT)
