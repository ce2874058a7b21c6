"""Print the rows, and write them as JSON."""

import platform
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from .lab import QUICK, Lab
from .measure import Check, Row

IN_MEMORY = {"tmpfs", "ramfs"}


def about(lab: Lab) -> dict[str, Any]:
    """Return under what conditions this run measures."""
    return {
        "quick": lab.scale is QUICK,
        "filesystem": filesystem(lab.folder),
        "message_bytes": round(lab.messages.mean_bytes),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def filesystem(folder: Path) -> str:
    """Return the type of the file system that holds the folder, where the system tells it."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return "unknown"
    holding = [(len(mount[1]), mount[2]) for mount in mounts if folder.is_relative_to(mount[1])]
    return max(holding)[1] if holding else "unknown"


def heading(about: dict[str, Any]) -> str:
    lines = [
        f"Python {about['python']} on {about['system']}, stores on {about['filesystem']}",
        f"Real messages, {about['message_bytes']} bytes each on average",
    ]
    if about["quick"]:
        lines.append("Quick run: the sizes are too small for the limits to mean much.")
    if about["filesystem"] in IN_MEMORY:
        lines.append("This file system is memory: a sync costs nothing there. Choose a real disk with --dir.")
    return "\n".join(lines)


def table(row: Row) -> str:
    width = max(map(len, [*row.contenders, *(check.what for check in row.checks)]))
    lines = [f"\n{row.name}: {row.title}", f"  {'':{width}}  {'median':>13}  {'p95':>13}  {'rounds':>6}"]
    for name, summary in row.contenders.items():
        median, p95 = quantity(summary.median, summary.unit), quantity(summary.p95, summary.unit)
        lines.append(f"  {name:{width}}  {median:>13}  {p95:>13}  {summary.rounds:>6}")
    lines += [f"  {check.what:{width}}  {verdict(check)}" for check in row.checks]
    lines += [f"  ({note})" for note in row.notes]
    return "\n".join(lines)


def verdict(check: Check) -> str:
    sign = "≥" if check.at_least else "≤"
    cells = [f"{quantity(check.value, check.unit):>13}"]
    for word, limit in (("must", check.must), ("aim", check.aim)):
        if limit is not None:
            outcome = "ok" if check.reaches(limit) else "MISS"
            cells.append(f"{word} {sign} {limit:g} {check.unit} {outcome}".ljust(18))
    return "  ".join(cells).rstrip()


def quantity(value: float, unit: str) -> str:
    if unit == "B":
        return f"{value:,.0f} B"
    if unit == "x":
        return f"{value:.2f} x"
    return f"{value:,.0f} {unit}" if abs(value) >= 1000 else f"{value:.3g} {unit}"


def summary(rows: list[Row]) -> str:
    checks = [(row, check) for row in rows for check in row.checks if check.must is not None]
    missed = [f"  {row.name}: {check.what}  {verdict(check).strip()}" for row, check in checks if check.missed]
    if not missed:
        return f"\nAll {len(checks)} limits are kept."
    return "\n".join([f"\n{len(missed)} of {len(checks)} limits are missed:", *missed])


def as_json(about: dict[str, Any], rows: list[Row]) -> bytes:
    return orjson.dumps(
        {
            **about,
            "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
            "rows": [
                {
                    "name": row.name,
                    "title": row.title,
                    "contenders": {name: asdict(summary) for name, summary in row.contenders.items()},
                    "checks": [{**asdict(check), "missed": check.missed} for check in row.checks],
                    "notes": row.notes,
                }
                for row in rows
            ],
        },
        option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE,
    )
