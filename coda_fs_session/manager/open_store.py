"""From checked options to an opened store."""

from __future__ import annotations

from ..backends import BACKENDS, BackendOptions
from ..config import Config
from ..format.refs import BEGIN
from ..repo.repository import Repository, Settings
from ..repo.storage import RepoStorage


def open_storage(config: Config) -> RepoStorage:
    """Open the store that the options name; nothing is written before the first save.

    Raises:
        ConfigError: its backend needs a package that is not installed.
        StoreFormatError: `storage_path` is a folder of something else, or a store of a newer version.
    """
    backend, machine = BACKENDS[config.backend](
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
    settings = Settings(
        on_conflict=config.on_conflict,
        diverged=config.diverged,
        message_cache_size=config.message_cache_size,
        compress_threshold_bytes=config.compress_threshold_bytes,
        max_session_bytes=config.max_session_bytes,
    )
    return RepoStorage(Repository(backend, machine, settings))
