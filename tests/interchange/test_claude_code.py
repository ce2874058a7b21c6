"""Claude Code: a record with several children is seldom a branch, and what is one is never lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from coda_fs_session.interchange import claude_code, sources
from coda_fs_session.interchange.tree import MessageTree, branches

from .trees import needs_samples, read, read_all, sample, whole

Line = dict[str, Any]


def line(name: str | None, parent: str | None, kind: str = "user", content: Any = "", **others: Any) -> Line:
    made: Line = {"type": kind, "sessionId": "s1", "cwd": "/home/me/app", "timestamp": "2026-01-11T09:53:23.575Z"}
    if name is not None:
        made |= {"uuid": name, "parentUuid": parent}
    if kind in ("user", "assistant"):
        made["message"] = {"role": kind, "content": content or name}
    return made | others


def said(name: str, parent: str | None, identity: str, *blocks: Line, **usage: int) -> Line:
    made = line(name, parent, "assistant", [*blocks] or [text(name)])
    made["message"] |= {"id": identity, "model": "m", "usage": usage or {"output_tokens": 1}}
    return made


def text(words: str) -> Line:
    return {"type": "text", "text": words}


def call(identity: str) -> Line:
    return {"type": "tool_use", "id": identity, "name": "Read", "input": {"path": "é"}}


def result(name: str, parent: str, identity: str, words: str = "", **others: Any) -> Line:
    content = [{"type": "tool_result", "tool_use_id": identity, "content": words or identity}]
    return line(name, parent, "user", content, **others)


def data(*lines: Line) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in lines)


def tree_of(*lines: Line, **options: Any) -> MessageTree:
    (tree,) = read(data(*lines), "s1.jsonl", **options)
    return tree


def words(tree: MessageTree) -> list[list[str]]:
    """Return what is said in each session, calls by their ids."""
    return [
        [
            message["content"] if isinstance(message["content"], str) else message["tool_calls"][0]["id"]
            for message in messages
        ]
        for messages in whole(tree)
    ]


def test_a_rewind_is_a_branch() -> None:
    """Two prompts after one answer, and two answers to one prompt, are sessions of their own."""
    tree = tree_of(
        *(line("u1", None), said("a1", "u1", "m1"), line("u2", "a1"), said("a2", "u2", "m2")),
        *(line("u3", "a1"), said("a3", "u3", "m3"), said("a3b", "u3", "m4")),
    )
    assert words(tree) == [["u1", "a1", "u2", "a2"], ["u1", "a1", "u3", "a3"], ["u1", "a1", "u3", "a3b"]]
    assert [branch.id for branch in branches(tree)] == ["", "u3", "a3b"]
    assert [branch.current for branch in branches(tree)] == [False, False, True]
    assert (tree.id, tree.project) == ("u1", "app")


def test_lines_of_one_answer_are_one_message() -> None:
    """Also where others stand between; blocks come in order, what is repeated once, and the greatest usage counts."""
    tree = tree_of(
        line("u1", None),
        said("a1", "u1", "m1", {"type": "thinking", "thinking": "Hm", "signature": "s"}, output_tokens=1),
        said("a2", "a1", "m1", text("I look."), output_tokens=2),
        said("a3", "a2", "m1", call("t1"), output_tokens=9),
        result("r1", "a3", "t1"),
        said("a4", "a3", "m1", text("I look."), call("t2"), output_tokens=3),
        result("r2", "a4", "t2"),
        said("a5", "r2", "m2"),
    )
    (messages,) = whole(tree)
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "tool", "assistant"]
    answer = messages[1]
    assert answer["content"] == "I look."
    assert answer["reasoning"] == [{"text": "Hm", "signature": "s"}]
    assert [each["id"] for each in answer["tool_calls"]] == ["t1", "t2"]
    assert answer["tool_calls"][0]["function"] == {"name": "Read", "arguments": '{"path": "é"}'}
    assert answer["usage"] == {"output_tokens": 9}
    assert [message["tool_call_id"] for message in messages[2:4]] == ["t1", "t2"]


def test_what_is_no_message_makes_no_branch() -> None:
    """Progress hangs beside the next message, and each result on the line of its call: that is one session."""
    tree = tree_of(
        line("u1", None),
        said("a1", "u1", "m1", call("t1")),
        line("p1", "a1", "progress"),
        said("a2", "a1", "m1", call("t2")),
        result("r2", "a2", "t2"),
        line("p2", "r2", "progress"),
        result("r1", "p1", "t1"),
        said("a3", "p2", "m2"),
        line("h", None, "file-history-snapshot"),
    )
    assert words(tree) == [["u1", "t1", "t2", "t1", "a3"]]
    assert "2 progress" in tree.notes[-1]


def test_commands_beside_a_side_are_a_note() -> None:
    """A side with nothing but commands of the program is left out; where it is all that there is, it stays."""
    command = "<command-name>/clear</command-name>"
    lines = [line("u1", None), said("a1", "u1", "m1"), line("c1", "a1", "user", command)]
    assert words(tree_of(*lines)) == [["u1", "a1", command]]
    tree = tree_of(*lines, line("c2", "c1", "user", "<bash-input>ls</bash-input>"), line("u2", "a1"))
    assert words(tree) == [["u1", "a1", "u2"]]
    assert any("only commands" in note for note in tree.notes)
    # With an answer it is a side like any other.
    tree = tree_of(*lines, said("a2", "c1", "m2"), line("u2", "a1"))
    assert words(tree) == [["u1", "a1", command, "a2"], ["u1", "a1", "u2"]]


def test_a_session_goes_on_through_compaction() -> None:
    """The summary comes after the last message before it, whatever the parent of its line is."""
    tree = tree_of(
        line("u1", None),
        said("a1", "u1", "m1"),
        line("b1", None, "system", subtype="compact_boundary", logicalParentUuid="a1", content="Compacted"),
        line("u2", "b1", "user", "Summary of all", isCompactSummary=True),
        said("a2", "u2", "m2"),
        line("b2", None, "system", subtype="compact_boundary", logicalParentUuid="gone"),
        line("u3", "b2"),
    )
    assert words(tree) == [["u1", "a1", "Summary of all", "a2", "u3"]]


def test_forks_are_one_family() -> None:
    """Files that begin with the same records are one tree, in whatever order they are given."""
    shared = [line("u1", None), said("a1", "u1", "m1")]
    old = data(*shared, line("u2", "a1", timestamp="2026-01-11T10:00:00Z"))
    fork = data(
        *(each | {"sessionId": "s0"} for each in shared),
        line("u3", "a1", sessionId="s0", timestamp="2026-01-12T10:00:00Z"),
    )
    same = data(*(each | {"sessionId": "s9"} for each in shared))
    assert claude_code.links(sources.in_memory("a.jsonl", old)) == claude_code.links(sources.in_memory("b", fork))
    for order in ([old, fork, same], [fork, same, old]):
        (tree,), problems = read_all({f"{number}.jsonl": each for number, each in enumerate(order)})
        assert words(tree) == [["u1", "a1", "u2"], ["u1", "a1", "u3"]]
        assert problems == []


def test_sub_agents_are_sessions() -> None:
    """Their lines carry the session of the one that asked; within that one's file each is still its own."""
    main = [line("u1", None), said("a1", "u1", "m1")]
    agent = [line("x1", None, isSidechain=True, agentId="77"), said("x2", "x1", "m9") | {"isSidechain": True}]
    agent[1]["agentId"] = "77"
    (tree,) = read(data(*agent), "agent-77.jsonl")
    assert (tree.id, words(tree)) == ("s1/agent-77", [["x1", "x2"]])
    trees = read(data(*main, *agent, line("y1", None, isSidechain=True)), "s1.jsonl")
    assert [tree.id for tree in trees] == ["u1", "s1/agent-77", "s1/y1"]
    assert [words(tree) for tree in trees] == [[["u1", "a1"]], [["x1", "x2"]], [["y1"]]]


def test_lines_without_ids() -> None:
    """Lines of old versions are in the order that they stand in, and get the same ids each time."""
    old = [line(None, None, "user", "Hi"), line(None, None, "assistant", [text("Hello")])]
    one, other = tree_of(*old), tree_of(*old)
    assert words(one) == [["Hi", "Hello"]]
    assert list(one.nodes) == list(other.nodes)


def test_a_parent_that_is_not_there() -> None:
    """The line follows on the one before it, with a note."""
    tree = tree_of(line("u1", None), said("a1", "u1", "m1"), line("u2", "gone"))
    assert words(tree) == [["u1", "a1", "u2"]]
    assert any("gone" in note for note in tree.notes)


def test_results() -> None:
    """Errors say so, images stay, and what a line repeats of a result in another form is left out."""
    long = "A line of the file that was read, and it is long\nAnother one"
    numbered = "     1→A line of the file that was read, and it is long\n     2→Another one"
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}}
    lines = [line("u1", None), said("a1", "u1", "m1", call("t1"))]
    repeated = result("r1", "a1", "t1", numbered, toolUseResult={"file": {"content": long}})
    kept = result("r1", "a1", "t1", "Done", toolUseResult={"diff": long})
    assert "toolUseResult" not in whole(tree_of(*lines, repeated))[0][2]["source"]
    assert whole(tree_of(*lines, repeated, keep="all"))[0][2]["source"] == repeated
    assert "toolUseResult" in whole(tree_of(*lines, kept))[0][2]["source"]
    kept["message"]["content"][0] |= {"content": [image], "is_error": True}
    made = whole(tree_of(*lines, kept))[0][2]
    assert made["is_error"] is True
    assert made["content"] == [{"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}]


def test_what_a_user_said_meanwhile() -> None:
    """Words that waited for the end of an answer are in an attachment only."""
    queued = {"type": "queued_command", "prompt": "And quickly"}
    tree = tree_of(line("u1", None), line("q1", "u1", "attachment", attachment=queued), said("a1", "q1", "m1"))
    assert words(tree) == [["u1", "And quickly", "a1"]]


@pytest.mark.parametrize(
    ("lines", "title"),
    [
        ([{"type": "summary", "summary": "Sum", "leafUuid": "u1"}], "Sum"),
        ([{"type": "summary", "summary": "Sum", "leafUuid": "of another one"}], None),
        ([{"type": "custom-title", "customTitle": "Mine"}, {"type": "ai-title", "aiTitle": "AI"}], "Mine"),
    ],
)
def test_titles(lines: list[Line], title: str | None) -> None:
    """That of the user counts before that of the program; a summary only where it is of this session."""
    assert tree_of(line("u1", None), *lines).title == title


def test_injected_texts_are_hidden() -> None:
    """What the program says in the name of the user is kept, and is no title."""
    tree = tree_of(line("u1", None, "user", "Caveat", isMeta=True), line("u2", "u1", "user", "Real"))
    assert [message.get("hidden") for message in whole(tree)[0]] == [True, None]


MADE_UP = ("queued-system-messages.jsonl", "half-last-line.jsonl")
"""Samples without what real lines have: ids, roles."""


@needs_samples
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("9eda1058-9706-484a-b992-d03f9cfa2546.jsonl", 12),
        ("agent-a7be2f0.jsonl", 33),
        ("grows/turn-1.jsonl", 2),
        ("grows/turn-2.jsonl", 12),
        ("half-last-line.jsonl", 2),
        ("queued-system-messages.jsonl", 3),
    ],
)
def test_real_files(name: str, count: int) -> None:
    """Each is one session, as a person counts it, though up to 19 records have several children; no text is lost."""
    raw = sample("claude-code", *name.split("/"))
    (tree,) = read(raw, name)
    (messages,) = whole(tree)
    assert len(messages) == count
    kept = json.dumps(messages, ensure_ascii=False)
    size = 0
    for each in raw.splitlines():
        try:
            record = json.loads(each)
        except ValueError:
            continue
        if record.get("type") not in ("user", "assistant"):
            continue
        size += len(json.dumps(record))
        content = record["message"]["content"]
        for block in [content] if isinstance(content, str) else content:
            found = block if isinstance(block, str) else block.get("text") or block.get("thinking") or ""
            assert json.dumps(found, ensure_ascii=False)[1:-1] in kept
    assert name in MADE_UP or len(json.dumps(messages)) <= 1.3 * size
