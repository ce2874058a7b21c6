"""ChatGPT exports: every sibling is a branch, and every text is there."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

from coda_fs_session import ExportError
from coda_fs_session.interchange import sources
from coda_fs_session.interchange.tree import branches

from .trees import ids, needs_samples, paths, read, read_all, sample, whole


def said(role: str, content: Any, **others: Any) -> dict[str, Any]:
    content = {"content_type": "text", "parts": [content]} if isinstance(content, str) else content
    return {"author": {"role": role}, "content": content, "recipient": "all", **others}


def chat(*nodes: tuple[str, str | None, dict[str, Any] | None], **others: Any) -> dict[str, Any]:
    mapping = {name: {"id": name, "parent": parent, "message": message} for name, parent, message in nodes}
    return {"title": "T", "conversation_id": "c1", "mapping": mapping, **others}


FORKED = chat(
    ("root", None, None),
    ("u1", "root", said("user", "Hello there")),
    ("a1", "u1", said("assistant", "First answer", create_time=1695326273.5)),
    ("a2", "u1", said("assistant", "Second answer")),
    ("u2", "a2", said("user", "Thanks")),
    ("u1b", "root", said("user", "Hello again")),
    current_node="u2",
    create_time=1695326270.0,
)


def one(message: dict[str, Any], *before: tuple[str, str | None, dict[str, Any] | None]) -> dict[str, Any]:
    """Return what a record becomes."""
    parent = before[-1][0] if before else None
    (tree,) = read(json.dumps([chat(*before, ("it", parent, message))]).encode())
    return whole(tree)[0][-1]


def test_every_sibling_is_a_branch() -> None:
    """Answers that were asked for again, and prompts that were edited, are sessions with what came before."""
    (tree,) = read(json.dumps([FORKED]).encode())
    assert ids(tree) == {("u1", "a1"), ("u1", "a2", "u2"), ("u1b",)}
    assert [(branch.id, branch.parent, branch.at, branch.current) for branch in branches(tree)] == [
        ("", None, 0, False),
        ("a2", 0, 1, True),
        ("u1b", None, 0, False),
    ]
    assert tree.created is not None
    assert tree.created.year == 2023


def test_children_are_in_the_order_of_the_source() -> None:
    """Where a record lists its children, that is their order; exports without the lists have that of the records."""
    forked = json.loads(json.dumps(FORKED))
    forked["mapping"]["u1"]["children"] = ["a2", "a1"]
    (tree,) = read(json.dumps([forked]).encode())
    assert branches(tree)[0].ids == ["u1", "a2", "u2"]


def test_calls_and_results() -> None:
    """A message to a tool is a call, and what the tool says its result, also over several records of it."""
    call = said("assistant", {"content_type": "code", "language": "python", "text": "1 + 1"}, recipient="python")
    result = said("tool", {"content_type": "execution_output", "text": "2"})
    result["author"]["name"] = "python"
    made = one(call)
    assert made["content"] is None
    assert made["tool_calls"] == [{"id": "it", "type": "custom", "custom": {"name": "python", "input": "1 + 1"}}]
    answer = one(result, ("call", None, call), ("first", "call", result))
    assert (answer["role"], answer["content"], answer["tool_call_id"], answer["name"]) == (
        *("tool", "2", "call", "python"),
    )


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"content_type": "code", "text": "code!"}, "code!"),
        ({"content_type": "execution_output", "text": "out!"}, "out!"),
        ({"content_type": "tether_quote", "title": "t", "text": "quote!", "url": "u"}, "quote!"),
        ({"content_type": "tether_browsing_display", "result": "page!"}, "page!"),
        ({"content_type": "user_editable_context", "user_profile": "I am", "user_instructions": "Be"}, "I am\nBe"),
        ({"content_type": "of_tomorrow", "deep": [{"er": "text!"}]}, "text!"),
        ("plain", "plain"),
    ],
)
def test_every_content_type_has_its_text(content: Any, text: str) -> None:
    """Also those of tomorrow: the text is found wherever it is, and the whole stays beside it."""
    made = one({"author": {"role": "assistant"}, "content": content})
    assert made["content"] == text
    if isinstance(content, dict):
        assert made["source"]["content"]["content_type"] == content["content_type"]


def test_reasoning_is_apart() -> None:
    """Thoughts are never mixed into what was said."""
    thoughts = {"content_type": "thoughts", "thoughts": [{"summary": "Sum", "content": "Long"}, {"content": "More"}]}
    made = one(said("assistant", thoughts))
    assert made["content"] is None
    assert made["reasoning"] == [{"text": "Long", "summary": "Sum"}, {"text": "More"}]
    recap = one(said("assistant", {"content_type": "reasoning_recap", "content": "Thought for 5 s"}))
    assert recap["reasoning"] == [{"summary": "Thought for 5 s"}]


def test_images_and_files() -> None:
    """Where the bytes of an image are stays in a part; texts beside it are parts, too; files are attachments."""
    image = {"content_type": "image_asset_pointer", "asset_pointer": "file-service://file-1", "width": 3}
    message = said("user", {"content_type": "multimodal_text", "parts": [image, "What is it?", {"text": "spoken"}]})
    message["metadata"] = {"attachments": [{"id": "file-2", "name": "a.pdf", "size": 7, "mimeType": "application/pdf"}]}
    made = one(message)
    assert [part["type"] for part in made["content"]] == ["image_url", "text", "text"]
    assert made["content"][0]["image_url"] == {"url": "file-service://file-1"}
    assert made["content"][0]["source"]["width"] == 3
    assert made["attachments"] == [{"name": "a.pdf", "mime": "application/pdf", "size": 7, "pointer": "file-2"}]


def test_what_is_kept() -> None:
    """By default what the message does not have; nothing, or all, where that is asked for."""
    record = said("user", "Hi", metadata={"is_visually_hidden_from_conversation": True, "odd": [1]}, weight=0.5)
    data = json.dumps([chat(("it", None, record), gizmo_id=None)]).encode()
    rest, none, everything = (read(data, keep=keep)[0] for keep in ("rest", "none", "all"))
    assert whole(rest)[0][0] == {
        "role": "user",
        "content": "Hi",
        "id": "it",
        "hidden": True,
        "source": {"recipient": "all", "metadata": {"odd": [1]}, "weight": 0.5},
    }
    assert "source" not in whole(none)[0][0]
    assert whole(everything)[0][0]["source"] == record
    assert (rest.rest, none.rest) == ({"gizmo_id": None}, {})


def test_a_damaged_mapping() -> None:
    """Records that are no objects are left out with a note, and their children become first messages."""
    broken = chat(("a", None, said("user", "A")), ("b", "x", said("assistant", "B")))
    broken["mapping"]["x"] = None
    (tree,) = read(json.dumps([broken]).encode())
    assert ids(tree) == {("a",), ("b",)}
    assert len(tree.notes) >= 2


def test_shards_are_one_export() -> None:
    """They are read by their numbers; other files of the export are none, and one that is listed must be there."""
    files = {
        f"conversations-{number:03}.json": json.dumps([FORKED | {"conversation_id": f"c{number}"}]).encode()
        for number in (10, 2, 0)
    }
    trees, problems = read_all(files)
    assert [tree.id for tree in trees] == ["c0", "c2", "c10"]
    assert problems == []
    listed = {"logical_files": {"conversations.json": {"files": [*sorted(files)], "sharded": True}}}
    listing = {"export_manifest.json": json.dumps(listed).encode()}
    assert len(read_all(files | listing)[0]) == 3
    del files["conversations-002.json"]
    with pytest.raises(ExportError, match=r"conversations-002\.json"):
        read_all(files | listing)


def test_an_element_that_is_no_chat() -> None:
    """It is told, and the others are read."""
    trees, problems = read_all({"conversations.json": json.dumps([FORKED, 3, {"a": 1}]).encode()})
    assert len(trees) == 1
    assert len(problems) == 2


@pytest.mark.parametrize(
    "name", ["../conversations.json", "/etc/conversations.json", "a/../../conversations.json", "C:/x.json"]
)
def test_a_zip_file_that_leads_out(name: str) -> None:
    """A name that leads out of a zip file is an error before anything of it is read."""
    with pytest.raises(ExportError, match="leads out"):
        list(sources.unzipped(zipped({name: b"[]"})))


def zipped(files: dict[str, bytes]) -> sources.SourceFile:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return sources.in_memory("export.zip", data.getvalue())


def test_zip_files() -> None:
    """One is read as its folder would be; one that unpacks to far too much, or is damaged, is an error."""
    packed = zipped({"user.json": b"{}", "conversations.json": json.dumps([FORKED]).encode()})
    assert sources.is_zip(packed)
    found = {file.name: file for file in sources.unzipped(packed)}
    with found["conversations.json"].stream() as stream:
        assert json.loads(stream.read()) == [FORKED]
    with pytest.raises(ExportError, match="200 times"):
        list(sources.unzipped(zipped({"a.json": b" " * 10_000_000})))
    with packed.stream() as stream, pytest.raises(ExportError, match="no zip file"):
        list(sources.unzipped(sources.in_memory("cut.zip", stream.read()[:-30])))


def test_zip_files_that_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A link, an encrypted file, or more bytes in all than a limit: nothing of the zip file is given out."""
    made = zipped({"a.json": b"[1]", "b.json": b"[2]"})
    with made.stream() as stream:
        data = stream.read()
    directory = data.rindex(b"PK\x01\x02")
    for place, changed, told in ((8, b"\x01", "encrypted"), (40, (0o120777).to_bytes(2, "little"), "a link")):
        at = directory + place
        other = sources.in_memory("export.zip", data[:at] + changed + data[at + len(changed) :])
        with pytest.raises(ExportError, match=told):
            list(sources.unzipped(other))
    monkeypatch.setattr(sources, "MOST_IN_A_ZIP", 6)
    assert len(list(sources.unzipped(made))) == 2
    monkeypatch.setattr(sources, "MOST_IN_A_ZIP", 5)
    with pytest.raises(ExportError, match="more than 16 GiB"):
        list(sources.unzipped(made))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 97])
def test_damage_within_a_zip_file(method: int) -> None:
    """A file in it that is damaged, or compressed in a way that is not known, is an error that names the zip file."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_STORED if method == 97 else method) as made:
        made.writestr("conversations.json", json.dumps([FORKED] * 9))
    damaged = bytearray(data.getvalue())
    if method == 97:
        damaged[damaged.index(b"PK\1\2") + 10] = method
    else:
        for place in range(100, 140):
            damaged[place] ^= 0xFF
    (file,) = sources.unzipped(sources.in_memory("export.zip", bytes(damaged)))
    with pytest.raises(ExportError, match=r"^export\.zip cannot be unpacked"), file.stream() as stream:
        stream.read()


@needs_samples
def test_a_real_export() -> None:
    """Every path of the raw file is a session, and every text of it is in a message of its record."""
    data = sample("chatgpt", "conversations.json")
    (tree,) = read(data)
    (raw,) = json.loads(data)
    nodes = raw["mapping"].values()
    parents = {node["id"]: node["parent"] for node in nodes}
    assert ids(tree) == paths(parents, [node["id"] for node in nodes if node["message"]])
    texts = {message["id"]: json.dumps(message, ensure_ascii=False) for message in whole(tree)[0]}
    for node in nodes:
        content = node["message"]["content"] if node["message"] else {}
        for text in [content.get("text", ""), *content.get("parts", [])]:
            assert json.dumps(text, ensure_ascii=False)[1:-1] in texts.get(node["id"], "")
    kept = sum(len(json.dumps(node["message"])) for node in nodes)
    assert sum(len(json.dumps(message)) for message in whole(tree)[0]) <= 1.3 * kept
