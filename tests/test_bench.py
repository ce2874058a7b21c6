"""scripts/bench runs, and says all it should say; how fast things are is not for a test to judge."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def bench(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "scripts/bench.py", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=600,
    )


def test_quick_run_reports_every_contender(tmp_path: Path) -> None:
    """A short run prints its rows, writes them as JSON, and leaves nothing else behind."""
    results, stores = tmp_path / "results.json", tmp_path / "stores"
    rows = ["save", "fork-bytes", "last10", "last10-memory", "stats", "many-look-up"]
    run = bench("--quick", "--rounds", "3", "--dir", stores, "--json", results, "--rows", *rows)
    assert run.returncode == 0, run.stderr
    assert all(f"\n{name}: " in run.stdout for name in rows)
    assert not list(stores.iterdir())

    report = json.loads(results.read_bytes())
    assert report["quick"]
    assert [row["name"] for row in report["rows"]] == rows
    for row in report["rows"]:
        assert row["checks"]
        assert all(summary["median"] <= summary["p95"] for summary in row["contenders"].values())
        for check in row["checks"]:
            assert check["missed"] == (check["must"] is not None and check["value"] > check["must"])
    save, _, last, *_, many = report["rows"]
    assert set(last["contenders"]) == {"raw", "sqlite", "ours", "ours on sqlite", "ours on sqlite, 1,000"}
    assert set(save["contenders"]) == {
        f"{name}, {size}" for name in ("raw", "sqlite", "ours", "ours on sqlite") for size in ("10", "1,000", "20,000")
    }
    assert all(summary["rounds"] == 3 for summary in save["contenders"].values())
    assert {f"in, {size}" for size in ("10", "3,000")} < set(many["contenders"])


def test_unknown_row_is_refused() -> None:
    """A misspelt row name ends the run at once, with the names there are."""
    run = bench("--rows", "sav")
    assert run.returncode == 2
    assert "last10-memory" in run.stderr
