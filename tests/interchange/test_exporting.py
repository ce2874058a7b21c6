"""Sessions in other forms: nothing in them is markup, and lines for training are what trainers take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from storekit import open_store

from coda_fs_session import SessionManager, UnsupportedError

from .test_importing import Four

CALL = {"id": "c1", "type": "function", "function": {"name": "run", "arguments": '{"a": 1}'}}
TALK: list[dict[str, Any]] = [
    {"role": "system", "content": "Be kind"},
    {"role": "user", "content": "Hi", "id": "x", "timestamp": "2024-05-17T12:30:00Z", "source": {"a": 1}},
    {"role": "assistant", "content": None, "reasoning": [{"text": "Hm"}]},
    {"role": "assistant", "content": "I look", "tool_calls": [CALL], "model": "m"},
    {"role": "tool", "content": "found", "tool_call_id": "c1", "name": "run"},
    {"role": "assistant", "content": "Here"},
]
HOSTILE = "</pre><script>alert(1)</script> javascript:x <img src=x onerror=y> ```\n````\nend &amp; \"quoted\" 'single'"


@pytest.fixture
def manager(tmp_path: Path) -> SessionManager:
    manager = open_store(tmp_path / "store")
    fill(manager, "talk", TALK)
    return manager


def fill(manager: SessionManager, name: str, messages: list[dict[str, Any]]) -> None:
    session = manager.create_session(name)
    session.messages = messages
    manager.save_session(session)


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("form", ["json", "jsonl", "md", "txt", "html", "openai", "sharegpt"])
def test_the_same_bytes_each_time(form: Any, manager: SessionManager, tmp_path: Path) -> None:
    """Nothing in a file depends on when it was written; only this user may read it, and what is there stays."""
    paths = [manager.export_session("talk", tmp_path / name, format=form) for name in ("a", "b")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        manager.export_session("talk", paths[0], format=form)
    text = paths[0].read_text(encoding="utf-8")
    assert all(words in text for words in ("Be kind", "Hi", "I look", "found", "Here"))


def test_messages_as_they_are(manager: SessionManager, tmp_path: Path) -> None:
    """A line a message, byte for byte."""
    assert lines(manager.export_session("talk", tmp_path / "a", format="jsonl")) == TALK


def test_an_unknown_form(manager: SessionManager, tmp_path: Path) -> None:
    """It is an error that names those that are known, and nothing is written."""
    with pytest.raises(ValueError, match="sharegpt"):
        manager.export_session("talk", tmp_path / "a", format="pdf")  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        manager.export_sessions(None, tmp_path / "a", format="pdf")  # type: ignore[arg-type]
    assert not (tmp_path / "a").exists()


def test_markdown(manager: SessionManager, tmp_path: Path) -> None:
    """A fence is longer than any in the text, and neither names nor headings have more than a line."""
    fill(manager, "odd: [x] # y", [{"role": "tool", "content": HOSTILE, "name": "a\nb</summary>", "timestamp": "1\n2"}])
    text = manager.export_session("odd: [x] # y", tmp_path / "a", format="md").read_text(encoding="utf-8")
    head, body = text.split("---\n")[1:]
    assert json.loads(head.split("\n")[0].removeprefix("name: ")) == "odd: [x] # y"
    assert "\n`````\n" in body
    assert "## tool · 1 2\n" in body
    assert "Result of a b&lt;/summary>" in body


def test_lines_for_training(manager: SessionManager, tmp_path: Path) -> None:
    """Only what OpenAI knows is in a line, and what has reasoning alone is left out."""
    (line,) = lines(manager.export_session("talk", tmp_path / "a", format="openai"))
    assert line == {
        "messages": [
            {"role": "system", "content": "Be kind"},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "I look", "tool_calls": [CALL]},
            {"role": "tool", "content": "found", "tool_call_id": "c1"},
            {"role": "assistant", "content": "Here"},
        ]
    }


def test_shared_answers_are_trained_once(manager: SessionManager, tmp_path: Path) -> None:
    """What a line before has, with all that led to it, gets weight 0; the same words elsewhere do not."""
    branch = manager.create_session("talk 2", branch_from="talk", at=5)
    branch.add_message({"role": "assistant", "content": "There"})
    manager.save_session(branch)
    fill(manager, "other", [{"role": "user", "content": "Hey"}, {"role": "assistant", "content": "Here"}])
    (path,) = manager.export_sessions(["talk", "talk 2", "other"], tmp_path / "a", format="openai")
    weights = [
        [message.get("weight", 1) for message in line["messages"] if message["role"] == "assistant"]
        for line in lines(path)
    ]
    assert weights == [[1, 1], [0, 1], [1]]


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ([{"role": "user", "content": "Hi"}], "no message of an assistant"),
        ([{"role": "assistant", "tool_calls": [CALL]}], "has no result"),
        ([{"role": "assistant", "tool_calls": [CALL]}, {"role": "user", "content": "x"}], "has no result"),
        ([{"role": "assistant", "content": "x"}, {"role": "tool", "content": "y", "tool_call_id": "c"}], "no call"),
        ([{"role": "narrator", "content": "x"}], "narrator"),
    ],
)
def test_what_openai_refuses(messages: list[dict[str, Any]], why: str, manager: SessionManager, tmp_path: Path) -> None:
    """It is refused here, by name and with the reason, and no file is left."""
    fill(manager, "bad", messages)
    with pytest.raises(UnsupportedError, match=f"'bad'.*{why}"):
        manager.export_sessions(None, tmp_path / "a", format="openai")
    assert not (tmp_path / "a").exists()


def test_sharegpt(manager: SessionManager, tmp_path: Path) -> None:
    """The roles have the names of that form, and a call is JSON; an import reads it."""
    path = manager.export_session("talk", tmp_path / "a.jsonl", format="sharegpt")
    (line,) = lines(path)
    assert (line["id"], line["system"]) == ("talk", "Be kind")
    assert [said["from"] for said in line["conversations"]] == ["human", "gpt", "function_call", "observation", "gpt"]
    with open_store(tmp_path / "other") as other:
        assert other.import_sessions(path).messages == 6


def test_a_folder(manager: SessionManager, tmp_path: Path) -> None:
    """Each session has a file of its own; where one is taken, none is written."""
    for name in ("a/b", "a?b", "A/B", ".."):
        fill(manager, name, TALK[:2])
    paths = manager.export_sessions(None, tmp_path / "out", format="md")
    assert len({path.name.casefold() for path in paths}) == 5
    assert {path.parent for path in paths} == {tmp_path / "out"}
    paths[0].unlink()
    with pytest.raises(FileExistsError):
        manager.export_sessions(None, tmp_path / "out", format="md")
    assert not paths[0].exists()
    assert manager.export_sessions(["talk"], tmp_path / "out", format="md", overwrite=True) == [
        path for path in paths if path.name == "talk.md"
    ]


def test_a_family(manager: SessionManager, tmp_path: Path) -> None:
    """Each message is there once, and an import makes the same sessions, also those that begin alike by chance."""
    old = manager.create_session("talk 2", branch_from="talk", at=4)
    old.add_message({"role": "user", "content": "More"})
    old.update_metadata({"topic": "x"})
    manager.save_session(old)
    fill(manager, "other", [])
    fill(manager, "talk 3", [*TALK[:2], {"role": "user", "content": "Else"}])
    (path,) = manager.export_sessions(None, tmp_path / "a.json", format="family")
    assert path.read_text(encoding="utf-8").count("Be kind") == 1
    with open_store(tmp_path / "other") as other:
        report = other.import_sessions(path)
        assert report.unreadable == []
        for info in manager.list_sessions():
            session, twin = manager.load_session(info.name), other.load_session(info.name)
            assert twin.messages == session.messages
            assert (twin.created, twin.updated) == (session.created, session.updated)
        assert other.load_session("talk 2").metadata["topic"] == "x"
        assert other.load_session("talk 2").parent == "talk"


STATES = ["AB", "ABCD", "ABX", "", "ABCD", "ABC"]


@pytest.mark.parametrize("backend", ["files", "sqlite", "memory"])
def test_tags_of_a_family(backend: str, tmp_path: Path) -> None:
    """They come back with what they name, also where that is no beginning of its session, and of a branch too."""
    with open_store(tmp_path / "store", backend=backend) as manager:
        fill(manager, "s", [])
        for number, state in enumerate(STATES):
            session = manager.load_session("s")
            session.messages = [{"role": "user", "content": each} for each in state]
            manager.save_session(session)
            manager.history("s").tag(f"v{number}")
        branch = manager.create_session("s 2", branch_from="s", at=2)
        branch.add_message({"role": "user", "content": "Z"})
        manager.save_session(branch)
        manager.history("s 2").tag("new")
        manager.history("s 2").tag("old", 2)
        before = {name: _tags(manager, name) for name in ("s", "s 2")}
        assert list(before["s"].values()) == [list(state) for state in STATES]
        (path,) = manager.export_sessions(None, tmp_path / "a.json", format="family")
        assert path.read_text(encoding="utf-8").count('"D"') == 2, "what no session has any more"
        with open_store(tmp_path / "other", backend=backend) as other:
            assert other.import_sessions(path).unreadable == []
            assert {name: _tags(other, name) for name in ("s", "s 2")} == before
            assert [other.load_session(name).messages for name in ("s", "s 2")] == [
                manager.load_session(name).messages for name in ("s", "s 2")
            ]
            report = other.import_sessions(path, again=True)
            assert (report.messages, report.unchanged) == (0, 1)
            assert {name: _tags(other, name) for name in ("s", "s 2")} == before


def _tags(manager: SessionManager, name: str) -> dict[str, list[str]]:
    history = manager.history(name)
    return {label: [each["content"] for each in history.at(label).messages] for label in sorted(history.tags())}


@pytest.mark.parametrize("tag", [1, {}, {"label": "x", "at": 9}, {"label": "x", "at": 0, "messages": [1]}])
def test_tags_that_are_none(tag: Any, manager: SessionManager, tmp_path: Path) -> None:
    """They are an error of the file, and nothing of it is stored."""
    (path,) = manager.export_sessions(None, tmp_path / "a.json", format="family")
    document = json.loads(path.read_bytes())
    document["sessions"][0]["tags"] = [tag]
    path.write_text(json.dumps(document))
    with open_store(tmp_path / "other") as other:
        assert "tag" in str(other.import_sessions(path).unreadable)
        assert other.list_sessions() == []


def test_odd_tags(manager: SessionManager, tmp_path: Path) -> None:
    """One of a branch may be of what was before the fork; one whose label is impossible is left out, with a note."""
    (path,) = manager.export_sessions(None, tmp_path / "a.json", format="family")
    document = json.loads(path.read_bytes())
    tags = [{"label": "early", "at": 1}, {"label": "\0", "at": 2}, {"label": "0123456789ab:3", "at": 3}]
    document["sessions"].append({"name": "two", "parent": "talk", "at": 4, "messages": [{"role": "x"}], "tags": tags})
    path.write_text(json.dumps(document))
    with open_store(tmp_path / "other") as other:
        report = other.import_sessions(path)
        assert (report.unreadable, len(report.notes)) == ([], 2)
        assert [len(other.history("two").at(label)) for label in other.history("two").tags()] == [1]
        assert other.load_session("two").messages == [*TALK[:4], {"role": "x"}]
    with SessionManager(storage=Four()) as plain:
        assert "early" in str(plain.import_sessions(path).notes)
        assert plain.load_session("two").messages == [*TALK[:4], {"role": "x"}]


def test_preference_pairs(manager: SessionManager, tmp_path: Path) -> None:
    """Of two answers to one prompt the one that was gone on with is preferred; ties and edited prompts make none."""
    question = [{"role": "user", "content": "Where to?"}]
    first = [*question, {"role": "assistant", "content": "North"}]
    more = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Cool"}]
    second = [*question, {"role": "assistant", "content": None, "tool_calls": [CALL]}]
    second += [{"role": "tool", "content": "map", "tool_call_id": "c1"}, {"role": "assistant", "content": "South"}]
    fill(manager, "a", first)
    fill(manager, "b", [*second, *more])
    fill(manager, "c", [*first[:1], {"role": "assistant", "content": "East"}])
    fill(manager, "d", [{"role": "user", "content": "Edited?"}, {"role": "assistant", "content": "West"}])
    (path,) = manager.export_sessions(["a", "b", "c", "d"], tmp_path / "p", format="trl")
    found = lines(path)
    assert [(line["prompt"], line["chosen"][-1]["content"]) for line in found] == [(question, "South")] * 2
    assert sorted(line["rejected"][0]["content"] for line in found) == ["East", "North"]
    assert [message["role"] for message in found[0]["chosen"]] == ["assistant", "tool", "assistant"]
    session = manager.load_session("c")
    session.update_metadata({"coda_fs_session.import": {"current": True}})
    manager.save_session(session)
    (path,) = manager.export_sessions(["a", "b", "c"], tmp_path / "q", format="dpo", prefer="current")
    assert [line["preferred_output"][0]["content"] for line in lines(path)] == ["East", "East"]
    assert all(line["input"]["messages"] == question for line in lines(path))
    with pytest.raises(ValueError, match="continued"):
        manager.export_sessions(None, tmp_path / "r", format="dpo", prefer="best")
    with pytest.raises(ValueError, match="export_sessions"):
        manager.export_session("a", tmp_path / "r", format="dpo")  # type: ignore[arg-type]
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("backend", ["files", "sqlite", "memory"])
def test_pairs_by_a_tag(backend: str, tmp_path: Path) -> None:
    """Answers in states with the tag are preferred, also where nothing shows them now; without the tag it is told."""
    question = {"role": "user", "content": "Where to?"}
    with open_store(tmp_path / "store", backend=backend) as manager:
        for name, text in (("a", "North"), ("b", "South")):
            fill(manager, name, [question, {"role": "assistant", "content": text}])
        manager.history("b").tag("good")
        session = manager.load_session("b")
        session.messages = [question, {"role": "assistant", "content": "East"}]
        manager.save_session(session)
        manager.history("a").tag("bad")
        (path,) = manager.export_sessions(None, tmp_path / "p", format="trl", prefer="tag:good")
        assert [(line["chosen"][0]["content"], line["rejected"][0]["content"]) for line in lines(path)] == [
            ("South", "North"),
            ("South", "East"),
        ]
        for prefer, error in (("tag:none", UnsupportedError), ("tag:", ValueError)):
            with pytest.raises(error, match="tag"):
                manager.export_sessions(None, tmp_path / "q", format="trl", prefer=prefer)
        assert not (tmp_path / "q").exists()
