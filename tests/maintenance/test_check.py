"""Checking a store: each rule finds what breaks it, and that alone; nothing is raised, and nothing is changed."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from damage.specimen import DESK, SIZES, make, open_fresh, read_all, reading
from storekit import ROOT, objects_of, untouched

from coda_fs_session import CheckReport, SessionError, SessionManager, SessionStorage, UnsupportedError
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.files.backend import LocalBackend
from coda_fs_session.backends.memory import MemoryState
from coda_fs_session.repo.maintenance.findings import RULES
from coda_fs_session.repo.maintenance.message_rules import bad_message
from coda_fs_session.repo.repository import Repository, Settings
from coda_fs_session.repo.storage import RepoStorage
from coda_fs_session.testing import Fault, FaultyBackend

from .damages import CASES, OF_A_QUICK_ONE, chunk_of, commit_of, flip, packed_otherwise, ref


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("check") / "store"
    make(store)
    return store


@pytest.fixture
def store(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "store"))


def check(store: Path, *, full: bool = True) -> CheckReport:
    with untouched(store):
        return open_fresh(store, read_only=True).maintenance.check(full=full)


def rules_of(report: CheckReport) -> set[str]:
    return {finding.rule for finding in report.findings}


def test_a_good_store(store: Path) -> None:
    """Nothing is found in a store with every kind of record, and all of it was looked at."""
    for full in (False, True):
        report = check(store, full=full)
        assert (report.findings, report.is_whole, report.full) == ((), True, full)
        assert report.refs == len([path for path in store.glob("refs/**/*") if path.is_file()])
        assert report.objects == len(objects_of(store))


@pytest.mark.parametrize("case", CASES)
def test_each_rule(case: str, store: Path) -> None:
    """What breaks a rule is found by that rule and no other; a quick check finds what takes no reading of messages."""
    (store / "objects" / "00").mkdir(exist_ok=True)
    damage, wanted = CASES[case]
    damage(store)
    report = check(store)
    assert rules_of(report) == wanted, [str(each) for each in report.findings]
    for each in report.findings:
        assert each.severity == RULES[each.rule].severity
        assert str(store) in each.path
    assert report.is_whole is not any(RULES[rule].severity in ("damage", "missing") for rule in wanted)
    assert rules_of(check(store, full=False)) == OF_A_QUICK_ONE.get(case, wanted)


def test_every_rule_has_a_case() -> None:
    """A rule that is in the table is broken by a case above, by a test below, or by one of replica files."""
    below = {
        "ref-reverted",
        "database",
        "listing",
        "object-unreadable",
        "list",
        "list-file",
        "purge-record",
        "purge-object",
    }
    assert set.union(*(wanted for _, wanted in CASES.values())) | below == set(RULES)


def test_the_manual_has_the_rules() -> None:
    """Its table is that of the code."""
    text = (ROOT / "coda_fs_session" / "docs" / "maintenance.md").read_text(encoding="utf-8")
    assert "".join(f"| `{name}` | {rule.severity} | {rule.says} |\n" for name, rule in RULES.items()) in text


@pytest.mark.parametrize(("verb", "rule"), [("ref_tokens", "listing"), ("get_object", "object-unreadable")])
def test_a_disk_that_fails(store: Path, verb: str, rule: str) -> None:
    """What the disk refuses is found, and all else is looked at."""
    flip(ref(store, "tagged"))
    backend = FaultyBackend(
        LocalBackend(store, files=Files(durable=False)), Fault(verb, at=40 if rule != "listing" else 0)
    )
    storage = RepoStorage(Repository(backend, MemoryState(DESK), Settings(sizes=SIZES, read_only=True)))
    manager = SessionManager({"session": {"autosave_interval": 0}}, storage=storage)
    found = {finding.rule for finding in manager.maintenance.check(full=True).findings}
    assert found == ({rule} if rule == "listing" else {rule, "ref-line"})


def test_one_bad_file_hides_no_other(store: Path) -> None:
    """All of several damages are found at once."""
    flip(ref(store, "tagged"))
    chunk_of(store, "continued").unlink()
    flip(commit_of(store, "cleared"))
    assert {"ref-line", "object-missing", "history-damaged"} <= rules_of(check(store))


def test_a_file_in_the_place_of_an_object_is_named(store: Path) -> None:
    """Where only a file of another kind is there, the finding says which: a person can tell what a tool has done."""
    packed_otherwise(store)
    (found,) = check(store).findings
    assert f"the object is not here, and {Path(found.path).name}.gz does not hold it: its 2 messages" in found.what


def test_random_damage(store: Path, seed: int, long_size: bool) -> None:
    """Whatever happens to a file, check raises nothing; where it finds the store whole, all reads as before."""
    chance, before = random.Random(seed), read_all(store)
    files = sorted(path for path in store.rglob("*") if path.is_file() and path.parent != store)
    for _ in range(400 if long_size else 30):
        one, other = chance.sample(files, 2)
        kept = {path: path.read_bytes() for path in (one, other)}
        kind = chance.choice(["byte", "cut", "remove", "swap"])
        if kind == "byte":
            flip(one, chance.randrange(len(kept[one])))
        elif kind == "cut":
            os.truncate(one, chance.randrange(len(kept[one])))
        elif kind == "remove":
            one.unlink()
        else:
            one.write_bytes(kept[other])
        report = check(store)
        if report.is_whole and not any(each.rule == "ref-torn" for each in report.findings):
            assert _as_before(store, before, gone=kind in ("remove", "swap") and "refs" in one.parts)
        for path, data in kept.items():
            path.write_bytes(data)


def _as_before(store: Path, before: dict[str, Any], *, gone: bool) -> bool:
    """Tell whether every session reads as before; a ref that is gone without a trace is no damage."""
    manager = open_fresh(store, read_only=True)
    for name, wanted in before.items():
        try:
            if reading(manager.load_session(name)) != wanted and not gone:
                return False
        except SessionError:
            return gone
    return True


def test_messages() -> None:
    """A message is a JSON object without blanks and needless escapes, as deep as it may be, of numbers that fit."""
    for good in (b'{"a":1e5}', b'{"a":1.50,"b":[]}', b'{"a":"\\u001f\\\\u0041 b"}', '{"ü":"🦜"}'.encode()):
        assert bad_message([good, good]) is None
    for bad in (b'{"a": 1}', b'{"a":"\\u0041"}', b'{"a":"\\/"}', b'{"a":1},{"b":2}'):
        assert bad_message([bad, b"{}"]) == 0, bad
    for bad in (b"[]", b"1", b"", b"{"):
        assert bad_message([b'{"a":1}', bad]) == 1, bad
    assert bad_message([]) is None


@pytest.mark.parametrize(
    ("line", "good"),
    [
        (b'{"a":' * 200 + b"1" + b"}" * 200, True),
        (b'{"a":' * 201 + b"1" + b"}" * 201, False),
        (b'{"a":%b1%b}' % (b"[" * 199, b"]" * 199), True),
        (b'{"a":%b1%b}' % (b"[" * 1000, b"]" * 1000), False),
        (b'{"a":[%b]}' % b",".join([b"{}"] * 300), True),
        (b'{"a":"%b"}' % (b"[" * 300), True),
        (b'{"a":18446744073709551615,"b":-9223372036854775808}', True),
        (b'{"a":18446744073709551616}', False),
        (b'{"a":[1,-9223372036854775809]}', False),
        (b'{"a":18446744073709551616.0,"b":1e30,"c":"99999999999999999999"}', True),
    ],
)
def test_how_deep_and_how_large(line: bytes, good: bool) -> None:
    """Of 200 levels and of 64 bits, as FORMAT.md says, and nothing is raised by what has more."""
    assert (bad_message([line]) is None) is good


def test_a_database(tmp_path: Path) -> None:
    """A page of a database that is damaged is found, whatever else can be read."""
    config = {"storage_path": str(tmp_path / "s"), "state_path": str(tmp_path / "state"), "backend": "sqlite"}
    with SessionManager({"session": config}) as manager:
        for number in range(40):
            manager.create_session(f"chat {number}").add_message({"content": "x" * 3000})
        manager.save_all()
        assert manager.maintenance.check(full=True).findings == ()
    path = tmp_path / "s" / "sessions.db"
    data = bytearray(path.read_bytes())
    for page in range(2, len(data) // 4096, 3):
        data[page * 4096 : page * 4096 + 64] = os.urandom(64)
    path.write_bytes(data)
    report = SessionManager({"session": config}, read_only=True).maintenance.check(full=True)
    assert not report.is_whole


def test_memory() -> None:
    """Sessions in memory can be checked too."""
    with SessionManager({"session": {"backend": "memory"}}) as manager:
        manager.create_session("chat").add_message({"content": "x"})
        manager.save_all()
        report = manager.maintenance.check(full=True)
        assert (report.findings, report.refs) == ((), 1)


def test_a_storage_of_four_methods() -> None:
    """What the package does not keep, it cannot check."""

    class Other(SessionStorage):
        def save(self, session: Any) -> None: ...
        def load(self, name: str) -> Any: ...
        def delete(self, name: str) -> None: ...
        def list_all(self) -> Any: ...

    with SessionManager(storage=Other()) as manager, pytest.raises(UnsupportedError, match="Other is not one of"):
        manager.maintenance.check()
