"""Rows about writing messages."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from math import ceil
from pathlib import Path
from statistics import mean

import orjson

from coda_fs_session import Session, SessionManager
from coda_fs_session.backends.files.backend import LocalBackend
from coda_fs_session.backends.machine.state import LocalState
from coda_fs_session.repo.repository import Repository, Settings
from coda_fs_session.repo.storage import RepoStorage

from .children import Child
from .contenders import NAMES, Contender, Message, open_contender
from .contenders.ours import Ours
from .contenders.raw import Raw
from .lab import Lab
from .measure import Check, Prepare, Row, Summary, interleave, milliseconds, ratio, ready

WRITERS = 4


def one_message(lab: Lab) -> Row:
    small, _, large = lab.scale.sizes
    contenders = {
        f"{name}, {size:,}": saver(lab, contender, lab.session(size))
        for size in lab.scale.sizes
        for name, contender in lab.contenders.items()
    }
    results = milliseconds(interleave(contenders, lab.rounds(400)))
    checks = []
    for size in lab.scale.sizes:
        checks.append(ratio(results, f"ours, {size:,}", f"raw, {size:,}", must=1.5, aim=1.2))
        checks.append(ratio(results, f"ours, {size:,}", f"sqlite, {size:,}"))
        checks.append(ratio(results, f"ours on sqlite, {size:,}", f"sqlite, {size:,}", must=2.0))
    checks.append(ratio(results, f"ours, {large:,}", f"ours, {small:,}", must=1.15))
    checks.append(ratio(results, f"ours on sqlite, {large:,}", f"ours on sqlite, {small:,}", must=1.15))
    return Row("durable save of one message into a session of that many", results, checks)


def saver(lab: Lab, contender: Contender, session: str, before: Callable[[], object] = lambda: None) -> Prepare:
    """Save one new message per round; `before` is what the program does between two saves."""

    def prepare(_turn: int) -> Callable[[], object]:
        before()
        message = lab.messages.next()
        return lambda: contender.save(session, message)

    return prepare


def compare_and_swap(lab: Lab) -> Row:
    """A save that expects a revision, which it asks for first, beside one that expects nothing."""
    contenders: dict[str, Prepare] = {}
    for name, ours in {"files": lab.ours, "sqlite": lab.on_sqlite}.items():
        session = lab.session(lab.scale.medium, f"swap-{name}", ["ours" if name == "files" else "ours on sqlite"])
        contenders[f"plain save, {name}"] = saver(lab, ours, session)
        contenders[f"compare and swap, {name}"] = swapper(lab, ours, session)
    results = milliseconds(interleave(contenders, lab.rounds(200)))
    checks = [
        ratio(results, f"compare and swap, {name}", f"plain save, {name}", must=1.5) for name in ("files", "sqlite")
    ]
    return Row(f"save of one message if the session of {lab.scale.medium:,} is as expected", results, checks)


def swapper(lab: Lab, ours: Ours, session: str) -> Prepare:
    def prepare(_turn: int) -> Callable[[], object]:
        message = lab.messages.next()

        def swap() -> None:
            live = ours.open(session)
            expected = live.revision
            live.add_message(message)
            ours.manager.save_session(live, expected=expected)

        return swap

    return prepare


def after_get_messages(lab: Lab) -> Row:
    """What matters is what `get_messages` leaves behind: after a pause as long the same save takes longer too.

    So does a raw append: the disk has been idle, and the processor did something else.
    """
    size, ours = lab.scale.medium, lab.ours
    plain, agent = lab.session(size, "plain", ["raw", "ours"]), lab.session(size, "agent", ["ours"])
    read = ours.open(agent).get_messages
    began = time.perf_counter()
    read()
    took = time.perf_counter() - began
    contenders = {
        "plain save": saver(lab, ours, plain),
        "after a pause": saver(lab, ours, plain, before=lambda: time.sleep(took)),
        "after get_messages()": saver(lab, ours, agent, before=read),
        "raw": saver(lab, lab.contenders["raw"], plain),
        "raw, after a pause": saver(lab, lab.contenders["raw"], plain, before=lambda: time.sleep(took)),
    }
    results = milliseconds(interleave(contenders, lab.rounds(200)))
    checks = [
        ratio(results, "after get_messages()", "after a pause", must=1.3, aim=1.3),
        ratio(results, "after get_messages()", "plain save"),
        ratio(results, "raw, after a pause", "raw"),
    ]
    return Row(f"save of one message after get_messages() on {size:,}", results, checks)


def after_messages_was_read(lab: Lab) -> Row:
    size = lab.scale.medium
    plain, live = lab.session(size, "plain", ["raw", "ours"]), lab.session(size, "live", ["ours"])
    held = lab.ours.open(live).messages
    contenders = {
        "plain save": saver(lab, lab.ours, plain),
        "after session.messages": saver(lab, lab.ours, live, before=lambda: lab.ours.open(live).messages),
        "one orjson.dumps": ready(lambda: orjson.dumps(held)),
    }
    results = milliseconds(interleave(contenders, lab.rounds(100)))
    more = results["after session.messages"].median - results["plain save"].median
    check = Check("(after session.messages - plain) / dumps", more / results["one orjson.dumps"].median, 2, 0.5)
    return Row(f"save of one message with {size:,} live dicts", results, [check])


def after_the_list_is_let_go(lab: Lab) -> Row:
    """A program fills a session by its list, and goes on with `add_message`; the first such save is the warm-up."""
    contenders, checks = {}, []
    for size in lab.scale.medium, lab.scale.bulk:
        anew, filled = lab.session(size, "plain", ["raw", "ours"]), f"{size}-filled"
        session = lab.ours.manager.create_session(filled)
        # Copies: the stock must not hold parts of them.
        session.messages.extend(orjson.loads(orjson.dumps(lab.messages.take(size))))
        lab.ours.manager.save_session(session)
        contenders[f"opened anew, {size:,}"] = saver(lab, lab.ours, anew)
        contenders[f"filled by its list, {size:,}"] = saver(lab, lab.ours, filled)
        lab.ours.open(filled)
    results = milliseconds(interleave(contenders, lab.rounds(200)))
    for size in lab.scale.medium, lab.scale.bulk:
        checks.append(ratio(results, f"filled by its list, {size:,}", f"opened anew, {size:,}", must=1.15))
    return Row("save of one message into a session that was filled by its list before", results, checks)


def with_and_without_the_record(lab: Lab) -> Row:
    """What it costs that the machine keeps a copy of what it saves, to put it back where it is reverted."""
    contenders = {}
    for name, recorded in (("with the record", True), ("without", False)):
        root = lab.spare() / "store"
        state = LocalState(root, folder=root.with_name("state"))
        backend = LocalBackend(root, record=state.record if recorded else None)
        manager = SessionManager(
            {"session": {"autosave_interval": 0}}, storage=RepoStorage(Repository(backend, state, Settings()))
        )
        session = manager.create_session("chat")
        contenders[name] = partial(_saving, lab, manager, session)
    results = milliseconds(interleave(contenders, lab.rounds(2000)))
    check = ratio(results, "with the record", "without", must=1.05)
    return Row("durable save of one message, with and without the record of this machine's saves", results, [check])


def _saving(lab: Lab, manager: SessionManager, session: Session, _turn: int) -> Callable[[], object]:
    session.add_message(lab.messages.next())
    return lambda: manager.save_session(session)


def save_after_save(lab: Lab) -> Row:
    """All that goes on saving costs, rewrites of the ref and seals included: a median tells of none of them."""
    folder, saves = lab.spare(), lab.rounds(2000)
    contenders = {name: open_contender(name, folder) for name in ("raw", "sqlite", "ours")}
    for contender in contenders.values():
        contender.fill("chat", lab.messages.take(1))
    times = interleave({name: saver(lab, contender, "chat") for name, contender in contenders.items()}, saves)
    results, worst = milliseconds(times), {name: _worst_of(seconds) for name, seconds in times.items()}
    checks = [
        Check("mean of ours / mean of sqlite", mean(times["ours"]) / mean(times["sqlite"]), must=1.15),
        Check("p99 of ours / p99 of sqlite", worst["ours"] / worst["sqlite"], must=1.5),
        Check("mean of ours / median of ours", 1000 * mean(times["ours"]) / results["ours"].median),
    ]
    return Row(f"{saves:,} durable saves of one message in a row, with all that they lead to", results, checks)


def _worst_of(seconds: Sequence[float]) -> float:
    """Return the slowest but for one in a hundred."""
    return sorted(seconds)[ceil(0.99 * len(seconds)) - 1]


def many_messages(lab: Lab) -> Row:
    """Into a new folder each time; what raw does is one write and one sync."""
    size = lab.scale.medium

    def saver_of_many(name: str) -> Prepare:
        def prepare(_turn: int) -> Callable[[], object]:
            contender, messages = open_contender(name, lab.spare()), lab.messages.take(size)
            return lambda: contender.bulk("bulk", messages)

        return prepare

    results = milliseconds(interleave({name: saver_of_many(name) for name in NAMES}, lab.rounds(30)))
    checks = [
        ratio(results, "ours", "raw", must=2),
        ratio(results, "ours", "sqlite", must=1.1),
        ratio(results, "ours on sqlite", "sqlite"),
    ]
    return Row(f"bulk save of {size:,} messages into a new store", results, checks)


def many_sessions(lab: Lab) -> Row:
    """As an importer does; what raw does is one write and one sync for each, into a file of its own."""
    number, turns = lab.scale.imported, lab.rounds(3)

    def one_by_one(conversations: list[list[Message]]) -> Callable[[], object]:
        raw = Raw(lab.spare())
        return lambda: [raw.save_all(f"session-{serial}", each) for serial, each in enumerate(conversations)]

    def in_a_block(conversations: list[list[Message]]) -> Callable[[], object]:
        ours = Ours(lab.spare())

        def run() -> object:
            with ours.manager.bulk():
                for serial, each in enumerate(conversations):
                    ours.fill(f"session-{serial}", each)
            return ours

        return run

    def prepared(contender: Callable[[list[list[Message]]], Callable[[], object]]) -> Prepare:
        return lambda _turn: contender([lab.messages.take(10) for _ in range(number)])

    contenders = {"raw": prepared(one_by_one), "ours": prepared(in_a_block)}
    results = milliseconds(interleave(contenders, turns, warm_up=0))
    return Row(f"{number:,} sessions of 10 messages in bulk()", results, [ratio(results, "ours", "raw", must=2)])


def four_processes(lab: Lab) -> Row:
    saves, rounds, folder = lab.scale.saves_per_writer, lab.rounds(9), lab.spare()
    contenders = {name: open_contender(name, folder) for name in NAMES}
    with ExitStack() as stack:
        prepared = {
            name: writers(lab, contender, start_writers(name, folder, stack)) for name, contender in contenders.items()
        }
        times = interleave(prepared, rounds)
    for name, contender in contenders.items():
        for turn in range(1 + rounds):  # the one to warm up, too
            if (stored := contender.count(f"writers-{turn}")) != WRITERS * saves + 1:
                raise RuntimeError(f"{name} kept {stored} of {WRITERS * saves + 1} messages in writers-{turn}")
    results = {name: Summary.of_rate(WRITERS * saves, seconds, "per s") for name, seconds in times.items()}
    checks = [
        ratio(results, "ours", "raw", must=0.5, aim=0.8, at_least=True),
        ratio(results, "ours", "sqlite", must=1.5, at_least=True),
        ratio(results, "ours on sqlite", "sqlite", at_least=True),
    ]
    return Row(f"{WRITERS} processes saving {saves} messages each to one session: messages per second", results, checks)


def start_writers(name: str, folder: Path, stack: ExitStack) -> list[Child]:
    """Start processes that save messages with serial numbers apart from each other's."""
    serials = (str(10**9 * number) for number in range(1, WRITERS + 1))
    return [stack.enter_context(Child("benchmarks.writer", name, str(folder), first)) for first in serials]


def writers(lab: Lab, contender: Contender, children: list[Child]) -> Prepare:
    """Let every process open a new session; timed are their saves, from the word to the last one's being done."""
    saves = lab.scale.saves_per_writer

    def prepare(turn: int) -> Callable[[], object]:
        session = f"writers-{turn}"
        contender.fill(session, lab.messages.take(1))
        ask_all(children, f"open {session}")
        return lambda: ask_all(children, f"save {saves}")

    return prepare


def ask_all(children: Sequence[Child], command: str) -> None:
    """Give every process the command, and wait until all are done with it."""
    for child in children:
        child.tell(command)
    for child in children:
        child.wait_until_done()
