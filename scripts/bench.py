"""Measure coda_fs_session beside plain files and SQLite: a table on stdout, and JSON with --json FILE.

Every row runs its contenders by turns in one loop, so that a noisy machine is noisy for all of them; what counts is
the ratio of two medians, not the times. "must" is what a row has to reach, "aim" what it would like to.
"""

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks import (
    buckets,
    checking,
    commands,
    counting,
    forking,
    frameworks,
    going_back,
    graphs,
    hubs,
    importing,
    listing,
    many,
    merging,
    parts,
    processes,
    reading,
    report,
    saving,
    searching,
    streaming,
    syncing,
    tasks,
    viewing,
    watching,
)
from benchmarks.lab import FULL, LONG, QUICK, Lab
from benchmarks.measure import RowFunction

ROWS: dict[str, RowFunction] = {
    # One store for these; forks come last, since they make many sessions that the others would find there.
    "save": saving.one_message,
    "agent-turn": saving.after_get_messages,
    "swap": saving.compare_and_swap,
    "live-save": saving.after_messages_was_read,
    "idle-save": saving.after_the_list_is_let_go,
    "record": saving.with_and_without_the_record,
    "last10": reading.last_messages,
    "last10-memory": reading.memory_of_last_messages,
    "load": reading.all_messages,
    "parts": parts.some_messages,
    "cut": parts.cut_off_the_end,
    "count": counting.after_one_message,
    "print10": processes.print_last_messages,
    "cli-show": commands.show,
    "view-page": viewing.first_page,
    "view-file": viewing.file,
    "fork": forking.time_of_a_fork,
    "undo": going_back.time_of_an_undo,
    "restore": going_back.time_of_a_restore,
    "tag": going_back.time_of_a_tag,
    "history": going_back.first_page,
    "merge": merging.time_of_a_merge,
    "diff": merging.time_of_a_diff,
    # A new store for each of these.
    "fork-bytes": forking.bytes_of_forks,
    "create": forking.time_of_a_new_session,
    "save-after-merges": merging.save_with_merges_behind,
    "saves": saving.save_after_save,
    "bulk": saving.many_messages,
    "import": saving.many_sessions,
    "import-export": importing.an_export,
    "import-memory": importing.memory,
    "import-bytes": importing.stored,
    "writers": saving.four_processes,
    "tasks": tasks.tasks_and_threads,
    "frameworks": frameworks.beside_their_own,
    "graph-bytes": graphs.stored,
    "list-replicas": listing.list_with_replicas,
    "first-list": listing.first_list,
    "stats": listing.totals,
    "check": checking.check,
    "gc": checking.gc,
    "edits": streaming.edits,
    "purge": checking.purge,
    "sync": syncing.first_run,
    "sync-again": syncing.run_without_changes,
    "hub-pull": hubs.first_pull,
    "hub-again": hubs.run_without_changes,
    "bucket": buckets.per_verb,
    "search-build": searching.first_build,
    "search-build-chinese": searching.first_build_of_chinese,
    "search": searching.queries,
    "search-scan": searching.look_through,
    "search-news": searching.after_one_message,
    "disk": reading.bytes_on_disk,
    "state-bytes": reading.bytes_of_the_state,
    # Stores of many sessions for these; those that change them come last.
    "list": listing.list_of_sessions,
    "watch": watching.watch,
    "many-open": many.open_one,
    "many-look-up": many.look_up,
    "many-prefix": many.by_prefix,
    "many-script": many.script,
    "many-changes": many.change_one,
    "many-open-sqlite": partial(many.open_one, backend="sqlite"),
    "many-prefix-sqlite": partial(many.by_prefix, backend="sqlite"),
    "many-look-up-sqlite": partial(many.look_up, backend="sqlite"),
    "many-script-sqlite": partial(many.script, backend="sqlite"),
    "many-changes-sqlite": partial(many.change_one, backend="sqlite"),
    "manager": processes.make_manager,
    "cli-start": commands.start,
    "cli-list": commands.list_sessions,
    "cli-memory": commands.memory,
    "view-list": viewing.list_of_sessions,
    "view-memory": viewing.memory,
}


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", nargs="+", choices=ROWS, metavar="NAME", help=f"only these rows: {', '.join(ROWS)}")
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--quick", action="store_true", help="small sizes and few rounds: does it run, not how fast")
    sizes.add_argument("--long", action="store_true", help="also stores of 100,000 sessions, an export of 1 GB")
    parser.add_argument("--rounds", type=positive, metavar="N", help="rounds of every row, instead of its own number")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    parser.add_argument("--strict", action="store_true", help="end with status 1 when a row misses what it must reach")
    parser.add_argument(
        "--dir",
        type=Path,
        default=Path("bench-results"),
        help="where the stores are made, and removed again; on a real disk with 4 GB free (default: %(default)s)",
    )
    return parser.parse_args(arguments)


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    options.dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.dir, prefix="stores-") as folder:
        lab = Lab(Path(folder).resolve(), QUICK if options.quick else LONG if options.long else FULL, options.rounds)
        about = report.about(lab)
        print(report.heading(about), flush=True)
        rows = []
        for name in options.rows or ROWS:
            row = ROWS[name](lab)
            row.name = name
            rows.append(row)
            print(report.table(row), flush=True)
    missed = [check for row in rows for check in row.checks if check.missed]
    print(report.summary(rows))
    if options.json:
        options.json.write_bytes(report.as_json(about, rows))
    return 1 if missed and options.strict else 0


if __name__ == "__main__":
    sys.exit(main())
