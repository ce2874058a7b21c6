"""What a module imports and calls, told from its source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "coda_fs_session"

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
WRITES_REFS = frozenset(["create_ref", "append_ref", "replace_ref"])
SYSTEM_MODULES = frozenset(
    ["fcntl", "grp", "msvcrt", "nt", "platform", "posix", "pwd", "resource", "termios", "winreg"]
)


def modules(root: Path = PACKAGE) -> Iterator[tuple[str, ast.Module]]:
    """Yield every module by its name below the package; a folder goes by its own name."""
    for path in sorted(root.rglob("*.py")):
        name = ".".join(path.relative_to(root).with_suffix("").parts)
        yield name.removesuffix(".__init__"), ast.parse(path.read_text(encoding="utf-8"), str(path))


@cache
def parsed() -> list[tuple[str, ast.Module]]:
    """Return what `modules` yields, parsed once."""
    return list(modules())


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
                yield node.lineno, (inner if _is_module(inner) else target), True


def _is_module(name: str) -> bool:
    path = PACKAGE / name.replace(".", "/")
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


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


def questions_of_system(name: str, module: ast.Module) -> list[str]:
    """Find what asks which system this is: its name, and modules that only some have."""
    found = [
        f"{name}, line {line}: imports {target}"
        for line, target, own in imports(name, module, package=False)
        if not own and target in SYSTEM_MODULES
    ]
    return found + [
        f"{name}, line {node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(module)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("sys.platform", "os.name")
    ]


def ref_changes(name: str, module: ast.Module) -> list[str]:
    """Find calls of the backend's verbs that write or remove a ref."""
    return [
        f"{name}, line {node.lineno}: {node.func.attr}"
        for node in ast.walk(module)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WRITES_REFS
    ]
