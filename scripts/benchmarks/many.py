"""Rows about stores of many sessions: what one costs must not depend on the others."""

import shutil
from collections.abc import Callable
from functools import partial
from itertools import count

from coda_fs_session import SessionManager
from coda_fs_session.backends import spread

from .contenders.ours import Ours
from .lab import Lab
from .measure import Prepare, Row, interleave, milliseconds, ratio

FEW = 10
LIMIT = 10
ON = {"files": "", "sqlite": ", in a database"}
LARGEST = 100_000
"""Sessions from which on a row may have a limit of its own."""

Act = Callable[[], object]
Verb = Callable[[SessionManager], Act]


def open_one(lab: Lab, backend: str = "files") -> Row:
    """As a new process finds it; stores whose refs are in one folder, or of many replicas, are only reported."""
    stores = {f"{number:,}": lab.store_of(number, backend) for number in (FEW, *lab.scale.many)}
    number = lab.scale.many[0]
    more = {}
    if backend == "files":
        more = {
            f"{number:,} of five replicas": of_replicas(lab, number, 5),
            f"{number:,} in one folder": flat(lab, number),
        }
    stores |= more
    for ours in stores.values():
        ours.last("session-3", LIMIT)
    contenders: dict[str, Prepare] = {name: opener(ours) for name, ours in stores.items()}
    results = milliseconds(interleave(contenders, lab.rounds(30)))
    checks = [ratio(results, f"{each:,}", str(FEW), must=3 if each < LARGEST else 5) for each in lab.scale.many]
    checks += [ratio(results, name, str(FEW)) for name in more]
    what = f"open, and the last {LIMIT} messages, a new manager, by the sessions in the store"
    return Row(f"{what}{ON[backend]}", results, checks)


def opener(ours: Ours) -> Prepare:
    return lambda turn: lambda: ours.last(f"session-{turn % FEW}", LIMIT)


def of_replicas(lab: Lab, number: int, replicas: int) -> Ours:
    """Return a store in which each session has a ref of each of several machines, one of which was the last."""
    ours = lab.new_store_of(number)
    (own,) = (ours.store / "refs").iterdir()
    for other in range(1, replicas):
        folder = own.with_name(f"machine{other}-0000000{other}")
        shutil.copytree(own, folder)
        for ref in folder.rglob("*.jsonl"):
            ref.write_bytes(ref.read_bytes().partition(b"\n")[0] + b"\n")
    ours.keep_index()
    return ours


def flat(lab: Lab, number: int) -> Ours:
    """Return a store with all refs in one folder, as versions before subfolders have left it."""
    usual, spread.FLAT_REFS = spread.FLAT_REFS, number
    try:
        return lab.new_store_of(number)
    finally:
        spread.FLAT_REFS = usual


def by_prefix(lab: Lab, backend: str = "files") -> Row:
    """A list of some ten sessions by the beginning of their names, against one look at one, by the same manager."""
    contenders: dict[str, Prepare] = {}
    for number in lab.scale.many:
        ours = lab.store_of(number, backend)
        for what, known in (("", SessionManager(ours.config)), (", a new manager", None)):
            made = partial(SessionManager, ours.config) if known is None else partial(itself, known)
            contenders[f"get_session_info, {number:,}{what}"] = with_name(number, made, SessionManager.get_session_info)
            contenders[f"by prefix, {number:,}{what}"] = with_name(number, made, listed_by_prefix)
    results = milliseconds(interleave(contenders, lab.rounds(30)))
    checks = []
    for what in ("", ", a new manager"):
        for number in lab.scale.many:
            ends = f"{number:,}{what}"
            checks.append(ratio(results, f"by prefix, {ends}", f"get_session_info, {ends}", must=2))
    return Row(f"list of {FEW + 1} sessions by prefix, by the sessions in the store{ON[backend]}", results, checks)


def itself(manager: SessionManager) -> SessionManager:
    return manager


def with_name(number: int, made: Callable[[], SessionManager], ask: Callable[[SessionManager, str], object]) -> Prepare:
    def act(turn: int) -> object:
        manager = made()
        # It has a session of this name, and ten of names that are one digit longer.
        return manager, ask(manager, f"session-{number // 100 + turn}")

    return lambda turn: lambda: act(turn)


def listed_by_prefix(manager: SessionManager, prefix: str) -> object:
    infos = manager.list_sessions(prefix=prefix)
    if len(infos) != FEW + 1:
        raise RuntimeError(f"{len(infos)} sessions begin with {prefix}")
    return infos


def look_up(lab: Lab, backend: str = "files") -> Row:
    """By a new manager each, of a session that is there."""
    verbs: dict[str, Callable[[SessionManager, str], object]] = {
        "get_session_info": lambda manager, name: manager.get_session_info(name),
        "in": lambda manager, name: name in manager,
        "create_session": lambda manager, name: manager.create_session(name),
    }

    def looker(ours: Ours, act: Callable[[SessionManager, str], object]) -> Prepare:
        def look(turn: int) -> object:
            manager = SessionManager(ours.config)
            return manager, act(manager, f"session-{turn % FEW}")

        return lambda turn: lambda: look(turn)

    sizes = (FEW, *lab.scale.many)
    contenders = {
        f"{name}, {size:,}": looker(lab.store_of(size, backend), act) for name, act in verbs.items() for size in sizes
    }
    results = milliseconds(interleave(contenders, lab.rounds(30)))
    checks = [
        ratio(results, f"{name}, {size:,}", f"{name}, {FEW}", must=5) for name in verbs for size in lab.scale.many
    ]
    return Row(
        f"what is known of one session, a new manager, by the sessions in the store{ON[backend]}", results, checks
    )


def change_one(lab: Lab, backend: str = "files") -> Row:
    """By a manager that stays open; and what another session is asked for right after costs as well."""
    sizes = (FEW, *lab.scale.many)
    contenders = {}
    for size in sizes:
        ours = lab.store_of(size, backend)
        for name, verb in VERBS.items():
            contenders[f"{name}, {size:,}"] = doer(ours, verb)
            contenders[f"info after {name}, {size:,}"] = asker(ours, verb)
    results = milliseconds(interleave(contenders, lab.rounds(30)))
    whats = [what for name in VERBS for what in (name, f"info after {name}")]
    checks = [
        ratio(results, f"{what}, {size:,}", f"{what}, {FEW}", must=5) for what in whats for size in lab.scale.many
    ]
    return Row(f"a change to one session, by the sessions in the store{ON[backend]}", results, checks)


def fork(manager: SessionManager) -> Act:
    return lambda: manager.create_session(new_name(), branch_from="session-1")


def rename(manager: SessionManager) -> Act:
    name = made(manager)
    return lambda: manager.rename_session(name, new_name())


def delete(manager: SessionManager) -> Act:
    name = made(manager)
    return lambda: manager.delete_session(name)


def create(manager: SessionManager) -> Act:
    return lambda: manager.create_session(new_name())


VERBS: dict[str, Verb] = {"fork": fork, "rename": rename, "delete": delete, "create": create}
_serials = count()


def new_name() -> str:
    return f"made-{next(_serials)}"


def made(manager: SessionManager) -> str:
    name = new_name()
    manager.create_session(name)
    return name


def doer(ours: Ours, verb: Verb) -> Prepare:
    return lambda _turn: verb(ours.manager)


def asker(ours: Ours, verb: Verb) -> Prepare:
    def prepare(_turn: int) -> Act:
        verb(ours.manager)()
        return lambda: ours.manager.get_session_info("session-2")

    return prepare


def script(lab: Lab, backend: str = "files") -> Row:
    """What a program does that is started for each message."""

    def run(ours: Ours) -> None:
        with SessionManager(ours.config) as manager:
            session = manager.create_session(new_name())
            session.add_message(lab.messages.next())
            manager.save_session(session)

    def runner(ours: Ours) -> Prepare:
        return lambda _turn: lambda: run(ours)

    sizes = (FEW, *lab.scale.many)
    results = milliseconds(
        interleave({f"{size:,}": runner(lab.store_of(size, backend)) for size in sizes}, lab.rounds(30))
    )
    checks = [ratio(results, f"{size:,}", str(FEW), must=1.5 if size < LARGEST else None) for size in lab.scale.many]
    return Row(f"open, create, add, save, close, by the sessions in the store{ON[backend]}", results, checks)
