"""Rows about keeping house: a check beside a loop that reads and hashes the same files, gc beside reading refs."""

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import orjson
import zstandard

from coda_fs_session import SessionManager

from .lab import Lab
from .measure import Row, interleave, milliseconds, ratio, ready

LOOP = "read and hash in a loop"
REFS = "read every ref"
DECODE = "read and decode in a loop"


def check(lab: Lab) -> Row:
    """A new manager each time; what it reads is in the cache of the system, as for the loop."""
    number, length = lab.scale.long_conversations
    ours = lab.new_store_of(number, length)

    def checked(full: bool) -> object:
        with SessionManager(ours.config, read_only=True) as manager:
            report = manager.maintenance.check(full=full)
        if report.findings or report.refs != number:
            raise RuntimeError(f"a good store has findings: {report.findings[:3]}")
        return report

    contenders = {
        LOOP: ready(read_and_hash, ours.store),
        "full": ready(checked, True),
        "quick": ready(checked, False),
    }
    results = milliseconds(interleave(contenders, lab.rounds(20)))
    checks = [ratio(results, "full", LOOP, must=2), ratio(results, "quick", LOOP)]
    return Row(f"check of {number:,} sessions of {length:,} messages", results, checks)


def gc(lab: Lab) -> Row:
    """What nothing needs, after one session changed: a new manager each time, and so for reading every ref."""
    number = lab.scale.sessions
    ours = lab.new_store_of(number, 20)

    def changed() -> None:
        with SessionManager(ours.config) as manager:
            session = manager.load_session(manager.list_sessions()[0].name)
            session.add_message({"role": "user", "content": "one more"})
            manager.save_session(session)

    def read() -> object:
        with SessionManager(ours.config, read_only=True) as manager:
            engine = manager._engine
            assert engine is not None
            # Every line verified, and the saves folded.
            return [engine.repo.read(key).count for key, _ in engine.repo.backend.refs()]

    def looked() -> object:
        with SessionManager(ours.config, read_only=True) as manager:
            report = manager.maintenance.gc()
        if report.blocked or report.freed.files:
            raise RuntimeError(f"there is nothing to collect in a good store: {report}")
        return report

    changed()
    contenders = {REFS: ready(read), "gc": ready(looked)}
    results = milliseconds(interleave(contenders, lab.rounds(10)))
    return Row(f"gc of {number:,} sessions, of which one changed", results, [ratio(results, "gc", REFS, must=2)])


def purge(lab: Lab) -> Row:
    """A text that one session has, in a new manager each time; beside reading all files and decoding their lines."""
    number = lab.scale.sessions
    ours = lab.new_store_of(number, 20)
    places = [ours.store, Path(ours.config["session"]["state_path"])]

    def pasted(turn: int) -> Callable[[], object]:
        secret = f"sk-secret-{turn}x"
        with SessionManager(ours.config) as manager:
            session = manager.load_session(manager.list_sessions()[0].name)
            session.add_message({"role": "user", "content": f"my key is {secret}, thanks"})
            manager.save_session(session)

        def purged() -> object:
            with SessionManager(ours.config) as manager:
                report = manager.maintenance.purge_text(secret)
            if len(report.places) != 1 or report.left:
                raise RuntimeError(f"the text stands in one session: {report}")
            return report

        return purged

    contenders = {DECODE: ready(read_and_decode, places), "purge": pasted}
    results = milliseconds(interleave(contenders, lab.rounds(10)))
    title = f"purge of a text that stands in one of {number:,} sessions"
    return Row(title, results, [ratio(results, "purge", DECODE, must=3)])


def read_and_decode(places: list[Path]) -> int:
    values = 0
    for folder, _, names in (each for place in places for each in os.walk(place)):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                data = file.read()
            if name.endswith(".zst"):
                data = zstandard.ZstdDecompressor().decompress(data)
            for line in data.splitlines():
                # Messages stand between tabs, which JSON does not have.
                with suppress(ValueError):
                    values += orjson.loads(line.replace(b"\t", b"")) is not None
    return values


def read_and_hash(store: Path) -> list[str]:
    found = []
    for folder, _, names in os.walk(store):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                found.append(hashlib.sha256(file.read()).hexdigest())
    return found
