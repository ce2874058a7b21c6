"""Rows about reading: last messages, all messages, the list, and what there is to read."""

import os
from pathlib import Path

import orjson
from recipes.conversations import conversations, short_conversations

from .children import run
from .contenders.ours import Ours
from .contenders.sqlite import Sqlite
from .lab import Lab
from .measure import Check, Row, Summary, interleave, milliseconds, ratio, ready

LIMIT = 10
MB = 1_000_000


def last_messages(lab: Lab) -> Row:
    session, medium = lab.session(lab.scale.large), lab.session(lab.scale.medium)
    lab.end_programs()
    contenders = {name: ready(contender.last, session, LIMIT) for name, contender in lab.contenders.items()}
    shorter = f"ours on sqlite, {lab.scale.medium:,}"
    contenders[shorter] = ready(lab.on_sqlite.last, medium, LIMIT)
    results = milliseconds(interleave(contenders, lab.rounds(20)))
    checks = [
        ratio(results, "ours", "sqlite", must=3, aim=1),
        ratio(results, "ours on sqlite", "sqlite"),
        ratio(results, "ours on sqlite", shorter, must=1.5),
    ]
    return Row(f"last {LIMIT} of {lab.scale.large:,} messages, everything opened anew", results, checks)


def memory_of_last_messages(lab: Lab) -> Row:
    session = lab.session(lab.scale.large)
    grown: dict[str, list[float]] = {name: [] for name in lab.contenders}
    peaks: dict[str, list[float]] = {name: [] for name in lab.contenders}
    for _ in range(lab.rounds(5)):
        for name in lab.contenders:
            arguments = [name, str(lab.shared), session, str(LIMIT)]
            growth, peak = run(["-m", "benchmarks.memory", *arguments]).split()
            grown[name].append(int(growth) / MB)
            peaks[name].append(int(peak) / MB)
    results = {f"{name}, the read": Summary.of(values, "MB") for name, values in grown.items()}
    results |= {f"{name}, the process": Summary.of(values, "MB") for name, values in peaks.items()}

    def more(what: str) -> float:
        return results[f"ours, {what}"].median - results[f"sqlite, {what}"].median

    checks = [
        Check("ours - sqlite, the read", more("the read"), must=10, unit="MB"),
        Check("ours - sqlite, the process", more("the process"), unit="MB"),
    ]
    return Row(f"memory for the last {LIMIT} of {lab.scale.large:,} messages", results, checks)


def all_messages(lab: Lab) -> Row:
    session = lab.session(lab.scale.medium)
    lab.end_programs()
    contenders = {name: ready(contender.load, session) for name, contender in lab.contenders.items()}
    # Live dicts, whose every change a save must find: these cost the same once more.
    contenders["ours, session.messages"] = ready(lab.ours.load_live, session)
    results = milliseconds(interleave(contenders, lab.rounds(40)))
    checks = [
        ratio(results, "ours", "raw", must=1.6, aim=1.3),
        ratio(results, "ours", "sqlite"),
        ratio(results, "ours, session.messages", "raw"),
    ]
    return Row(f"load of all {lab.scale.medium:,} messages, everything opened anew", results, checks)


def list_of_sessions(lab: Lab) -> Row:
    folder, number = lab.spare(), lab.scale.sessions
    ours, sqlite = Ours(folder, durable=False), Sqlite(folder, durable=False)
    for serial in range(number):
        messages = lab.messages.take(2)
        ours.fill(f"session-{serial}", messages)
        sqlite.bulk(f"session-{serial}", messages)
    ours.manager.close()
    _, listed = ours.list_sessions()
    if len(listed) != number:
        raise RuntimeError(f"{len(listed)} of {number} sessions are listed")
    contenders = {
        "raw scandir + stat": ready(scan, ours.store / "refs"),
        "sqlite": ready(sqlite.list_sessions),
        "ours": ready(ours.list_sessions),
    }
    results = milliseconds(interleave(contenders, lab.rounds(30)))
    checks = [ratio(results, "ours", "raw scandir + stat", must=2, aim=1.4), ratio(results, "ours", "sqlite")]
    return Row(f"list of {number:,} sessions, a new manager, the index warm", results, checks)


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


def scan(refs: Path | os.DirEntry[str]) -> list[os.stat_result]:
    """Look at every ref file once, as a list that is always right must."""
    found = []
    with os.scandir(refs) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                found += scan(entry)
            else:
                found.append(entry.stat(follow_symlinks=False))
    return found


def bytes_on_disk(lab: Lab) -> Row:
    folder = lab.spare()
    ours = Ours(folder, durable=False, compress_messages=False)
    sqlite = Sqlite(folder, durable=False)
    raw = 0
    for conversation in (*conversations(), *short_conversations(lab.scale.short_conversations)):
        raw += len(orjson.dumps(conversation)) + 1
        name, messages = conversation["id"], conversation["messages"]
        session = ours.manager.create_session(name)
        session.messages = messages
        session.update_metadata({"source": conversation["source"], **conversation["metadata"]})
        ours.manager.save_session(session)
        sqlite.bulk(name, messages)
    results = {
        "raw, as JSON lines": Summary.once(raw, "B"),
        "sqlite, without the metadata": Summary.once(sqlite.stored_bytes(), "B"),
        "ours": Summary.once(ours.stored_bytes(), "B"),
    }
    check = ratio(results, "ours", "raw, as JSON lines", must=1.25, aim=1.1)
    return Row(
        "bytes on disk for the conversations in fixtures/ and short ones like them, not compressed", results, [check]
    )
