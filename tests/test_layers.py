"""The layers of the package: imports only point down, `format/` is pure, and one module changes files."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from layers import FORMAT, MAY_IMPORT
from modules import PACKAGE, PACKAGES, file_changes, imports, impurities, parsed, questions_of_system, ref_changes

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
