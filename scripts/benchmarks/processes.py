"""Rows about whole processes, from the start of Python to its end."""

from .children import run
from .lab import Lab
from .measure import Row, interleave, milliseconds, ratio, ready

OURS = """
import sys
from coda_fs_session import SessionManager

manager = SessionManager({"session": {"storage_path": sys.argv[1], "state_path": sys.argv[2]}})
for message in manager.load_session(sys.argv[3]).get_messages(limit=10):
    print(message["role"], message["content"])
"""

SQLITE = """
import sys, sqlite3, MODULE

connection = sqlite3.connect(sys.argv[1])
(key,) = connection.execute("SELECT id FROM sessions WHERE name = ?", (sys.argv[2],)).fetchone()
newest = connection.execute("SELECT body FROM messages WHERE session = ? ORDER BY seq DESC LIMIT 10", (key,))
for (body,) in reversed(newest.fetchall()):
    message = MODULE.loads(body)
    print(message["role"], message["content"])
"""


def only_import(lab: Lab) -> Row:
    modules = ("orjson", "sqlite3", "coda_fs_session")
    programs = [f"import {module}" for module in modules]
    # The public names are imported when they are asked for: what a program pays that uses them is shown as well.
    programs.append("from coda_fs_session import SessionManager")
    contenders = {program: ready(run, ["-c", program]) for program in programs}
    contenders["nothing"] = ready(run, ["-c", ""])
    results = milliseconds(interleave(contenders, lab.rounds(60)))
    checks = [
        ratio(results, "import coda_fs_session", "import orjson", must=1.5, aim=1.3),
        ratio(results, programs[-1], "import orjson"),
    ]
    return Row("a process that only imports", results, checks)


def print_last_messages(lab: Lab) -> Row:
    session = lab.session(lab.scale.bulk, "print", ["sqlite", "ours"])
    ours = ["-c", OURS, str(lab.ours.store), str(lab.ours.state), session]
    contenders = {"ours": ours}
    for module in ("json", "orjson"):
        program = SQLITE.replace("MODULE", module)
        contenders[f"sqlite3 and {module}"] = ["-c", program, str(lab.sqlite.path), session]
    if len({run(arguments) for arguments in contenders.values()}) > 1:
        raise RuntimeError("the programs print different messages")
    times = interleave({name: ready(run, arguments) for name, arguments in contenders.items()}, lab.rounds(60))
    results = milliseconds(times)
    checks = [
        ratio(results, "ours", "sqlite3 and json"),
        ratio(results, "ours", "sqlite3 and orjson"),
    ]
    return Row(f"a process that prints the last 10 of {lab.scale.bulk:,} messages", results, checks)
