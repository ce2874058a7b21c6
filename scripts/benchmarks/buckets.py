"""A row about a store in a bucket, each request of which takes 50 ms more, beside one write and one read."""

import sys
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coda_fs_session import Session, SessionManager

from .lab import Lab
from .measure import Prepare, Row, interleave, milliseconds, ratio

# The server and the proxy that delays and counts are those of the tests.
sys.path.append(str(Path(__file__).parents[2] / "tests"))

if TYPE_CHECKING:
    from bucket.proxy import Proxy

REQUEST = 0.05
SESSIONS = 20


def per_verb(lab: Lab) -> Row:
    from bucket.proxy import proxy_of
    from bucket.servers import chosen

    with chosen() as server, proxy_of(server) as proxy:
        url = f"{server.make_bucket('of-a-benchmark')}/chats"
        return _measured(lab, proxy, url, type(server).__name__)


def _measured(lab: Lab, proxy: "Proxy", url: str, called: str) -> Row:
    from bucket.test_pods import opened

    from coda_fs_session.backends.bucket.client import Client

    plain, name = Client(f"{url}-plain", proxy.options), (f"chat {number}" for number in count())
    pod = opened(url, proxy.options)
    for _ in range(SESSIONS):
        _said(pod, pod.create_session(next(name)), lab)
    plain.put("value", b"x" * 1000)
    asked: dict[str, Counter[str]] = {}

    def counted(what: str, prepare: Callable[[], Callable[[], object]]) -> Prepare:
        def ready(_turn: int) -> Callable[[], object]:
            proxy.delay = 0.0
            act = prepare()
            proxy.verbs.clear()
            proxy.delay = REQUEST

            def run() -> None:
                act()
                asked[what] = Counter(proxy.verbs)

            return run

        return ready

    def saving() -> Callable[[], object]:
        session = pod.create_session(next(name))
        _said(pod, session, lab)
        return lambda: _said(pod, session, lab)

    def loading() -> Callable[[], object]:
        fresh = opened(url, proxy.options)
        return lambda: fresh.load_session("chat 7")

    def changing(change: Callable[[str], object]) -> Callable[[], object]:
        called = next(name)
        _said(pod, pod.create_session(called), lab)
        return lambda: change(called)

    def listing() -> Callable[[], object]:
        fresh = opened(url, proxy.options)
        return lambda: list(fresh.list_sessions())

    machines = [_machine(lab, proxy) for _ in range(2)]
    hub = f"{url}-hub"
    machines[0].save_session(machines[0].create_session("shared"))

    def syncing(*, here: bool, there: bool) -> Callable[[], object]:
        for manager in machines * 2:
            manager.sync(hub)
        for writes, machine in zip((here, there), machines, strict=True):
            if writes:
                session = machine.load_session("shared")
                assert session is not None
                _said(machine, session, lab)
        if there:
            machines[1].sync(hub)
        return lambda: machines[0].sync(hub)

    contenders: dict[str, Prepare] = {
        "one PUT": counted("one PUT", lambda: lambda: plain.put("value", b"x" * 1000)),
        "one GET": counted("one GET", lambda: lambda: plain.get("value")),
        "save, session open": counted("save, session open", saving),
        "load, new process": counted("load, new process", loading),
        "create and save": counted("create and save", lambda: lambda: _said(pod, pod.create_session(next(name)), lab)),
        "branch": counted("branch", lambda: changing(lambda each: pod.create_session(next(name), branch_from=each))),
        "rename": counted("rename", lambda: changing(lambda each: pod.rename_session(each, next(name)))),
        "delete": counted("delete", lambda: changing(pod.delete_session)),
        f"list {SESSIONS}, new process": counted(f"list {SESSIONS}, new process", listing),
        "sync, nothing new": counted("sync, nothing new", lambda: syncing(here=False, there=False)),
        "sync, a message here": counted("sync, a message here", lambda: syncing(here=True, there=False)),
        "sync, a message there": counted("sync, a message there", lambda: syncing(here=False, there=True)),
    }
    results = milliseconds(interleave(contenders, lab.rounds(3), warm_up=0))
    checks = [
        ratio(results, "save, session open", "one PUT", must=2, aim=1.2),
        ratio(results, "sync, nothing new", "one GET", must=3, aim=1.5),
        ratio(results, "sync, a message here", "one PUT", must=6, aim=2.5),
        ratio(results, "sync, a message there", "one GET", must=6, aim=2.5),
    ]
    notes = [f"{what}: {', '.join(f'{n} {verb}' for verb, n in sorted(asked[what].items()))}" for what in contenders]
    return Row(f"a bucket, {called}, 50 ms more a request", results, checks, notes)


def _machine(lab: Lab, proxy: "Proxy") -> SessionManager:
    folder = lab.spare()
    options: dict[str, Any] = {"storage_path": folder / "store", "state_path": folder / "state", "hub": proxy.options}
    return SessionManager({"session": {**options, "autosave_interval": 0}})


def _said(manager: SessionManager, session: Session, lab: Lab) -> None:
    session.add_message(lab.messages.take(1)[0])
    manager.save_session(session)
