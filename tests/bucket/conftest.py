"""One server for all tests of a process, and a bucket for each test."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from .proxy import Proxy, proxy_of
from .servers import CHOSEN, Server, chosen

_numbers = count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    pytest.importorskip("obstore", reason="obstore is not installed: pip install 'coda-fs-session[bucket]'")
    if CHOSEN == "moto":
        pytest.importorskip("moto", reason="moto is not installed: pip install 'coda-fs-session[test]'")
    with chosen() as running:
        yield running


@pytest.fixture
def url(server: Server) -> str:
    """A place in a bucket that no other test has."""
    return f"{server.make_bucket(f'bucket-{next(_numbers)}')}/chats"


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    """The server behind a proxy that spoils requests."""
    with proxy_of(server) as running:
        yield running
