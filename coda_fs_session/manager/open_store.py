"""From checked options to an opened store."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ..backends import BackendOptions, open_backend
from ..config import Config
from ..errors import StoreError, warn
from ..format.jsonl import BEGIN
from ..process.loading import loading
from ..repo.reverts.marker import Look, look

if TYPE_CHECKING:
    from ..repo.repository import Repository
    from ..repo.storage import RepoStorage


class OpenedStore:
    """The store that the options name; nothing is written before the first save.

    Args:
        new: there may be none yet, also with `read_only`.

    Attributes:
        has_moved: it may lack what this machine had saved: `storage` is to be called at once, which puts that back, or
            with `read_only` finds it.

    Raises:
        ConfigError: its backend needs a package that is not installed.
        StoreFormatError: `storage_path` is a folder of something else, or a store of a newer version.
    """

    def __init__(self, config: Config, *, new: bool = False) -> None:
        self._config = config
        self._backend, self._machine = open_backend(
            config.backend,
            BackendOptions(
                root=config.storage_path,
                state=config.state_path,
                replica=config.replica,
                durable=config.durability == "full",
                compress=config.compress_messages,
                connections=config.connection_pool_size,
                begin=BEGIN,
                read_only=config.read_only,
                bucket=config.bucket,
            ),
        )
        if config.read_only and not new:
            self._warn_if_nothing_is_there()
        try:
            self._seen = look(self._backend, self._machine)
        except StoreError:
            # It cannot be read now; the first verb tells.
            self._seen = Look(None, [])
        self.has_moved = self._seen.moved != []

    def _warn_if_nothing_is_there(self) -> None:
        """A wrong path must not pass for a store without sessions, where nobody is going to make one."""
        with suppress(StoreError):
            place, store = self._backend.place()
            if store is None and not self._backend.ref_tokens():
                warn(f"there is no store at {place}, and a read_only manager makes none: until there is, it is empty")

    def storage(self) -> RepoStorage:
        """Return the engine over this store."""
        # Late: a store is opened in a fraction of the time that it takes to load what reads and writes it.
        with loading():
            from ..repo.storage import RepoStorage
        return RepoStorage(self.repository(), seen=self._seen)

    def repository(self) -> Repository:
        """Return what the engine works on: nothing that the store lacks is looked for, or put back."""
        with loading():
            from ..repo.repository import Repository, Settings

        settings = Settings(
            on_conflict=self._config.on_conflict,
            diverged=self._config.diverged,
            purge_from=self._config.purge_from,
            message_cache_size=self._config.message_cache_size,
            compress_threshold_bytes=self._config.compress_threshold_bytes,
            max_session_bytes=self._config.max_session_bytes,
            read_only=self._config.read_only,
        )
        return Repository(self._backend, self._machine, settings)
