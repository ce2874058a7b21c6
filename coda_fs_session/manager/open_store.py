"""From checked options to an opened store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..backends import BACKENDS, BackendOptions
from ..config import Config
from ..errors import StoreError
from ..format.jsonl import BEGIN
from ..process.loading import loading
from ..repo.reverts.marker import Look, look

if TYPE_CHECKING:
    from ..repo.storage import RepoStorage


class OpenedStore:
    """The store that the options name; nothing is written before the first save.

    Attributes:
        has_moved: it may lack what this machine had saved: `storage` is to be called at once, which puts that back.

    Raises:
        ConfigError: its backend needs a package that is not installed.
        StoreFormatError: `storage_path` is a folder of something else, or a store of a newer version.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._backend, self._machine = BACKENDS[config.backend](
            BackendOptions(
                root=config.storage_path,
                state=config.state_path,
                replica=config.replica,
                durable=config.durability == "full",
                compress=config.compress_messages,
                connections=config.connection_pool_size,
                begin=BEGIN,
            )
        )
        try:
            self._seen = look(self._backend, self._machine)
        except StoreError:
            # It cannot be read now; the first verb tells.
            self._seen = Look(None, [])
        self.has_moved = self._seen.moved != []

    def storage(self) -> RepoStorage:
        """Return the engine over this store."""
        # Late: a store is opened in a fraction of the time that it takes to load what reads and writes it.
        with loading():
            from ..repo.repository import Repository, Settings
            from ..repo.storage import RepoStorage

        settings = Settings(
            on_conflict=self._config.on_conflict,
            diverged=self._config.diverged,
            message_cache_size=self._config.message_cache_size,
            compress_threshold_bytes=self._config.compress_threshold_bytes,
            max_session_bytes=self._config.max_session_bytes,
        )
        return RepoStorage(Repository(self._backend, self._machine, settings), seen=self._seen)
