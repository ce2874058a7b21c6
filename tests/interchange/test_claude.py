"""Claude.ai exports: every sibling is a branch, and what tools said is taken out of the answers that it stands in."""

from __future__ import annotations

import json
from typing import Any

from coda_fs_session.interchange.tree import branches

from .trees import ids, read, whole

ROOT = "00000000-0000-4000-8000-000000000000"


def said(name: str, sender: str, text: str, parent: str | None = ROOT, **others: Any) -> dict[str, Any]:
    content = [{"type": "text", "text": text, "citations": []}]
    return {"uuid": name, "sender": sender, "text": text, "content": content, "parent_message_uuid": parent, **others}


def chat(*messages: dict[str, Any], **others: Any) -> bytes:
    one = {"uuid": "c1", "name": "T", "account": {"uuid": "me"}, "chat_messages": list(messages)}
    return json.dumps([one | others]).encode()


def messages_of(record: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    (tree,) = read(chat(record), **options)
    return whole(tree)[0]


def test_every_sibling_is_a_branch() -> None:
    """Edited prompts and answers that were asked for again are sessions with what came before."""
    forked = [
        *(said("u1", "human", "Hi"), said("a1", "assistant", "One", "u1"), said("a2", "assistant", "Two", "u1")),
        *(said("u2", "human", "Thanks", "a2"), said("u1b", "human", "Hello", None)),
    ]
    (tree,) = read(chat(*forked, current_leaf_message_uuid="u2"))
    assert (tree.format, tree.id, tree.account, tree.title) == ("claude", "c1", "me", "T")
    assert ids(tree) == {("u1", "a1"), ("u1", "a2", "u2"), ("u1b",)}
    assert [branch.current for branch in branches(tree)] == [False, True, False]


def test_old_exports_have_an_order_only() -> None:
    """Records that do not say what they come after come after the one before."""
    old = [said(name, "human", name) for name in "abc"]
    for each in old:
        del each["parent_message_uuid"]
    (tree,) = read(chat(*old))
    assert ids(tree) == {("a", "b", "c")}


def test_text_is_found_where_it_is() -> None:
    """The text may be in the list alone, in the field alone, or in both: it is there once."""
    for record in (
        said("x", "human", "words"),
        said("x", "human", "words") | {"text": ""},
        said("x", "human", "words") | {"content": []},
        said("x", "human", "words") | {"content": [{"type": "token_budget"}]},
    ):
        assert json.dumps(messages_of(record)).count("words") == 1
    assert "other words" in json.dumps(messages_of(said("x", "human", "words") | {"text": "other words"}))


def test_tools_within_an_answer() -> None:
    """One record becomes a call, the result and the rest of the answer; without ids they are paired by their place."""
    for identity in ("toolu_1", None):
        blocks = [
            {"type": "thinking", "thinking": "Hm", "summaries": [{"summary": "S"}], "signature": "sig"},
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": identity, "name": "search", "input": {"q": "é"}, "integration_name": "web"},
            {"type": "tool_result", "tool_use_id": identity, "name": "search", "is_error": False, "content": "found"},
            {"type": "text", "text": "Here."},
        ]
        record = said("a1", "assistant", "I look.Here.", created_at="2024-05-17T12:30:00.5Z") | {"content": blocks}
        call, result, rest = messages_of(record)
        assert (call["role"], call["content"]) == ("assistant", "I look.")
        assert call["reasoning"] == [{"text": "Hm", "summaries": [{"summary": "S"}], "signature": "sig"}]
        known = identity or "a1:2"
        assert call["tool_calls"] == [
            {
                "id": known,
                "type": "function",
                "function": {"name": "search", "arguments": '{"q": "é"}'},
                "source": {"integration_name": "web"},
            }
        ]
        assert (result["role"], result["content"], result["tool_call_id"]) == ("tool", "found", known)
        assert (rest["role"], rest["content"]) == ("assistant", "Here.")
        assert {each["id"] for each in (call, result, rest)} == {"a1"}
        assert {each["timestamp"] for each in (call, result, rest)} == {"2024-05-17T12:30:00.5Z"}


def test_files() -> None:
    """The text that was taken out of a file is in the message; of others there is the name."""
    record = said("u1", "human", "Read") | {
        "attachments": [{"file_name": "a.txt", "file_size": 4, "file_type": "txt", "extracted_content": "inside"}],
        "files": [{"file_uuid": "f1", "file_name": "b.png"}],
    }
    (made,) = messages_of(record)
    assert made["content"][0] == {"type": "file", "file": {"filename": "a.txt"}, "text": "inside"}
    assert made["content"][1]["text"] == "Read"
    assert [each["name"] for each in made["attachments"]] == ["a.txt", "b.png"]


def test_unknown_blocks_and_fields_are_kept() -> None:
    """What is not known stays as it is; with keep="none" fields go, and no block does."""
    record = said("a1", "assistant", "Hi", odd=1) | {"content": [{"type": "voice_note", "text": "spoken"}, "bare", 3]}
    for keep in ("rest", "none"):
        (made,) = messages_of(record, keep=keep)
        assert [part.get("text", part.get("value")) for part in made["content"]][:3] == ["spoken", "bare", 3]
        assert ("source" in made) == (keep == "rest")


def test_records_without_an_id() -> None:
    """They get one that follows from what they say, the same each time."""
    records = [{"sender": "human", "text": "a"}, {"sender": "assistant", "text": "b"}, None]
    (one,), (other,) = read(chat(*records)), read(chat(*records))  # type: ignore[arg-type]
    assert list(one.nodes) == list(other.nodes)
    assert len(one.nodes) == 2
    assert len(one.notes) == 1
