"""The layers of the package: imports only point down, `format/` is pure, and one module changes files."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from modules import PACKAGE, PACKAGES, file_changes, imports, impurities, parsed, questions_of_system, ref_changes

FORMAT = "format."
BASE = tuple(f"backends.{each}" for each in ("base", "verbs", "keys", "record", "machine_state"))
DISK = "backends.disk."
MACHINE = "backends.machine."
BELOW_REPO = ("errors", "process.", FORMAT, "session.", "storage", "backends.base")
ENGINE = (*BELOW_REPO, "repo.")
LATE = ("ancestry", "lookup", "maintenance", "reverts", "writing")

MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "errors": (),
    "patterns": (),
    "config": ("errors", "patterns", FORMAT),
    "process.": ("errors", "process."),
    FORMAT: ("errors", FORMAT),
    # What a user holds, and the user's code on the way in.
    "session.": ("errors", FORMAT, "session."),
    "storage": ("errors", "session."),
    "templates": ("errors", FORMAT, "session."),
    "hooks.": ("errors", "patterns", FORMAT, "session.", "hooks."),
    "redact": ("hooks.",),
    # Bytes under keys.
    "backends.base": ("errors", "process.", *BASE),
    "backends.keys": (),
    "backends.verbs": ("process.", "backends.keys"),
    "backends.machine_state": ("errors", "process.", "backends.record"),
    "backends.record": ("backends.keys",),
    "backends.spread": (),
    "backends.wrapper": BASE,
    "backends.written_refs": BASE,
    "backends.staged": ("errors", "process.", *BASE, "backends.wrapper"),
    "backends.read_only": ("errors", *BASE, "backends.wrapper"),
    "backends.memory": ("errors", "process.", *BASE),
    DISK: ("errors", "process.", *BASE, DISK),
    MACHINE: ("errors", "process.", *BASE, DISK, MACHINE),
    "backends.files.": ("errors", "process.", *BASE, "backends.spread", DISK, MACHINE, "backends.files."),
    # The one that parses refs: a row of its table tells what a ref says.
    "backends.sqlite.sessions": ("errors", FORMAT, "backends.sqlite."),
    "backends.sqlite.": ("errors", "process.", *BASE, "backends.spread", DISK, MACHINE, "backends.sqlite."),
    "backends.bucket.": ("errors", "process.", *BASE, DISK, "backends.bucket."),
    "backends": ("errors", "process.system", "backends."),
    # The engine, from the lowest room up.
    "repo.notes": (),
    "repo.content.": ("errors", "process.", FORMAT, "backends.base", "repo.content."),
    "repo.ancestry.": ("errors", "process.loading", FORMAT, "repo.content.", "repo.ancestry."),
    # What a list shows of messages is kept with the rest.
    "repo.index.previews": ("errors", FORMAT, "session.info", "session.shapes", "repo.content.", "repo.index."),
    "repo.index.": ("errors", "process.", FORMAT, "backends.base", "repo.notes", "repo.content.", "repo.index."),
    "repo.listed": ("errors", FORMAT, "backends.base"),
    "repo.repository": (
        *("errors", "process.", FORMAT, "backends.base"),
        *("repo.listed", "repo.notes", "repo.content.", "repo.index."),
    ),
    "repo.replica_files": ("errors", FORMAT, "backends.base", "repo.repository"),
    "repo.bulk": ("errors", FORMAT, "backends.base", "backends.staged", "repo.repository"),
    "repo.source": ("errors", "repo.content.", "repo.repository"),
    # To tell that an older copy came back takes no look-up; to put things back does.
    "repo.reverts.verdict": ("errors", FORMAT, "backends.base", "repo.content.", "repo.ancestry.", "repo.repository"),
    "repo.lookup.": (
        *("errors", "process.loading", FORMAT, "session.", "backends.base", "repo.notes", "repo.content."),
        *("repo.ancestry.", "repo.index.", "repo.repository", "repo.reverts.verdict", "repo.lookup."),
    ),
    "repo.reverts.marker": ("backends.base", "repo.notes"),
    "repo.reverts.": (
        *("errors", FORMAT, "session.", "backends.base", "repo.notes", "repo.content.", "repo.ancestry."),
        *("repo.index.", "repo.replica_files", "repo.repository", "repo.lookup.", "repo.writing.refs"),
        "repo.reverts.",
    ),
    # It stands in for a repository, its backend and its index.
    "repo.writing.trial": (
        *("backends.base", "backends.wrapper", "backends.written_refs", "repo.content.", "repo.index."),
        *("repo.repository", "repo.reverts.verdict"),
    ),
    "repo.writing.": (
        *("errors", FORMAT, "session.", "storage", "backends.base", "repo.content.", "repo.ancestry."),
        *("repo.branches.", "repo.history.", "repo.repository", "repo.lookup.", "repo.reverts.", "repo.writing."),
    ),
    # What tells sessions apart and what merging leads to: values of values.
    "repo.branches.": (
        *("errors", FORMAT, "session.", "repo.content.", "repo.ancestry.", "repo.history.", "repo.branches."),
    ),
    "repo.cursors": ("errors", FORMAT, "session.", "repo.content.", "repo.ancestry.shown", "repo.source"),
    "repo.history.": (*("errors", FORMAT, "backends.base", "repo.content.", "repo.ancestry.", "repo.history."),),
    "repo.going_back": (
        *("errors", FORMAT, "session.", "storage", "repo.late", "repo.content.", "repo.ancestry.shown"),
        *("repo.history.", "repo.index.rows", "repo.lookup.", "repo.writing.", "repo.storage"),
    ),
    # What the engine tells of itself stands below it; what is looked at and mended in it, above.
    "repo.maintenance.stats": (
        *("errors", FORMAT, "session.", "storage", "repo.content.", "repo.lookup.", "repo.repository"),
    ),
    "repo.maintenance.report": ("errors", "repo.maintenance.findings"),
    "repo.maintenance.sources": (
        *("errors", FORMAT, "backends.base", "backends.wrapper", "repo.content.", "repo.repository"),
    ),
    "repo.maintenance.": (
        *("errors", FORMAT, "backends.base", "repo.content.", "repo.ancestry.", "repo.lookup.", "repo.repository"),
        *("repo.notes", "repo.replica_files", "repo.reverts.", "repo.writing.", "repo.maintenance."),
    ),
    "repo.saving": (
        *(FORMAT, "session.", "storage", "repo.late", "repo.content.", "repo.cursors", "repo.repository"),
        "repo.source",
    ),
    "repo.transacting": (
        *("backends.base", FORMAT, "session.", "repo.late", "repo.content.", "repo.ancestry.shown", "repo.bulk"),
        *("repo.cursors", "repo.saving"),
    ),
    "repo.late": ("process.loading", *(f"repo.{each}." for each in LATE)),
    "repo.storage": (
        *("errors", "process.", FORMAT, "session.", "storage", "repo.content.", "repo.ancestry.", "repo.repository"),
        *("repo.source", "repo.cursors", "repo.bulk", "repo.maintenance.stats", "repo.lookup.", "repo.reverts."),
        *("repo.late", "repo.saving", "repo.transacting", "repo.writing."),
    ),
    "repo.events.": (
        *("errors", "process.", "session.", "storage", "backends.base", "repo.lookup.listing", "repo.storage"),
        "repo.events.",
    ),
    "repo.dry_run": (
        *("backends.base", "backends.written_refs", "repo.reverts.marker", "repo.repository", "repo.storage"),
    ),
    "repo.sync.": (
        *("errors", "process.parallel", FORMAT, "storage", "backends.base", "backends.wrapper", "repo.notes"),
        *("repo.content.", "repo.ancestry.", "repo.maintenance.reach", "repo.replica_files", "repo.repository"),
        *("repo.reverts.", "repo.writing.refs", "repo.storage", "repo.dry_run", "repo.events.", "repo.sync."),
    ),
    # What sessions say, be it kept by the engine or by a storage of four methods.
    "repo.search.": (
        *("errors", "process.", FORMAT, "session.", "storage", "backends.base", "repo.content.state"),
        *("repo.lookup.answers", "repo.lookup.listing", "repo.repository", "repo.search."),
    ),
    "repo": (),
    # It gets bytes and gives values, and knows no manager.
    "interchange.": ("errors", FORMAT, "session.", "interchange."),
    # What these do with objects and storages holds for any storage: they know nothing of the engine.
    "manager.autosave": ("errors", "process.", "session."),
    "manager.open_sessions": (
        *("errors", "process.", "patterns", FORMAT, "session.", "storage", "hooks.", "manager.autosave"),
    ),
    "manager.open_store": (*ENGINE, "config", "backends"),
    # The one in front that writes a file: as the store does, through the same calls.
    "manager.outside": ("errors", "process.system", "backends.disk.files", "backends.disk.new_files"),
    "manager.outgoing": (
        *("patterns", "format.names", "hooks.redact", "session.", "repo.going_back"),
        *("interchange.writers", "manager.branches", "manager.core"),
    ),
    # It looks at the databases of others as a store that is read only looks at its own.
    "manager.databases": ("errors", "process.sqlite_files", "backends.sqlite.unchanged", "manager.outside"),
    "manager.pages": ("session.", "manager.outside", "viewer.document"),
    "manager.": (*ENGINE, "config", "backends", "hooks.", "templates", "interchange.", "manager."),
    "analytics": ("errors", "session.", "manager."),
    # The manager once more, for event loops: nothing looks at it.
    "aio.": ("errors", "process.", "session.", "storage", "repo.events.", "repo.history.", "manager.", "aio."),
    "__init__": (
        *("errors", "format.jsonable", "session.", "storage", "hooks.", "templates", "manager.", "analytics"),
        *("repo.branches.", "repo.events.", "repo.history.", "repo.maintenance.findings", "repo.sync."),
        *("repo.maintenance.report", "repo.maintenance.replicas", "repo.maintenance.gc_report", "interchange.report"),
        "repo.search.results",
    ),
    # The command has what a program of a user has: the public names, what a message says, and where a session is from.
    "cli.": ("", "session.imported", "session.shapes.", "viewer", "cli."),
    "viewer.": ("", "session.imported", "session.shapes.", "viewer."),
    "__main__": ("cli",),
    # Adapters are programs of a user in front of other programs; nothing looks at them.
    "integrations.": ("", "aio", "integrations."),
    # The examples are programs of a user, who has the public names.
    "docs.examples.frameworks.": ("", "integrations."),
    "docs.examples.": ("",),
    # The shipped test tools look everywhere; nothing looks at them.
    "testing.": (*BELOW_REPO, "backends.", "manager.", "testing."),
}
"""What each module may import of the package, by name or by the folder (with a dot) that it is in.

Of several rules the first one counts. `backends` alone is the registry: the manager gets at a backend only through
that.
"""

MAY_WRITE_REFS = ("repo.writing.", "repo.reverts.put_back", "repo.reverts.plans", "repo.sync.side")
MAY_CHANGE_FILES = frozenset(["backends.disk.files", "process.system"])
MOST_LINES = 400
ADAPTERS_SHARE = ("", "extras", "names", "escapes", "sessions")
SYSTEM = "process.system"
OUTSIDE_THE_STORE = {
    # The stand-in for the state folder is made below the temporary folder.
    "backends.machine.state": frozenset(["mkdir"]),
}


def matches(name: str, pattern: str) -> bool:
    return name == pattern or (pattern.endswith(".") and (name + ".").startswith(pattern))


def allowed_for(name: str) -> tuple[str, ...]:
    for pattern, allowed in MAY_IMPORT.items():
        if matches(name, pattern):
            return allowed
    raise AssertionError(f"{name} is in no layer yet: give it one in MAY_IMPORT")


def upward_imports(name: str, module: ast.Module) -> list[str]:
    allowed = allowed_for(name)
    package = name in PACKAGES or name == "__init__"
    return [
        f"{name}, line {line}: imports {target}"
        for line, target, own in imports("" if name == "__init__" else name, module, package=package)
        if own and target != name and not any(matches(target, pattern) for pattern in allowed)
    ]


def teardown_module() -> None:
    """Let half a million objects go, which each later test that asks for garbage would go through."""
    parsed.cache_clear()


def broken(rule: Callable[[str, ast.Module], Iterable[str]], within: str | None = None) -> list[str]:
    """Return what is wrong by a rule, in all modules or within one layer."""
    chosen = [each for each in parsed() if within is None or matches(each[0], within)]
    assert len(chosen) > 10
    return [problem for name, module in chosen for problem in rule(name, module)]


def outside_packages(name: str, module: ast.Module) -> set[str]:
    """Return the packages of others that a module imports."""
    return {target.partition(".")[0] for _, target, own in imports(name, module, package=False) if not own}


def test_the_package_is_found() -> None:
    """The tests below look at something: every layer is there."""
    names = {name for name, _ in parsed()}
    assert {"errors", "backends.disk.files", "repo.writing.save", "format.refs", "manager.manager"} <= names
    assert {"backends", "format", "repo", "repo.writing", "testing"} <= PACKAGES <= names


def test_no_file_is_long() -> None:
    """A file of the package or the tests has 400 lines at most; one that is longer wants to be two things."""
    lengths = {
        str(path.relative_to(folder)): len(path.read_text(encoding="utf-8").splitlines())
        for folder in (PACKAGE, Path(__file__).parent)
        for path in folder.rglob("*.py")
    }
    assert len(lengths) > 200
    assert [name for name, length in lengths.items() if length > MOST_LINES] == []


def test_imports_point_down() -> None:
    """No module knows anything of the layers above it, nor of its neighbours where the table says so."""
    assert broken(upward_imports) == []


def test_no_two_modules_import_each_other() -> None:
    """There is an order in which the modules can be read, each knowing only those before it."""
    known = {
        name: {target for _, target, own in imports(name, module, package=name in PACKAGES) if own}
        for name, module in parsed()
        if name != "__init__"
    }
    # The registry and what it opens late are one thing; a folder's own imports are those of its modules.
    known["backends"] = {"backends.base"}
    # A room that hands out what its module of the same name has is read after that module.
    for room in PACKAGES - {"backends"}:
        known[room] = {target for target in known[room] if not target.startswith(f"{room}.")}
    while known:
        free = [name for name, needs in known.items() if not (needs - {name}) & known.keys()]
        assert free, f"these import each other: {sorted(known)}"
        for name in free:
            del known[name]


def test_format_is_pure() -> None:
    """`format/` turns bytes into values and back: no files, no clock, no chance, no threads."""
    assert broken(impurities, FORMAT) == []


def test_one_module_changes_files() -> None:
    """Everything that changes the store goes through `backends/disk/files.py`: tests record and break it there.

    It makes some of the calls by way of `process/system.py`.
    """

    def changes(name: str, module: ast.Module) -> Iterator[str]:
        allowed = {*OUTSIDE_THE_STORE.get(name, ()), *(["open"] if name == "manager.outside" else [])}
        if name not in MAY_CHANGE_FILES:
            yield from (each for each in file_changes(name, module) if each.rpartition(" ")[2] not in allowed)

    assert broken(changes) == []


def test_one_module_knows_the_system() -> None:
    """What differs between Linux, macOS and Windows stands in one module; mypy tells what is missing on each."""
    assert broken(lambda name, module: [] if name == SYSTEM else questions_of_system(name, module)) == []


def test_refs_change_in_one_room() -> None:
    """In the engine, only `writing/`, the putting back and the side of a sync write a ref: what only looks cannot."""

    def changes(name: str, module: ast.Module) -> Iterable[str]:
        return [] if any(matches(name, room) for room in MAY_WRITE_REFS) else ref_changes(name, module)

    assert broken(changes, "repo.") == []


def test_forks_are_seen_in_one_place() -> None:
    """What a child of `os.fork` makes anew is in one registry, which tells the order."""

    def uses(name: str, module: ast.Module) -> Iterator[str]:
        used = {node.attr for node in ast.walk(module) if isinstance(node, ast.Attribute)}
        used |= {node.name for node in ast.walk(module) if isinstance(node, ast.alias)}
        if "register_at_fork" in used:
            yield name

    assert set(broken(uses)) == {"process.forks", SYSTEM}


def test_only_the_test_tools_need_test_packages() -> None:
    """Whoever installs the package without extras can import all of it but `testing`."""
    needed = broken(lambda name, module: [name] if outside_packages(name, module) & {"hypothesis", "pytest"} else [])
    assert needed
    assert [name for name in needed if not matches(name, "testing.")] == []


def test_frameworks_are_imported_by_their_adapters() -> None:
    """What adapters share, and the rest of the package, imports none: each adapter needs its own framework alone."""
    frameworks = {"agents", "claude_agent_sdk", "google", "langchain_core", "langgraph", "llama_index", "openai"}
    frameworks |= {"pydantic_ai", "strands"}
    for name, module in parsed():
        used = outside_packages(name, module) & frameworks
        if name.rpartition(".")[0] == "docs.examples.frameworks":
            continue
        if not matches(name, "integrations.") or name.partition(".")[2] in ADAPTERS_SHARE:
            assert not used, f"{name} imports {used}"


def test_only_one_room_needs_anyio() -> None:
    """Programs without an event loop have no use for it; trio is imported by nobody."""
    needed = broken(lambda name, module: [name] if "anyio" in outside_packages(name, module) else [])
    assert needed
    assert [name for name in needed if not matches(name, "aio.")] == []
    assert broken(lambda name, module: outside_packages(name, module) & {"trio"}) == []


def test_only_one_room_needs_what_makes_pages() -> None:
    """Programs that only keep their sessions have no use for it, and the package can be had without."""
    makers = {"jinja2", "markdown_it", "pygments"}
    needed = broken(lambda name, module: [name] if makers & outside_packages(name, module) else [])
    assert needed
    assert [name for name in needed if not matches(name, "viewer.")] == []


BAD_MODULE = ast.parse(
    """
import os as system, time
from os import unlink
from datetime import datetime
from coda_fs_session import manager
from ..repo.writing.save import save
from ..backends.files import backend
from . import names

def careless(path):
    system.rename(path, path)
    path.write_bytes(b"")
    open(path, "w")
    return datetime.now()
"""
)


def test_the_rules_can_be_broken() -> None:
    """A bad module is caught for each of its sins, and for nothing that is allowed."""
    upward = upward_imports("format.bad", BAD_MODULE)
    assert [each.rpartition(" ")[2] for each in upward] == ["manager", "repo.writing.save", "backends.files.backend"]
    impure = impurities("format.bad", BAD_MODULE)
    assert [each.partition(": ")[2] for each in impure] == [
        *("imports os", "imports time", "imports os"),
        *("calls open", "asks the clock"),
    ]
    changes = file_changes("repo.bad", BAD_MODULE)
    assert sorted(each.partition(": ")[2] for each in changes) == ["open", "rename", "unlink", "write_bytes"]
    assert ref_changes("repo.lookup.bad", ast.parse("self.backend.append_ref(key, line)")) == [
        "repo.lookup.bad, line 1: append_ref"
    ]
    asking = ast.parse("import fcntl, sys\nfrom pwd import getpwuid\nif sys.platform == 'win32': pass")
    assert [each.partition(": ")[2] for each in questions_of_system("repo.bad", asking)] == [
        *("imports fcntl", "imports pwd", "sys.platform"),
    ]
    manager = ast.parse("from ..backends.files.backend import LocalBackend\nfrom ..backends import BACKENDS")
    assert [each.rpartition(" ")[2] for each in upward_imports("manager.manager", manager)] == [
        "backends.files.backend"
    ]
    with pytest.raises(AssertionError, match="in no layer"):
        upward_imports("brand_new", BAD_MODULE)
