"""Who may read the pages: each refusal, asked for as a program would."""

from __future__ import annotations

import http.client
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from storekit import fill, message, open_store, run_python, untouched

from coda_fs_session import SessionManager, SessionNotFoundError
from coda_fs_session.viewer import Viewer, serve
from coda_fs_session.viewer import server as module


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[SessionManager]:
    with open_store(tmp_path / "store") as manager:
        fill(manager, "trip", 3)
    with open_store(tmp_path / "store", read_only=True) as manager:
        yield manager


@pytest.fixture
def viewer(manager: SessionManager) -> Iterator[Viewer]:
    with Viewer(manager) as viewer:
        thread = threading.Thread(target=viewer.run)
        thread.start()
        yield viewer
        viewer.stop()
        thread.join()


class Asking:
    """What a program asks a viewer, with a cookie once it has one."""

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self.cookie = ""

    def __call__(
        self, path: str, verb: str = "GET", body: bytes | None = None, **headers: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.viewer.port, timeout=20)
        told = {"Cookie": self.cookie} if self.cookie else {}
        told |= {key.replace("_", "-"): value for key, value in headers.items()}
        connection.request(verb, path, body=body, headers=told)
        answer = connection.getresponse()
        found = answer.read()
        connection.close()
        return answer, found

    def let_in(self) -> None:
        answer, _ = self(urlsplit(self.viewer.link()).path + "?" + urlsplit(self.viewer.link()).query)
        self.cookie = (answer.headers["Set-Cookie"] or "").partition(";")[0]


@pytest.fixture
def ask(viewer: Viewer) -> Asking:
    return Asking(viewer)


@pytest.fixture
def known(ask: Asking) -> Asking:
    ask.let_in()
    return ask


def test_only_this_machine(viewer: Viewer) -> None:
    """The port is bound on 127.0.0.1 alone: from another address of this machine nobody answers."""
    assert viewer._server.socket.getsockname() == ("127.0.0.1", viewer.port)
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.2", viewer.port), timeout=5)


def test_the_link(ask: Asking, viewer: Viewer) -> None:
    """Its token, of 192 bits and another one each time, becomes a cookie for no script, and leaves the address."""
    link = urlsplit(viewer.link("trip"))
    assert re.fullmatch(r"token=[\w-]{32}", link.query)
    answer, body = ask(f"{link.path}?{link.query}")
    assert (answer.status, body) == (303, b"")
    assert answer.headers["Location"] == "/s/trip"
    assert "token" not in answer.headers["Location"]
    cookie, *rest = answer.headers["Set-Cookie"].split("; ")
    assert sorted(rest) == ["HttpOnly", "Path=/", "SameSite=Strict"]
    ask.cookie = cookie
    answer, body = ask("/s/trip")
    assert answer.status == 200
    assert b"message 2" in body
    assert viewer._token.encode() not in body
    with Viewer(viewer.site._manager) as other:
        assert other._token != viewer._token


def test_a_link_for_once(ask: Asking, viewer: Viewer) -> None:
    """What a browser is started with can be read by other users of the machine: once more it is good for nothing."""
    link = urlsplit(viewer.link("trip", 2, once=True))
    assert ask(f"/?{link.query}", "HEAD", Host="evil.example")[0].status == 421
    answer, _ = ask(f"{link.path}?{link.query}")
    assert (answer.status, answer.headers["Location"]) == (303, "/s/trip/at/2")
    assert ask(f"{link.path}?{link.query}")[0].status == 403
    cookie = answer.headers["Set-Cookie"].partition(";")[0]
    assert link.query.partition("=")[2] not in cookie
    ask.cookie = cookie
    assert ask("/s/trip/at/2")[0].status == 200


@pytest.mark.parametrize(
    "path", ["/", "/s/trip", "/sessions.json", "/events", "/nothing", "/s/none", "/search?q=message"]
)
def test_without_the_token(ask: Asking, path: str) -> None:
    """Other users of the machine get nothing, not even whether there is such a page."""
    for cookie in (
        "",
        "x=y",
        f"coda_session_viewer_{ask.viewer.port}=",
        f"coda_session_viewer_{ask.viewer.port}={'A' * 32}",
    ):
        ask.cookie = cookie
        for headers in ({}, {"Authorization": ask.viewer._token}):
            answer, body = ask(path, **headers)
            assert answer.status == 403
            assert b"message 2" not in body
            assert answer.headers["Set-Cookie"] is None
    assert ask("/?token=wrong")[0].status == 403
    assert ask("/?token=%ff%fe")[0].status == 403


def test_the_token_is_compared_in_constant_time(viewer: Viewer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each comparison goes through the function that is made for that."""
    asked = []
    monkeypatch.setattr(module.hmac, "compare_digest", lambda one, other: asked.append((one, other)) or False)
    ask = Asking(viewer)
    ask.cookie = f"coda_session_viewer_{viewer.port}={viewer._token}"
    assert ask("/")[0].status == 403
    assert ask(f"/?token={viewer._token}")[0].status == 403
    assert len(asked) == 2


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "[::1]:{port}", "localhost.:{port}", ""]
)
def test_another_host(known: Asking, host: str) -> None:
    """A page of somebody whose name leads to this machine is refused before anything is looked at, cookie or not."""
    for path in ("/", "/s/trip", "/nothing", f"/?token={known.viewer._token}"):
        answer, body = known(path, Host=host.format(port=known.viewer.port))
        assert answer.status == 421
        assert b"message 2" not in body
        assert answer.headers["Set-Cookie"] is None
    assert known("/", Host=f"LOCALHOST:{known.viewer.port}")[0].status == 200


def test_no_host_or_two(known: Asking) -> None:
    """A request that names no machine, or two, is refused."""
    port = known.viewer.port
    for hosts in (b"", b"Host: 127.0.0.1:%d\r\nHost: evil.example\r\n" % port):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\n%bCookie: %b\r\n\r\n" % (hosts, known.cookie.encode()))
            assert connection.recv(100).startswith(b"HTTP/1.1 421 ")


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
def test_asked_by_another_page(known: Asking, site: str) -> None:
    """What a page of another site asks for is refused, also with the token."""
    for path in ("/", "/sessions.json", f"/?token={known.viewer._token}"):
        assert known(path, Sec_Fetch_Site=site)[0].status == 403
    for good in ("none", "same-origin"):
        assert known("/", Sec_Fetch_Site=good)[0].status == 200


@pytest.mark.parametrize("verb", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"])
def test_nothing_but_reading(known: Asking, verb: str, tmp_path: Path) -> None:
    """No verb changes anything, and none has an answer that lets other pages in."""
    with untouched(tmp_path / "store"):
        answer, _ = known("/s/trip", verb, body=b"GET / HTTP/1.1\r\n\r\n")
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, HEAD"
    assert answer.headers["Connection"] == "close"


def test_headers(known: Asking) -> None:
    """Every answer forbids what a page does not need: scripts but ours, frames, being kept, being read by others."""
    cross = [f"/?token={known.viewer._token}", "/", "/s/trip", "/sessions.json", "/nothing", "/search?q=message"]
    for path in cross:
        answer, body = known(path)
        headers = answer.headers
        assert not [name for name in headers if name.lower().startswith("access-control")]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Resource-Policy"] == headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"
        policy = dict(each.split(" ", 1) for each in headers["Content-Security-Policy"].split("; "))
        assert policy.pop("script-src").startswith("'sha256-")
        assert policy.pop("style-src").startswith("'sha256-")
        none = ("default-src", "base-uri", "form-action", "frame-ancestors")
        assert policy == dict.fromkeys(none, "'none'") | {"img-src": "data:", "connect-src": "'self'"}
        assert headers["Server"].strip() == "coda-session"
        empty, nothing = known(path, "HEAD")
        assert (empty.status, nothing) == (answer.status, b"")
        assert empty.headers["Content-Length"] == str(len(body))


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/../../etc/passwd",
            "/%2e%2e/%2e%2e/etc/passwd",
            "/s/..%2f..%2fetc%2fpasswd",
            "/s/%00",
            "/s/%ff",
            "//etc/passwd",
        ),
        *("/refs", "/view.css", "/templates/view.js", "/s/trip/whole/0", "/s/trip/whole/9", "/compare/trip/%2e%2e"),
    ],
)
def test_nothing_outside_the_store(known: Asking, path: str, tmp_path: Path) -> None:
    """No address is a path, and what is wrong is told without one."""
    answer, body = known(path)
    assert answer.status == 404
    assert b"root:" not in body
    assert str(tmp_path).encode() not in body


def test_a_redirect_stays_here(ask: Asking) -> None:
    """An address with the token that begins with two slashes does not lead to another machine."""
    for path in ("//evil.example/", "/\\evil.example/", "///evil.example"):
        answer, _ = ask(f"{path}?token={ask.viewer._token}")
        assert answer.status == 303
        assert re.match(r"/[^/\\]", answer.headers["Location"])


def test_an_unforeseen_error_tells_nothing(
    known: Asking, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The page has no word of it; who runs the viewer reads it on the screen."""
    monkeypatch.setattr(known.viewer.site, "answer", lambda target: 1 / 0)
    answer, body = known("/")
    assert answer.status == 500
    assert b"division" not in body
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_events(known: Asking, tmp_path: Path) -> None:
    """What another manager saves is told to a page that listens, and the next page that is asked for has it."""
    connection = http.client.HTTPConnection("127.0.0.1", known.viewer.port, timeout=30)
    connection.request("GET", "/events", headers={"Cookie": known.cookie})
    answer = connection.getresponse()
    assert answer.headers["Content-Type"] == "text/event-stream"
    with open_store(tmp_path / "store") as other:
        session = other.load_session("trip")
        session.add_message(message(77))
        other.save_session(session)
        line = b""
        while not line.startswith(b"data: "):
            line = answer.readline()
    assert b'"names":["trip"]' in line
    assert b"message 77" in known("/s/trip")[1]
    known.viewer.stop()
    while answer.readline():
        pass


def test_too_many_listeners(known: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes a thread, so there is a limit."""
    monkeypatch.setattr(module, "_MOST_STREAMS", 0)
    assert known("/events")[0].status == 503


def test_it_ends_when_nobody_asks(manager: SessionManager) -> None:
    """After `idle` seconds without a request it is over; and `serve` tells the link before, of what is there."""
    links: list[str] = []
    serve(manager, name="trip", idle=0.3, started=links.append)
    assert links[0].startswith("http://127.0.0.1:")
    assert "/s/trip?token=" in links[0]
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", int(urlsplit(links[0]).port or 0)), timeout=5)
    with pytest.raises(SessionNotFoundError):
        serve(manager, name="none", started=links.append)
    assert len(links) == 1


def test_without_the_extra(tmp_path: Path) -> None:
    """An error names what to install; all else of the package can be had without."""
    done = run_python(
        "import sys\n"
        "sys.modules['jinja2'] = None\n"
        "import coda_fs_session\n"
        "try:\n"
        "    import coda_fs_session.viewer\n"
        "except coda_fs_session.UnsupportedError as error:\n"
        "    print(error)\n"
        "manager = coda_fs_session.SessionManager({'session': {'backend': 'memory'}})\n"
        "manager.create_session('trip')\n"
        "try:\n"
        "    manager.export_session('trip', sys.argv[1] + '/trip.html', format='html')\n"
        "except coda_fs_session.UnsupportedError as error:\n"
        "    print(error)\n"
        "manager.export_session('trip', sys.argv[1] + '/trip.md', format='md')\n",
        tmp_path,
    )
    assert done.stdout.count("pip install 'coda-fs-session[view]'") == 2
    assert [path.name for path in tmp_path.iterdir()] == ["trip.md"]
