"""LangChain: `CodaChatMessageHistory` is a history of chat messages in a store of sessions."""

from __future__ import annotations

from ..extras import not_installed

try:
    from .history import CodaChatMessageHistory
except ModuleNotFoundError as error:
    raise not_installed(error, "langchain-core", "langchain_core", extra="langchain") from error

__all__ = ["CodaChatMessageHistory"]
