"""The storage of the manual passes the kit, with the test class that the manual shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .page import read_page

PAGE = Path(__file__).resolve().parents[2] / "coda_fs_session" / "docs" / "own-storage.md"

_defined: dict[str, Any] = {"__name__": __name__}
for _passage in read_page(PAGE):
    if _passage.kind == "python" and _passage.text.lstrip().startswith("import") and "JsonFolder(" in _passage.text:
        exec(compile("\n" * (_passage.line - 1) + _passage.text, str(PAGE), "exec", dont_inherit=True), _defined)

TestJsonFolder = _defined["TestJsonFolder"]


def test_it_is_short() -> None:
    """Four methods and what they need, in about 60 lines."""
    (text,) = [each.text for each in read_page(PAGE) if "class JsonFolder" in each.text]
    assert len(text.splitlines()) <= 75
