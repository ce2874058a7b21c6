"""Servers of object storages on this machine, for tests.

moto is what tests use by themselves; CODA_FS_BUCKET_SERVER names another one, which has to be there then.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

LIMIT = 60  # seconds; only a failure waits that long
CHOSEN = os.environ.get("CODA_FS_BUCKET_SERVER", "moto")


class Server:
    """An object storage at a port of this machine.

    Attributes:
        scheme: of its URLs; options: what a client of it needs to know.
    """

    scheme = "s3"

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

    def options_at(self, port: int) -> dict[str, Any]:
        """Return what a client needs to know that reaches it at another port."""
        return {**self.options, "endpoint": self.options["endpoint"].replace(f":{self.port}", f":{port}", 1)}

    def request(self, verb: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> int:
        """Make a request of one's own, and return the status."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)
        try:
            connection.request(verb, path, body, dict(headers or {}))
            return connection.getresponse().status
        finally:
            connection.close()


class SeaweedFS(Server):
    """SeaweedFS, which looks at signatures."""

    def make_bucket(self, name: str) -> str:
        path = f"/{name}"
        assert self.request("PUT", path, headers=signed(self.options, "PUT", path, self.port)) < 300
        return f"s3://{name}"


class Azurite(Server):
    """The emulator of Azure, with its one account."""

    scheme = "az"
    account = "devstoreaccount1"
    key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.options = {
            "endpoint": f"http://127.0.0.1:{port}/{self.account}",
            "account_name": self.account,
            "account_key": self.key,
        }

    def make_bucket(self, name: str) -> str:
        when = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        stated = f"x-ms-date:{when}\nx-ms-version:2021-08-06\n/{self.account}/{self.account}/{name}\nrestype:container"
        digest = hmac.new(base64.b64decode(self.key), f"PUT{NEWLINES}{stated}".encode(), hashlib.sha256).digest()
        headers = {
            "x-ms-date": when,
            "x-ms-version": "2021-08-06",
            "Authorization": f"SharedKey {self.account}:{base64.b64encode(digest).decode()}",
        }
        status = self.request("PUT", f"/{self.account}/{name}?restype=container", headers=headers)
        assert status < 300, status
        return f"az://{name}"


NEWLINES = "\n" * 12
"""Between the verb and what is stated: headers that the request has none of."""


def signed(options: Mapping[str, Any], verb: str, path: str, port: int) -> dict[str, str]:
    """Return the headers that sign a request to S3 without a body, version 4."""
    when, empty = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"), hashlib.sha256(b"").hexdigest()
    headers = {"host": f"127.0.0.1:{port}", "x-amz-content-sha256": empty, "x-amz-date": when}
    names, lines = ";".join(headers), "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = f"{verb}\n{path}\n\n{lines}\n{names}\n{empty}"
    scope = f"{when[:8]}/{options['region']}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{when}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{options['secret_access_key']}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    said = f"Credential={options['access_key_id']}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "Authorization": f"AWS4-HMAC-SHA256 {said}"}


@contextmanager
def moto() -> Iterator[Server]:
    """Run moto's server, which keeps everything in memory."""
    server = Server(free_port())
    with running(server, [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(server.port)]):
        yield server


@contextmanager
def seaweedfs() -> Iterator[Server]:
    """Run SeaweedFS, a real server that looks at signatures. It tells nobody that it runs."""
    server = SeaweedFS(free_port())
    names = {"accessKey": server.options["access_key_id"], "secretKey": server.options["secret_access_key"]}
    rights = {"identities": [{"name": "test", "credentials": [names], "actions": ["Admin"]}]}
    with tempfile.TemporaryDirectory(prefix="coda-seaweedfs-") as folder:
        Path(folder, "rights.json").write_text(json.dumps(rights))
        parts = [f"{part}.port{kind}" for part in ("master", "volume", "filer", "s3") for kind in ("", ".grpc")]
        ports = [f"-{part}={free_port()}" for part in parts if part != "s3.port"]
        command = [found("weed"), "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", *ports]
        command += ["-master.telemetry=false", "-volume.max=50", "-master.volumeSizeLimitMB=64", "-s3"]
        command += [f"-s3.port={server.port}", f"-s3.config={folder}/rights.json"]
        with running(server, command):
            _wait_until(lambda: bool(server.make_bucket("first")))
            yield server


@contextmanager
def azurite() -> Iterator[Server]:
    """Run the emulator of Azure, with everything in memory. It tells nobody that it runs."""
    server = Azurite(free_port())
    command = [found("azurite-blob"), "--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck"]
    with running(server, [*command, "--silent", "--blobHost", "127.0.0.1", "--blobPort", str(server.port)]):
        yield server


SERVERS: Mapping[str, Callable[[], AbstractContextManager[Server]]] = {
    "moto": moto,
    "seaweedfs": seaweedfs,
    "azurite": azurite,
}


def chosen() -> AbstractContextManager[Server]:
    """Run the server that the environment names."""
    return SERVERS[CHOSEN]()


def found(program: str) -> str:
    """Return where a program is.

    Raises:
        FileNotFoundError: it is not on the path.
    """
    path = shutil.which(program)
    if path is None:
        raise FileNotFoundError(f"{program} is not there: scripts/test --bucket-servers --install")
    return path


@contextmanager
def running(server: Server, command: Sequence[str]) -> Iterator[None]:
    """Run a server until it is needed no more."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_until(lambda: bool(server.request("GET", "/")), process)
            yield
        finally:
            process.kill()


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait_until(is_ready: Callable[[], bool], process: subprocess.Popen[bytes] | None = None) -> None:
    end = time.monotonic() + LIMIT
    while True:
        try:
            if is_ready():
                return
        except (OSError, AssertionError, http.client.HTTPException):
            assert process is None or process.poll() is None, "the server has ended"
            assert time.monotonic() < end, "the server does not answer"
        time.sleep(0.05)
