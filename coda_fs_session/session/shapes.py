"""What the messages of different programs have in common: the text in them that a model reads."""

from __future__ import annotations

import re
from typing import Any

from ..format.jsonl import encode_value

CHARACTERS_PER_TOKEN = 4
_CALLS = ("tool_calls", "function_call")
_DATA_URL = re.compile(r"data:[^,\s\"]{0,200};base64,[\w+/=%-]++", re.ASCII)
# A text in JSON that is base64 alone; of a part that is a text, a very long word.
_BASE64 = re.compile(r'(?<!"text":)"[\w+/=\\-]{256,}+"', re.ASCII)


def counted_text(message: dict[str, Any]) -> str:
    """Return the text of a message, as `Session.get_token_count` counts it.

    That is its content, and the JSON of its tool calls. Content that is no text is its JSON. Images and other files in
    base64 are left out.
    """
    content = message.get("content")
    if content is None or isinstance(content, str):
        text = _without_data(content or "")
    else:
        text = _in_json(content, "content")
    return text + "".join(_in_json(message[key], key) for key in _CALLS if message.get(key))


def _in_json(value: Any, value_path: str) -> str:
    return _BASE64.sub('""', _without_data(encode_value(value, value_path).decode()))


def _without_data(text: str) -> str:
    return _DATA_URL.sub("", text) if ";base64," in text else text
