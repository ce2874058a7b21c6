"""Codex: items as messages, and both kinds of forks as branches."""

from __future__ import annotations

import json
from typing import Any

import pytest
import zstandard

from coda_fs_session.interchange.tree import MessageTree, branches

from .trees import needs_samples, read, read_all, sample, whole

Line = dict[str, Any]


def meta(name: str, **others: Any) -> Line:
    payload = {"id": name, "cwd": "/home/me/app", "timestamp": "2026-05-12T10:00:00Z"}
    return {"timestamp": "2026-05-12T10:00:00Z", "type": "session_meta", "payload": payload | others}


def item(payload: Line, stamp: str = "2026-05-12T10:00:01Z", **others: Any) -> Line:
    return {"timestamp": stamp, "type": "response_item", "payload": payload, **others}


def said(role: str, words: str, stamp: str = "2026-05-12T10:00:01Z", **others: Any) -> Line:
    kind = "output_text" if role == "assistant" else "input_text"
    return item({"type": "message", "role": role, "content": [{"type": kind, "text": words}]}, stamp, **others)


def event(kind: str, **payload: Any) -> Line:
    return {"timestamp": "2026-05-12T10:00:02Z", "type": "event_msg", "payload": {"type": kind, **payload}}


def turn(name: str, model: str = "m") -> Line:
    return {"type": "turn_context", "payload": {"turn_id": name, "model": model}}


def data(*lines: Line) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in lines)


def words(tree: MessageTree) -> list[list[Any]]:
    return [[message["content"] for message in messages] for messages in whole(tree)]


FIRST = [turn("t1"), said("user", "one"), said("assistant", "1")]
SECOND = [turn("t2"), said("user", "two"), said("assistant", "2")]
THIRD = [turn("t3"), said("user", "three"), said("assistant", "3")]


def test_items_are_messages() -> None:
    """Each kind has its form; events that say the same again are left out, but for what they say of tokens."""
    (tree,) = read(
        data(
            meta("a"),
            turn("t1", "gpt"),
            said("user", "<environment_context>here</environment_context>"),
            said("user", "Do it"),
            event("user_message", message="Do it"),
            item({"type": "reasoning", "summary": [{"type": "summary_text", "text": "S"}], "encrypted_content": "E"}),
            item({"type": "function_call", "name": "run", "arguments": '{"a": 1}', "call_id": "c1"}),
            item({"type": "function_call_output", "call_id": "c1", "output": "ok"}),
            item({"type": "function_call_output", "call_id": "c1", "output": {"content": "more", "success": True}}),
            item({"type": "custom_tool_call", "name": "patch", "input": "+x", "call_id": "c2"}),
            item({"type": "custom_tool_call_output", "call_id": "c2", "output": "done"}),
            item({"type": "local_shell_call", "call_id": "c3", "action": {"command": ["ls"]}}),
            item({"type": "function_call", "name": "no_arguments", "call_id": "c4"}),
            item({"type": "of_tomorrow", "deep": [{"words": "new"}]}),
            said("assistant", "Done"),
            event("agent_message", message="Done"),
            event("token_count", info={"last_token_usage": {"output_tokens": 7}}),
        )
    )
    assert [(each["role"], each["content"]) for each in whole(tree)[0]] == [
        ("user", "<environment_context>here</environment_context>"),
        ("user", "Do it"),
        ("assistant", None),
        ("assistant", None),
        ("tool", "ok"),
        ("tool", "more"),
        ("assistant", None),
        ("tool", "done"),
        ("assistant", None),
        ("assistant", None),
        ("assistant", "new"),
        ("assistant", "Done"),
    ]
    injected, _, reasoning, call, first, second, custom, _, shell, bare, new, last = whole(tree)[0]
    assert injected["hidden"] is True
    assert reasoning["reasoning"] == [{"summary": "S"}, {"encrypted": "E"}]
    assert call["tool_calls"][0] == {
        "id": "c1",
        "type": "function",
        "function": {"name": "run", "arguments": '{"a": 1}'},
    }
    assert first["tool_call_id"] == "c1"
    assert second["source"] == {"output": {"success": True}}
    assert custom["tool_calls"] == [{"id": "c2", "type": "custom", "custom": {"name": "patch", "input": "+x"}}]
    assert json.loads(shell["tool_calls"][0]["function"]["arguments"]) == {"command": ["ls"]}
    assert bare["tool_calls"][0]["function"] == {"name": "no_arguments", "arguments": ""}
    assert new["source"]["type"] == "of_tomorrow"
    assert (last["model"], last["usage"]) == ("gpt", {"output_tokens": 7})
    assert (tree.id, tree.project) == ("a", "app")


def test_a_prompt_that_only_an_event_says() -> None:
    """It is a message at its place: nothing else has it."""
    (tree,) = read(data(meta("a"), event("user_message", message="Hi"), said("assistant", "Hello")))
    assert words(tree) == [["Hi", "Hello"]]


def test_a_fork_that_says_all_again() -> None:
    """Its first new turn is where it branches, though every line of before has a new time; texts may differ, too."""
    later = [said("user", "one", "2026-06-01T00:00:00Z"), said("assistant", "1", "2026-06-01T00:00:00Z")]
    fork = data(meta("b", forked_from_id="a"), meta("a"), turn("t1"), *later, *THIRD)
    old = data(meta("a"), *FIRST, *SECOND)
    for files in ({"a.jsonl": old, "b.jsonl": fork}, {"1.jsonl": fork, "2.jsonl": old}):
        (tree,), problems = read_all(files)
        assert words(tree) == [["one", "1", "two", "2"], ["one", "1", "three", "3"]]
        assert (tree.id, problems) == ("a", [])
        assert [branch.at for branch in branches(tree)] == [0, 2]


def test_a_fork_that_points_at_its_beginning() -> None:
    """The file has what is new alone; the rest is in another file up to a line, and over several files."""
    base = {"thread_id": "a", "end_ordinal_exclusive": 4}
    old = data(meta("a"), *FIRST, *SECOND)
    fork = data(meta("b", history_base=base), *THIRD)
    again = data(meta("c", history_base={"thread_id": "b", "end_ordinal_exclusive": 3}), turn("t4"), said("user", "4"))
    (tree,), _ = read_all({"c.jsonl": again, "b.jsonl": fork, "a.jsonl": old})
    assert words(tree) == [["one", "1", "two", "2"], ["one", "1", "three", "3"], ["one", "1", "three", "4"]]
    (alone,), _ = read_all({"b.jsonl": fork})
    assert words(alone) == [["three", "3"]]
    assert alone.id == "a"
    assert any("not there" in note for note in alone.notes)


def test_compressed_files() -> None:
    """They are read as those that are not; where both are there, the plain one counts."""
    plain, old = data(meta("a"), *FIRST, *SECOND), zstandard.compress(data(meta("a"), *FIRST))
    (tree,), _ = read_all({"r.jsonl.zst": old})
    assert words(tree) == [["one", "1"]]
    # Several frames, one after the other.
    parts = [zstandard.compress(plain[:99]), zstandard.compress(plain[99:])]
    assert [whole(tree) for tree in read(b"".join(parts), "r.jsonl.zst")] == [whole(read(plain, "r.jsonl")[0])]
    (tree,), problems = read_all({"r.jsonl": plain, "r.jsonl.zst": old})
    assert (words(tree), problems) == ([["one", "1", "two", "2"]], [])


def test_the_same_thread_twice() -> None:
    """A copy in another folder adds nothing, and one that went on adds what is new."""
    (tree,), problems = read_all({"x/a.jsonl": data(meta("a"), *FIRST), "y/b.jsonl": data(meta("a"), *FIRST, *SECOND)})
    assert words(tree) == [["one", "1", "two", "2"]]
    assert len(problems) == 1


def test_an_old_file() -> None:
    """Lines without a payload are the items themselves."""
    first = {"id": "old", "timestamp": "2025-05-12T10:00:00Z", "instructions": None}
    (tree,) = read(data(first, said("user", "Hi")["payload"], said("assistant", "Hello")["payload"]))
    assert (tree.id, words(tree)) == ("old", [["Hi", "Hello"]])


@needs_samples
@pytest.mark.parametrize(
    ("name", "roles"),
    [
        ("grows/turn-1.jsonl", "duuaa"),
        ("grows/turn-2.jsonl", "duuaaduuaa"),
        ("short.jsonl", "ua"),
        ("function-calls.jsonl", "uaa"),
        ("spawn-skill.jsonl", "uataa"),
    ],
)
def test_samples(name: str, roles: str) -> None:
    """Each has the messages that a person counts."""
    (tree,) = read(sample("codex", *name.split("/")), name)
    assert ["".join(message["role"][0] for message in messages) for messages in whole(tree)] == [roles]
