"""Files of other programs, made for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def chatgpt(*chats: dict[str, str | None], title: str = "Trip", texts: dict[str, str] | None = None) -> bytes:
    """Return an export: of each chat the records with their parents; one without a text of its own says its name."""
    made = []
    for number, parents in enumerate(chats):
        mapping: dict[str, Any] = {"root": {"id": "root", "parent": None, "message": None}}
        for name, parent in parents.items():
            role = "user" if name.startswith("u") else "assistant"
            content = {"content_type": "text", "parts": [(texts or {}).get(name, f"text of {name}")]}
            message = {"author": {"role": role}, "content": content, "create_time": 1695326273.5}
            mapping[name] = {"id": name, "parent": parent or "root", "message": message}
        made.append({"title": title, "conversation_id": f"c{number}", "mapping": mapping, "create_time": 1695326270.0})
    return json.dumps(made).encode()


def claude_code(*lines: tuple[str, str | None]) -> bytes:
    """Return the lines of a session: names with their parents; those that begin with u are of a user."""
    return b"".join(json.dumps(line(name, parent)).encode() + b"\n" for name, parent in lines)


def line(name: str, parent: str | None) -> dict[str, Any]:
    kind = "user" if name.startswith("u") else "assistant"
    message: dict[str, Any] = {"role": kind, "content": [{"type": "text", "text": f"text of {name}"}]}
    if kind == "assistant":
        message["id"] = f"m-{name}"
    return {
        "type": kind,
        "uuid": name,
        "parentUuid": parent,
        "sessionId": "s1",
        "cwd": "/home/me/app",
        "timestamp": "2026-01-11T09:53:23.575Z",
        "message": message,
    }


def put(folder: Path, name: str, data: bytes) -> Path:
    """Write a file, with its folder."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
