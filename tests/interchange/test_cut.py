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


def sessions(manager: SessionManager) -> list[list[dict[str, Any]]]:
    """Return the messages of every session, in an order that is always the same."""
    return sorted((manager.load_session(info.name).messages for info in manager.list_sessions()), key=json.dumps)


def after(folder: Path, *steps: bytes) -> list[list[dict[str, Any]]]:
    """Return the sessions after the import of each of these."""
    with SessionManager({"session": {"backend": "memory"}}) as manager:
        for step in steps:
            (folder / "file.jsonl").write_bytes(step)
            # Of half a first line nobody can tell what it is of: that is told, and the next import reads it.
            manager.import_sessions(folder, again=True)
        return sessions(manager)


def check(data: bytes, folder: Path, cuts: list[int]) -> None:
    whole = after(folder, data)
    assert whole
    for cut in cuts:
        assert after(folder, data[:cut], data) == whole, cut
    # And all of them one after the other.
    assert after(folder, *(data[:cut] for cut in cuts), data) == whole


def ends(data: bytes) -> list[int]:
    return [place + 1 for place, byte in enumerate(data) if byte == 10]


@pytest.mark.parametrize("data", [CLAUDE, CODEX], ids=["claude-code", "codex"])
def test_cut_at_every_line(data: bytes, tmp_path: Path) -> None:
    """Whatever line the file ended with at first: the same sessions with the same messages, and not one more."""
    check(data, tmp_path, ends(data))


@pytest.mark.parametrize("data", [CLAUDE, CODEX], ids=["claude-code", "codex"])
def test_cut_anywhere(data: bytes, tmp_path: Path) -> None:
    """Also in the middle of a line, or of a character."""
    check(data, tmp_path, sorted(random.Random(5).sample(range(1, len(data)), 60)))


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
    check(data, tmp_path, sorted(chosen))
