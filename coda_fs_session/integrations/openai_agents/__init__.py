"""Sessions of the OpenAI Agents SDK: pass a `CodaSession` to ``Runner.run(agent, text, session=...)``."""

from __future__ import annotations

from ..extras import not_installed

try:
    import agents as _agents  # noqa: F401
except ModuleNotFoundError as error:
    raise not_installed(error, "openai-agents", "agents", "openai") from error

from .session import CodaSession

__all__ = ["CodaSession"]
