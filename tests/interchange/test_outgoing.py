"""What goes out in files: the sessions and their branches, without what is to be redacted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from storekit import open_store, tree

from coda_fs_session import SessionManager

from .chats import chatgpt, put

SECRET = "sk-9f8e7d6c5b4a39281706fedc"
CALL = {"id": "call-1", "type": "function", "function": {"name": "run", "arguments": f'{{"key": "{SECRET}"}}'}}
TALK: list[dict[str, Any]] = [
    {"role": "user", "content": f"My key is {SECRET}", "id": "call-0", "source": {SECRET: 1}},
    {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning": [{"text": SECRET}]},
    {"role": "tool", "content": [{"type": "text", "text": SECRET}], "tool_call_id": "call-1"},
    {"role": "assistant", "content": "Done"},
]


def fill(manager: SessionManager, name: str, messages: list[dict[str, Any]], **metadata: Any) -> None:
    session = manager.create_session(name)
    session.messages, session.metadata = messages, metadata
    manager.save_session(session)


@pytest.fixture
def manager(tmp_path: Path) -> SessionManager:
    manager = open_store(tmp_path / "store")
    fill(manager, "talk", TALK, title=SECRET)
    fill(manager, "talk 2", [*TALK, {"role": "user", "content": SECRET}, {"role": "assistant", "content": "Else"}])
    return manager


@pytest.mark.parametrize("form", ["json", "jsonl", "md", "txt", "html", "openai", "sharegpt"])
@pytest.mark.parametrize("redact", ["keys", [r"sk-\w+"]])
def test_nothing_that_matches_goes_out(form: Any, redact: Any, manager: SessionManager, tmp_path: Path) -> None:
    """In no form, and what is in the store stays as it is."""
    text = manager.export_session("talk", tmp_path / "a", format=form, redact=redact).read_text(encoding="utf-8")
    assert SECRET not in text
    assert "[redacted]" in text
    assert "Done" in text
    assert manager.load_session("talk").messages == TALK


@pytest.mark.parametrize("form", ["openai", "sharegpt", "family", "dpo", "trl"])
def test_nothing_that_matches_goes_out_of_several(form: Any, manager: SessionManager, tmp_path: Path) -> None:
    """Nor where several sessions are one file."""
    fill(manager, "talk 3", [*TALK[:1], {"role": "assistant", "content": f"No {SECRET}"}])
    (path,) = manager.export_sessions(None, tmp_path / "a", format=form, redact="keys")
    text = path.read_text(encoding="utf-8")
    assert SECRET not in text
    assert "[redacted]" in text


def test_each_file_of_a_folder(manager: SessionManager, tmp_path: Path) -> None:
    """As one alone."""
    for path in manager.export_sessions(None, tmp_path / "a", format="md", redact="keys"):
        text = path.read_text(encoding="utf-8")
        assert SECRET not in text
        assert "[redacted]" in text


def test_ids_and_names_stay(manager: SessionManager, tmp_path: Path) -> None:
    """A result is of its call, also where a pattern matches its id; what does not match is the same to the byte."""
    path = manager.export_session("talk", tmp_path / "a", format="jsonl", redact=["call-|talk"])
    messages = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert messages == TALK
    document = manager.export_session("talk", tmp_path / "b", redact=["call-|talk"])
    assert json.loads(document.read_bytes())["name"] == "talk"
    plain = manager.export_session("talk", tmp_path / "c", format="json").read_bytes()
    assert manager.export_session("talk", tmp_path / "d", format="json", redact=["nowhere"]).read_bytes() == plain


@pytest.mark.parametrize("redact", [[], "sk-", [""], ["("], [1], [".*"]])
def test_patterns_that_are_none(redact: Any, manager: SessionManager, tmp_path: Path) -> None:
    """They are an error, and nothing is written: without a pattern all would go out."""
    with pytest.raises(ValueError):
        manager.export_session("talk", tmp_path / "a", redact=redact)
    with pytest.raises(ValueError):
        manager.export_sessions(None, tmp_path / "a", format="md", redact=redact)
    assert not (tmp_path / "a").exists()


def test_the_option(manager: SessionManager, tmp_path: Path) -> None:
    """What it stands for is taken out of what was stored before it was set, beside what is asked for."""
    manager.close()
    with open_store(tmp_path / "store", redact="keys") as careful:
        text = careful.export_session("talk", tmp_path / "a", format="md").read_text(encoding="utf-8")
        assert SECRET not in text
        assert "Done" in text
        text = careful.export_session("talk", tmp_path / "b", format="md", redact=["Done"]).read_text(encoding="utf-8")
        assert SECRET not in text
        assert "Done" not in text


@pytest.mark.parametrize("names", [["b"], ["b/2", "b"], None])
def test_branches(names: Any, tmp_path: Path) -> None:
    """All branches, and theirs, each once and after what it was branched from, whatever they are called."""
    with open_store(tmp_path / "store") as manager:
        fill(manager, "b", TALK[:3])
        fill(manager, "c", TALK[:1])
        for name, origin in (("a", "b"), ("a/1", "a"), ("b/2", "b")):
            branch = manager.create_session(name, branch_from=origin, at=2 if origin == "a" else 1)
            branch.add_message({"role": "user", "content": name})
            manager.save_session(branch)
        (path,) = manager.export_sessions(names, tmp_path / "f", format="family", branches=True)
        sessions = {each["name"]: each for each in json.loads(path.read_bytes())["sessions"]}
        assert list(sessions) == ["b", "a", "a/1", "b/2", *([] if names else ["c"])]
        assert [(each.get("parent"), each.get("at")) for each in sessions.values()][:4] == [
            *((None, None), ("b", 1), ("a", 2), ("b", 1)),
        ]


def test_imported_again(manager: SessionManager, tmp_path: Path) -> None:
    """What a session was imported from stays in a redacted copy: another store knows it as the same."""
    fill(manager, "from", TALK, **{"coda_fs_session.import": {"format": "chatgpt", "id": SECRET, "title": SECRET}})
    document = json.loads(manager.export_session("from", tmp_path / "a", redact=["chat", "sk-.*"]).read_bytes())
    assert document["metadata"] == {
        "coda_fs_session.import": {"title": "[redacted]", "format": "chatgpt", "id": SECRET},
    }


@pytest.mark.parametrize("pattern", ["c[01]", "Trip", "text", "[ua][123]", "chatgpt", "import", "[0-9a-f]{8}"])
def test_redacted_on_the_way_in(pattern: str, tmp_path: Path) -> None:
    """Whatever the option takes out of titles, texts and ids, a second import knows each chat and writes nothing."""
    path = put(tmp_path, "c.json", chatgpt({"u1": None, "a1": "u1", "a2": "u1"}, {"u1": None, "a3": "u1"}))
    with open_store(tmp_path / "store", redact=[pattern]) as manager:
        assert (report := manager.import_sessions(path)).new == 2, report
        assert len(manager.list_sessions()) == 3
        before = tree(tmp_path / "store")
        report = manager.import_sessions(path, again=True)
        assert (report.unchanged, report.messages) == (2, 0)
        assert tree(tmp_path / "store") == before
        put(tmp_path, "c.json", chatgpt({"u1": None, "a1": "u1", "a2": "u1", "u2": "a1"}, {"u1": None, "a3": "u1"}))
        report = manager.import_sessions(path)
        assert (report.grew, report.messages, report.branches) == (1, 1, 0)
