"""Values under keys in a bucket, over obstore: one request a verb, and errors that say what to do."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ...errors import ConfigError, CorruptionError, StoreError, UnsupportedError

SCHEMES = ("s3", "gs", "az")
_OURS = {"retries": 5, "retry_seconds": 30.0, "request_seconds": 10.0, "allow_http": False, "alone": False}
"""Options that are no settings of the storage, with their defaults."""
_ENDPOINTS = ("endpoint", "endpoint_url", "endpoint_url_s3")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PAGE = 1000
_READS = 3
_HASH = "sha256"
"""Attribute of each value that we put: nobody else would notice a bit that is another one."""
_MOST_SAID = 300
_SHORTEST_SECRET = 8


_asked_in = 0
"""The process that has made the first request, of this one and those that it was forked from."""


class Value(NamedTuple):
    """A value with the tag that it has, and when it was put, in seconds since 1970."""

    data: bytes
    tag: str
    modified: float


class Listed(NamedTuple):
    """A key of a listing."""

    key: str
    tag: str
    size: int
    modified: float


class ChangedError(Exception):
    """The value is another one than a write was to replace."""


class Client:
    """The keys below a place in a bucket. Safe in all threads; a child of `os.fork` is refused.

    Args:
        url: ``s3://bucket/prefix``, ``gs://…`` or ``az://container/prefix``.
        options: `retries` (how often a request is repeated), `retry_seconds` (how long in all), `request_seconds` (one
            request), `allow_http` (no encryption, also to another host), `alone` (see `FleetState`); and what obstore
            calls the settings of the storage: `endpoint`, `region`, `access_key_id` and so on. What is missing is taken
            from the environment, as the tools of the cloud do.

    Raises:
        ConfigError: obstore is not installed, or an option is not known.
        ValueError: the URL names no bucket, or has credentials in it.
    """

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        self.url = checked_url(url)
        self.options = dict(options or {})
        given = dict(self.options)
        own = {name: given.pop(name, default) for name, default in _OURS.items()}
        try:
            import obstore
            from obstore import exceptions
            from obstore.store import from_url
        except ModuleNotFoundError as error:
            raise ConfigError(f"{self.url} needs obstore: pip install 'coda-fs-session[bucket]'") from error
        self._obstore, self._errors = obstore, exceptions
        self._secrets = [
            str(value)
            for name, value in given.items()
            if re.search("key|secret|token|pass|sas", name) and len(str(value)) >= _SHORTEST_SECRET
        ]
        plain = _is_plain(_endpoint(given), allowed=bool(own["allow_http"]))
        seconds = {"timeout": timedelta(seconds=own["request_seconds"]), "connect_timeout": timedelta(seconds=5)}
        try:
            made: Any = from_url
            self._store: Any = made(
                self.url,
                config=given or None,
                client_options={**seconds, **({"allow_http": True} if plain else {})},
                retry_config={
                    "max_retries": own["retries"],
                    "retry_timeout": timedelta(seconds=own["retry_seconds"]),
                },
            )
        except (exceptions.BaseError, ValueError) as error:
            raise ConfigError(f"{self.url} cannot be opened: {self._said(error)}") from error
        self._process = os.getpid()

    def get(self, key: str) -> Value:
        """Return a value; one that came damaged is asked for again.

        Raises:
            KeyError: there is none.
            CorruptionError: it was put with another hash.
            StoreError: it cannot be read.
        """
        for _ in range(_READS):
            try:
                found = self._here().get(key)
                data = bytes(found.bytes())
            except Exception as error:
                if self._is_missing(error):
                    raise KeyError(key) from None
                raise self._translated(error, "read", key) from error
            wanted = found.attributes.get(_HASH)
            # What a tool has copied into the bucket may have none.
            if wanted is None or wanted == _hash(data):
                return Value(data, _tag(found.meta), found.meta["last_modified"].timestamp())
        where = self.locate(key)
        raise CorruptionError(f"{where} is damaged", where, expected=f"sha256 {wanted}", actual=_hash(data))

    def put(self, key: str, data: bytes) -> str:
        """Let a key have a value, whatever it had; return its tag. Durable on return."""
        return self._put(key, data, "overwrite")

    def create(self, key: str, data: bytes) -> str:
        """Let a key have a value where it has none.

        Raises:
            ChangedError: it has another one.
        """
        return self._put(key, data, "create")

    def replace(self, key: str, data: bytes, tag: str) -> str:
        """Let a key have another value where it has the one of a tag.

        Raises:
            ChangedError: it has another one, or none.
        """
        return self._put(key, data, {"e_tag": tag})

    def _put(self, key: str, data: bytes, mode: Any) -> str:
        try:
            hashed = {_HASH: _hash(data)}
            return _tag(self._here().put(key, data, mode=mode, use_multipart=False, attributes=hashed))
        except Exception as error:
            if mode == "overwrite" or not self._is_refusal(error):
                raise self._translated(error, "write", key) from error
        # The storage may have taken it, and the answer was lost: the request was repeated then, and refused.
        try:
            there = self.get(key)
        except KeyError:
            raise ChangedError(key) from None
        if there.data == data:
            return there.tag
        raise ChangedError(key)

    def keys_below(self, prefix: str = "", *, after: str | None = None) -> Iterator[Listed]:
        """Yield the keys that begin with a folder's path, in their order; one request a thousand.

        Args:
            after: only those that come after this one.
        """
        try:
            pages = self._here().list(prefix or None, offset=after, chunk_size=_PAGE)
            for page in pages:
                for found in page:
                    # Not every storage knows of `offset`.
                    if after is None or found["path"] > after:
                        yield Listed(found["path"], _tag(found), found["size"], found["last_modified"].timestamp())
        except Exception as error:
            raise self._translated(error, "list", prefix) from error

    def folders_of(self, prefix: str) -> list[str]:
        """Return the names of the folders right in one, by a listing that tells no keys in them."""
        try:
            found = self._obstore.list_with_delimiter(self._here(), prefix or None)
            return [path.rstrip("/").rpartition("/")[2] for path in found["common_prefixes"]]
        except Exception as error:
            raise self._translated(error, "list", prefix) from error

    def delete(self, keys: Sequence[str]) -> None:
        """Delete values; a key that has none is no error."""
        for key in keys:
            try:
                self._here().delete(key)
            except Exception as error:
                if not self._is_missing(error):
                    raise self._translated(error, "delete", key) from error

    def locate(self, key: str) -> str:
        """Return where a key is, for people to read."""
        return f"{self.url.rstrip('/')}/{key}"

    def _here(self) -> Any:
        global _asked_in
        if os.getpid() != self._process or _asked_in not in (0, self._process):
            # obstore waits for ever in a child once the parent has made a request, with a new client too.
            raise UnsupportedError(
                f"{self.url} cannot be used in a child of os.fork, as a bucket was used before it: start workers with "
                "spawn, or open the first manager after the fork"
            )
        _asked_in = self._process
        return self._store

    def _is_missing(self, error: Exception) -> bool:
        return isinstance(error, (self._errors.NotFoundError, FileNotFoundError)) and not _NO_BUCKET.search(str(error))

    def _is_refusal(self, error: Exception) -> bool:
        kinds = (self._errors.AlreadyExistsError, self._errors.PreconditionError, self._errors.NotFoundError)
        # 409 is how S3 tells of another write at the same time.
        return isinstance(error, kinds) or "409 Conflict" in str(error) or "ConditionalRequestConflict" in str(error)

    def _translated(self, error: Exception, verb: str, key: str) -> Exception:
        if isinstance(error, (StoreError, ChangedError)):
            return error
        where, said, raw = self.locate(key), self._said(error), str(error)
        if isinstance(error, (self._errors.PermissionDeniedError, self._errors.UnauthenticatedError)) or (
            _FORBIDDEN.search(raw)
        ):
            return StoreError(f"cannot {verb} {where}: no right to. Look at the credentials and their rights: {said}")
        if _NO_BUCKET.search(raw):
            return StoreError(f"cannot {verb} {where}: there is no such bucket. Make it, or name another: {said}")
        if isinstance(error, (ValueError, self._errors.InvalidPathError)) or "Error parsing Path" in raw:
            return StoreError(f"cannot {verb} {where}: a bucket has no key of this name: {said}", where)
        if isinstance(error, self._errors.NotSupportedError) or "NotImplemented" in raw:
            return UnsupportedError(f"cannot {verb} {where}: the storage does not do that: {said}")
        if _THROTTLED.search(raw):
            return StoreError(f"cannot {verb} {where}: the storage asks for fewer requests. Try again later: {said}")
        if isinstance(error, (self._errors.BaseError, OSError)):
            return StoreError(f"cannot {verb} {where}: look at the network, and try again: {said}")
        return error

    def _said(self, error: BaseException) -> str:
        """Return what an error says, without what is secret in it."""
        said = str(error).partition("\n\nDebug source")[0]
        # What the storage says of itself, where it does.
        told = re.search(r"<Code>(.*?)</Code>.*?<Message>(.*?)</Message>", said, re.DOTALL)
        said = f"{told[1]}: {told[2]}" if told else " ".join(said.split())
        said = re.sub(r"(://[^\s?]*)\?\S*", r"\1", said)
        for secret in self._secrets:
            said = said.replace(secret, "***")
        return said[:_MOST_SAID]


_NO_BUCKET = re.compile("NoSuchBucket|ContainerNotFound|The specified bucket does not exist", re.I)
_FORBIDDEN = re.compile("403 Forbidden|401 Unauthorized|AccessDenied", re.I)
_THROTTLED = re.compile("SlowDown|429 Too Many|503 Service|TooManyRequests|ServerBusy", re.I)


def checked_url(url: str) -> str:
    """Return the URL of a place in a bucket without a slash at its end.

    Raises:
        ValueError: it names none, or has credentials or options in it.
    """
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise ValueError(f"{url!r} is no place in a bucket: it begins with one of {known}")
    if parts.username or parts.password or "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(
            f"{parts.scheme}://… has credentials or options in it: give them as options, or in the environment"
        )
    if not parts.netloc:
        raise ValueError(f"{url!r} names no bucket: {parts.scheme}://bucket/prefix")
    prefix = parts.path.strip("/")
    if prefix and any(part == "" or part.startswith(".") for part in prefix.split("/")):
        raise ValueError(f"{url!r} has an empty or hidden part: name another prefix")
    return url.rstrip("/")


def _endpoint(given: Mapping[str, Any]) -> str:
    """Return where requests go, by the options or the environment; empty where the cloud itself is meant."""
    named = [value for name, value in given.items() if name.lower().removeprefix("aws_") in _ENDPOINTS]
    named += [value for name in _ENDPOINTS if (value := os.environ.get(f"AWS_{name.upper()}"))]
    return str(named[0]) if named else ""


def _is_plain(endpoint: str, *, allowed: bool) -> bool:
    """Tell whether requests go unencrypted.

    Raises:
        ConfigError: they would, to another host, and that is not allowed.
    """
    parts = urlsplit(endpoint)
    if parts.scheme != "http":
        return False
    if not allowed and parts.hostname not in _LOOPBACK:
        raise ConfigError(f"endpoint {endpoint!r} is not encrypted: use https://, or set allow_http")
    return True


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _tag(meta: Mapping[str, Any]) -> str:
    # Azure puts it in quotes, but not in listings.
    return str(meta.get("e_tag") or "").strip('"')
