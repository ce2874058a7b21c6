"""Lines of Claude Code as messages."""

from __future__ import annotations

import json
import re
from typing import Any

from .claude_records import BLOCKS, answer_lines, prompt_line
from .fields import Fields, Keep, call, content_of, message, strings, text_part
from .restoring import keep_whole
from .tree import Message

LOCAL = re.compile(
    r"\s*<(?:command-(?:name|message|args)|bash-(?:input|stdout|stderr)|local-command-(?:stdout|stderr))>"
)
_INJECTED = re.compile(r"\s*<(?:task-notification|local-command-caveat|system-reminder)>")
_NUMBERED = re.compile(r"^ *\d+(?:→|\t)", re.MULTILINE)
_LINES = ("uuid", "parentUuid", "timestamp", "type")
_SHORT = 40
_REPEATS = ("toolUseResult",)


def prompt(line: dict[str, Any], name: str, keep: Keep) -> list[Message]:
    """Return the messages of a line that the user, or a tool, says: each result of a tool is one of its own."""
    fields = _fields(line)
    content = fields.look("message", "content")
    stamp = fields.stamp("timestamp")
    if isinstance(content, str):
        fields.take("message", "content")
        return keep_whole([_said(content, fields, name, stamp, keep)], line, prompt_line, keep)
    blocks = content if isinstance(content, list) else []
    fields.take("message", "content")
    results = [block for block in blocks if _kind(block) == "tool_result"]
    others = [part_of(block) for block in blocks if _kind(block) != "tool_result"]
    if results and _is_repeated(line.get("toolUseResult"), results):
        fields.take("toolUseResult")
        if keep != "all":
            line = {key: value for key, value in line.items() if key != "toolUseResult"}
    if not results and len(blocks) == 1 and isinstance(content_of(others), str) and keep == "rest":
        fields.record = fields.record | {BLOCKS: True}
    made: list[Message] = []
    for block in results:
        inner = Fields(block)
        answer = inner.take("content")
        given = answer if isinstance(answer, list) else [] if answer is None else [answer]
        parts = [text_part(each) if isinstance(each, str) else part_of(each) for each in given]
        inner.take("type")
        failed = inner.look("is_error") is True and inner.take("is_error")
        if isinstance(answer, list) and isinstance(content_of(parts), str) and keep == "rest":
            inner.record = inner.record | {BLOCKS: True}
        made.append(
            message(
                "tool",
                content_of(parts),
                None if made else fields,
                keep=keep,
                tool_call_id=inner.text("tool_use_id"),
                is_error=True if failed else None,
                id=name,
                timestamp=stamp,
            )
        )
        if inner.rest() and keep == "rest":
            made[-1]["source"] = made[-1].get("source", {}) | {"block": inner.rest()}
    if others or not made:
        made.append(_said(content_of(others) or "", None if made else fields, name, stamp, keep))
    return keep_whole(made, line, prompt_line, keep)


def queued(line: dict[str, Any], name: str, keep: Keep) -> list[Message]:
    """Return the message of what a user said while an answer was under way."""
    fields = _fields(line)
    said = fields.take("attachment", "prompt")
    parts = [part_of(each) for each in said] if isinstance(said, list) else [text_part(said)]
    made = _said(content_of(parts), fields, name, fields.stamp("timestamp"), keep)
    return keep_whole([made], line, prompt_line, keep)


def answer(lines: list[dict[str, Any]], name: str, keep: Keep) -> Message:
    """Return the message that lines of one answer make: their blocks in order, those that are repeated once."""
    first = _fields(lines[0])
    blocks: list[Any] = []
    usage: Any = None
    for line in lines:
        said = line["message"]
        for block in _blocks(said.get("content")):
            if block not in blocks:
                blocks.append(block)
        given = said.get("usage")
        if isinstance(given, dict) and (usage is None or _output(given) >= _output(usage)):
            usage = given
    parts, calls, reasoning = [], [], []
    for block in blocks:
        kind, inner = _kind(block), Fields(block)
        if kind == "tool_use":
            inner.take("type")
            made = call(inner.text("id"), inner.text("name"), json.dumps(inner.take("input"), ensure_ascii=False))
            calls.append({**made, **({"source": inner.rest()} if inner.rest() else {})})
        elif kind == "thinking":
            inner.take("type")
            reasoning.append({"text": inner.text("thinking"), **inner.rest()})
        elif kind == "redacted_thinking":
            inner.take("type")
            reasoning.append({"encrypted": inner.text("data"), **inner.rest()})
        else:
            parts.append(part_of(block))
    first.take("message", "content")
    if first.look("message", "usage") == usage:
        first.take("message", "usage")
    first.take("message", "role")
    made_message = message(
        "assistant",
        content_of(parts),
        first,
        keep=keep,
        tool_calls=calls,
        reasoning=reasoning,
        id=name,
        timestamp=first.stamp("timestamp"),
        model=first.text("message", "model"),
        usage=usage,
    )
    if len(lines) > 1 and keep != "none":
        others = [line if keep == "all" else _differing(line, lines[0], usage) for line in lines[1:]]
        made_message["source"] = made_message.get("source", {}) | {"lines": others}
    return keep_whole([made_message], lines, answer_lines, keep)[0]


def _fields(line: dict[str, Any]) -> Fields:
    fields = Fields(line)
    fields.take("uuid")
    return fields


def _said(content: Any, fields: Fields | None, name: str, stamp: str | None, keep: Keep) -> Message:
    line = fields.record if fields is not None else {}
    texts = [part.get("text") for part in content or ()] if not isinstance(content, str) else [content]
    text = "\n".join(each for each in texts if isinstance(each, str))
    hidden = line.get("isMeta") is True or _INJECTED.match(text) or LOCAL.match(text)
    if fields is not None:
        fields.take("message", "role")
    return message("user", content, fields, keep=keep, id=name, timestamp=stamp, hidden=True if hidden else None)


def _kind(block: Any) -> str:
    kind = block.get("type") if isinstance(block, dict) else None
    return kind if isinstance(kind, str) else ""


def _blocks(content: Any) -> list[Any]:
    if isinstance(content, str):
        return [text_part(content)]
    return content if isinstance(content, list) else []


def part_of(block: Any) -> dict[str, Any]:
    """Return a block as a part of a message; what there is no form for stays as it is."""
    if not isinstance(block, dict):
        return text_part("\n".join(strings(block)))
    kind, source = block.get("type"), block.get("source")
    if kind in ("image", "document") and isinstance(source, dict) and source.get("type") in ("base64", "url"):
        rest = {key: value for key, value in block.items() if key not in ("type", "source")}
        data = source.get("data")
        url = source.get("url") if data is None else f"data:{source.get('media_type', '')};base64,{data}"
        if kind == "image":
            return {"type": "image_url", "image_url": {"url": url}, **rest}
        return {"type": "file", "file": {"file_data": url}, **rest}
    return dict(block)


def _output(usage: dict[str, Any]) -> float:
    tokens = usage.get("output_tokens")
    return tokens if isinstance(tokens, (int, float)) else -1


def _differing(line: dict[str, Any], first: dict[str, Any], usage: Any) -> dict[str, Any]:
    """Return what a further line of an answer has beside its blocks that the first one has not."""
    rest: dict[str, Any] = {key: value for key, value in line.items() if key != "message" and first.get(key) != value}
    said, before = line["message"], first["message"]
    inner = {key: value for key, value in said.items() if key not in ("content", "usage") and before.get(key) != value}
    if "usage" in said and said["usage"] != usage:
        inner["usage"] = said["usage"]
    return rest | ({"message": inner} if inner else {})


def _is_repeated(value: Any, results: list[dict[str, Any]]) -> bool:
    """Tell whether what a line says of a result besides the result itself is in that already."""
    if value is None:
        return False
    text = _NUMBERED.sub("", "\n".join(strings([block.get("content") for block in results])))
    return all(each.strip() in text for each in strings(value) if len(each) > _SHORT)
