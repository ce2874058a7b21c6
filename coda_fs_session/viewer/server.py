"""The pages of a store on this machine, for one person: who may ask, and what is asked in turn.

A page can be asked for by other programs and by other pages in the same browser. So each request must name this
machine, come from no other page, and have the token that only the printed link has.
"""

from __future__ import annotations

import hmac
import queue
import secrets
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlsplit

import orjson

from .rendering import in_address, policy
from .site import Answer, Site, problem

if TYPE_CHECKING:
    from .. import SessionEvent, SessionManager

_COOKIE = "coda_session_viewer"
_ADDRESS = "127.0.0.1"
_BEAT = 15.0
"""Seconds after which an event stream that has nothing to tell says so: one that nobody reads is found out."""
_MOST_STREAMS = 32
_LONGEST_WAIT = 30.0
"""Seconds that a connection may say nothing."""


class Viewer:
    """A viewer of a store: pages on a port of this machine, which only the holder of the link can read.

    It binds 127.0.0.1, changes nothing in the store, and is over when `run` returns. Use it in a ``with`` statement.

    Args:
        manager: the store; one that is ``read_only`` is enough.
        idle: seconds after which it ends when nobody asks and no page is open; None for never.

    Raises:
        OSError: no port can be had.
        StoreError: the store cannot be listed.
    """

    def __init__(self, manager: SessionManager, *, idle: float | None = None) -> None:
        self._token = secrets.token_urlsafe(24)
        self._tickets: set[str] = set()
        self._idle = idle
        self._over = threading.Event()
        self._asked = time.monotonic()
        self._streams: set[queue.SimpleQueue[bytes | None]] = set()
        self._lock = threading.Lock()
        self.site = Site(manager)
        self._server = _Server((_ADDRESS, 0), _Handler)
        self._server.viewer = self
        try:
            self._watch = manager.watch(self._tell)
        except BaseException:
            self._server.server_close()
            raise

    @property
    def port(self) -> int:
        """The port, which the system chose."""
        return int(self._server.server_address[1])

    def link(self, name: str | None = None, number: int | None = None, *, once: bool = False) -> str:
        """Return the address to open, with the token: of the list, of a session, or of a message of it.

        Args:
            number: the message, from 1.
            once: it can be opened one time. That is for a program that opens it: others may see what it was given.
        """
        token = self._token
        if once:
            token = secrets.token_urlsafe(24)
            self._tickets.add(token)
        path = "/" if name is None else f"/s/{in_address(name)}"
        at = "" if number is None else f"/at/{number}"
        return f"http://{_ADDRESS}:{self.port}{path}{at}?token={token}"

    def run(self) -> None:
        """Answer until `stop` is called, or nobody has asked for as long as `idle` says."""
        self._server.timeout = 0.25
        while not self._over.is_set():
            self._server.handle_request()
            if self._idle is not None and not self._streams and time.monotonic() - self._asked > self._idle:
                break
        self.stop()

    def stop(self) -> None:
        """Have `run` return, and end what is open."""
        self._over.set()
        self._watch.stop()
        with self._lock:
            streams, self._streams = self._streams, set()
        for each in streams:
            each.put(None)
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def is_known(self, token: str) -> bool:
        """Tell whether a token is that of this viewer, in a time that tells nothing of it."""
        return hmac.compare_digest(token.encode(), self._token.encode())

    def lets_in(self, token: str) -> bool:
        """Tell whether the token of a link is good; one that is for once is good no more."""
        for each in tuple(self._tickets):
            if hmac.compare_digest(token.encode(), each.encode()):
                # Of two that ask at the same time one gets it.
                with self._lock:
                    found = each in self._tickets
                    self._tickets.discard(each)
                return found
        return self.is_known(token)

    def cookie(self) -> str:
        """Return what the browser shows from now on."""
        return self._token

    def asked(self) -> None:
        """Note that somebody is there."""
        self._asked = time.monotonic()

    def listen(self) -> queue.SimpleQueue[bytes | None] | None:
        """Return where events come in, None at their end; or None where too many listen."""
        with self._lock:
            if len(self._streams) >= _MOST_STREAMS or self._over.is_set():
                return None
            events: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
            self._streams.add(events)
            return events

    def leave(self, events: queue.SimpleQueue[bytes | None]) -> None:
        """Listen no more."""
        with self._lock:
            self._streams.discard(events)
        self.asked()

    def _tell(self, event: SessionEvent) -> None:
        self.site.forget()
        names = [name for name in (event.name, event.previous_name) if name is not None]
        # JSON has its line ends escaped, so it is one line, whatever is in a name.
        told = b"event: change\ndata: %b\n\n" % orjson.dumps({"kind": event.kind, "names": names})
        with self._lock:
            for each in self._streams:
                each.put(told)


def serve(
    manager: SessionManager,
    *,
    name: str | None = None,
    idle: float | None = None,
    started: Callable[[str], object] = print,
) -> None:
    """Show a store in a browser, until Ctrl-C or for as long as `idle` says; nothing in the store is changed.

    Only who has the link can read the pages, and it holds for this call alone. Nothing is fetched from elsewhere.

    Args:
        manager: the store; one that is ``read_only`` is enough.
        name: the link is to this session; None for the list of all.
        idle: seconds after which it ends when nobody asks and no page is open; None for never.
        started: is called with the link, which `webbrowser.open` takes.

    Raises:
        OSError: no port can be had.
        StoreError: the store cannot be listed.
        SessionNotFoundError: there is no session of this name.
    """
    from .. import SessionNotFoundError

    if name is not None:
        info = manager.get_session_info(name)
        if info is None:
            raise SessionNotFoundError(name)
        name = info.name
    with Viewer(manager, idle=idle) as viewer:
        started(viewer.link(name))
        viewer.run()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Else a port that was just given up could be taken by who waits for that.
    allow_reuse_address = False
    viewer: Viewer

    def server_bind(self) -> None:
        # Not that of HTTPServer: it asks the network for the name of this machine.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = _ADDRESS, int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "coda-session", ""
    timeout = _LONGEST_WAIT
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        refused = self._refused()
        if refused is not None:
            self._send(refused, close=True)
            return
        self.server.viewer.asked()
        address = urlsplit(self.path)
        token = parse_qs(address.query).get("token", [""])[0]
        if token:
            self._let_in(token, address.path)
        elif not self._has_cookie():
            self._send(problem(403, "This link is not enough", "Open the one that coda-session view has printed."))
        elif address.path == "/events":
            self._stream()
        else:
            self._send(self._answer())

    do_HEAD = do_GET

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what is no GET and no HEAD, or no HTTP, in a page like any other."""
        status = 405 if code == 501 else code
        self._send(problem(status, "This cannot be asked for", "Pages can be read, and nothing else."), close=True)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: addresses have names of sessions, and tokens."""

    def _refused(self) -> Answer | None:
        """Return why a request is not answered, whatever it asks for; None where it may be."""
        hosts = self.headers.get_all("Host") or []
        port = self.server.viewer.port
        if len(hosts) != 1 or hosts[0].lower() not in (f"{_ADDRESS}:{port}", f"localhost:{port}"):
            # A name of somebody's own that leads to this machine: his page would read ours.
            return problem(421, "This is another machine", "Open the link that coda-session view has printed.")
        if self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return problem(403, "Another page has asked for this", "Open the link in a window of its own.")
        return None

    def _has_cookie(self) -> bool:
        wanted = self._cookie_name()
        for pair in (self.headers.get("Cookie") or "").split(";"):
            name, _, value = pair.strip().partition("=")
            if name == wanted and self.server.viewer.is_known(value):
                return True
        return False

    def _cookie_name(self) -> str:
        # Cookies know no ports: two viewers must not take each other's.
        return f"{_COOKIE}_{self.server.viewer.port}"

    def _let_in(self, token: str, path: str) -> None:
        if not self.server.viewer.lets_in(token):
            self._send(problem(403, "This link is not enough", "Open the one that coda-session view has printed."))
            return
        # One slash: what begins with two would lead to another machine.
        place = "/" + path.lstrip("/\\")
        cookie = f"{self._cookie_name()}={self.server.viewer.cookie()}; HttpOnly; SameSite=Strict; Path=/"
        self._send(Answer(303, b""), ("Location", place), ("Set-Cookie", cookie))

    def _answer(self) -> Answer:
        try:
            return self.server.viewer.site.answer(self.path)
        except UnicodeError:
            return problem(404, "There is no such page", "The address is no text.")
        except Exception:
            self.server.handle_error(self.request, self.client_address)
            return problem(500, "This page cannot be made", "coda-session view has written on its screen why.")

    def _send(self, answer: Answer, *more: tuple[str, str], close: bool = False) -> None:
        self.send_response(answer.status)
        for header in (*_HEADERS, *more, ("Content-Security-Policy", policy(served=True))):
            self.send_header(*header)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        if answer.status == 405:
            self.send_header("Allow", "GET, HEAD")
        if close or self._has_body():
            # What comes after a body that nobody reads would be taken for a request.
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _has_body(self) -> bool:
        # There are no headers where the request was none.
        headers = getattr(self, "headers", None) or {}
        return headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in headers

    def _stream(self) -> None:
        viewer = self.server.viewer
        events = viewer.listen()
        if events is None:
            self._send(problem(503, "Too many pages listen", "Close some of them."))
            return
        try:
            self.close_connection = True
            self.send_response(200)
            for header in _HEADERS:
                self.send_header(*header)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            if self.command == "HEAD":
                return
            self.connection.settimeout(_LONGEST_WAIT)
            told: bytes | None = b"retry: 1000\n\n"
            while told is not None:
                self.wfile.write(told)
                try:
                    told = events.get(timeout=_BEAT)
                except queue.Empty:
                    told = b": still here\n\n"
        except OSError:
            # The page was closed.
            pass
        finally:
            viewer.leave(events)


_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
    ("X-Frame-Options", "DENY"),
)
