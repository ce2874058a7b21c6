"""What the parts of messages call themselves, and what they are."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal["text", "reasoning", "call", "result", "image", "audio", "video", "file", "other"]

_KINDS: dict[str, Kind | None] = {
    "text": "text",
    "input_text": "text",
    "output_text": "text",
    "summary_text": "text",
    "user-prompt": "text",
    "system-prompt": "text",
    "refusal": "text",
    "compaction": "text",
    "thinking": "reasoning",
    "reasoning": "reasoning",
    "retry-prompt": "result",
    # What it has made, in base64.
    "image_generation_call": "image",
    "tool": "call",
    "function": "call",
    "custom": "call",
    "dynamic-tool": "call",
    "document": "file",
    "message": "text",
    # Marks between parts, which nobody reads.
    "step-start": None,
    "step-finish": None,
    "snapshot": None,
    "cache_point": None,
}
_ENDINGS: tuple[tuple[tuple[str, ...], Kind], ...] = (
    (("result", "output", "tool_return"), "result"),
    (("call", "tool_use", "tool_invocation"), "call"),
)
_INSIDE: tuple[tuple[tuple[str, ...], Kind], ...] = (
    (("thinking", "reasoning", "thought"), "reasoning"),
    (("image", "screenshot"), "image"),
    (("audio",), "audio"),
    (("video",), "video"),
    (("file", "resource", "binary", "blob", "media", "document", "container_upload"), "file"),
    (("text", "prompt"), "text"),
)
_LONGEST = 64
_MEDIA_TYPES = ("media_type", "mediaType", "mime_type", "mimeType", "mime", "contentType")
_OF_MEDIA: dict[str, Kind] = {"image": "image", "audio": "audio", "video": "video"}


def kind_of(told: str) -> Kind | None:
    """Return the kind of part that a type stands for; None for one that nobody reads.

    What is new in a family is known by its name: every provider adds tools that run on its side.
    """
    if told in _KINDS:
        return _KINDS[told]
    name = told[-_LONGEST:].lower().replace("-", "_")
    for endings, kind in _ENDINGS:
        if name.endswith(endings):
            return kind
    if told.startswith("tool-"):
        # The AI SDK has the name of the tool there.
        return "call"
    for words, kind in _INSIDE:
        if any(word in name for word in words):
            return kind
    return "other"


def kind_of_media(part: dict[str, Any]) -> Kind:
    """Return what a file is by its media type."""
    for key in _MEDIA_TYPES:
        told = part.get(key)
        if isinstance(told, str):
            return _OF_MEDIA.get(told.partition("/")[0], "file")
    return "file"
