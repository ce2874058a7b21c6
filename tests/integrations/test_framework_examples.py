"""The example of each framework does what it says, and goes on where it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from storekit import ROOT

from coda_fs_session import SessionManager

from .kit import framework

EXAMPLES = ROOT / "coda_fs_session" / "docs" / "examples" / "frameworks"
MANUAL = ROOT / "coda_fs_session" / "docs" / "frameworks.md"
_LANGCHAIN = "human: Where is it warm in March?\nai: Crete.\nhuman: How do I get there?\nai: By ship.\n"
SAYS = {
    "openai_agents_sdk": ("agents", "openai-agents", "main ['user', 'assistant']\nagain ['user', 'assistant']\n"),
    "pydantic_ai_store": ("pydantic_ai", "pydantic-ai-slim", "pydantic-ai/ann 4\npydantic-ai/ann-2 2\n"),
    "claude_agent_sdk_store": (
        *("claude_agent_sdk", "claude-agent-sdk"),
        "2 sessions\nWhere is it warm? 1\nWhere is it warm? 2\n",
    ),
    "langchain_chat": ("langchain_core", "langchain-core", _LANGCHAIN),
    "llama_index_memory": (
        "llama_index",
        "llama-index-core",
        "user: Where is it warm in March?\nassistant: text text\n",
    ),
    "langgraph_graph": ("langgraph", "langgraph", "langgraph/ann Crete.\nlanggraph/ann/1 Madeira.\n"),
    "google_adk_service": ("google.adk", "google-adk", "google-adk/app/ann/trip 4\n"),
    "strands_agents_repository": ("strands", "strands-agents", "strands-agents/trip/guide 4\n"),
}
"""What each needs, what that is called, and what it prints the first time."""


def test_each_is_in_the_manual_and_here() -> None:
    """None is added without a link, and a line above."""
    assert {path.stem for path in EXAMPLES.glob("*.py")} == SAYS.keys()
    text = MANUAL.read_text(encoding="utf-8")
    assert all(f"(examples/frameworks/{name}.py)" in text for name in SAYS)
    assert all(len(path.read_text(encoding="utf-8").splitlines()) <= 40 for path in EXAMPLES.glob("*.py"))


@pytest.mark.parametrize("name", SAYS)
def test_an_example(name: str, tmp_path: Path) -> None:
    """It prints what is said above, and the conversation is in the store."""
    module, package, said = SAYS[name]
    framework(module, package)
    ended = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py", tmp_path / "store"], capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == said
    with SessionManager(tmp_path / "store") as manager:
        assert manager.list_sessions()
