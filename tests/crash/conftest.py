"""Where crashes are tried out."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from layouts import is_tried, layout

__all__ = ["is_tried", "layout", "scratch"]


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder in memory where the system has one: thousands of stores are made there and thrown away."""
    memory = "/dev/shm"
    folder = tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else None)
    yield Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
