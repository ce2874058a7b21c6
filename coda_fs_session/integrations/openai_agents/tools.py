"""Which tool an item calls, by the names of `AdvancedSQLiteSession`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

_BY_TYPE = (
    *("computer_call", "file_search_call", "web_search_call", "code_interpreter_call", "shell_call"),
    "apply_patch_call",
)
"""Calls that have no name: their type is it."""
_SEARCH, _FOUND = "tool_search_call", "tool_search_output"
_OF_SERVERS = ("mcp_call", "mcp_approval_request")
_TYPES = {*_BY_TYPE, _SEARCH, *_OF_SERVERS, "tool_call", "function_call", "custom_tool_call"}


def type_of(item: dict[str, Any]) -> str:
    """Return "user", "assistant", or the type that the item has."""
    role = item.get("role")
    return str(role) if role in ("user", "assistant") else str(item.get("type") or "other")


def tool_of(item: dict[str, Any]) -> str | None:
    """Return the name of the tool that an item calls, None for any other item."""
    kind, name = item.get("type"), item.get("name")
    if kind in _OF_SERVERS and "server_label" in item:
        return ".".join(str(part) for part in (item["server_label"], name) if part) or None
    if kind in (_SEARCH, _FOUND):
        return "tool_search"
    if kind in _BY_TYPE:
        return str(kind)
    if name is None:
        return None
    space = item.get("namespace")
    # A tool that is alone in a namespace is called as that is.
    return f"{space}.{name}" if space and space != name else str(name)


def used_tools(items: Iterable[dict[str, Any]]) -> list[tuple[str, int, int]]:
    """Return how often each turn called each tool: its name, how often, and the number of the turn."""
    calls: Counter[tuple[int, str]] = Counter()
    found: Counter[tuple[int, str]] = Counter()
    turn = 0
    for item in items:
        kind = type_of(item)
        turn += kind == "user"
        if kind in _TYPES:
            calls[turn, tool_of(item) or ""] += 1
        elif kind == _FOUND:
            # Of a search that the server made: only what it found is an item.
            found[turn, "tool_search"] += 1
    for key in found.keys() - calls.keys():
        calls[key] = found[key]
    return [(tool, count, turn) for (turn, tool), count in sorted(calls.items())]
