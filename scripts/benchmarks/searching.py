"""Rows about finding messages by what they say, beside a bare full-text table of the same texts, and beside grep."""

import random
import re
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from coda_fs_session import Session, SessionManager
from coda_fs_session.session.shapes import searched_text

from .contenders.ours import Ours
from .lab import Lab
from .measure import Check, Prepare, Row, interleave, milliseconds, ratio, ready

QUERIES = ("what", "starter", "how long should", '"the oven"', "left-handed", "kitch", "zzyzx")
SIGNS = "->"
ONE_IN = 1000
"""Messages of which one has signs that are looked for."""
OTHER_SCRIPTS = re.compile("[^\0-\u024f\u1e00-\u20cf]")


def first_build(lab: Lab) -> Row:
    """From a store that was listed to the first hit; bare puts the same texts, which it has in memory, into a table."""
    return _build(lab, english(lab), "English", most_time=2, most_size=0.6)


def first_build_of_chinese(lab: Lab) -> Row:
    number, length = lab.scale.searched
    ours = Ours(lab.spare(), durable=False)
    texts = chinese()
    with ours.manager as manager, manager.bulk():
        for serial in range(number // 10):
            messages = [{"role": "user", "content": next(texts)} for _ in range(length)]
            manager.save_session(Session(f"session-{serial}", messages))
    settle(ours)
    return _build(lab, ours, "Chinese", most_time=5, most_size=0.9)


def _build(lab: Lab, ours: Ours, language: str, *, most_time: float, most_size: float) -> Row:
    texts, folder, serials = texts_of(ours), lab.spare(), count()
    total = sum(len(text.encode()) for text in texts)

    def bare() -> object:
        return bare_table(folder / f"bare-{next(serials)}.db", texts)

    def build(_turn: int) -> Callable[[], object]:
        for path in ours.state.rglob("search.db*"):
            path.unlink()
        manager = SessionManager(ours.config)
        manager.list_sessions()
        return lambda: (manager, manager.search("what", limit=1))

    results = milliseconds(interleave({"bare": ready(bare), "ours": build}, lab.rounds(5)))
    with SessionManager(ours.config) as manager:
        manager.search("what", limit=1)
    (path,) = ours.state.rglob("search.db")
    # Programs that were not ended may have left some of it in the log.
    sqlite3.connect(path).execute("PRAGMA wal_checkpoint(TRUNCATE)")
    checks = [
        ratio(results, "ours", "bare", must=most_time),
        Check("size of the index / of the texts", path.stat().st_size / total, must=most_size),
        Check("size of the index / of the bare one", path.stat().st_size / (folder / "bare-0.db").stat().st_size),
    ]
    return Row(f"first search of {total / 1e6:.1f} MB of {language} in {len(texts):,} messages", results, checks)


def queries(lab: Lab) -> Row:
    """Twenty hits of each, with snippets and places, from a manager that has searched before."""
    ours = english(lab)
    folder = lab.spare()
    table = bare_table(folder / "bare.db", texts_of(ours))
    manager = SessionManager(ours.config)
    manager.search("what")
    contenders: dict[str, Prepare] = {}
    for query in QUERIES:
        plain = " ".join(f'"{word}"' for word in query.replace('"', "").split())
        contenders[f"bare {query}"] = ready(matches, table, plain)
        contenders[f"ours {query}"] = ready(manager.search, query)
    results = milliseconds(interleave(contenders, lab.rounds(30)))
    checks = []
    for query in QUERIES[:-2]:
        bare, took = results[f"bare {query}"].median, results[f"ours {query}"].median
        checks.append(Check(f"{query}: of 2 x bare, or of 5 ms", min(took / (2 * bare), took / 5), must=1))
    manager.close()
    return Row("a query in a store that was searched; the last two are no words in it", results, checks)


def matches(table: sqlite3.Connection, query: str) -> list[object]:
    return table.execute("SELECT rowid FROM words WHERE words MATCH ? ORDER BY rank LIMIT 20", (query,)).fetchall()


def after_one_message(lab: Lab) -> Row:
    """Saved by another process, in a store of many sessions of which one changed."""
    number = lab.scale.many[0]
    ours = lab.new_store_of(number)
    manager, other = SessionManager(ours.config), SessionManager(ours.config)
    manager.search("what")

    def news(turn: int) -> Callable[[], object]:
        session = other.load_session(f"session-{turn}")
        session.add_message(lab.messages.next())
        other.save_session(session)
        return lambda: manager.search("what")

    results = milliseconds(interleave({"no news": ready(manager.search, "what"), "one message": news}, lab.rounds(30)))
    manager.close()
    other.close()
    check = ratio(results, "one message", "no news", must=1.5)
    return Row(f"a search in {number:,} sessions, and the first one after a message was saved", results, [check])


def look_through(lab: Lab) -> Row:
    """For signs, which are in no index; grep looks into the same files, and into those that zstdcat writes out."""
    ours = english(lab)
    manager = SessionManager(ours.config)
    found = manager.search(SIGNS, limit=None)
    number, length = lab.scale.searched
    if not found.complete or len(found) < number * length // ONE_IN:
        raise RuntimeError(f"{len(found)} messages with {SIGNS} were found")
    compressed = f"find {ours.store} -name '*.zst' -exec zstdcat {{}} +"
    grep = f"grep -rhF -e '{SIGNS}' {ours.store}; {compressed} | grep -F -e '{SIGNS}'"
    contenders: dict[str, Prepare] = {
        "grep": ready(lambda: subprocess.run(["sh", "-c", grep], capture_output=True, check=False)),
        "ours": ready(lambda: manager.search(SIGNS, limit=None)),
    }
    results = milliseconds(interleave(contenders, lab.rounds(9)))
    manager.close()
    size = sum(len(text.encode()) for text in texts_of(ours))
    check = ratio(results, "ours", "grep", must=3)
    return Row(f"looking for {SIGNS} through {size / 1e6:.1f} MB of text, {len(found)} hits", results, [check])


def english(lab: Lab) -> Ours:
    """Return a store of messages in English and other Latin text, no two of which say alike, the same for every row."""
    if lab.searched is None:
        number, length = lab.scale.searched
        ours = Ours(lab.spare(), durable=False)
        rng = random.Random(1)
        with ours.manager as manager, manager.bulk():
            for serial in range(number):
                manager.save_session(Session(f"session-{serial}", [shuffled(lab, rng) for _ in range(length)]))
        settle(ours)
        lab.searched = ours
    return lab.searched


def settle(ours: Ours) -> None:
    """Leave a store as it is later on: what changed a moment ago is looked at anew by each program that comes."""
    time.sleep(0.1)
    ours.keep_index()


def shuffled(lab: Lab, rng: random.Random) -> dict[str, object]:
    """Return a message with its words in another order, and without those in other scripts than Latin."""
    message = lab.messages.next()
    words = [word for word in str(message["content"]).replace(SIGNS, "").split(" ") if not OTHER_SCRIPTS.search(word)]
    rng.shuffle(words)
    signs = f" {SIGNS}" if message["serial"] % ONE_IN == 0 else ""
    return {**message, "content": " ".join(words) + signs}


def chinese() -> Iterator[str]:
    """Yield texts of 200 characters, of which some are frequent, as in any text, with signs between them."""
    rng = random.Random(1)
    characters = [chr(each) for each in rng.sample(range(0x4E00, 0x9FA5), 2000)]
    weights = [1 / (rank + 10) for rank in range(len(characters))]
    while True:
        text = rng.choices(characters, weights, k=200)
        yield "".join(each + ("，" if rng.random() < 0.1 else "") for each in text) + " what"


def texts_of(ours: Ours) -> list[str]:
    with SessionManager(ours.config) as manager:
        return [
            searched_text(message)
            for info in manager.list_sessions()
            for message in manager.load_session(info.name).iter_messages()
        ]


def bare_table(path: Path, texts: list[str]) -> sqlite3.Connection:
    """Put texts into a full-text table that has no copy of them."""
    table = sqlite3.connect(path)
    table.execute("CREATE VIRTUAL TABLE words USING fts5 (text, content='')")
    table.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", enumerate(texts))
    table.commit()
    return table
