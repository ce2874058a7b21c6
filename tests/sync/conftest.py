from __future__ import annotations

from pathlib import Path

import pytest

from .stores import Machine


@pytest.fixture
def here(tmp_path: Path) -> Machine:
    (tmp_path / "here").mkdir()
    return Machine(tmp_path / "here", "here-00000001")


@pytest.fixture
def there(tmp_path: Path) -> Machine:
    (tmp_path / "there").mkdir()
    return Machine(tmp_path / "there", "there-00000002")
