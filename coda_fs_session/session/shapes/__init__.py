"""What a message says, whichever program wrote it: its role, its parts, and the texts made of them.

Programs store the messages of OpenAI (chat and Responses), Anthropic, Gemini, Claude Code, pydantic-ai, ADK, Strands,
LangChain, the AI SDK and others. Structure decides which it is. Any dict can be given, and none is changed.
"""

from __future__ import annotations

from .parts import Kind, Part, parts
from .roles import model, role
from .texts import CHARACTERS_PER_TOKEN, PREVIEW, counted_text, preview, searched_text, text, visible
from .times import time

__all__ = [
    "CHARACTERS_PER_TOKEN",
    "PREVIEW",
    "Kind",
    "Part",
    "counted_text",
    "model",
    "parts",
    "preview",
    "role",
    "searched_text",
    "text",
    "time",
    "visible",
]
