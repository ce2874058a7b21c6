"""LlamaIndex: `CodaChatStore` for chat engines and `CodaMemoryStore` for `Memory`, in a store of sessions."""

from __future__ import annotations

from ..extras import not_installed

try:
    from .chat_store import CodaChatStore
    from .memory_store import CodaMemoryStore
except ModuleNotFoundError as error:
    raise not_installed(error, "llama-index-core", "llama_index", extra="llama-index") from error

__all__ = ["CodaChatStore", "CodaMemoryStore"]
