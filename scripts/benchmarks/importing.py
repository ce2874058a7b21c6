"""The row about importing: an export of another program, the first time and again."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from coda_fs_session import Session, SessionManager

from .contenders.ours import Ours
from .lab import Lab
from .measure import Check, Prepare, Row, interleave, milliseconds, ratio

LENGTH = 10


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
