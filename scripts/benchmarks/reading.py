"""Rows about reading: last messages, all messages, and what there is to read."""

import orjson
from recipes.conversations import conversations, short_conversations

from .children import run
from .contenders import bytes_in
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


def bytes_on_disk(lab: Lab) -> Row:
    folder = lab.spare()
    ours = Ours(folder, durable=False, compress_messages=False)
    on_sqlite = Ours(lab.spare(), durable=False, compress_messages=False, backend="sqlite")
    sqlite = Sqlite(folder, durable=False)
    raw = 0
    for conversation in (*conversations(), *short_conversations(lab.scale.short_conversations)):
        raw += len(orjson.dumps(conversation)) + 1
        name, messages = conversation["id"], conversation["messages"]
        for each in (ours, on_sqlite):
            session = each.manager.create_session(name)
            session.messages = messages
            session.update_metadata({"source": conversation["source"], **conversation["metadata"]})
            each.manager.save_session(session)
        sqlite.bulk(name, messages)
    results = {
        "raw, as JSON lines": Summary.once(raw, "B"),
        "sqlite, without the metadata": Summary.once(sqlite.stored_bytes(), "B"),
        "ours": Summary.once(ours.stored_bytes(), "B"),
        "ours on sqlite": Summary.once(on_sqlite.stored_bytes(), "B"),
    }
    checks = [
        ratio(results, "ours", "raw, as JSON lines", must=1.25, aim=1.1),
        ratio(results, "ours on sqlite", "raw, as JSON lines", must=1.3),
    ]
    return Row(
        "bytes on disk for the conversations in fixtures/ and short ones like them, not compressed", results, checks
    )


def bytes_of_the_state(lab: Lab) -> Row:
    """What the machine keeps beside a store, as a program leaves it that has listed and ended."""
    ours = lab.new_store_of(lab.scale.short_conversations, 20)
    results = {
        "the store": Summary.once(ours.stored_bytes(), "B"),
        "the state folder": Summary.once(bytes_in(ours.state), "B"),
    }
    check = ratio(results, "the state folder", "the store", must=0.5)
    return Row(f"bytes on disk for {lab.scale.short_conversations:,} sessions of 20 messages", results, [check])
