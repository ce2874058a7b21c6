"""A store in a bucket as the target of a sync."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..backends import open_bucket
from ..config import Config

if TYPE_CHECKING:
    from ..repo.storage import RepoStorage


def open_hub(url: str, config: Config, options: Mapping[str, Any] | None) -> RepoStorage:
    """Return the engine over a store in a bucket; nothing is asked of it yet.

    Args:
        options: what counts beside, and before, the option `bucket`.

    Raises:
        ConfigError: the extra ``bucket`` is not installed, or an option is none.
        ValueError: the URL names no bucket, or has options in it.
    """
    from ..repo.sync.hub import storage_of

    return storage_of(open_bucket(url, {**(config.bucket or {}), **(options or {})}, compress=config.compress_messages))
