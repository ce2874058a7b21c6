"""LangGraph: `CodaSaver` keeps the states of graphs, and what was said in them, in a store of sessions."""

from __future__ import annotations

from ..extras import not_installed

try:
    from .saver import CodaSaver
except ModuleNotFoundError as error:
    raise not_installed(error, "langgraph", "langgraph", "langchain_core", "ormsgpack") from error

__all__ = ["CodaSaver"]
