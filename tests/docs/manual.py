"""The pages of the manual, and running one as a reader would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import resources
from pathlib import Path

import coda_fs_session

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
CONTRIBUTING = ROOT / ".github" / "CONTRIBUTING.md"
PACKAGE = Path(str(resources.files(coda_fs_session)))
DOCS = PACKAGE / "docs"
ALL = sorted([README, CONTRIBUTING, *PACKAGE.glob("*.md"), *DOCS.rglob("*.md")])
"""Every page that somebody reads."""

RUN = Path(__file__).with_name("run_page.py")


def names(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def problems_of(page: Path, home: Path) -> list[str]:
    """Run every block of a page in a process of its own, with an empty home, and return what did not hold."""
    kept = {name: value for name, value in os.environ.items() if name in ("LANG", "TERM", "TMPDIR")}
    # The commands of a page find the Python that runs it, as after `source .venv/bin/activate`.
    kept["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-W", "default", RUN, page],
        cwd=home,
        env=kept | {"HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    problems: list[str] = json.loads(done.stdout.splitlines()[-1])
    return problems
