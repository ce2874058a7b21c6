"""Where a docstring or comment points at a part of the package, that part is there."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import coda_fs_session

PACKAGE = Path(coda_fs_session.__file__).parent
# The other rooms have the names of objects too: `session.messages` is one.
_REFERENCE = re.compile(r"`((?:repo|backends|format|process|interchange|testing)\.[\w.]+)`")


def missing(text: str) -> list[str]:
    """Return the references in a text that lead nowhere."""
    return [name for name in _REFERENCE.findall(text) if not _is_there(name)]


def _is_there(name: str) -> bool:
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(("coda_fs_session", *parts[:length])))
        except ModuleNotFoundError:
            continue
        for attribute in parts[length:]:
            found = getattr(found, attribute, None)
        return found is not None
    return False


def test_what_is_pointed_at_is_there() -> None:
    """A module that moves takes along what is said of it elsewhere."""
    found = {path.relative_to(PACKAGE): missing(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")}
    assert {path: names for path, names in found.items() if names} == {}


def test_a_reference_can_lead_nowhere() -> None:
    """The search above finds a module, and a name in one, that is not there."""
    assert missing("`repo.put_back` and `repo.ancestry.shown.Shown`") == ["repo.put_back"]
    assert missing("`backends.base.Backends`") == ["backends.base.Backends"]
