"""What the manual calls by a name of the API exists, and the table of options is that of the package."""

from __future__ import annotations

import builtins
import re
import tomllib
from pathlib import Path

import pytest

import coda_fs_session
from coda_fs_session import Session, SessionInfo, SessionManager, errors
from coda_fs_session.aio import AsyncSessionManager
from coda_fs_session.config import Config

from .manual import ALL, CONTRIBUTING, DOCS, names

OWNERS = {"manager": SessionManager, "session": Session("any"), "info": SessionInfo}


@pytest.mark.parametrize("page", sorted({*ALL} - {CONTRIBUTING}), ids=names)
def test_what_is_called_exists(page: Path) -> None:
    """A method, a field or an error that a page names is there: a rename takes the pages along."""
    text = page.read_text(encoding="utf-8")
    owners = OWNERS | ({"manager": AsyncSessionManager} if page.name == "asyncio.md" else {})
    for owner, name in re.findall(r"\b(manager|session|info)\.(\w+)", text):
        assert hasattr(owners[owner], name) or name in SessionInfo.__dataclass_fields__, f"{owner}.{name}"
    for name in re.findall(r"\b[A-Z]\w+Error\b", text):
        assert hasattr(errors, name) or name in vars(builtins), name


def test_the_table_of_options_is_complete() -> None:
    """Each option is there with its default, and none that the package does not have."""
    table = re.findall(r"^\| (`.*?`) \| (.*?) \|", (DOCS / "options.md").read_text(encoding="utf-8"), re.MULTILINE)
    shown = {}
    for options, defaults in table:
        for name, default in zip(options.split(", "), defaults.split(", "), strict=True):
            shown[name.strip("`")] = default
    assert shown.keys() == Config._field_defaults.keys()
    for name, default in shown.items():
        if default.startswith("`"):
            assert tomllib.loads(f"it = {default.strip('`')}")["it"] == Config._field_defaults[name], name
        else:
            assert Config._field_defaults[name] is None, name


def test_every_public_name_is_in_the_manual() -> None:
    """Nothing that the package exports is left for a reader to guess."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in ALL)
    missing = [
        name for name in coda_fs_session.__all__ if name != "__version__" and not re.search(rf"\b{name}\b", text)
    ]
    assert missing == []
