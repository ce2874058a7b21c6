"""Texts made of a message: what is read, what is counted, what a list shows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from .bodies import body
from .parts import Part, is_all_said, parts
from .words import in_json, unescaped, without_data

CHARACTERS_PER_TOKEN = 4
PREVIEW = 80
"""Characters of a preview at most."""
_CALLS = ("tool_calls", "toolCalls", "function_call")
# Controls, marks that turn the direction of writing, zero-width ones that hide text, and lone surrogates.
_UNSEEN = re.compile("[\0-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]+")
_WORD = re.compile(r"\S+")
_GLANCE = PREVIEW + 16


def text(message: dict[str, Any]) -> str:
    """Return what a message says to a reader: its texts, a line between two of them."""
    return "\n".join(part.text for part in parts(message) if part.kind == "text")


def searched_text(message: dict[str, Any]) -> str:
    """Return all that a message says: its texts, reasoning, calls with names and arguments, results; a line for each.

    Images and other files in base64 are left out.
    """
    content = message.get("content")
    if type(content) is str and content and is_all_said(message):
        # Most messages are like that; to take them apart would take as long as to read them.
        return without_data(content)
    found: list[str] = []
    for part in parts(message):
        said = unescaped(part.text) if part.kind in ("result", "other") and part.text[:1] in "{[" else part.text
        found += filter(None, (part.name, unescaped(part.arguments), said))
    return without_data("\n".join(found))


def counted_text(message: dict[str, Any]) -> str:
    """Return the text of a message, as `Session.get_token_count` counts it.

    That is its content, and the JSON of its tool calls. Content that is no text is its JSON. Of a message that has
    neither, it is what its parts say. Images and other files in base64 are left out.
    """
    content = message.get("content")
    said = message
    if not content:
        said = body(message)
        content = said.get("content")
    if content is None or isinstance(content, str):
        words = without_data(content or "")
    else:
        words = in_json(content)
    words += "".join(in_json(said[key]) for key in _CALLS if said.get(key))
    return words or "".join(map(_words, parts(message)))


def _words(part: Part) -> str:
    return without_data(part.name + part.arguments + part.text)


def preview(message: dict[str, Any]) -> str:
    """Return the first words of a message, for a list: one line of 80 characters at most, "" for one without any.

    Nothing in it moves the cursor, turns the direction of writing, or is unseen. Of a message without text it is what
    a tool said, was called with, or the name of what is there, in this order.
    """
    content = message.get("content")
    if isinstance(content, str) and content and is_all_said(message):
        # As nearly every message of a chat is.
        return _line((content,))
    found = parts(message)
    for kinds in (("text",), ("result", "reasoning", "other"), ("call",), ("image", "audio", "video", "file")):
        shown = _line(_shown(part) for part in found if part.kind in kinds)
        if shown:
            return shown
    return ""


def visible(text: str) -> str:
    """Return a text on one line: nothing in it moves the cursor, turns the direction of writing, or is unseen."""
    return " ".join(filter(None, (_UNSEEN.sub("", word) for word in text.split())))


def _shown(part: Part) -> str:
    if part.kind == "call":
        return f"{part.name} {part.arguments}"
    if part.kind in ("text", "result", "reasoning", "other"):
        return part.text
    return part.name or part.text or part.kind


def _line(texts: Iterable[str]) -> str:
    """Return the first words of texts; of a long one no more is looked at than it takes."""
    words: list[str] = []
    length = 0
    for each in texts:
        # Of nearly every text the beginning will do, and all of that can be seen: this takes no loop of our own.
        line = " ".join(each[:_GLANCE].split())
        if line.isprintable() and (len(line) >= PREVIEW or len(each) <= _GLANCE):
            if line:
                words.append(line)
                length += len(line) + 1
                if length > PREVIEW:
                    break
            continue
        for match in _WORD.finditer(each):
            # A word may be as long as the text, and begin with what is not seen.
            word = _UNSEEN.sub("", match.group())[:PREVIEW]
            if word:
                words.append(word)
                length += len(word) + 1
                if length > PREVIEW:
                    return " ".join(words)[:PREVIEW].rstrip()
    return " ".join(words)[:PREVIEW].rstrip()
