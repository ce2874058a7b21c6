"""What holds for every format when its sources are imported by several machines, and with redaction."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from storekit import open_store, tree

from coda_fs_session import Redact

from .chats import chatgpt, put
from .corpus import CORPUS, found
from .databases import database
from .test_corpus import sessions, written
from .test_llm import RESPONSES

MORE = {"id": "r3", "prompt": "word1", "response": "word2", "conversation_id": "t1"}
LONGER = {"conversations": [{"from": who, "value": f"word{n}"} for n, who in enumerate(["human", "gpt", "human"], 1)]}
SHORTER = {"conversations": LONGER["conversations"][:2]}
NEW = CORPUS | {
    "llm": {"logs.db": database(RESPONSES | {"responses": [*RESPONSES["responses"], MORE]})},
    "sharegpt": {"a.jsonl": b"".join(json.dumps(each).encode() + b"\n" for each in (SHORTER, LONGER))},
}
LAST_FILES = {"opencode": "m2", "gptme": "branches"}
"""What is in the names of those that came last."""
LAST_OF: dict[str, tuple[int | str, ...]] = {
    "chatgpt": (0, "mapping"),
    "claude": (0, "chat_messages"),
    "coda": ("sessions",),
    "langchain": (),
    "api": (),
    "openwebui": (0, "chat", "history", "messages"),
    "librechat": ("messages",),
}


def older(name: str) -> dict[str, bytes]:
    """Return the source of a format as it was before the last thing in it."""
    if name == "llm":
        return {"logs.db": database(RESPONSES)}
    files = dict(NEW[name])
    if name in LAST_FILES:
        return {path: data for path, data in files.items() if LAST_FILES[name] not in path}
    ((path, data),) = files.items()
    if name in LAST_OF:
        document = holder = json.loads(data)
        for step in LAST_OF[name]:
            holder = holder[step]
        holder.pop(list(holder)[-1] if isinstance(holder, dict) else -1)
        return {path: json.dumps(document).encode()}
    ends = data.rstrip().rindex(b"\n") + 1
    return {path: data[:ends]}


@pytest.mark.parametrize("name", sorted(NEW))
def test_machines_with_exports_of_different_age(name: str, tmp_path: Path) -> None:
    """After a sync all have what an import of the newest export makes, and no session twice."""
    made: list[Any] = []
    stores = [open_store(tmp_path / f"store {number}") for number in range(3)]
    for manager, files in zip(stores, (older(name), NEW[name], NEW[name]), strict=True):
        folder = tmp_path / f"in {len(made)}"
        written(folder, name, files)
        assert manager.import_sessions(folder).unreadable == []
        made.append(sessions(manager))
    assert made[0] != made[1] == made[2]
    for here, there in ((1, 0), (1, 2), (0, 2)):
        stores[here].sync(stores[there])
    for manager in stores:
        assert sessions(manager) == made[1]
        assert manager.import_sessions(folder, again=True).messages == 0
        manager.close()


@pytest.mark.parametrize("name", sorted(NEW))
def test_with_redaction(name: str, tmp_path: Path) -> None:
    """No secret is in the store or in a name, and a second import writes nothing: it compares with what hooks left."""
    written(tmp_path, name, NEW[name])
    stores = []
    for _ in range(2):
        with open_store(tmp_path / "store") as manager:
            manager.use(Redact(r"word\d+"))
            report = manager.import_sessions(tmp_path / name, again=True)
            assert (report.unreadable, report.messages > 0) == ([], not stores)
        stores.append(tree(tmp_path / "store"))
    assert stores[0] == stores[1]
    assert not found(repr(stores[0]).encode())


def test_what_is_said_of_sessions(tmp_path: Path) -> None:
    """The first session has what the messages have not; without a time of its own it has those of its messages."""
    (chat,) = json.loads(chatgpt({"u1": None, "a1": "u1", "a2": "u1"}))
    del chat["create_time"]
    put(tmp_path, "c.json", json.dumps([chat | {"plugin_ids": ["p"]}]).encode())
    with open_store(tmp_path / "store") as manager:
        manager.import_sessions(tmp_path / "c.json")
        found = {bool(info.parent): info for info in manager.list_sessions()}
    assert found[False].metadata["source"] == {"plugin_ids": ["p"]}
    assert "source" not in found[True].metadata
    assert {info.created_at.timestamp() for info in found.values()} == {1695326273.5}
