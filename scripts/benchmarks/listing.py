"""Rows about the list of sessions, and about totals over them."""

import os
import shutil
from collections.abc import Callable
from dataclasses import fields
from itertools import count
from operator import attrgetter
from pathlib import Path

import orjson

from coda_fs_session import SessionInfo, SessionManager

from .contenders.ours import Ours
from .contenders.sqlite import Sqlite
from .lab import Lab
from .measure import Check, Prepare, Row, interleave, milliseconds, ratio, ready

EVERY_FIELD = attrgetter(*(field.name for field in fields(SessionInfo) if field.name != "preview"))
"""Of what a list is for; previews are decoded where somebody looks at one, and read apart."""
SCAN = "raw scandir + stat"


def list_of_sessions(lab: Lab) -> Row:
    """With the index as it was left; and after another process has saved a message, which did not list."""
    number, *more = lab.scale.many
    sqlite = Sqlite(lab.spare(), durable=False)
    for serial in range(number):
        sqlite.bulk(f"session-{serial}", lab.messages.take(2))
    contenders: dict[str, Prepare] = {"sqlite": ready(sqlite.list_sessions)}
    afterwards: dict[str, Prepare] = {}
    for size in lab.scale.many:
        ours = lab.store_of(size)
        if len(ours.list_sessions()[1]) < size:
            raise RuntimeError(f"not all of {size} sessions are listed")
        contenders[f"{SCAN}, {size:,}"] = ready(scan, ours.store / "refs")
        contenders[f"ours, {size:,}"] = ready(listed, ours)
        contenders[f"ours with previews, {size:,}"] = ready(previewed, ours)
        afterwards[f"ours after a save, {size:,}"] = after_a_save(lab, ours)
        afterwards[f"{SCAN} after it, {size:,}"] = ready(scan, ours.store / "refs")
    # Apart: a list right after a save leaves the next one something to do.
    results = milliseconds(interleave(contenders, lab.rounds(30)) | interleave(afterwards, lab.rounds(30)))
    checks = []
    for size in lab.scale.many:
        first = size == number
        one, other = f"ours, {size:,}", f"ours after a save, {size:,}"
        checks.append(ratio(results, one, f"{SCAN}, {size:,}", must=2 if first else None, aim=1.4))
        checks.append(ratio(results, other, f"{SCAN} after it, {size:,}", must=2.3 if first else None))
    for size in more:
        for what in ("ours", "ours after a save"):
            each_of = {total: results[f"{what}, {total:,}"].median / total for total in (size, number)}
            what = f"{what}, a session of {size:,} / of {number:,}"
            checks.append(Check(what, each_of[size] / each_of[number], must=1.2))
    checks.append(ratio(results, f"ours with previews, {number:,}", f"ours, {number:,}"))
    checks.append(ratio(results, f"ours, {number:,}", "sqlite"))
    return Row("list of sessions, every field read, a new manager", results, checks)


def listed(ours: Ours) -> object:
    manager, infos = ours.list_sessions()
    return manager, [EVERY_FIELD(info) for info in infos]


def previewed(ours: Ours) -> object:
    manager, infos = ours.list_sessions()
    return manager, [info.preview for info in infos]


def after_a_save(lab: Lab, ours: Ours) -> Prepare:
    def prepare(turn: int) -> Callable[[], object]:
        ours.list_sessions()
        other = SessionManager(ours.config)
        session = other.load_session(f"session-{turn}")
        session.add_message(lab.messages.next())
        other.save_session(session)
        return lambda: listed(ours)

    return prepare


def list_with_replicas(lab: Lab) -> Row:
    """Every session has a ref of each of several machines that took turns: all but one are earlier states of it."""
    results, checks = {}, []
    for replicas in (2, 5):
        number = lab.scale.sessions // 5
        ours = Ours(lab.spare(), durable=False)
        for serial in range(number):
            ours.fill(f"session-{serial}", lab.messages.take(1))
            for _ in range(replicas - 1):
                ours.save(f"session-{serial}", lab.messages.next())
        ours.manager.close()
        for ref in list(ours.store.glob("refs/**/*.jsonl")):
            lines = ref.read_bytes().splitlines(keepends=True)
            for other in range(1, replicas):
                folder = ours.store / "refs" / f"machine{other}-0000000{other}"
                folder.mkdir(exist_ok=True)
                (folder / ref.name).write_bytes(b"".join(lines[:-other]))
        ours.keep_index()
        _, listed = ours.list_sessions()
        if [info.message_count for info in listed] != [replicas] * number:
            raise RuntimeError(f"{len(listed)} sessions are listed, not {number} of {replicas} messages")
        contenders = {
            f"raw scandir + stat, {replicas} replicas": ready(scan, ours.store / "refs"),
            f"ours, {replicas} replicas": ready(ours.list_sessions),
        }
        results |= milliseconds(interleave(contenders, lab.rounds(30)))
        checks.append(ratio(results, *reversed(contenders), must=2, aim=1.4))
    return Row(
        f"list of {number:,} sessions that several replicas wrote, a new manager, the index warm", results, checks
    )


def scan(folder: Path | str) -> list[os.stat_result]:
    """Look at every file below a folder once, as a list that is always right must."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                found += scan(entry.path)
            else:
                found.append(entry.stat(follow_symlinks=False))
    return found


def first_list(lab: Lab) -> Row:
    """Of a store that another machine has made and a sync tool has brought: nothing is known of it here."""
    number = lab.scale.brought
    ours, states = lab.new_store_of(number), count()
    shutil.rmtree(ours.state)

    def prepare(_turn: int) -> Callable[[], object]:
        state = ours.store.with_name(f"state-{next(states)}")
        config = {"session": {**ours.config["session"], "state_path": str(state)}}

        def run() -> object:
            manager = SessionManager(config)
            return manager, manager.list_sessions()

        return run

    contenders: dict[str, Prepare] = {"raw": ready(read_all, ours.store / "refs"), "ours": prepare}
    results = milliseconds(interleave(contenders, lab.rounds(9)))
    check = ratio(results, "ours", "raw", must=3)
    return Row(f"first list of {number:,} sessions; raw reads each ref and decodes its first line", results, [check])


def read_all(folder: Path) -> list[object]:
    found = []
    for path, _, names in os.walk(folder):
        for name in names:
            with open(f"{path}/{name}", "rb", buffering=0) as file:
                found.append(orjson.loads(file.read().partition(b"\n")[0]))
    return found


def totals(lab: Lab) -> Row:
    number, length = lab.scale.long_conversations
    ours = lab.new_store_of(number, length)
    ours.manager.stats()
    contenders = {
        "list_sessions": ready(ours.list_sessions),
        "stats": ready(lambda: SessionManager(ours.config).stats()),
    }
    results = milliseconds(interleave(contenders, lab.rounds(30)))
    check = ratio(results, "stats", "list_sessions", must=2)
    return Row(f"totals over {number:,} sessions of {length} messages, a new manager", results, [check])
