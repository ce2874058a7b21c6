"""Running a script on the double of Windows (`double.py`), in a process of its own."""

from __future__ import annotations

import os
import random
import textwrap
from pathlib import Path

import pytest
from storekit import run_python

needs_proc = pytest.mark.skipif(
    not os.path.isdir("/proc/self/fd"), reason="the double finds out from /proc which files are open"
)
INSTALL = """
import warnings

from windows import double

double.install()
# Only now: what the double imports is not ours to mend.
warnings.simplefilter("error")
"""
UNLIKE_TEXT = [{"role": "tool", "content": random.Random(number).randbytes(150_000).hex()} for number in range(2)]
"""What it is compressed to has all bytes in it, those that end a text on Windows too."""


def on_windows(script: str, *arguments: str | Path) -> str:
    """Run a script on the double, where a warning is an error; return what it has printed."""
    done = run_python(INSTALL + textwrap.dedent(script), *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout
