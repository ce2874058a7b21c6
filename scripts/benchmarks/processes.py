"""Rows about whole processes, from the start of Python to its end."""

from .children import run
from .lab import Lab
from .measure import Row, interleave, milliseconds, ratio, ready

BASE = ["-c", "import orjson, hashlib"]
"""What a program of ours cannot do without."""

MANAGER = """
import sys
from coda_fs_session import SessionManager

backend, store, state, *_ = sys.argv[1:]
manager = SessionManager({"session": {"backend": backend, "storage_path": store, "state_path": state}})
"""

OURS = (
    MANAGER
    + """
for message in manager.load_session(sys.argv[4]).get_messages(limit=10):
    print(message["role"], message["content"])
"""
)

SQLITE = """
import sys, sqlite3, MODULE

connection = sqlite3.connect(sys.argv[1])
(key,) = connection.execute("SELECT id FROM sessions WHERE name = ?", (sys.argv[2],)).fetchone()
newest = connection.execute("SELECT body FROM messages WHERE session = ? ORDER BY seq DESC LIMIT 10", (key,))
for (body,) in reversed(newest.fetchall()):
    message = MODULE.loads(body)
    print(message["role"], message["content"])
"""


def make_manager(lab: Lab) -> Row:
    lab.session(lab.scale.small, "print", ["ours"])
    programs = {
        "a manager": ["-c", MANAGER, "files", str(lab.ours.store), str(lab.ours.state)],
        "import orjson, hashlib": BASE,
        "import coda_fs_session": ["-c", "import coda_fs_session"],
        "import sqlite3": ["-c", "import sqlite3"],
        "nothing": ["-c", ""],
    }
    contenders = {name: ready(run, arguments) for name, arguments in programs.items()}
    results = milliseconds(interleave(contenders, lab.rounds(60)))
    checks = [ratio(results, "a manager", "import orjson, hashlib", must=1.4)]
    return Row("a process that makes a manager", results, checks)


def print_last_messages(lab: Lab) -> Row:
    session = lab.session(lab.scale.bulk, "print", ["sqlite", "ours", "ours on sqlite"])
    contenders = {
        name: ["-c", OURS, backend, str(ours.store), str(ours.state), session]
        for name, backend, ours in (("ours", "files", lab.ours), ("ours on sqlite", "sqlite", lab.on_sqlite))
    }
    for module in ("json", "orjson"):
        program = SQLITE.replace("MODULE", module)
        contenders[f"sqlite3 and {module}"] = ["-c", program, str(lab.sqlite.path), session]
    if len({run(arguments) for arguments in contenders.values()}) > 1:
        raise RuntimeError("the programs print different messages")
    contenders["import orjson, hashlib"] = BASE
    times = interleave({name: ready(run, arguments) for name, arguments in contenders.items()}, lab.rounds(60))
    results = milliseconds(times)
    checks = [
        ratio(results, "ours", "import orjson, hashlib", must=1.7),
        ratio(results, "ours on sqlite", "ours", must=1.5),
        ratio(results, "ours", "sqlite3 and json"),
        ratio(results, "ours", "sqlite3 and orjson"),
    ]
    return Row(f"a process that prints the last 10 of {lab.scale.bulk:,} messages", results, checks)
