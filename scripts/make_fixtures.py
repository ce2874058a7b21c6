"""Make fixtures/stores, fixtures/corrupt and fixtures/vectors.json; with --check, compare them with what would be made.

The recipes fix clock and replica ids, so that making them again changes no byte. Only compressed objects may
differ, from one version of zstd to the next: they are compared, and kept, by their plain bytes. Of the database, whose
bytes vary, the content is compared.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from recipes import corrupt, database, golden, vectors
from recipes.stores import early_keys
from recipes.tree import differences

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
MADE = ("stores/v1", "stores/v1.expected.json", "stores/sqlite-v4", "corrupt", "vectors.json")


def make(folder: Path) -> None:
    with early_keys():
        golden.make(folder / "stores" / "v1", folder / "stores" / "v1.expected.json")
        database.make(folder / "stores" / "v1", folder / "stores" / "sqlite-v4")
        corrupt.make(folder / "corrupt")
    vectors.make(folder / "vectors.json")


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/make_fixtures", description=__doc__.split("\n\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; fail if the fixtures are not as made")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch)
        make(made)
        changed = [f"{part}: {what}" for part in MADE for what in differences(FIXTURES / part, made / part)]
        print("\n".join(changed) or "The fixtures are as the recipes make them.")
        if not check and changed:
            for part in MADE:
                _replace(FIXTURES / part, made / part)
    return 1 if check and changed else 0


def _replace(old: Path, new: Path) -> None:
    if not differences(old, new):
        return
    if old.is_dir():
        shutil.rmtree(old)
    old.parent.mkdir(parents=True, exist_ok=True)
    if new.is_dir():
        shutil.copytree(new, old)
    else:
        shutil.copyfile(new, old)


if __name__ == "__main__":
    sys.exit(main())
