"""Rows about importing an export of another program: the first time, again, its memory and what it stores."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from coda_fs_session import Session, SessionManager

from .children import run
from .contenders import bytes_in
from .contenders.ours import Ours
from .lab import Lab
from .measure import Check, Prepare, Row, Summary, interleave, milliseconds, ratio

LENGTH = 10
MB = 10**6
USUAL = 150
"""So many messages make 1 GB of some 10,000 conversations."""
LONGEST = 50
"""The largest conversation is so small a part of an export."""
IMPORT = """
import json
import sys

from benchmarks.memory import peak
from coda_fs_session import SessionManager

with SessionManager(json.loads(sys.argv[1])) as manager:
    report = manager.import_sessions(sys.argv[2])
print(report.conversations, len(report.unreadable), peak())
"""


def an_export(lab: Lab) -> Row:
    """Against what it takes to parse the file and to save as many messages; again, against a list and parsing."""
    path = lab.spare() / "conversations.json"
    chats = [chat(serial, lab.messages.take(LENGTH)) for serial in range(lab.scale.imported)]
    path.write_bytes(orjson.dumps(chats))
    known = Ours(lab.spare()).config
    with SessionManager(known) as manager:
        manager.import_sessions(path)

    def new(act: Callable[[SessionManager, Path], object]) -> Prepare:
        return lambda _turn: partial(act, SessionManager(Ours(lab.spare()).config), path)

    def again(*, touched: bool) -> Prepare:
        def prepare(_turn: int) -> Callable[[], object]:
            if touched:
                os.utime(path)
            else:
                SessionManager(known).import_sessions(path)
            return partial(SessionManager(known).import_sessions, path)

        return prepare

    contenders: dict[str, Prepare] = {
        "parse, and save in bulk()": new(parsed_and_saved),
        "import": new(lambda manager, given: manager.import_sessions(given)),
        "parse": lambda _turn: lambda: orjson.loads(path.read_bytes()),
        "list": lambda _turn: SessionManager(known).list_sessions,
        "again, a new file": again(touched=True),
        "again, untouched": again(touched=False),
    }
    results = milliseconds(interleave(contenders, lab.rounds(3), warm_up=0))
    checks: list[Check] = [
        ratio(results, "import", "parse, and save in bulk()", must=2),
        ratio(results, "again, untouched", "list", must=2),
        ratio(results, "again, a new file", "parse", must=1.3),
    ]
    return Row(f"import of {lab.scale.imported:,} conversations of {LENGTH} messages", results, checks)


def memory(lab: Lab) -> Row:
    """The peak of a process that imports an export with one long conversation in its middle."""
    size = lab.scale.import_bytes
    path, folder = lab.spare() / "conversations.json", lab.spare()
    number = largest = 0
    with path.open("wb") as file:
        for data in chats_of(lab, size):
            file.write(b"," if number else b"[")
            file.write(data)
            number, largest = number + 1, max(largest, len(data))
        file.write(b"]")
    imported, unreadable, peak = map(
        int, run(["-c", IMPORT, orjson.dumps(Ours(folder).config).decode(), str(path)]).split()
    )
    if (imported, unreadable) != (number, 0):
        raise RuntimeError(f"{imported} of {number} conversations were imported, {unreadable} not read")
    path.unlink()
    results = {
        "the process": Summary.once(peak / MB, "MB"),
        "the largest conversation": Summary.once(largest / MB, "MB"),
    }
    checks = [Check("the process - 6 x the largest conversation", (peak - 6 * largest) / MB, must=150, unit="MB")]
    return Row(f"memory for the import of {size // MB:,} MB", results, checks)


def chats_of(lab: Lab, size: int) -> Iterator[bytes]:
    """Yield the chats of an export of so many bytes."""
    longest = int(size / LONGEST / lab.messages.mean_bytes)
    written = serial = 0
    while written < size:
        length = USUAL
        if longest and 2 * written >= size:
            length, longest = longest, 0
        data = orjson.dumps(chat(serial, lab.messages.take(length)))
        written, serial = written + len(data), serial + 1
        yield data


def stored(lab: Lab) -> Row:
    """What a store has of an export beside the records in it that became messages."""
    path, ours = lab.spare() / "conversations.json", Ours(lab.spare(), durable=False)
    chats = [chat(serial, lab.messages.take(LENGTH)) for serial in range(lab.scale.imported)]
    path.write_bytes(orjson.dumps(chats))
    records = sum(len(orjson.dumps(node["message"])) for given in chats for node in given["mapping"].values())
    with ours.manager as manager:
        manager.import_sessions(path, keep="rest")
    results = {"records": Summary.once(records / MB, "MB"), "store": Summary.once(bytes_in(ours.store) / MB, "MB")}
    checks = [ratio(results, "store", "records", must=1.3)]
    return Row(f"bytes of an import of {lab.scale.imported:,} conversations of {LENGTH} messages", results, checks)


def chat(serial: int, messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Return messages as ChatGPT exports them."""
    mapping: dict[str, Any] = {}
    for place, message in enumerate(messages):
        said = {
            "author": {"role": message["role"]},
            "create_time": 1_700_000_000.5 + place,
            "content": {"content_type": "text", "parts": [str(message.get("content"))]},
            "recipient": "all",
        }
        mapping[f"n{place}"] = {"id": f"n{place}", "parent": f"n{place - 1}" if place else None, "message": said}
    return {"title": f"Chat {serial}", "conversation_id": f"c{serial}", "mapping": mapping}


def parsed_and_saved(manager: SessionManager, path: Path) -> None:
    """Do the least that an import has to: no branches, no names, nothing to tell it from another one later."""
    with manager.bulk():
        for given in orjson.loads(path.read_bytes()):
            messages = [
                {"role": node["message"]["author"]["role"], "content": node["message"]["content"]["parts"][0]}
                for node in given["mapping"].values()
            ]
            manager.save_session(Session(given["conversation_id"], messages))
