"""opencode: a session whose messages and parts are in a file each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from storekit import open_store

from .chats import put
from .databases import Tables, database
from .sessions import counts
from .trees import DATA, needs_samples, read_all, whole

FILES: dict[str, dict[str, Any]] = {
    "session/p/s1.json": {
        "id": "s1",
        "version": "1",
        "title": "T",
        "directory": "/home/me/app",
        "time": {"created": 1737979200000, "updated": 1737979800000},
    },
    "message/s1/m2.json": {
        "id": "m2",
        "sessionID": "s1",
        "role": "assistant",
        "modelID": "m",
        "providerID": "p",
        "time": {"created": 1737979500000},
    },
    "message/s1/m1.json": {"id": "m1", "sessionID": "s1", "role": "user", "time": {"created": 1737979200000}},
    "part/m1/a.json": {"id": "a", "sessionID": "s1", "messageID": "m1", "type": "text", "text": "Hi"},
    "part/m2/a.json": {"id": "a", "sessionID": "s1", "messageID": "m2", "type": "reasoning", "text": "Hm"},
    "part/m2/b.json": {
        "id": "b",
        "sessionID": "s1",
        "messageID": "m2",
        "type": "tool",
        "tool": "read",
        "callID": "c1",
        "state": {"status": "completed", "input": {"p": 1}, "output": "found", "title": "t"},
    },
    "part/m2/c.json": {
        "id": "c",
        "sessionID": "s1",
        "messageID": "m2",
        "type": "tool",
        "tool": "run",
        "state": {"status": "error", "input": {}, "error": "no"},
    },
    "part/m2/d.json": {"id": "d", "sessionID": "s1", "messageID": "m2", "type": "text", "text": "Done"},
    "part/m2/e.json": {"id": "e", "sessionID": "s1", "messageID": "m2", "type": "step-finish", "tokens": {"input": 1}},
    "part/m2/f.json": {"id": "f", "sessionID": "s1", "messageID": "m2", "type": "snapshot"},
}


def encoded(files: dict[str, dict[str, Any]]) -> dict[str, bytes]:
    return {name: json.dumps(record, indent=1).encode() for name, record in files.items()}


def test_a_session() -> None:
    """Messages are in the order of their times, and parts in that of their ids; results are messages of their own."""
    (tree,), problems = read_all(encoded(FILES))
    assert (tree.format, tree.id, tree.title, tree.project, problems) == ("opencode", "s1", "T", "app", [])
    prompt, answer, found, failed = whole(tree)[0]
    assert (prompt["role"], prompt["content"], prompt["timestamp"]) == ("user", "Hi", "2025-01-27T12:00:00Z")
    assert (answer["content"], answer["reasoning"], answer["usage"]) == ("Done", [{"text": "Hm"}], {"input": 1})
    assert [each["id"] for each in answer["tool_calls"]] == ["c1", "c"]
    assert (found["content"], found["tool_call_id"], found["source"]["state"]["title"]) == ("found", "c1", "t")
    assert (failed["content"], failed["is_error"]) == ("no", True)
    assert "1 snapshot" in tree.notes[-1]


@pytest.mark.parametrize("missing", ["session/p/s1.json", "message/s1/m1.json", "part/m2/d.json"])
def test_files_that_are_absent(missing: str) -> None:
    """What is there is read: without the session it has no title, and parts without their message are a note."""
    files = encoded(FILES)
    del files[missing]
    files["part/m2/g.json"] = b'{"id": "g", "sess'
    (tree,), problems = read_all(files)
    assert tree.id == "s1"
    assert len(problems) == 1
    assert any("m1" in note for note in tree.notes) == missing.startswith("message")


def as_rows(files: dict[str, dict[str, Any]]) -> Tables:
    """Return the tables that newer versions make of such files."""
    tables: Tables = {"session": [], "message": [], "part": []}
    for name, record in files.items():
        data = dict(record)
        time = data.get("time", {})
        row = {"id": data.pop("id"), "time_created": time.get("created"), "time_updated": time.get("updated")}
        if name.startswith("session"):
            row |= {key: data[key] for key in ("title", "directory", "version")} | {
                "project_id": "p",
                "parent_id": None,
            }
        else:
            row |= {"session_id": data.pop("sessionID")}
            row |= {"message_id": data.pop("messageID")} if name.startswith("part") else {}
            row["data"] = data
        tables[name.partition("/")[0]].append(row)
    return tables


def test_a_database() -> None:
    """It gives what files give, also out of both together; rows that are no JSON are left out, and told."""
    (of_files,), _ = read_all(encoded(FILES))
    tables = as_rows(FILES)
    (of_rows,), problems = read_all({"opencode.db": database(tables)})
    assert whole(of_rows) == whole(of_files)
    assert (of_rows.id, of_rows.title, of_rows.project, of_rows.created) == ("s1", "T", "app", of_files.created)
    assert (of_rows.rest, problems) == (of_files.rest | {"projectID": "p"}, [])
    other = FILES["message/s1/m1.json"] | {"id": "m9", "sessionID": "s9"}
    both, problems = read_all(
        {"opencode.db": database(tables), "m9.json": json.dumps(other).encode(), **encoded(FILES)}
    )
    assert [tree.id for tree in both] == ["s1", "s9"]
    tables["part"].append({"id": "z", "session_id": "s1", "message_id": "m1", "data": "{broken"})
    tables["message"].append({"id": "y", "session_id": "s2", "data": {"role": "user"}})
    (first, second), problems = read_all({"opencode.db": database(tables)})
    assert (whole(first), second.id, second.title) == (whole(of_rows), "s2", None)
    assert problems == ["opencode.db: part z is no JSON object: it was left out"]


def test_parts_without_order_and_without_text() -> None:
    """They come by their ids, as not all have a time; what else is said of a part is kept."""
    files = {name: record for name, record in FILES.items() if not name.startswith("part")}
    for name, said in (("c", {"text": "2"}), ("a", {"text": "1", "time": {"start": 5}, "synthetic": True}), ("b", {})):
        files[f"part/m1/{name}.json"] = {"id": name, "sessionID": "s1", "messageID": "m1", "type": "text", **said}
    (tree,), _ = read_all(encoded(files))
    prompt = whole(tree)[0][0]
    assert [each["text"] for each in prompt["content"]] == ["1", "2"]
    assert prompt["source"]["parts"] == [{"id": "a", "time": {"start": 5}, "synthetic": True}]


@pytest.mark.parametrize("without", [{}, {"id": 7}], ids=["none", "no text"])
def test_records_without_an_id(without: dict[str, Any]) -> None:
    """The name of their file stands in for it: parts, calls and messages do not overwrite each other."""
    files = {
        name: record
        if name.startswith("session")
        else {key: value for key, value in record.items() if key != "id"} | without
        for name, record in FILES.items()
    }
    (tree,), problems = read_all(encoded(files))
    assert ([each.get("content") for each in whole(tree)[0]], problems) == (["Hi", "Done", "found", "no"], [])
    assert [each["id"] for each in whole(tree)[0][1]["tool_calls"]] == ["c1", "c"]
    assert list(tree.nodes) == ["m1", "m2"]


def test_an_import_of_both(tmp_path: Path) -> None:
    """Files that a newer version made a database of are the same conversation, which goes on."""
    for name, data in encoded(FILES).items():
        put(tmp_path / "storage", name, data)
    with open_store(tmp_path / "store") as manager:
        manager.import_sessions(tmp_path / "storage")
        late = {"part/m3/a.json": FILES["part/m1/a.json"] | {"messageID": "m3"}}
        late["message/s1/m3.json"] = FILES["message/s1/m2.json"] | {"id": "m3", "time": {"created": 1737979900000}}
        database(as_rows(FILES | late), tmp_path / "opencode.db")
        places = (tmp_path / "opencode.db", tmp_path / "storage")
        assert counts(manager.import_sessions(*places)) == (1, 0, 1, 1, 0, 0, 0)
        assert counts(manager.import_sessions(*places)) == (1, 0, 0, 0, 0, 1, 0)


def test_an_import(tmp_path: Path) -> None:
    """All files of a session are one conversation, and a part that comes later completes it."""
    for name, data in encoded(FILES).items():
        put(tmp_path / "in", name, data)
    with open_store(tmp_path / "store") as manager:
        assert counts(manager.import_sessions(tmp_path / "in")) == (1, 1, 0, 4, 0, 0, 0)
        assert counts(manager.import_sessions(tmp_path / "in")) == (1, 0, 0, 0, 0, 1, 0)
        late = FILES["part/m2/b.json"] | {"id": "g", "callID": "c3"}
        put(tmp_path / "in", "part/m2/g.json", json.dumps(late).encode())
        assert counts(manager.import_sessions(tmp_path / "in")) == (1, 0, 1, 1, 0, 0, 0)
        assert len(manager.list_sessions()) == 1


@needs_samples
def test_samples(tmp_path: Path) -> None:
    """The session has the messages that a person counts."""
    assert DATA is not None
    with open_store(tmp_path / "store") as manager:
        manager.import_sessions(Path(DATA, "native", "opencode"))
        (info,) = manager.list_sessions()
        roles = [message["role"] for message in manager.load_session(info.name).messages]
        assert roles == ["user", "assistant", "tool", "tool"]
