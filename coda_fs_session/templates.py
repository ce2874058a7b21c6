"""Templates: how a session begins, written down once, with places to fill in."""

from __future__ import annotations

import os
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from .errors import ConfigError, SessionExistsError, SessionNotFoundError
from .format.jsonl import decode, encode_value
from .session.session import Session, SessionHooks

_KEYS = ("system", "messages", "metadata", "parameters")


@dataclass(frozen=True, slots=True)
class Template:
    """How a session begins. In every text ``{name}`` is the place of a parameter, and ``{{`` stands for a brace.

    Attributes:
        messages: what it begins with.
        metadata: what it is given besides ``template``, the template's name.
        parameters: what the places are called; defaults: the values of those that need not be given.
    """

    name: str
    messages: tuple[dict[str, Any], ...]
    metadata: dict[str, Any]
    parameters: frozenset[str]
    defaults: dict[str, Any] = field(default_factory=dict)

    def values(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return a value for every parameter.

        Raises:
            ConfigError: one is missing, or the template has none of that name.
        """
        unknown = sorted(given.keys() - self.parameters)
        missing = sorted(self.parameters - given.keys() - self.defaults.keys())
        if unknown or missing:
            problems = [f"has no parameter {', '.join(unknown)}"] if unknown else []
            problems += [f"needs {', '.join(missing)}"] if missing else []
            raise ConfigError(
                f"template {self.name!r} {' and '.join(problems)}; its parameters are: "
                + (", ".join(sorted(self.parameters)) or "none")
            )
        return {**self.defaults, **given}


class SessionKeeper(Protocol):
    """What templates ask of the manager."""

    @property
    def _hooks(self) -> SessionHooks | None: ...

    def load_session(self, name: str) -> Session: ...

    def save_session(self, session: Session) -> None: ...


class Templates:
    """The templates of one manager (`SessionManager.templates`), by name."""

    def __init__(self, manager: SessionKeeper) -> None:
        self._manager = manager
        self._templates: dict[str, Template] = {}

    def register(
        self,
        name: str,
        *,
        system: str | Sequence[str] = (),
        messages: Sequence[Mapping[str, Any]] = (),
        metadata: Mapping[str, Any] | None = None,
        defaults: Mapping[str, Any] | None = None,
    ) -> Template:
        """Add a template, in place of one that has the name.

        Args:
            system: the text of a system message, or of several; they come before `messages`.
            defaults: values of parameters that need not be given.

        Raises:
            ConfigError: a part is of the wrong type, a place is no ``{name}``, or a default is for none of them.
        """
        table = {"system": system, "messages": messages, "metadata": metadata or {}, "parameters": defaults or {}}
        self._templates[name] = template = _template(name, table, f"template {name!r}")
        return template

    def load(self, source: str | os.PathLike[str] | Mapping[str, Any]) -> list[str]:
        """Add the templates of a TOML file, or of a mapping read from one: its ``[templates.<name>]`` tables.

        A table has ``system`` (text, or a list of them), ``messages`` (a list of tables), ``metadata`` (a table) and
        ``parameters``: a list of names, or a table of default values. Other tables of the file are others' business.

        Returns:
            The names of the templates; none was added where one is wrong.

        Raises:
            ConfigError: the file cannot be read or is no TOML, or a template in it is wrong; says which and why.
        """
        where, content = ("templates", source) if isinstance(source, Mapping) else _read(source)
        tables = content.get("templates", {})
        if not isinstance(tables, Mapping):
            raise ConfigError(f"{where}: templates must be a table of templates, not {type(tables).__name__}")
        found = {name: _template(name, table, f"{where}: templates.{name}") for name, table in tables.items()}
        self._templates.update(found)
        return list(found)

    def create(self, template: str, name: str, /, **parameters: Any) -> Session:
        """Create a session that begins as a template says, or load the session that has the name, as it is.

        A new session is stored at once, with all of it or not at all. Its metadata say which ``template`` it was.

        Args:
            template: the template's name; name: the session's.
            parameters: what to put in the template's places; anything but text as `str` writes it.

        Raises:
            ConfigError: there is no such template, or a parameter is missing or unknown.
            SessionError: as `SessionManager.create_session`, and as `SessionManager.save_session`.
        """
        chosen = self[template]
        values = chosen.values(parameters)
        try:
            return self._manager.load_session(name)
        except SessionNotFoundError:
            pass
        session = Session(name, metadata={**_filled(chosen.metadata, values), "template": template})
        session._hooks = self._manager._hooks
        for message in chosen.messages:
            session.add_message(_filled(message, values))
        try:
            self._manager.save_session(session)
        except SessionExistsError:
            # Another process was faster.
            return self._manager.load_session(name)
        return session

    def __getitem__(self, name: str) -> Template:
        """Return a template.

        Raises:
            ConfigError: there is none of this name.
        """
        try:
            return self._templates[name]
        except KeyError:
            known = ", ".join(sorted(self._templates)) or "none yet"
            raise ConfigError(f"there is no template {name!r}; there are: {known}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._templates

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._templates))

    def __len__(self) -> int:
        return len(self._templates)


def _read(path: str | os.PathLike[str]) -> tuple[str, dict[str, Any]]:
    import tomllib

    try:
        where = Path(path).expanduser()
        return str(where), tomllib.loads(where.read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(f"cannot read the templates in {path}: {error}") from error


def _template(name: str, table: Any, where: str) -> Template:
    """Check a template and return it."""
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where} must be a table, not {type(table).__name__}")
    unknown = sorted(map(str, table.keys() - set(_KEYS)))
    if unknown:
        raise ConfigError(f"{where} has an unknown key {', '.join(unknown)}; known are {', '.join(_KEYS)}")
    system, messages = table.get("system", ()), table.get("messages", ())
    texts = [system] if isinstance(system, str) else system
    if not _is_list(texts, str):
        raise ConfigError(f"{where}: system must be text, or a list of texts")
    if not _is_list(messages, Mapping):
        raise ConfigError(f"{where}: messages must be a list of messages")
    metadata, parameters = table.get("metadata", {}), table.get("parameters", {})
    if not isinstance(metadata, Mapping):
        raise ConfigError(f"{where}: metadata must be a table, not {type(metadata).__name__}")
    if not (isinstance(parameters, Mapping) or _is_list(parameters, str)):
        raise ConfigError(f"{where}: parameters must be a list of names, or a table of default values")
    begin = [{"role": "system", "content": text} for text in texts] + [dict(message) for message in messages]
    try:
        # Copies, and what cannot be stored is refused now rather than when a session is made of it.
        begin = decode(encode_value(begin, "messages"))
        metadata = decode(encode_value(dict(metadata), "metadata"))
        places = frozenset(_places([begin, metadata]))
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error
    extra = sorted(set(parameters) - places)
    if extra:
        raise ConfigError(f"{where}: no text has a place for the parameter {', '.join(extra)}")
    if not isinstance(parameters, Mapping) and places - set(parameters):
        raise ConfigError(f"{where}: parameters does not name {', '.join(sorted(places - set(parameters)))}")
    defaults = dict(parameters) if isinstance(parameters, Mapping) else {}
    return Template(name, tuple(begin), metadata, places, defaults)


def _is_list(value: Any, kind: type) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(item, kind) for item in value)


def _places(value: Any) -> Iterator[str]:
    """Yield the name of each place in the texts of a value."""
    if isinstance(value, str):
        for _, name, form, conversion in string.Formatter().parse(value):
            if name is None:
                continue
            if not name.isidentifier() or form or conversion:
                raise ValueError(f"{value!r} has a place that is no {{name}}; a brace itself is written twice")
            yield name
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _places(item)


def _filled(value: Any, values: Mapping[str, Any]) -> Any:
    """Return a copy of a value with its texts' places filled in."""
    if isinstance(value, str):
        return value.format_map(values)
    if isinstance(value, list):
        return [_filled(item, values) for item in value]
    return {key: _filled(item, values) for key, item in value.items()} if isinstance(value, dict) else value
