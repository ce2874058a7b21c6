"""The options of ``[session]``: their defaults, what each accepts, and reading them."""

import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from .errors import ConfigError, warn

_MEGABYTE = 1024 * 1024
_NO_LIMIT = 2**62
# As rsync and scp tell them: a colon before the first slash. A Path has made one slash of two.
_ELSEWHERE = re.compile(r"[^/:]*:")
_BUCKETS = ("s3://", "gs://", "az://")
_REPLICA = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")


class Config(NamedTuple):
    """Checked options; docs/options.md says what each means."""

    backend: str = "files"
    storage_path: str = "~/.coda/sessions"
    state_path: str | None = None
    replica: str | None = None
    durability: str = "full"
    on_conflict: str = "append"
    diverged: str = "shared"
    compress_messages: bool = True
    compress_threshold_bytes: int = 8192
    max_session_size: float = 100
    message_cache_size: int = 1000
    autosave_interval: float = 300
    connection_pool_size: int = 5
    retention_days: float = 90
    gc_grace_days: float = 30
    purge_from: str | list[str] = "any"
    bucket: Mapping[str, Any] | None = None
    redact: str | list[str] | None = None
    read_only: bool = False

    @property
    def max_session_bytes(self) -> int:
        """What `max_session_size` is in bytes; where it is 0, more than any session has."""
        return math.ceil(min(self.max_session_size * _MEGABYTE, _NO_LIMIT)) or _NO_LIMIT


class _Rule(NamedTuple):
    accepts: str
    check: Callable[[Any], Any]


def _one_of(*choices: str) -> _Rule:
    def check(value: Any) -> str:
        if value not in choices or not isinstance(value, str):
            raise ValueError
        return value

    return _Rule(" or ".join(f'"{choice}"' for choice in choices), check)


def _number(minimum: float, unit: str) -> _Rule:
    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError
        if not (math.isfinite(value) and value >= minimum):
            raise ValueError
        return value

    return _Rule(f"a number of {unit} from {minimum:g}", check)


def _integer(minimum: int, unit: str) -> _Rule:
    def check(value: Any) -> int:
        if type(value) is not int or value < minimum:
            raise ValueError
        return value

    return _Rule(f"a whole number of {unit} from {minimum}", check)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _place(value: Any) -> str:
    return bucket_url(value) or _path(value)


def _path(value: Any) -> str:
    text = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not text or not isinstance(text, str) or "\0" in text:
        raise ValueError
    return os.path.abspath(local_path(text))


def local_path(path: str | os.PathLike[str]) -> str:
    """Return the path of a folder of this machine, with a leading ``~`` or ``~user`` replaced by that home folder.

    Raises:
        ValueError: it is a URL, or a place on another host.
        RuntimeError: there is no such home folder.
    """
    text = os.fspath(path)
    elsewhere = _ELSEWHERE.match(os.path.splitdrive(text)[1])
    if elsewhere:
        kind = "URL" if "://" in text else "place on another host or drive"
        raise ValueError(
            f"{text!r} is a {kind}, and a folder of this machine is needed: name where it is mounted or synced to; "
            f"for a folder that has this name write {'./' + text!r}, or its absolute path"
        )
    text = os.path.expanduser(text)
    if text.startswith("~"):
        raise RuntimeError("there is no home folder")
    return text


def remote_path(path: str | os.PathLike[str]) -> tuple[str, str] | None:
    """Return host and path of a text like ``host:path``, as rsync takes it; None for any other place.

    Raises:
        ValueError: what stands for the host begins with a hyphen, which rsync would take for an option.
    """
    text = path if isinstance(path, str) else ""
    host, sign, folder = text.partition(":")
    # One letter is a drive of Windows, and two colons are a server of rsync's own.
    if not sign or "/" in host or len(host.rpartition("@")[2]) < 2 or not folder or folder.startswith((":", "//")):
        return None
    if host.startswith("-"):
        raise ValueError(f"{text!r} has a host that begins with a hyphen: that cannot be one")
    return host, folder.removeprefix("~/").rstrip("/") or "/"


def bucket_url(path: str | os.PathLike[str]) -> str | None:
    """Return the URL of a place in a bucket, None for any other place; what its scheme is tells."""
    return path if isinstance(path, str) and path.startswith(_BUCKETS) else None


def _replica(value: Any) -> str:
    if not isinstance(value, str) or not _REPLICA.match(value):
        raise ValueError
    return value


def _replicas(value: Any) -> str | list[str]:
    if value in ("any", "none") and isinstance(value, str):
        return value
    if not isinstance(value, (list, tuple)):
        raise ValueError
    return list(map(_replica, value))


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError
    if not all(isinstance(name, str) and isinstance(each, (str, int, float)) for name, each in value.items()):
        raise ValueError
    return dict(value)


def _patterns(value: Any) -> str | list[str]:
    from .patterns import compiled, of_option

    patterns = of_option(value)
    if patterns:
        # What is wrong with one is told now, and not by the first message.
        compiled(patterns)
    return value if isinstance(value, str) else list(value)


_RULES: dict[str, _Rule] = {
    "backend": _one_of("files", "memory", "sqlite", "bucket"),
    "storage_path": _Rule("a path, or the URL of a place in a bucket", _place),
    "state_path": _Rule("a path", _path),
    "replica": _Rule("1 to 63 of a-z, 0-9 and -, beginning with no -", _replica),
    "durability": _one_of("full", "none"),
    "on_conflict": _one_of("append", "branch", "raise"),
    "diverged": _one_of("shared", "own"),
    "compress_messages": _Rule("true or false", _boolean),
    "compress_threshold_bytes": _integer(1, "bytes"),
    "max_session_size": _number(0, "MB (0: no limit)"),
    "message_cache_size": _integer(0, "messages"),
    "autosave_interval": _number(0, "seconds (0: never)"),
    "connection_pool_size": _integer(1, "connections"),
    "retention_days": _number(0, "days"),
    "gc_grace_days": _number(0, "days"),
    "purge_from": _Rule('"any", "none", or a list of ids of replicas', _replicas),
    "bucket": _Rule("a table of texts, numbers, true and false", _table),
    "redact": _Rule('"keys", or a list of regular expressions', _patterns),
    "read_only": _Rule("true or false", _boolean),
}

_ENVIRONMENT = {"state_path": "CODA_FS_STATE", "replica": "CODA_FS_REPLICA"}


def read_config(
    config: Mapping[str, Any] | str | os.PathLike[str] | None, *, source: str = "config", toml: bool = False
) -> Config:
    """Check a configuration and fill in the defaults.

    Args:
        config: a mapping with, perhaps, a mapping under ``"session"``; other keys are other programs' business. Or the
            path of a store.
        source: what to call it in errors.
        toml: it is the content of a TOML file.

    Raises:
        ConfigError: an option has a type or value that it does not accept, or is at a place that is not read.
    """
    if config is None:
        config = {}
    elif isinstance(config, (str, os.PathLike)):
        config = {"session": {"storage_path": _refuse_toml(config)}}
    if not isinstance(config, Mapping):
        raise ConfigError(f"{source} must be a dict or the path of a store, not {type(config).__name__}")
    options = None
    if "session" in config:
        # Not by get(), which means something else to a ConfigParser.
        options = config["session"]
    else:
        _refuse_misplaced(config, source, toml=toml)
    if options is None:
        options = {}
    if not isinstance(options, Mapping):
        raise ConfigError(f"{source}: session must be a table of options, not {type(options).__name__}")
    unknown = [str(name) for name in options if name not in _RULES]
    if unknown:
        warn(f"{source}: unknown option in [session]: {', '.join(sorted(unknown))}; known are {', '.join(_RULES)}")
    given = {name: os.environ[variable] for name, variable in _ENVIRONMENT.items() if os.environ.get(variable)}
    origin = {name: variable for name, variable in _ENVIRONMENT.items() if name in given}
    for name, value in options.items():
        if name in _RULES and value is not None:
            given[name] = value
            origin.pop(name, None)
    checked = {
        name: _checked(name, value, origin.get(name, f"{source}: session.{name}")) for name, value in given.items()
    }
    result = _with_backend(Config(**checked), checked, source)
    on_disk = result.backend not in ("memory", "bucket")
    if on_disk and "storage_path" not in checked:
        # Only now: a machine user may have no home folder, and does not need one for anything else.
        default = _checked("storage_path", result.storage_path, f"{source}: session.storage_path")
        result = result._replace(storage_path=default)
    if on_disk and result.state_path and _is_below(result.state_path, result.storage_path):
        where = origin.get("state_path", f"{source}: session.state_path")
        raise ConfigError(
            f"{where} = {result.state_path!r} is not accepted: it takes a path outside of storage_path, "
            "since machine state must not be synced"
        )
    return result


def _with_backend(config: Config, given: Mapping[str, Any], source: str) -> Config:
    """Return options whose backend and place belong together: a URL names the backend by itself.

    Raises:
        ConfigError: they do not.
    """
    url = bucket_url(config.storage_path)
    if url and "backend" not in given:
        return config._replace(backend="bucket")
    if url and config.backend not in ("bucket", "memory"):
        raise ConfigError(
            f"{source}: session.storage_path = {url!r} is a place in a bucket, and session.backend is "
            f'{config.backend!r}: leave that out, or say backend = "bucket"'
        )
    if config.backend == "bucket" and not url:
        raise ConfigError(
            f'{source}: session.backend = "bucket" takes the URL of a place in a bucket as session.storage_path, such '
            'as "s3://my-chats/prod"'
        )
    return config


def with_read_only(config: Config, read_only: bool | None) -> Config:
    """Return options with what a caller says of `read_only` besides, None for nothing.

    Raises:
        ConfigError: it is none of these.
    """
    return config if read_only is None else config._replace(read_only=_checked("read_only", read_only, "read_only"))


def _refuse_toml(path: str | os.PathLike[str]) -> str | os.PathLike[str]:
    if str(path).endswith(".toml"):
        raise ConfigError(
            f"{str(path)!r} is not taken for a store: SessionManager.from_toml() reads the options in a file; for a "
            f"folder of this name give {{'session': {{'storage_path': {str(path)!r}}}}}"
        )
    return path


def _refuse_misplaced(config: Mapping[str, Any], source: str, *, toml: bool) -> None:
    """Refuse options outside of ``[session]``: unread, they would leave the sessions in the default folder.

    Raises:
        ConfigError: there are some at the top, or in a table with "session" in its name.
    """
    for place, table in _tables(config):
        ours = {name: table[name] for name in _RULES if name in table and not isinstance(table[name], Mapping)}
        if not ours or (place and "session" not in place.lower()):
            continue
        if toml:
            where = f"in [{place}]" if place else "at the top"
            form = f"call that table [session], or add an empty [session] if [{place}] is another program's"
            if not place:
                form = "write [session] on the line above, or add an empty [session] if they are another program's"
        else:
            where = f'in "{place}"' if place else "at the top"
            form = f"give { {'session': ours} }, or add 'session': {{}} if they are another program's"
        raise ConfigError(f"{source}: options of [session] are not read {where} ({', '.join(ours)}): {form}")


def _tables(config: Mapping[str, Any], place: str = "", depth: int = 3) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield a configuration and the tables in it, with their dotted names; no deeper than programs have them."""
    yield place, config
    for name, value in config.items():
        if depth and isinstance(value, Mapping):
            yield from _tables(value, f"{place}.{name}" if place else str(name), depth - 1)


def _is_below(path: str, folder: str) -> bool:
    return os.path.join(path, "").startswith(os.path.join(folder, ""))


def _checked(name: str, value: Any, where: str) -> Any:
    rule = _RULES[name]
    try:
        return rule.check(value)
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        reason = f" ({error})" if str(error) else ""
        raise ConfigError(f"{where} = {value!r} is not accepted: it takes {rule.accepts}{reason}") from error


def read_toml(path: str | os.PathLike[str]) -> Config:
    """Read the options from the ``[session]`` table of a TOML file.

    Raises:
        ConfigError: the file cannot be read, is no TOML, or an option is not accepted.
    """
    # Late: a program that opens a store otherwise needs neither.
    import tomllib
    from pathlib import Path

    where = Path(path)
    try:
        where = where.expanduser()
        content = tomllib.loads(where.read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(f"cannot read the configuration {where}: {error}") from error
    return read_config(content, source=str(where), toml=True)
