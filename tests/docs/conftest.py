"""What the tests of API pages share: the page under test, and a home folder for its examples."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from .page import Passage, read_page

OWN_PAGE = Path(__file__).with_name("api_page.md")


@pytest.fixture(scope="session")
def page(request: pytest.FixtureRequest) -> list[Passage]:
    """The page given with `--api-page=PATH` or in `CODA_FS_API_PAGE`, else the tests' own."""
    given = request.config.getoption("--api-page", None) or os.environ.get("CODA_FS_API_PAGE")
    path = Path(given).resolve() if given else OWN_PAGE
    passages = read_page(path)
    if not any(passage.kind == "python" for passage in passages):
        pytest.fail(f"{path} has no Python to run", pytrace=False)
    return passages


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home and working folder, so that no example touches the user's own sessions."""
    for name in [name for name in os.environ if name.startswith(("XDG_", "CODA_FS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(params=["files", "memory", "sqlite"])
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The configuration of the examples, once per backend."""
    # The page has examples of its own with files in ~/.coda/sessions.
    folder = "~/.coda/in-sqlite" if request.param == "sqlite" else "~/.coda/sessions"
    return {"session": {"backend": request.param, "storage_path": folder}}
