"""The layers of the package: imports only point down, `format/` is pure, and one module changes files."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "coda_fs_session"

FORMAT = "format."
BELOW_REPO = (
    *("errors", "uncopied", "interrupts", "metadata", "working_copy", "session", "storage", "backends.base"),
    *(FORMAT, "repo."),
)
EVERYTHING_BELOW = (
    *(*BELOW_REPO, "config", "export", "autosave", "open_sessions", "backends", "opening"),
    *("hooks", "templates", "operations"),
)

MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "errors": (),
    "uncopied": (),
    "holders": (),
    "forks": (),
    "interrupts": (),
    "operations": ("errors",),
    FORMAT: (FORMAT, "errors"),
    # The one that parses refs: a row of its table tells what a ref says.
    "backends._sqlite_sessions": (FORMAT, "errors"),
    "backends": ("backends.", "errors", "uncopied", "interrupts"),
    "working_copy": (FORMAT, "errors"),
    "metadata": (FORMAT, "errors"),
    "session": (FORMAT, "errors", "metadata", "working_copy"),
    "storage": ("errors", "session", "working_copy"),
    "repo.": BELOW_REPO,
    # The one in front that writes a file: as the store does, through the same calls.
    "export": ("errors", FORMAT, "session", "storage", "backends._files"),
    "autosave": ("errors", "uncopied", "holders", "interrupts", "session"),
    # What it does with objects and storage holds for any storage: it knows nothing of the engine.
    "open_sessions": (
        *("errors", "uncopied", "forks", "interrupts", "operations", "session", "storage", "autosave", "hooks"),
    ),
    "config": ("errors", FORMAT),
    "amend": ("errors", FORMAT),
    "hooks": ("errors", FORMAT, "metadata", "working_copy", "session", "amend"),
    "redact": ("hooks", "session"),
    "templates": ("errors", FORMAT, "session"),
    "analytics": ("errors", "session", "manager"),
    "opening": (*BELOW_REPO, "config", "backends"),
    # For type checkers, and for who asks for the types of signatures: it loads nothing by itself.
    "late": EVERYTHING_BELOW,
    "manager": (*EVERYTHING_BELOW, "late"),
    "__init__": ("errors", "manager", "session", "storage", "repo.", "hooks", "redact", "templates", "analytics"),
    # What the engine is held against knows FORMAT.md, and nothing of the engine.
    "testing.reader": (),
    # The shipped test tools look everywhere; nothing looks at them.
    "testing.": (*BELOW_REPO, "backends.", "manager", "testing."),
}
"""What each module may import of the package, by name or by the folder (with a dot) that it is in.

`backends` alone is the registry: the manager gets at a backend only through that.
"""

PACKAGES = frozenset(
    ".".join(path.relative_to(PACKAGE).parts[:-1]) for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE
)

IMPURE = frozenset(
    (
        *("asyncio", "ctypes", "filelock", "glob", "importlib", "io", "locale", "logging", "mmap", "multiprocessing"),
        *("os", "pathlib", "platform", "platformdirs", "random", "secrets", "shutil", "signal", "socket", "subprocess"),
        *("sys", "tempfile", "threading", "time", "urllib", "uuid", "warnings"),
    )
)
IMPURE_CALLS = frozenset(["open", "print", "input", "exec", "eval", "__import__"])
CLOCK_CALLS = frozenset(["now", "utcnow", "today"])

CHANGING = frozenset(
    (
        *("chmod", "chown", "copy_file_range", "fchmod", "fchown", "fdatasync", "fsync", "ftruncate", "lchown"),
        *("link", "makedirs", "mkdir", "mkfifo", "mknod", "pwrite", "pwritev", "remove", "removedirs", "removexattr"),
        *("rename", "renames", "replace", "rmdir", "sendfile", "setxattr", "symlink", "sync", "truncate", "unlink"),
        *("utime", "write", "writev"),
    )
)
MAY_CHANGE_FILES = frozenset(["backends._files", "backends._locks"])
OUTSIDE_THE_STORE = {
    # The stand-in for the state folder is made below the temporary folder.
    "backends.local_state": frozenset(["mkdir"]),
    # This plays the sync tool: it changes a store behind the engine's back.
    "testing.places": frozenset(["replace", "unlink", "mkdir", "write_bytes", "utime", "shutil", "removedirs"]),
}


def modules(root: Path = PACKAGE) -> Iterator[tuple[str, ast.Module]]:
    """Yield every module by its name below the package; a folder goes by its own name."""
    for path in sorted(root.rglob("*.py")):
        name = ".".join(path.relative_to(root).with_suffix("").parts)
        yield name.removesuffix(".__init__"), ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(name: str, module: ast.Module, *, package: bool) -> Iterator[tuple[int, str, bool]]:
    """Yield line, what is imported, and whether it is the package's own (then without the package's name)."""
    folder = name.split(".") if package else name.split(".")[:-1]
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top, _, rest = alias.name.partition(".")
                yield node.lineno, (rest if top == "coda_fs_session" else alias.name), top == "coda_fs_session"
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = folder[: len(folder) - node.level + 1]
                target = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            else:
                top, _, target = (node.module or "").partition(".")
                if top != "coda_fs_session":
                    yield node.lineno, node.module or "", False
                    continue
            for alias in node.names:
                # `from . import save` names a module, `from .save import x` what is in one.
                inner = f"{target}.{alias.name}".strip(".")
                yield node.lineno, (inner if (PACKAGE / f"{inner.replace('.', '/')}.py").exists() else target), True


def matches(name: str, pattern: str) -> bool:
    return name == pattern or (pattern.endswith(".") and (name + ".").startswith(pattern))


def allowed_for(name: str) -> tuple[str, ...]:
    for pattern, allowed in MAY_IMPORT.items():
        if matches(name, pattern) or (pattern == "backends" and name.startswith("backends.")):
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


def impurities(name: str, module: ast.Module) -> list[str]:
    found = [
        f"{name}, line {line}: imports {target}"
        for line, target, own in imports(name, module, package=False)
        if not own and target.partition(".")[0] in IMPURE
    ]
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Name) and called.id in IMPURE_CALLS:
                found.append(f"{name}, line {node.lineno}: calls {called.id}")
            if isinstance(called, ast.Attribute) and called.attr in CLOCK_CALLS:
                found.append(f"{name}, line {node.lineno}: asks the clock")
    return found


def file_changes(name: str, module: ast.Module) -> list[str]:
    """Find calls that change files: those of os, open for writing, shutil, and pathlib's."""
    found = []
    os_names = {"os"}
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            os_names |= {alias.asname for alias in node.names if alias.name in ("os", "posix") and alias.asname}
            found += [f"{name}, line {node.lineno}: shutil" for alias in node.names if alias.name == "shutil"]
        elif isinstance(node, ast.ImportFrom) and node.module in ("os", "posix", "shutil"):
            found += [f"{name}, line {node.lineno}: {alias.name}" for alias in node.names if alias.name in CHANGING]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner, verb = node.func.value, node.func.attr
            on_os = isinstance(owner, ast.Name) and owner.id in os_names
            if (on_os and (verb in CHANGING or verb == "open")) or verb in ("write_bytes", "write_text", "touch"):
                found.append(f"{name}, line {node.lineno}: {verb}")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open":
            found.append(f"{name}, line {node.lineno}: open")
    return found


def _parsed() -> list[tuple[str, ast.Module]]:
    return list(modules())


def test_the_package_is_found() -> None:
    """The tests below look at something: every layer is there."""
    names = {name for name, _ in _parsed()}
    assert {"errors", "manager", "session", "backends", "backends._files", "repo.save", "format.refs"} <= names
    assert {"backends", "format", "repo", "testing"} <= PACKAGES <= names


@pytest.mark.parametrize(("name", "module"), _parsed(), ids=lambda value: value if isinstance(value, str) else "")
def test_imports_point_down(name: str, module: ast.Module) -> None:
    """No module knows anything of the layers above it, nor of its neighbours where the table says so."""
    if name in ("format", "repo") and not list(imports(name, module, package=True)):
        return
    assert upward_imports(name, module) == []


def test_no_two_modules_import_each_other() -> None:
    """There is an order in which the modules can be read, each knowing only those before it."""
    known = {
        name: {target for _, target, own in imports(name, module, package=name in PACKAGES) if own}
        for name, module in _parsed()
        if name != "__init__"
    }
    # The registry and what it opens late are one thing; a folder's own imports are those of its modules.
    known["backends"] = {"backends.base"}
    while known:
        free = [name for name, needs in known.items() if not (needs - {name}) & known.keys()]
        assert free, f"these import each other: {sorted(known)}"
        for name in free:
            del known[name]


@pytest.mark.parametrize(
    ("name", "module"),
    [each for each in _parsed() if matches(each[0], FORMAT)],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_format_is_pure(name: str, module: ast.Module) -> None:
    """`format/` turns bytes into values and back: no files, no clock, no chance, no threads."""
    assert impurities(name, module) == []


@pytest.mark.parametrize(("name", "module"), _parsed(), ids=lambda value: value if isinstance(value, str) else "")
def test_one_module_changes_files(name: str, module: ast.Module) -> None:
    """Everything that changes the store goes through `backends/_files.py`, so that tests can record and break it."""
    if name in MAY_CHANGE_FILES:
        return
    exceptions = OUTSIDE_THE_STORE.get(name, frozenset())
    changes = [each for each in file_changes(name, module) if each.rpartition(" ")[2] not in {*exceptions, "open"}]
    opens = [each for each in file_changes(name, module) if each.endswith(": open")]
    assert changes == []
    assert not opens or name == "export"


@pytest.mark.parametrize(("name", "module"), _parsed(), ids=lambda value: value if isinstance(value, str) else "")
def test_only_the_test_tools_need_test_packages(name: str, module: ast.Module) -> None:
    """Whoever installs the package without extras can import all of it but `testing`."""
    wanted = {target.partition(".")[0] for _, target, own in imports(name, module, package=False) if not own} & {
        "hypothesis",
        "pytest",
    }
    assert not wanted or matches(name, "testing.")


BAD_MODULE = ast.parse(
    """
import os as system, time
from os import unlink
from datetime import datetime
from coda_fs_session import manager
from ..repo.save import save
from ..backends import local
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
    assert [each.rpartition(" ")[2] for each in upward] == ["manager", "repo.save", "backends.local"]
    impure = impurities("format.bad", BAD_MODULE)
    assert [each.partition(": ")[2] for each in impure] == [
        *("imports os", "imports time", "imports os"),
        *("calls open", "asks the clock"),
    ]
    changes = file_changes("repo.bad", BAD_MODULE)
    assert sorted(each.partition(": ")[2] for each in changes) == ["open", "rename", "unlink", "write_bytes"]
    manager = ast.parse("from .backends.local import LocalBackend\nfrom .backends import BACKENDS")
    assert [each.rpartition(" ")[2] for each in upward_imports("manager", manager)] == ["backends.local"]
    with pytest.raises(AssertionError, match="in no layer"):
        upward_imports("brand_new", BAD_MODULE)
