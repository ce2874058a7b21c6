"""Rows about `coda-session` as a process, beside the library in one."""

from functools import partial

from .children import run
from .contenders.ours import Ours
from .lab import Lab
from .measure import Check, Prepare, Row, Summary, interleave, milliseconds, ratio, ready

COMMAND = ["-m", "coda_fs_session"]
MANAGER = """
import os
from coda_fs_session import SessionManager

manager = SessionManager(os.environ["CODA_FS_STORE"], read_only=True)
"""
LIST = (
    MANAGER
    + """
for info in manager.list_sessions()[:20]:
    print(info.name, info.message_count, info.updated_at, info.size_bytes, info.parent, sep="\\t")
"""
)
SHOW = (
    MANAGER
    + """
import sys

session = manager.load_session(sys.argv[1])
for message in session.get_messages(limit=10):
    print(message["role"], message["content"])
"""
)
PEAK = """
import resource, subprocess, sys

subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
FEW = 10


def _variables(ours: Ours) -> dict[str, str]:
    return {"CODA_FS_STORE": str(ours.store), "CODA_FS_STATE": str(ours.state), "CODA_FS_CONFIG": "/dev/null"}


def _in(ours: Ours, arguments: list[str], **more: str) -> Prepare:
    return ready(partial(run, arguments, **_variables(ours), **more))


def start(lab: Lab) -> Row:
    """What it takes to say the version, and the help."""
    programs = {"--version": [*COMMAND, "--version"], "--help": [*COMMAND, "--help"], "nothing": ["-c", ""]}
    contenders = {name: ready(run, arguments) for name, arguments in programs.items()}
    results = milliseconds(interleave(contenders, lab.rounds(40)))
    checks = [ratio(results, each, "nothing", must=6) for each in ("--version", "--help")]
    return Row("coda-session: the start of the command", results, checks)


def list_sessions(lab: Lab) -> Row:
    """What a list of 20, `show @` and the completion of a name take among many sessions, and among few."""
    many = lab.scale.many[0]
    stores = {many: lab.store_of(many), FEW: lab.store_of(FEW)}
    contenders: dict[str, Prepare] = {}
    for number, ours in stores.items():
        contenders[f"list, {number:,}"] = _in(ours, [*COMMAND, "list", "-n", "20", "-q"])
        contenders[f"show @, {number:,}"] = _in(ours, [*COMMAND, "show", "@"])
        contenders[f"a name, {number:,}"] = _in(ours, [*COMMAND, "show", "session-7"], _CODA_SESSION_COMPLETE="zsh")
        contenders[f"library, {number:,}"] = _in(ours, ["-c", LIST])
    results = milliseconds(interleave(contenders, lab.rounds(20)))
    checks = [
        *(ratio(results, f"{each}, {many:,}", f"library, {many:,}", must=1.25) for each in ("list", "a name")),
        *(ratio(results, f"{each}, {many:,}", f"{each}, {FEW}", aim=1.5) for each in ("list", "show @", "a name")),
        ratio(results, f"library, {many:,}", f"library, {FEW}"),
    ]
    return Row(f"coda-session: 20 of {many:,} sessions, and of {FEW}", results, checks)


def show(lab: Lab) -> Row:
    """What the last ten messages of a long session take."""
    session = lab.session(lab.scale.large, names=["ours"])
    contenders = {
        "show -n 10": _in(lab.ours, [*COMMAND, "show", "-n", "10", session]),
        "library": _in(lab.ours, ["-c", SHOW, session]),
    }
    results = milliseconds(interleave(contenders, lab.rounds(20)))
    checks = [ratio(results, "show -n 10", "library", must=1.2)]
    return Row(f"coda-session: the last 10 of {lab.scale.large:,} messages", results, checks)


def memory(lab: Lab) -> Row:
    """The most memory that a list of 20 takes."""
    import sys

    ours = lab.store_of(lab.scale.many[0])
    programs = {"list -n 20": [*COMMAND, "list", "-n", "20", "-q"], "library": ["-c", LIST]}
    results = {
        name: Summary.once(int(run(["-c", PEAK, sys.executable, *arguments], **_variables(ours))) / 1024, "MB")
        for name, arguments in programs.items()
    }
    checks: list[Check] = [ratio(results, "list -n 20", "library", must=1.2)]
    return Row(f"coda-session: peak memory of a list of {lab.scale.many[0]:,}", results, checks)
