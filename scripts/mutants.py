"""Change the package one place at a time, and see whether a test notices.

For each mutant the tests that matter most for its file run first, then those of its layer, and with --all the whole
suite; with --first only the first ones. What survives is printed with its place and the change: a promise that no test
holds, or a mutation that changes nothing (`scripts/mutants.equivalent` lists those, each with the reason; they are left
out).

The working tree is never touched: mutants live in a copy, one for each job. Tools of others were tried: mutmut runs
functions through trampolines of its own, and draws no samples; cosmic-ray knows one test command for all files.
"""

from __future__ import annotations

import argparse
import os
import queue
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from mutations import Mutant, Mutations

ROOT = Path(__file__).resolve().parents[1]
EQUIVALENT = Path(__file__).with_suffix(".equivalent")

MATTERS = {
    # folder of the package: the tests that run second, the quickest first; those that name the module run before
    "format": "tests/format tests/compat tests/repo tests/damage",
    "repo": "tests/repo tests/test_hostile_objects.py tests/test_manager.py tests/test_working_copy.py tests/damage "
    "tests/compat tests/sync/test_simulator.py tests/sync/test_tools.py tests/faults tests/crash",
    "backends": "tests/backends tests/testing tests/repo tests/damage tests/test_hostile_folders.py "
    "tests/test_read_only.py tests/processes tests/faults tests/crash",
    "integrations": "tests/integrations",
}
BESIDE = {
    # room of the package: the small tests of what its modules do together, which run first
    "maintenance": "tests/maintenance/test_check.py tests/maintenance/test_repair.py "
    "tests/maintenance/test_put_right.py tests/maintenance/test_superseded.py tests/maintenance/test_replica_rules.py "
    "tests/compat/test_corrupt.py",
}
ELSEWHERE = "tests/test_manager.py tests/repo tests/backends"


def stages(path: str, root: Path, count: int) -> Iterator[list[str]]:
    """Yield the tests for a file of the package: a list, then one for what survives that; of three as many as asked."""
    parts = Path(path).with_suffix("").parts
    files = sorted(each.relative_to(root).as_posix() for each in (root / "tests").rglob("test_*.py"))
    # The room of the module, and the floor on which that is.
    module, folder, floor = parts[-1], parts[-2], parts[1]
    imports = re.compile(rf"\b{folder}\.{parts[-1]}\b|from [\w.]*\b{folder} import .*\b{parts[-1]}\b")
    named = [each for each in files if Path(each).stem == f"test_{module}"]
    named += [each for each in files if imports.search((root / each).read_text(encoding="utf-8"))]
    # Those beside it are small; a test of the whole engine may import it too.
    first = list(dict.fromkeys(each for each in named if each.startswith(f"tests/{floor}/"))) or named[:1]
    first += [each for each in BESIDE.get(folder, "").split() if each not in first]
    second = [each for each in dict.fromkeys(named) if each not in first]
    for each in MATTERS.get(floor, ELSEWHERE).split():
        second += [file for file in files if file.startswith(each) and file not in first + second]
    yield from (first, second, [each for each in files if each not in first + second])[:count]


class Runner:
    """Runs the tests for mutants, each in a copy of the working tree that no other job uses meanwhile."""

    def __init__(self, jobs: int, stages: int) -> None:
        self.stages = stages
        self.limits: dict[tuple[str, ...], float] = {}
        self.measuring = threading.Lock()
        self.running: set[int] = set()
        self.folder = Path(tempfile.mkdtemp(prefix="mutants-"))
        self.copies: queue.Queue[Path] = queue.Queue()
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
        for number in range(jobs):
            for name in filter(None, names):
                if (ROOT / name).is_file():
                    (self.folder / str(number) / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(ROOT / name, self.folder / str(number) / name)
            self.copies.put(self.folder / str(number))

    def survives(self, mutant: Mutant) -> bool:
        root = self.copies.get()
        target = root / mutant.path
        source = target.read_bytes()
        try:
            for tests in stages(mutant.path, root, self.stages):
                if tests:
                    limit = self.limit(tests, root)
                    target.write_bytes(source[: mutant.start] + mutant.new.encode() + source[mutant.end :])
                    killed = not self.passes(tests, root, limit)
                    target.write_bytes(source)
                    if killed:
                        return False
            return True
        finally:
            target.write_bytes(source)
            self.copies.put(root)

    def limit(self, tests: list[str], root: Path) -> float:
        """Return how long tests may take: what is measured once, without a mutant, three times over."""
        with self.measuring:
            if tuple(tests) not in self.limits:
                begun = time.monotonic()
                if not self.passes(tests, root, 3600):
                    sys.exit(f"error: without any mutant these tests fail: {' '.join(tests)}")
                self.limits[tuple(tests)] = 3 * (time.monotonic() - begun) + 20
            return self.limits[tuple(tests)]

    def passes(self, tests: list[str], root: Path, limit: float) -> bool:
        options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:xdist"]
        environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "pytest", *options, f"--basetemp={root}.tmp", *tests]
        quiet = subprocess.DEVNULL
        run = subprocess.Popen(command, cwd=root, env=environment, stdout=quiet, stderr=quiet, start_new_session=True)
        self.running.add(run.pid)
        try:
            return run.wait(limit) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            self.running.discard(run.pid)
            _kill(run.pid)
            run.wait()

    def stop(self) -> None:
        for leader in list(self.running):
            _kill(leader)
        shutil.rmtree(self.folder, ignore_errors=True)


def _kill(leader: int) -> None:
    # With the children of a test that hangs.
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def known_equivalents() -> set[str]:
    lines = EQUIVALENT.read_text(encoding="utf-8").splitlines() if EQUIVALENT.exists() else []
    return {line.rpartition(" | ")[0] for line in lines if line and not line.startswith("#")}


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/mutants", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("files", nargs="+", metavar="FILE[:LINE]", help="files or folders of the package")
    parser.add_argument("--sample", type=int, metavar="N", help="draw N of the mutants at random")
    parser.add_argument("--seed", type=int, metavar="S", help="repeat a sample that an earlier run has drawn")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N")
    parser.add_argument("--first", action="store_true", help="run only the tests that matter most: seconds for each")
    parser.add_argument("--all", action="store_true", help="give what survives to the whole suite: minutes for each")
    parser.add_argument("--list", action="store_true", help="print the mutants and run nothing")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().getrandbits(32)

    equivalent = known_equivalents()
    mutants: list[Mutant] = []
    for name, _, line in (each.partition(":") for each in options.files):
        for path in sorted(Path(name).rglob("*.py")) if Path(name).is_dir() else [Path(name)]:
            found = Mutations(path.resolve().relative_to(ROOT).as_posix(), path.read_bytes()).found
            mutants += [mutant for mutant in found if line in ("", str(mutant.line))]
    if options.sample is not None and options.sample < len(mutants):
        print(f"{options.sample} of {len(mutants)} mutants: --seed={seed}", flush=True)
        mutants = random.Random(seed).sample(mutants, options.sample)
    # After the draw: what is listed in between must not make another sample of the same seed.
    mutants = [mutant for mutant in mutants if mutant.key not in equivalent]
    if options.list:
        print(*mutants, sep="\n")
        return 0
    runner = Runner(options.jobs, 1 if options.first else 3 if options.all else 2)
    survivors = 0
    pool = ThreadPoolExecutor(options.jobs)
    try:
        for mutant, survived in zip(mutants, pool.map(runner.survives, mutants), strict=True):
            survivors += survived
            print(f"{'SURVIVED' if survived else 'killed'}  {mutant}", flush=True)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        runner.stop()
    killed = len(mutants) - survivors
    print(f"{killed} of {len(mutants)} killed ({killed / max(len(mutants), 1):.0%}), {survivors} survived")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
