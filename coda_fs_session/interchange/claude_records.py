"""Messages as lines of Claude Code again."""

from __future__ import annotations

from typing import Any

from .fields import Fields, text_part
from .restoring import arguments_of, data_of, merged, rest_of
from .tree import Message

BLOCKS = "content_is_blocks"
"""What `source` says of a message whose content was a list of one text, where most have the text alone."""

Line = dict[str, Any]


def prompt_line(messages: list[Message]) -> Line:
    """Return the line of what a user, or several tools, said."""
    first = messages[0]
    rest = rest_of(first)
    as_blocks = rest.pop(BLOCKS, False)
    rest.pop("block", None)
    made = _line(first, rest, "user")
    said = messages[-1]
    if len(messages) == 1 and said.get("role") != "tool" and isinstance(said.get("content"), str) and not as_blocks:
        content: Any = said["content"]
    else:
        content = [block for message in messages for block in _of_prompt(message)]
    if isinstance(rest.get("attachment"), dict):
        return merged(made | {"attachment": {"prompt": content}}, rest)
    return merged(made | {"message": {"role": "user", "content": content}}, rest)


def answer_lines(messages: list[Message]) -> list[Line]:
    """Return the lines of an answer: of several each has one block."""
    (said,) = messages
    rest = rest_of(said)
    others = rest.pop("lines", [])
    others = [each for each in others if isinstance(each, dict)] if isinstance(others, list) else []
    blocks = _of_answer(said)
    about = {key: said[key] for key in ("model", "usage") if key in said}
    own = Fields(rest).look("message", "usage")
    first = merged(_line(said, rest, "assistant") | {"message": {"role": "assistant"} | about}, rest)
    if own is not None:
        first["message"]["usage"] = own
    shares = [[block] for block in blocks] if len(blocks) == len(others) + 1 else [blocks, *([] for _ in others)]
    made: list[Line] = []
    for differing, share in zip([{}, *others], shares, strict=True):
        inner = differing.get("message")
        inner = {key: value for key, value in (inner if isinstance(inner, dict) else {}).items() if key != "content"}
        usage = {"usage": said["usage"]} if made and "usage" in said else {}
        made.append({**first, **differing, "message": first["message"] | usage | inner | {"content": share}})
    return made


def _line(said: Message, rest: Line, kind: str) -> Line:
    made: Line = {} if "type" in rest else {"type": kind}
    if "parentUuid" in rest:
        made["uuid"] = said.get("id")
    if "timestamp" in said and "timestamp" not in rest:
        made["timestamp"] = said["timestamp"]
    return made


def _of_prompt(said: Message) -> list[Any]:
    content = said.get("content")
    if said.get("role") != "tool":
        return _parts(content)
    more = Fields(said.get("source")).look("block")
    more = dict(more) if isinstance(more, dict) else {}
    as_blocks = more.pop(BLOCKS, False)
    given = content if isinstance(content, str) and not as_blocks else _parts(content)
    block: Line = {"type": "tool_result", "content": given}
    if "tool_call_id" in said:
        block["tool_use_id"] = said["tool_call_id"]
    if said.get("is_error") is True:
        block["is_error"] = True
    return [merged(block, more)]


def _of_answer(said: Message) -> list[Any]:
    """Return the blocks of an answer in the order in which models give them."""
    made: list[Any] = []
    for thought in said.get("reasoning") or ():
        rest = {key: value for key, value in thought.items() if key not in ("text", "encrypted")}
        if "encrypted" in thought:
            made.append({"type": "redacted_thinking", "data": thought["encrypted"], **rest})
        else:
            made.append({"type": "thinking", "thinking": thought.get("text", ""), **rest})
    made += _parts(said.get("content"))
    for each in said.get("tool_calls") or ():
        fields = Fields(each)
        source, named = fields.look("source"), {"id": fields.look("id"), "name": fields.look("function", "name")}
        block = {"type": "tool_use", **named, "input": arguments_of(each)}
        made.append(block | (source if isinstance(source, dict) else {}))
    return made


def _parts(content: Any) -> list[Any]:
    if isinstance(content, str):
        return [text_part(content)]
    return [_block(part) for part in content] if isinstance(content, list) else []


def _block(part: Any) -> Any:
    fields = Fields(part)
    for kind, key, name in (("image", "image_url", "url"), ("document", "file", "file_data")):
        url = fields.look(key, name)
        if isinstance(url, str) and fields.look("type") in (key, "file"):
            own = data_of(url)
            data = {"type": "base64", "media_type": own[0], "data": own[1]} if own else {"type": "url", "url": url}
            rest = {name: value for name, value in fields.record.items() if name not in ("type", key)}
            return {"type": kind, "source": data, **rest}
    return part
