"""Files that are written while they are read: imported in steps, they give what one import gives."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from coda_fs_session import SessionManager

from . import test_claude_code as claude
from . import test_codex as codex
from . import test_gemini_and_pi as others
from .trees import needs_samples, sample

CLAUDE = claude.data(
    claude.line("u1", None),
    claude.said("a1", "u1", "m1", {"type": "thinking", "thinking": "Hm"}),
    claude.said("a2", "a1", "m1", claude.call("t1")),
    claude.line("p1", "a2", "progress"),
    claude.result("r1", "a2", "t1"),
    claude.said("a3", "a2", "m1", claude.call("t2"), output_tokens=9),
    claude.result("r2", "a3", "t2"),
    claude.said("a4", "r2", "m2", claude.text("é Done")),
    claude.line("b1", None, "system", subtype="compact_boundary", logicalParentUuid="a4"),
    claude.line("u2", "b1", "user", "Summary"),
    claude.said("a5", "u2", "m3"),
    claude.line("x1", None, isSidechain=True, agentId="7"),
    claude.line("u3", "a4", "user", "Another way"),
    claude.said("a6", "u3", "m4"),
)
CODEX = codex.data(
    codex.meta("a"),
    *(codex.turn("t1"), codex.said("user", "one"), codex.event("user_message", message="one")),
    codex.item({"type": "function_call", "name": "run", "arguments": "{}", "call_id": "c1"}),
    codex.event("token_count", info={"last_token_usage": {"output_tokens": 7}}),
    codex.item({"type": "function_call_output", "call_id": "c1", "output": "é"}),
    *(codex.event("agent_message", message="1"), codex.said("assistant", "1")),
    codex.event("token_count", info={"last_token_usage": {"output_tokens": 8}}),
    *codex.SECOND,
)
CALLS = [{"id": "t", "name": "run", "args": {}, "result": "ok"}]
GEMINI = others.data(
    others.HEADER,
    *(others.said("a"), others.said("b", "half", "gemini"), others.said("c", "é")),
    others.said("b", "whole", "gemini", toolCalls=CALLS),
    {"$rewindTo": "c"},
    *(others.said("d"), others.said("e", kind="gemini")),
    {"$set": {"messages": [others.said("a"), others.said("b", "x", "gemini", toolCalls=CALLS), others.said("f")]}},
    {"$rewindTo": "?"},
    *(others.said("g"), others.said("h", kind="gemini")),
)
PI = others.data(
    others.PI,
    *(others.entry("a", None), {"type": "model_change", "id": "m", "parentId": "a"}),
    *(others.entry("b", "m"), others.entry("c", "m", "é"), others.entry("d", "b"), others.entry("e", "b")),
    {"type": "compaction", "id": "s", "parentId": "c", "summary": "Sum"},
    {"type": "session_info", "id": "i", "parentId": "s", "name": "Title"},
    *(others.entry("f", "i"), others.entry("g", None), others.entry("h", "a")),
)
GPTME = others.data(
    *(
        {"role": role, "content": text, "timestamp": f"2026-06-13T10:00:0{place}", "files": [text]}
        for place, (role, text) in enumerate([("system", "S"), ("user", "é"), ("assistant", "1"), ("user", "é")])
    ),
)
OPENAI = others.data(
    *(
        {"messages": [{"role": role, "content": text} for role, text in zip("sua", texts, strict=False)]}
        for texts in ("abc", "abé", "ab", "xb", "xy", "abcd", "xyz", "abé")
    ),
    *({"messages": [{"role": "u", "content": text}], "metadata": {"id": "k"}} for text in "pqp"),
)
FILES = {
    "claude-code": ("file.jsonl", CLAUDE),
    "codex": ("file.jsonl", CODEX),
    "gemini": ("session-1.jsonl", GEMINI),
    "pi": ("file.jsonl", PI),
    "gptme": ("conversation.jsonl", GPTME),
    "openai": ("file.jsonl", OPENAI),
}


def sessions(manager: SessionManager) -> list[list[dict[str, Any]]]:
    """Return the messages of every session, in an order that is always the same."""
    return sorted((manager.load_session(info.name).messages for info in manager.list_sessions()), key=json.dumps)


def after(path: Path, *steps: bytes) -> list[list[dict[str, Any]]]:
    """Return the sessions after the import of each of these."""
    with SessionManager({"session": {"backend": "memory"}}) as manager:
        for step in steps:
            path.write_bytes(step)
            # Of half a first line nobody can tell what it is of: that is told, and the next import reads it.
            manager.import_sessions(path.parent, again=True)
        return sessions(manager)


def check(path: Path, data: bytes, cuts: list[int]) -> None:
    whole = after(path, data)
    assert whole
    for cut in cuts:
        assert after(path, data[:cut], data) == whole, cut
    # And all of them one after the other.
    assert after(path, *(data[:cut] for cut in cuts), data) == whole


def ends(data: bytes) -> list[int]:
    return [place + 1 for place, byte in enumerate(data) if byte == 10]


@pytest.mark.parametrize("kind", FILES)
def test_cut_at_every_line(kind: str, tmp_path: Path) -> None:
    """Whatever line the file ended with at first: the same sessions with the same messages, and not one more."""
    name, data = FILES[kind]
    check(tmp_path / name, data, ends(data))


@pytest.mark.parametrize("kind", FILES)
def test_cut_anywhere(kind: str, tmp_path: Path, long_size: bool) -> None:
    """Also in the middle of a line, or of a character."""
    name, data = FILES[kind]
    check(tmp_path / name, data, sorted(random.Random(5).sample(range(1, len(data)), 200 if long_size else 25)))


@needs_samples
@pytest.mark.parametrize(
    "name",
    [
        "claude-code/agent-a7be2f0.jsonl",
        "claude-code/grows/turn-2.jsonl",
        "codex/grows/turn-2.jsonl",
        "pi/session.jsonl",
    ],
)
def test_samples_that_are_cut(name: str, tmp_path: Path) -> None:
    """Real files, at lines and elsewhere."""
    data = sample(*name.split("/"))
    places = ends(data)
    chance = random.Random(7)
    chosen = {*chance.sample(places, min(25, len(places))), *chance.sample(range(1, len(data)), 15)}
    check(tmp_path / "file.jsonl", data, sorted(chosen))
