"""What an import makes of odd content, and of this package's own files and OpenAI's."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
import zstandard
from storekit import open_store

from coda_fs_session import ExportError, Session, SessionManager
from coda_fs_session.interchange import formats, sources
from coda_fs_session.manager import importing

from .chats import chatgpt, claude_code, put
from .sessions import counts, main, said


@pytest.fixture
def manager(tmp_path: Path) -> SessionManager:
    return open_store(tmp_path / "store")


def test_a_session_that_is_too_large(tmp_path: Path) -> None:
    """It is told, and the others are there; nothing of it is stored."""
    path = put(tmp_path, "c.json", chatgpt({"u1": None}, {"u9": None}, texts={"u9": "x" * 200_000}))
    with open_store(tmp_path / "store", max_session_size=0.1) as manager:
        report = manager.import_sessions(path)
        assert len(report.unreadable) == 1
        assert "max_session_size" in report.unreadable[0]
        assert said(manager) == {("u1",)}


def test_what_json_refuses(manager: SessionManager, tmp_path: Path) -> None:
    """Lone surrogates, NaN and long integers become what can be stored, with a note each."""
    data = chatgpt({"u1": None}, texts={"u1": "\ud800!"}).replace(b"1695326273.5", b"NaN").replace(b'"T', b'"\\ud800T')
    report = manager.import_sessions(put(tmp_path, "c.json", data))
    assert main(manager).messages[0]["content"] == "\ufffd!"
    assert len(report.notes) >= 2


def test_large_files_leave_their_messages(manager: SessionManager, tmp_path: Path) -> None:
    """Base64 of more than 250 kB goes to the folder that is given, by its hash; without one the hash stays."""
    data = bytes(range(256)) * 1000
    line = json.loads(claude_code(("u1", None)))
    source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(data).decode()}
    line["message"]["content"] = [{"type": "image", "source": source}]
    path = put(tmp_path, "s1.jsonl", json.dumps(line).encode() + b"\n")
    manager.import_sessions(path, assets=tmp_path / "assets")
    digest = hashlib.sha256(data).hexdigest()
    (message,) = main(manager).messages
    assert message["attachments"] == [{"mime": "image/png", "size": len(data), "sha256": digest}]
    assert len(json.dumps(message)) < 1000
    assert (tmp_path / "assets" / digest).read_bytes() == data


def test_own_json(manager: SessionManager, tmp_path: Path) -> None:
    """A session that this package exported keeps its name, and is the same one where it still is."""
    session = manager.create_session("holiday")
    session.add_message({"role": "user", "content": "text of sun", "n": 2**63})
    session.update_metadata({"topic": "travel"})
    manager.save_session(session)
    path = manager.export_session("holiday", tmp_path / "holiday.json")
    manager.import_sessions(path)
    assert [info.name for info in manager.list_sessions()] == ["holiday"]
    with open_store(tmp_path / "other") as other:
        other.import_sessions(path)
        found = other.load_session("holiday")
        assert found.messages == session.messages
        assert found.metadata["topic"] == "travel"
        assert (found.created, found.updated) == (session.created, session.updated)
        other.create_session("holiday two")
        assert other.import_sessions(path, again=True).messages == 0


def test_own_json_of_what_was_deleted(manager: SessionManager, tmp_path: Path) -> None:
    """An export brings a deleted session back; what came from one and was deleted stays so, until it is asked for."""
    manager.save_session(Session("holiday", [{"role": "user", "content": "sun"}]))
    path = manager.export_session("holiday", tmp_path / "holiday.json")
    manager.delete_session("holiday")
    assert manager.import_sessions(path).new == 1
    manager.delete_session("holiday")
    assert manager.import_sessions(path).new == 0
    path.write_bytes(path.read_bytes().replace(b"sun", b"moon"))
    assert manager.import_sessions(path).new == 0
    assert manager.import_sessions(path, again=True).new == 1
    assert manager.load_session("holiday").messages[0]["content"] == "moon"


def test_lines_of_openai(manager: SessionManager, tmp_path: Path) -> None:
    """Messages are stored untouched; lines that begin alike are one chat with branches, and one may go on."""
    first = [{"role": "system", "content": "text of s"}, {"role": "user", "content": "text of u"}]
    answers = [{"role": "assistant", "content": f"text of {n}", "weight": n} for n in range(2)]
    lines = [{"messages": [*first, answer], "tools": []} for answer in answers]
    path = put(tmp_path, "t.jsonl", b"".join(json.dumps(each).encode() + b"\n" for each in lines))
    assert counts(manager.import_sessions(path)) == (1, 1, 0, 4, 1, 0, 0)
    assert said(manager) == {("s", "u", "0"), ("s", "u", "1")}
    assert main(manager).messages == [*first, answers[0]]
    assert counts(manager.import_sessions(path, again=True)) == (1, 0, 0, 0, 0, 1, 0)


@pytest.mark.parametrize("data", [b'{"messages": []}\n', b'{"conversations": [], "from": 1, "value": 1}\n'])
def test_a_chat_without_messages(data: bytes, manager: SessionManager, tmp_path: Path) -> None:
    """It makes no session, and is told: it once ended the import with an IndexError."""
    report = manager.import_sessions(put(tmp_path, "a.jsonl", data))
    assert (report.conversations, report.unreadable, len(report.notes)) == (0, [], 1)


@pytest.mark.parametrize("before", [b"\n", b"  \n\n", b"{broken\n", b"3\n"])
def test_lines_that_are_none_before_a_chat(before: bytes, manager: SessionManager, tmp_path: Path) -> None:
    """A chat is read from its own line: an empty line before it once ended the import with an error of JSON."""
    made = [json.dumps({"messages": [{"role": "user", "content": each}]}).encode() + b"\n" for each in ("a", "b")]
    report = manager.import_sessions(put(tmp_path, "train.jsonl", made[0] + before + made[1]))
    assert said(manager) == {("a",), ("b",)}
    assert (report.conversations, len(report.notes)) == (2, 0 if not before.strip() else 1)


def test_a_compressed_file_that_is_damaged(manager: SessionManager, tmp_path: Path) -> None:
    """It is told, and the other files are read: an error of zstandard once ended the import."""
    line = {"type": "response_item", "payload": {"type": "message", "role": "user", "content": "text of u1"}}
    whole = zstandard.compress(json.dumps(line).encode() + b"\n")
    put(tmp_path, "in/a.jsonl.zst", whole[:4] + b"\xff" * 30)
    put(tmp_path, "in/b.jsonl.zst", whole)
    report = manager.import_sessions(tmp_path / "in")
    assert "a.jsonl.zst cannot be unpacked" in report.unreadable[0]
    assert said(manager) == {("u1",)}


def test_a_reader_that_fails(manager: SessionManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a mistake of its own, in telling the format or in reading: it is told, and the other files are read."""
    put(tmp_path, "in/a.json", json.dumps([{"mapping": {}, "title": "A"}]).encode())
    put(tmp_path, "in/s1.jsonl", claude_code(("u1", None)))

    def fail(given: Any, *_: Any) -> bool:
        if isinstance(given, sources.Head) and given.kind == b"{":
            return False
        raise ZeroDivisionError

    for part in ("fits", "links", "read"):
        broken = formats.FORMATS["chatgpt"]._replace(**{part: fail})
        with monkeypatch.context() as patch:
            patch.setitem(formats.FORMATS, "chatgpt", broken)
            report = manager.import_sessions(tmp_path / "in", again=True)
        assert any("mistake" in each and "ZeroDivisionError" in each for each in report.unreadable), part
        assert said(manager) == {("u1",)}


@pytest.mark.parametrize("error", [OSError("gone"), ValueError("gone"), KeyError("gone")])
def test_progress_that_fails(error: Exception, manager: SessionManager, tmp_path: Path) -> None:
    """Its error ends the import, at what is new and at what was passed over: it once passed for one of the file."""

    def fail(_: object) -> None:
        raise error

    path = put(tmp_path, "c.json", chatgpt({"u1": None, "a1": "u1"}))
    for more in (b"", b" "):
        path.write_bytes(path.read_bytes() + more)
        with pytest.raises(type(error), match="gone"):
            manager.import_sessions(path, progress=fail)
        manager.import_sessions(path)


def test_names_that_are_none(manager: SessionManager, tmp_path: Path) -> None:
    """A name that no session can have is an error of its file: it once ended the import."""
    sessions = [{"name": name, "messages": [{"role": "user", "content": "a"}]} for name in ("one", "x" * 300)]
    put(tmp_path, "in/a.json", json.dumps({"coda_fs_session.family": 1, "sessions": sessions}).encode())
    put(tmp_path, "in/s1.jsonl", claude_code(("u1", None)))
    assert "name" in str(manager.import_sessions(tmp_path / "in").unreadable)
    assert said(manager) == {("u1",)}


def test_a_compressed_file_that_is_cut() -> None:
    """Wherever it is, reading to its end is an error: it once passed for a shorter file."""
    content = b"".join(b"line %d\n" % number for number in range(9_000))
    packed = zstandard.compress(content[:50_000]) + zstandard.compress(content[50_000:])
    border = len(zstandard.compress(content[:50_000]))
    for cut in (*range(1, 50), *range(border - 9, border + 9), *range(len(packed) - 9, len(packed) + 1)):
        with sources.plain(sources.in_memory("a.jsonl.zst", packed[:cut])) as stream:
            if cut in (border, len(packed)):
                assert stream.read() == content[: 50_000 if cut == border else None]
                continue
            with pytest.raises(ExportError, match="it is cut"):
                stream.read()


def test_a_folder_that_cannot_be_read(manager: SessionManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One below that which is given is told, and the others are read; that which is given is an error."""
    put(tmp_path, "in/a/c.json", b"[]")
    put(tmp_path, "in/b/conversations.json", chatgpt({"u1": None}))
    scan = os.scandir

    def refusing(path: str) -> object:
        if path.endswith("a"):
            raise PermissionError(errno.EACCES, "no", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    report = manager.import_sessions(tmp_path / "in")
    assert (len(report.unreadable), report.new) == (1, 1)
    with pytest.raises(PermissionError):
        manager.import_sessions(tmp_path / "in" / "a")


def test_two_candidates(manager: SessionManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may be of two formats is an error that names both, and no question."""
    path = put(tmp_path, "c.json", chatgpt({"u1": None}))
    both = formats.FORMATS["claude"]._replace(fits=lambda _: True)
    monkeypatch.setitem(formats.FORMATS, "claude", both)
    with pytest.raises(ExportError, match="chatgpt or claude"):
        formats.format_of(sources.in_memory("c.json", path.read_bytes()))
    assert "chatgpt or claude" in manager.import_sessions(path).unreadable[0]
    assert manager.import_sessions(path, format="chatgpt").new == 1


def test_links_are_looked_for_once(manager: SessionManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a file shares with others is found by reading it: not once more when the import is noted."""
    path = put(tmp_path, "s1.jsonl", claude_code(("u1", None)))
    kind, looked = formats.FORMATS["claude-code"], list[str]()
    counting = kind._replace(links=lambda file: looked.append(file.name) or kind.links(file))  # type: ignore[func-returns-value]
    monkeypatch.setitem(formats.FORMATS, "claude-code", counting)
    assert manager.import_sessions(path).new == 1
    assert looked == ["s1.jsonl"]


def test_a_family(manager: SessionManager, tmp_path: Path) -> None:
    """Sessions of one file come with what they branched from; one that names no session before it is an error."""
    page = Path(importing.__file__).parents[1] / "docs" / "formats" / "coda.md"
    document = json.loads(page.read_text(encoding="utf-8").split("```json\n")[1].split("```")[0])
    manager.import_sessions(put(tmp_path, "trip.json", json.dumps(document).encode()))
    trip, other = manager.load_session("trip"), manager.load_session("trip to the mountains")
    assert [message["content"] for message in other.messages] == ["Where to?", "The Alps."]
    assert (other.parent, len(trip)) == ("trip", 2)
    kept = manager.export_sessions(None, tmp_path / "family.json", format="family")
    assert counts(manager.import_sessions(*kept)) == (1, 0, 0, 0, 0, 1, 0)
    with open_store(tmp_path / "other") as store:
        for session in (trip, other):
            store.save_session(Session(session.name, session.get_messages()))
        # What is there already is nothing new, branches neither.
        assert counts(store.import_sessions(*kept)) == (1, 0, 0, 0, 0, 1, 0)
    for bad in ({"parent": "nobody"}, {"at": 9}, {"at": True}, {"name": "trip"}, {"messages": {}}, {"messages": [1]}):
        broken = json.loads(json.dumps(document))
        broken["sessions"][1] |= bad
        report = manager.import_sessions(put(tmp_path, "bad.json", json.dumps(broken).encode()))
        assert len(report.unreadable) == 1
    assert len(manager.list_sessions()) == 2


def test_what_the_source_took_out(manager: SessionManager, tmp_path: Path) -> None:
    """It stays here, and what came in its place is a branch; a record that comes late goes to its place instead."""
    path = put(tmp_path, "c.json", chatgpt({"u1": None, "a1": "u1", "u2": "a1"}))
    manager.import_sessions(path)
    path.write_bytes(chatgpt({"u1": None, "a0": "u1", "a1": "a0", "u2": "a1"}))
    manager.import_sessions(path)
    assert said(manager) == {("u1", "a0", "a1", "u2")}
    path.write_bytes(chatgpt({"u1": None, "a9": "u1", "u2": "a9"}))
    manager.import_sessions(path)
    assert said(manager) == {("u1", "a0", "a1", "u2"), ("u1", "a9", "u2")}
    # All of them, in another order.
    path.write_bytes(chatgpt({"u1": None, "a1": "u1", "a0": "a1", "u2": "a0"}))
    manager.import_sessions(path)
    assert said(manager) == {("u1", "a0", "a1", "u2"), ("u1", "a9", "u2"), ("u1", "a1", "a0", "u2")}


def test_what_a_source_without_ids_took_out(manager: SessionManager, tmp_path: Path) -> None:
    """Messages without ids are not taken for each other: none is overwritten."""
    for last in ("c", "d"):
        messages = [{"role": "user", "content": text} for text in ("a", "b", last)]
        manager.import_sessions(put(tmp_path, "x.jsonl", json.dumps({"messages": messages}).encode() + b"\n"))
    assert said(manager) == {("a", "b", "c"), ("a", "b", "d")}


def test_what_is_kept_of_a_chat(manager: SessionManager, tmp_path: Path) -> None:
    """The first session of a chat has it, once: its branches do not repeat it."""
    (chat,) = json.loads(chatgpt({"u1": None, "a1": "u1", "a2": "u1"}))
    manager.import_sessions(put(tmp_path, "c.json", json.dumps([chat | {"extra": 1}]).encode()))
    kept = {bool(info.parent): info.metadata.get("source") for info in manager.list_sessions()}
    assert kept == {False: {"extra": 1}, True: None}
