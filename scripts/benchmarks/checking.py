"""Rows about keeping house: a check beside a loop that reads and hashes the same files, gc beside reading refs."""

import hashlib
import os
from pathlib import Path

from coda_fs_session import SessionManager

from .lab import Lab
from .measure import Row, interleave, milliseconds, ratio, ready

LOOP = "read and hash in a loop"
REFS = "read every ref"


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


def read_and_hash(store: Path) -> list[str]:
    found = []
    for folder, _, names in os.walk(store):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                found.append(hashlib.sha256(file.read()).hexdigest())
    return found
