"""LibreChat, Open WebUI, gptme and ShareGPT: every sibling is a branch."""

from __future__ import annotations

import json
from typing import Any

from coda_fs_session.interchange.tree import branches

from .trees import ids, read, read_all, whole

ZEROS = "00000000-0000-0000-0000-000000000000"


def test_librechat() -> None:
    """Its two forms, a list with parents and nested children, are one tree; calls are taken apart."""
    flat: list[dict[str, Any]] = [
        {"messageId": "u", "parentMessageId": ZEROS, "isCreatedByUser": True, "text": "Hi"},
        {"messageId": "a", "parentMessageId": "u", "isCreatedByUser": False, "text": "One", "model": "m"},
        {"messageId": "b", "parentMessageId": "u", "isCreatedByUser": False, "content": []},
    ]
    call = {"id": "t1", "name": "search", "args": '{"q": 1}', "output": "found"}
    flat[2]["content"] = [{"type": "think", "think": "Hm"}, {"type": "text", "text": {"value": "Two"}}]
    flat[2]["content"].append({"type": "tool_call", "tool_call": call})
    nested = {**flat[0], "children": [dict(flat[1]), dict(flat[2])]}
    for each in nested["children"]:
        del each["parentMessageId"]
    for form in ({"messages": flat}, {"messagesTree": [nested]}):
        (tree,) = read(json.dumps({"conversationId": "l1", "title": "T", **form}).encode())
        assert (tree.format, tree.id, tree.title) == ("librechat", "l1", "T")
        assert ids(tree) == {("u", "a"), ("u", "b", "b")}
        (other,) = [messages for messages in whole(tree) if messages[-1]["role"] == "tool"]
        assert (other[1]["content"], other[1]["reasoning"]) == ("Two", [{"text": "Hm"}])
        assert other[1]["tool_calls"][0]["function"] == {"name": "search", "arguments": '{"q": 1}'}
        assert (other[2]["content"], other[2]["tool_call_id"]) == ("found", "t1")


def test_openwebui() -> None:
    """Its history counts and not its list; reasoning in the text is taken out, and the text as it was stays beside."""
    thought = '<details type="reasoning" done="true">\n<summary>Thought</summary>\n&gt; Hm\n</details>\nYes'
    messages = {
        "u": {
            "id": "u",
            "parentId": None,
            "childrenIds": ["b", "a"],
            "role": "user",
            "content": "Hi",
            "timestamp": 17e8,
        },
        "a": {"id": "a", "parentId": "u", "childrenIds": [], "role": "assistant", "content": thought, "model": "m"},
        "b": {"id": "b", "parentId": "u", "childrenIds": [], "role": "assistant", "content": "No"},
    }
    chat = {"id": "w1", "title": "T", "chat": {"history": {"messages": messages, "currentId": "a"}, "messages": []}}
    (tree,) = read(json.dumps([chat]).encode())
    assert tree.format == "openwebui"
    assert [(branch.ids, branch.current) for branch in branches(tree)] == [(["u", "b"], False), (["a"], True)]
    answer = whole(tree)[1][1]
    assert (answer["content"], answer["reasoning"]) == ("Yes", [{"summary": "Thought", "text": "Hm"}])
    assert answer["source"]["content"] == thought


def test_gptme() -> None:
    """Files of branches share their beginning with the conversation; a naive time stays as it is."""
    lines = [{"role": role, "content": role, "timestamp": "2026-06-13T10:00:00.5"} for role in ("system", "user")]
    answers = [{"role": "assistant", "content": text, "timestamp": "2026-06-13T10:00:01"} for text in ("One", "Two")]
    files = {
        name: b"".join(json.dumps(each).encode() + b"\n" for each in [*lines, answer])
        for name, answer in zip(("day/conversation.jsonl", "day/branches/b.jsonl"), answers, strict=True)
    }
    (tree,), problems = read_all(files)
    assert (tree.format, tree.id, problems) == ("gptme", "day", [])
    assert [[message["content"] for message in messages] for messages in whole(tree)] == [
        ["system", "user", "One"],
        ["system", "user", "Two"],
    ]
    assert whole(tree)[0][0]["timestamp"] == "2026-06-13T10:00:00.5"


def test_sharegpt() -> None:
    """A document and lines are read alike; who speaks is told by the role, and what that does not tell is kept."""
    first = [{"from": "human", "value": "Hi"}, {"from": "function_call", "value": "{}"}]
    records = [
        {"id": "s1", "system": "Be kind", "conversations": first, "tools": "[]"},
        *({"conversations": [*first, {"from": "gpt", "value": text}]} for text in ("One", "Two")),
    ]
    document = json.dumps(records).encode()
    for name, data in (
        ("a.json", document),
        ("a.jsonl", b"".join(json.dumps(each).encode() + b"\n" for each in records)),
    ):
        one, other = read(data, name)
        assert (one.format, one.id, one.rest) == ("sharegpt", "s1", {"tools": "[]"})
        assert [message["role"] for message in whole(one)[0]] == ["system", "user", "assistant"]
        assert whole(one)[0][2]["source"] == {"from": "function_call"}
        assert [messages[-1]["content"] for messages in whole(other)] == ["One", "Two"]


def test_sillytavern() -> None:
    """Each swipe is an answer, those that are not shown are branches; a branched chat joins the one that it is of."""
    header = {"user_name": "Me", "character_name": "Ann", "create_date": "x", "chat_metadata": {}}
    prompt = {"name": "Me", "is_user": True, "mes": "Hi", "send_date": "2024-05-17T12:30:00Z"}
    swiped = {"name": "Ann", "is_user": False, "mes": "Two", "swipes": ["One", "Two"], "swipe_id": 1}
    swiped["extra"] = {"reasoning": "Hm", "model": "m"}
    after, other = ({"name": "Me", "is_user": True, "mes": text} for text in ("More", "Else"))
    origin = header | {"chat_metadata": {"main_chat": "day"}}
    files = {
        name: "\n".join(map(json.dumps, lines)).encode()
        for name, lines in (
            ("Ann/day.jsonl", [header, prompt, swiped, after]),
            ("Ann/b.jsonl", [origin, prompt, other]),
        )
    }
    (tree,), _ = read_all(files)
    assert (tree.format, tree.id) == ("sillytavern", "Ann/day")
    assert [[message["content"] for message in messages] for messages in whole(tree)] == [
        ["Hi", "One"],
        ["Hi", "Two", "More"],
        ["Hi", "Else"],
    ]
    assert [branch.current for branch in branches(tree)] == [False, True, False]
    shown = whole(tree)[1][1]
    assert (shown["reasoning"], shown["source"]) == ([{"text": "Hm"}], {"extra": {"model": "m"}})


def test_aider() -> None:
    """Runs are sessions, an empty one is none; what the program printed is neither a prompt nor an answer."""
    text = """
# aider chat started at 2024-05-17 12:30:00

> Aider v0.1

#### Do it
#### now

Sure.

Done.
> Applied

# aider chat started at 2024-05-18 12:30:00

> Aider v0.1

# aider chat started at 2024-05-19 12:30:00
#### Hi
Hello"""
    first, second = read(text.encode(), ".aider.chat.history.md")
    assert [(message["role"], message["content"]) for message in whole(first)[0]] == [
        ("tool", "Aider v0.1"),
        ("user", "Do it\nnow"),
        ("assistant", "Sure.\n\nDone."),
        ("tool", "Applied"),
    ]
    other, _ = read(text.replace("Do it", "Do that").encode(), ".aider.chat.history.md")
    assert first.id.startswith("2024-05-17 12:30:00 ")
    assert first.id != other.id
    assert "Do it" not in first.id, "redaction leaves ids"
    assert [message["content"] for message in whole(second)[0]] == ["Hi", "Hello"]
