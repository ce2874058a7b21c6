"""llm: threads and their forks, and the responses of older versions."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from storekit import open_store

from coda_fs_session.interchange.tree import branches

from .databases import Tables, database
from .sessions import counts, said
from .trees import ids, paths, read, read_all, whole

WHEN = "2025-02-16T22:34:30.374882+00:00"


def message(name: str, parent: str | None, role: str) -> dict[str, Any]:
    return {"hash": name, "parent_hash": parent, "role": role, "provider_metadata": None}


def part(of: str, place: int, kind: str, text: str | None = None, **payload: Any) -> dict[str, Any]:
    return {"message_hash": of, "position": place, "type": kind, "text": text, "payload": payload or None}


def turn(name: str, thread: str, tip: str, **others: Any) -> dict[str, Any]:
    made = {"id": name, "thread_id": thread, "parent_message_hash": None, "tip_message_hash": tip, "model": "m"}
    return made | {"resolved_model": None, "input_tokens": 2, "output_tokens": 1, "datetime_utc": WHEN} | others


def thread(name: str, tip: str | None, origin: str | None = None) -> dict[str, Any]:
    return {"id": name, "name": f"T {name}", "tip_message_hash": tip, "forked_from": origin, "datetime_utc": WHEN}


PARENTS = {"u1": None, "a1": "u1", "u2": "a1", "a2": "u2", "u3": "a1", "a3": "u3"}
THREADS: Tables = {
    "threads": [thread("t1", "a2"), thread("t2", "a3", "t1"), thread("t3", None)],
    "turns": [turn("r1", "t1", "a1"), turn("r2", "t1", "a2"), turn("r3", "t2", "a3")],
    "messages": [message(name, above, "user" if name[0] == "u" else "assistant") for name, above in PARENTS.items()],
    "parts": [part(name, 0, "text", f"text of {name}") for name in PARENTS],
}


def test_threads() -> None:
    """A thread that was forked from another one is a branch of that; the newest one is current."""
    (tree,) = read(database(THREADS), "logs.db")
    assert (tree.format, tree.id, tree.title) == ("llm", "t1", "T t1")
    assert ids(tree) == paths(PARENTS, list(PARENTS))
    assert [branch.current for branch in branches(tree)] == [False, True]
    answer = whole(tree)[0][1]
    assert (answer["model"], answer["timestamp"]) == ("m", "2025-02-16T22:34:30.374882Z")
    assert answer["usage"] == {"input_tokens": 2, "output_tokens": 1}
    assert "source" not in answer
    assert [each["forked_from"] for each in tree.rest["threads"][1:]] == ["t1"]


def test_parts() -> None:
    """Calls and results are messages of OpenAI's form; fragments and attachments stand where they were given."""
    tables: Tables = THREADS | {
        "threads": [thread("t1", "a2")],
        "messages": [message("u1", None, "user"), message("a1", "u1", "assistant"), message("x1", "a1", "tool")],
        "parts": [
            part("u1", 0, "text", None, text_ref=[{"fragment": 7}, {"literal": "\nWhat?"}, {"fragment": 8}]),
            part("u1", 1, "attachment", None, attachment={"id": "f1"}),
            part("a1", 0, "reasoning", "Hm", provider_metadata={"o": {"encrypted_content": "xyz"}}),
            part("a1", 1, "tool_call", None, name="look", arguments={"q": 1}, tool_call_id="c1"),
            part("x1", 0, "tool_result", None, name="look", output="", tool_call_id="c1", exception="No"),
            part("x1", 1, "tool_result", None, name="look", output="found", tool_call_id="c2", attachments=[{"id": 9}]),
        ],
        "turns": [turn("r1", "t1", "a1"), turn("r2", "t1", "x1")],
        "fragments": [{"id": 7, "content": "A novel"}],
        "attachments": [{"id": "f1", "type": "image/png", "path": None, "url": None, "content": b"\x89"}],
    }
    (tree,) = read(database(tables), "logs.db")
    prompt, answer, failed, found = whole(tree)[0]
    image = f"data:image/png;base64,{base64.b64encode(bytes([0x89])).decode()}"
    assert prompt["content"] == [
        {"type": "text", "text": "A novel\nWhat?"},
        {"type": "image_url", "image_url": {"url": image}},
    ]
    assert answer["content"] is None
    assert answer["reasoning"] == [{"text": "Hm", "provider_metadata": {"o": {"encrypted_content": "xyz"}}}]
    assert answer["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"q": 1}'}
    assert (failed["content"], failed["is_error"], failed["tool_call_id"]) == ("No", True, "c1")
    assert found["content"][0]["text"] == "found"
    assert [note for note in tree.notes if "fragment 8" in note]
    assert [note for note in tree.notes if "message a2" in note]


def test_results_beside_a_text() -> None:
    """Results of tools come before what a user said of them, and after the text of an answer that has some."""
    tables: Tables = THREADS | {
        "threads": [thread("t1", "a1")],
        "messages": [message("u1", None, "user"), message("a1", "u1", "assistant")],
        "parts": [
            each
            for name in ("u1", "a1")
            for each in (part(name, 0, "text", name), part(name, 1, "tool_result", None, output="found"))
        ],
        "turns": [turn("r1", "t1", "a1")],
    }
    (tree,) = read(database(tables), "logs.db")
    assert [each["content"] for each in whole(tree)[0]] == ["found", "u1", "a1", "found"]


RESPONSES: Tables = {
    "conversations": [{"id": "t1", "name": "Old", "model": "m"}],
    "responses": [
        {
            "id": f"r{n}",
            "model": "m",
            "prompt": f"text of u{n}",
            "system": "Be brief",
            "response": f"text of a{n}",
            "conversation_id": "t1",
            "datetime_utc": f"2024-05-17T12:30:0{n}",
            "options_json": "{}",
            "prompt_json": '{"messages": []}',
            "response_json": {"id": "x"},
            "input_tokens": n,
        }
        for n in (1, 2)
    ]
    + [{"id": "r9", "model": "m", "prompt": "text of alone", "response": "text of it", "conversation_id": None}],
}


def test_responses() -> None:
    """Each is a prompt and an answer; what the system was told stands once, and times are in UTC."""
    (tree, alone), problems = read_all({"logs.db": database(RESPONSES)})
    assert (tree.id, tree.title, alone.id) == ("t1", "Old", "r9")
    messages = whole(tree)[0]
    assert [each["content"] for each in messages] == [
        "Be brief",
        *(f"text of {each}" for each in ["u1", "a1", "u2", "a2"]),
    ]
    answer = messages[2]
    assert (answer["timestamp"], answer["usage"]) == ("2024-05-17T12:30:01Z", {"input_tokens": 1})
    assert answer["source"] == {"response_json": {"id": "x"}}
    assert problems == ["logs.db: left out: 2 prompt_json"]


def test_tools_and_files_of_responses() -> None:
    """Fragments come before the prompt; results of tools come before the answer that they were given for."""
    tables: Tables = RESPONSES | {
        "fragments": [{"id": 1, "content": "A novel"}, {"id": 2, "content": " Rules "}],
        "prompt_fragments": [{"response_id": "r1", "fragment_id": 1, "order": 0}],
        "system_fragments": [{"response_id": "r1", "fragment_id": 2, "order": 0}],
        "attachments": [{"id": "f", "type": "application/pdf", "path": "/home/me/a.pdf", "url": None, "content": None}],
        "prompt_attachments": [{"response_id": "r1", "attachment_id": each, "order": 0} for each in ("f", "gone")],
        "tool_calls": [{"id": 1, "response_id": "r1", "name": "look", "arguments": "{}", "tool_call_id": "c1"}],
        "tool_results": [
            {"id": 1, "response_id": "r2", "name": "look", "output": "o", "tool_call_id": "c1", "exception": "No"}
        ],
    }
    tree = read(database(tables), "logs.db")[0]
    system, prompt, answer, other, result, *_ = whole(tree)[0]
    assert (system["content"], other["content"]) == ("Rules\n\nBe brief", "Be brief")
    assert [each["type"] for each in prompt["content"]] == ["text", "file", "file"]
    assert prompt["content"][0]["text"] == "A novel\ntext of u1"
    assert answer["tool_calls"][0]["id"] == "c1"
    assert (result["content"], result["is_error"], result["source"]) == ("o", True, {"exception": "No"})


def test_a_conversation_that_goes_on_with_a_newer_version() -> None:
    """What the thread has already is not there twice; what it has not begins a session of its own."""
    for texts, sessions in (("u1 a1", 2), ("x1 y1", 3)):
        prompt, answer = texts.split()
        row = {"id": "r0", "prompt": f"text of {prompt}", "response": f"text of {answer}", "conversation_id": "t1"}
        (tree,) = read(database(THREADS | RESPONSES | {"responses": [row]}), "logs.db")
        assert len(branches(tree)) == sessions


def test_messages_without_a_thread() -> None:
    """They are a conversation of their own; threads forked from one another, and a parent of itself, end."""
    tables: Tables = THREADS | {
        "threads": [thread("t1", None, "t2"), thread("t2", None, "t1")],
        "turns": [turn("r", "x", "y")],
    }
    tables = tables | {"messages": [*THREADS["messages"], message("z", "z", "user")]}
    first, second = read(database(tables), "logs.db")
    assert ids(first) == paths(PARENTS, list(PARENTS))
    assert (first.id, second.id) == ("u1", "z")


def test_an_import(tmp_path: Path) -> None:
    """A database that grew adds what is new, also to what an older version began."""
    path = tmp_path / "logs.db"
    database(RESPONSES, path)
    with open_store(tmp_path / "store") as manager:
        assert counts(manager.import_sessions(path)) == (2, 2, 0, 7, 0, 0, 0)
        more = {"id": "r3", "prompt": "text of u3", "response": "text of a3", "conversation_id": "t1"}
        database({"responses": [more]}, path)
        assert counts(manager.import_sessions(path)) == (2, 0, 1, 2, 0, 1, 0)
        assert ("Be brief", "u1", "a1", "u2", "a2", "u3", "a3") in said(manager)
        assert counts(manager.import_sessions(path)) == (2, 0, 0, 0, 0, 2, 0)
