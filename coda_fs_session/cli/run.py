"""One run of the command: which store it is about, and where it writes."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

from .exits import NO_STORE, USAGE, CommandError
from .output import Output
from .safe import quoted

if TYPE_CHECKING:
    from .. import SessionManager

DEFAULT_STORE = "~/.coda/sessions"
_DATABASE = "sessions.db"


class Run:
    """What the options common to all verbs say, and the manager that is opened for it.

    Attributes:
        store, config: what was given, None for what the environment or the user's config says.
    """

    def __init__(self) -> None:
        self.out = Output()
        self.store: str | None = None
        self.config: str | None = None
        self._manager: SessionManager | None = None
        self._read: dict[str, Any] | None = None

    def reading(self, *, new: bool = False) -> SessionManager:
        """Open the store to read it: nothing below it changes, and none is made.

        Args:
            new: where there is none, it is as one without sessions.

        Raises:
            CommandError: there is none, and `new` is false.
        """
        return self._open(read_only=True, create=new)

    def writing(self, *, create: bool = False) -> SessionManager:
        """Open the store to change it.

        Args:
            create: where there is none, the first save makes it.

        Raises:
            CommandError: there is none, and `create` is false.
        """
        return self._open(read_only=False, create=create)

    def _open(self, *, read_only: bool, create: bool = False) -> SessionManager:
        from .. import SessionManager, SessionWarning

        options = self.options()
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", SessionWarning)
            manager = SessionManager({"session": options}, read_only=read_only or None)
            there = create or manager.store_exists()
        if not there:
            raise CommandError(
                f"there is no store at {self.place()}: `coda-session new NAME` makes one there, -s PATH names another",
                NO_STORE,
            )
        for warning in told:
            self.out.note(f"note: {warning.message}")
        self._manager = manager
        return manager

    def close(self) -> None:
        """Release what is held open, after all went well."""
        if self._manager is not None:
            self._manager.close()

    def place(self) -> str:
        """Return the path of the store, whether it is there or not."""
        return str(self.options()["storage_path"])

    def options(self) -> dict[str, Any]:
        """Return the options of ``[session]``: those of the config, with what the command line and environment say.

        Raises:
            CommandError: the store that was named cannot be one.
            ConfigError: the config cannot be read.
        """
        # A process of the command saves itself what it changes.
        options = {"storage_path": DEFAULT_STORE, **self.table("session"), "autosave_interval": 0}
        given = self.store or os.environ.get("CODA_FS_STORE")
        if given:
            options["storage_path"] = given
        path = str(options["storage_path"])
        if given and ("://" in path) != ("://" in str(self.table("session").get("storage_path", ""))):
            # What kind of store the config means is not that of another place.
            options.pop("backend", None)
        if "://" in path:
            return options
        path = os.path.expanduser(path)
        if os.path.isfile(path):
            if os.path.basename(path) != _DATABASE:
                raise CommandError(f"{path} is a file: a store is a folder, or a database called {_DATABASE}", USAGE)
            options["storage_path"] = path = os.path.dirname(path) or "."
        # What is there tells which kind it is; the config says what a new one is to be.
        if os.path.exists(os.path.join(path, _DATABASE)):
            options["backend"] = "sqlite"
        elif os.path.exists(os.path.join(path, "FORMAT")):
            options["backend"] = "files"
        options["storage_path"] = path
        return options

    def table(self, name: str) -> dict[str, Any]:
        """Return a table of the config, {} where it has none.

        Raises:
            ConfigError: the config cannot be read.
        """
        if self._read is None:
            path = self.config_path()
            self._read = _toml(path) if path else {}
        found = self._read.get(name, {})
        if not isinstance(found, dict):
            raise CommandError(f"{self.config_path()}: [{name}] must be a table", USAGE)
        return dict(found)

    def config_path(self) -> str | None:
        """Return the file of the config, None where the user has none."""
        given = self.config or os.environ.get("CODA_FS_CONFIG")
        if given:
            return os.path.expanduser(given)
        path = user_config()
        return path if os.path.exists(path) else None

    def named(self, name: str) -> str:
        """Return a name as a person can copy it."""
        return quoted(name)

    def single(self, name: str) -> str:
        """Return how a name is to be given to the command again."""
        return f"-- {quoted(name)}" if name.startswith("-") else quoted(name)

    def pair(self, one: str, other: str) -> str:
        """Return how two names are to be given to the command."""
        ends = "-- " if one.startswith("-") or other.startswith("-") else ""
        return f"{ends}{quoted(one)} {quoted(other)}"


def user_config() -> str:
    """Return where the config of the user is looked for."""
    import platformdirs

    return os.path.join(platformdirs.user_config_dir("coda-fs-session"), "config.toml")


def _toml(path: str) -> dict[str, Any]:
    import tomllib
    from pathlib import Path

    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CommandError(f"cannot read the config {path}: {error}", USAGE) from error
