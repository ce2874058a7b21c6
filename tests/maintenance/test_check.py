"""Checking a store: each rule finds what breaks it, and that alone; nothing is raised, and nothing is changed."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from damage.specimen import DESK, SIZES, make, open_fresh, read_all, reading
from storekit import ROOT, objects_of, untouched

from coda_fs_session import CheckReport, SessionError, SessionManager, SessionStorage, UnsupportedError
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.disk.zstd import compress
from coda_fs_session.backends.files.backend import LocalBackend
from coda_fs_session.backends.memory import MemoryState
from coda_fs_session.format.ids import object_id
from coda_fs_session.format.records import Base
from coda_fs_session.format.refs import Header, encode_header, encode_save, parse_ref
from coda_fs_session.format.tree import Spine
from coda_fs_session.repo.maintenance.findings import RULES
from coda_fs_session.repo.maintenance.message_rules import bad_message
from coda_fs_session.repo.repository import Repository, Settings
from coda_fs_session.repo.storage import RepoStorage
from coda_fs_session.testing import Fault, FaultyBackend

Damage = Callable[[Path], object]


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


def ref(store: Path, name: str) -> Path:
    return store / "refs" / DESK / f"{name}.jsonl"


def rewrite(path: Path, change: Callable[[Header], Header]) -> None:
    """Change a header, and give it and the saves after it right ids again."""
    parsed = parse_ref(path.read_bytes(), path)
    data, identity = encode_header(change(parsed.header))
    for save in parsed.saves:
        line, identity = encode_save(save._replace(previous=identity))
        data += line
    path.write_bytes(data)


def rewrite_base(path: Path, change: Callable[[Base], Base]) -> None:
    rewrite(path, lambda header: replace(header, base=change(header.base)))


def put(store: Path, data: bytes) -> str:
    identity = object_id(data)
    folder = store / "objects" / identity[:2]
    folder.mkdir(exist_ok=True)
    (folder / f"{identity}.jsonl").write_bytes(data)
    return identity


def object_file(store: Path, identity: str) -> Path:
    (path,) = store.glob(f"objects/*/{identity}*")
    return path


def base_of(store: Path, name: str) -> Base:
    return parse_ref(ref(store, name).read_bytes(), name).header.base


def chunk_of(store: Path, name: str) -> Path:
    return object_file(store, base_of(store, name).spine.levels[0][0].id)


def commit_of(store: Path, name: str) -> Path:
    link = parse_ref(ref(store, name).read_bytes(), name).header.commit
    assert link is not None
    return object_file(store, link.id)


def flip(path: Path, at: int = -20) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def with_chunk(store: Path, name: str, data: bytes) -> None:
    """Let the first chunk of a session be another object, of as many messages and bytes as is said."""
    identity = put(store, data)

    def change(base: Base) -> Base:
        first, *others = base.spine.levels[0]
        levels = ((first._replace(id=identity), *others), *base.spine.levels[1:])
        spine = Spine(levels)
        return replace(base, spine=spine, chain=base.chain if base.tail else spine.end_chain())

    rewrite_base(ref(store, name), change)


def message_with_a_tab(store: Path) -> None:
    data = chunk_of(store, "continued").read_bytes()
    with_chunk(store, "continued", data.replace(b" ", b"\t", 1))


def spoiled_message(store: Path) -> None:
    data = chunk_of(store, "continued").read_bytes()
    with_chunk(store, "continued", data.replace(b'":"', b'": "', 1).replace(b'"}', b"}", 1))


def other_chain(store: Path) -> None:
    def change(base: Base) -> Base:
        *lower, top = base.spine.levels
        spine = Spine((*lower, (*top[:-1], top[-1]._replace(chain="ab" * 32))))
        return replace(base, spine=spine, chain=spine.end_chain())

    rewrite_base(ref(store, "long"), change)


def other_height(store: Path) -> None:
    def change(base: Base) -> Base:
        return replace(base, spine=Spine(((), base.spine.levels[-1])))

    rewrite_base(ref(store, "long"), change)


def other_commit(store: Path, **fields: Any) -> None:
    """Let the last commit of a session have other fields, and the right hash."""
    old = orjson.loads(commit_of(store, "edited").read_bytes())
    data = orjson.dumps(old | fields) + b"\n"
    identity = put(store, data)

    def change(header: Header) -> Header:
        assert header.commit is not None
        return replace(header, commit=header.commit._replace(id=identity, size=len(data)))

    rewrite(ref(store, "edited"), change)


def frozen_elsewhere(store: Path) -> None:
    def change(header: Header) -> Header:
        assert header.generation is not None
        return replace(header, generation=header.generation._replace(frozen_messages=1))

    rewrite(ref(store, "cleared"), change)


def replaced(store: Path) -> None:
    path = ref(store, "tagged")
    shutil.copy(path, path.with_name("tagged.2.jsonl"))
    flip(path)


def compressed_commit(store: Path) -> None:
    path = commit_of(store, "cleared")
    path.with_name(f"{path.name}.zst").write_bytes(compress(path.read_bytes()))
    path.unlink()


def copied(store: Path) -> None:
    path = chunk_of(store, "continued")
    shutil.copy(path, path.with_name(f"{path.stem} (conflict 1).jsonl"))


def copied_and_flipped(store: Path) -> None:
    copied(store)
    flip(chunk_of_copy(store))


def chunk_of_copy(store: Path) -> Path:
    return next(store.glob("objects/*/*conflict*"))


def irregular(path: Path) -> None:
    path.unlink()
    path.mkdir()


CASES: dict[str, tuple[Damage, set[str]]] = {
    "a header flipped": (lambda store: flip(ref(store, "sealed"), 30), {"ref-header"}),
    "a line flipped": (lambda store: flip(ref(store, "tagged")), {"ref-line"}),
    "a damaged ref beside a good one": (replaced, {"ref-replaced"}),
    "a last line cut off": (
        lambda store: os.truncate(ref(store, "tagged"), ref(store, "tagged").stat().st_size - 9),
        {"ref-torn"},
    ),
    "a folder for a ref": (lambda store: irregular(ref(store, "tagged")), {"ref-unreadable"}),
    "a newer ref": (lambda store: ref(store, "tagged").write_bytes(b'{"coda_fs_session":2}\n'), {"newer-version"}),
    "another frozen state": (frozen_elsewhere, {"ref-frozen"}),
    "another size of what is hidden": (
        lambda store: rewrite_base(ref(store, "edited"), lambda base: replace(base, start_bytes=base.start_bytes - 1)),
        {"base-start"},
    ),
    "a message with a blank": (spoiled_message, {"message-line"}),
    "a message with a tab": (message_with_a_tab, {"message-line"}),
    "an object removed": (lambda store: chunk_of(store, "continued").unlink(), {"object-missing"}),
    "an object flipped": (lambda store: flip(chunk_of(store, "continued")), {"object-damaged"}),
    "an object cut off": (lambda store: os.truncate(chunk_of(store, "continued"), 50), {"object-damaged"}),
    "a folder for an object": (lambda store: irregular(chunk_of(store, "continued")), {"object-missing", "stray-file"}),
    "a commit removed": (lambda store: commit_of(store, "cleared").unlink(), {"history-missing"}),
    "a commit flipped": (lambda store: flip(commit_of(store, "cleared")), {"history-damaged"}),
    "an object that nothing names flipped": (
        lambda store: flip(object_file(store, put(store, b"{}\n")), 0),
        {"unused-damaged"},
    ),
    "a chunk of another count": (lambda store: with_chunk(store, "continued", b"{}\n"), {"object-content"}),
    "a compressed commit": (compressed_commit, {"object-form"}),
    "another chain of a list node": (other_chain, {"node-chain"}),
    "another height of a list node": (other_height, {"node-height"}),
    "another chain of a tail": (
        lambda store: rewrite_base(ref(store, "fork"), lambda base: replace(base, chain="ab" * 32)),
        {"tail-chain"},
    ),
    "another skip": (lambda store: other_commit(store, skip=["ab" * 32, 10, 0]), {"commit-skip", "history-missing"}),
    "a copy of an object": (copied, {"object-copy"}),
    "a damaged copy of an object": (copied_and_flipped, {"object-copy"}),
    "an object elsewhere": (
        lambda store: (store / "objects" / "00" / f"{'ab' * 32}.jsonl").write_bytes(b"{}\n"),
        {"object-place"},
    ),
    "a stray file": (lambda store: (store / "notes.txt").write_bytes(b""), {"stray-file"}),
    "a stray file among refs": (lambda store: (store / "refs" / "notes.txt").write_bytes(b"x"), {"stray-file"}),
    "a replica file": (lambda store: (store / "refs" / DESK / "replica.json").write_bytes(b"{}"), {"replica-file"}),
    "a temporary file": (lambda store: (store / "refs" / ".tmp-1").write_bytes(b""), {"temporary-file"}),
    "no README": (lambda store: (store / "README.txt").unlink(), {"constant-file"}),
    "open to all": (lambda store: store.chmod(0o777), {"open-to-all"}),
}
OF_A_QUICK_ONE: dict[str, set[str]] = {
    "another size of what is hidden": set(),
    "a message with a blank": set(),
    "a message with a tab": set(),
    "an object flipped": set(),
    "another chain of a tail": set(),
    "an object that nothing names flipped": set(),
}
"""What a quick check says of these: it reads no messages but where their size is wrong."""


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
    below = {"database", "listing", "object-unreadable", "list", "list-file", "purge-record", "purge-object"}
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
    """A message is a JSON object without blanks and needless escapes; numbers may have any form."""
    for good in (b'{"a":1e5}', b'{"a":1.50,"b":[]}', b'{"a":"\\u001f\\\\u0041 b"}', '{"ü":"🦜"}'.encode()):
        assert bad_message([good, good]) is None
    for bad in (b'{"a": 1}', b'{"a":"\\u0041"}', b'{"a":"\\/"}', b'{"a":1},{"b":2}'):
        assert bad_message([bad, b"{}"]) == 0, bad
    for bad in (b"[]", b"1", b"", b"{"):
        assert bad_message([b'{"a":1}', bad]) == 1, bad
    assert bad_message([]) is None


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
