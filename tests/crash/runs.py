"""Recording a scenario once, and holding every crash in it against what was acknowledged."""

from __future__ import annotations

import hashlib
import random
import shutil
import warnings
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layouts import path_of

from coda_fs_session import SessionManager
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.files.backend import LocalBackend

from .recording import Call, Recorder
from .scenarios import Scenario, prepare
from .states import LONG, QUICK, Disk, Limits, Tree, read_tree, write_tree
from .stores import REPLICA, Content, content, message, open_store

MOST = 50
"""How many crash states of a scenario the quick size looks at; the protocols that are broken on purpose need fewer."""


@dataclass(frozen=True, slots=True)
class Run:
    """A scenario as it went.

    Attributes:
        disk: the tree at the start; used up by `crashes`.
        acknowledged: how many calls had been made at each acknowledgement, beginning with 0.
        contents: what was in the store at each of them.
    """

    scenario: Scenario
    disk: Disk
    calls: list[Call]
    acknowledged: list[int]
    contents: list[Content]

    def crashes(self, limits: Limits, chance: random.Random) -> Iterator[tuple[str, Tree, list[Content]]]:
        """Yield every tree that differs, when it may come about, and the contents that are right there."""
        seen: set[tuple[bytes, int, bool]] = set()
        for made in range(len(self.calls) + 1):
            if made:
                self.disk.apply(self.calls[made - 1])
            done = bisect_right(self.acknowledged, made)
            between = self.acknowledged[done - 1] < made
            after = f"{made} calls, the last of them {self.calls[made - 1]}" if made else "no call"
            for tree in self.disk.crashes(limits, chance):
                key = (_digest(tree), done, between)
                if key not in seen:
                    seen.add(key)
                    yield after, tree, self.contents[done - 1 : done + between]


def record(
    scenario: Scenario,
    folder: Path,
    *,
    recorder: Callable[[Path], Recorder] = Recorder,
    backend: type[LocalBackend] = LocalBackend,
) -> Run:
    """Do a scenario in a new store in `folder`."""
    disk, state = folder / "disk", folder / "state"
    disk.mkdir(parents=True)
    with open_store(disk / "store", state, files=Files(durable=False), sizes=scenario.sizes) as manager:
        prepare(scenario, manager)
    if scenario.torn:
        with open(disk / "store/refs" / path_of(REPLICA, "chat"), "ab") as ref:
            ref.write(scenario.torn)
    start, files = Disk(disk), recorder(disk)
    acknowledged, contents = [0], [_read(scenario, disk, folder / "reader")]
    store, replica = disk / "store", scenario.replica
    options: dict[str, Any] = {"replica": replica, "sizes": scenario.sizes, "backend": backend}
    # The autosave scenario calls what the timer calls; no timer goes off.
    with open_store(store, state, files=files, autosave_interval=86400, **options) as manager:
        for saved in scenario.work(manager):
            acknowledged.append(len(files.calls))
            contents.append(_read(scenario, disk, folder / "reader"))
            if saved is not None:
                assert contents[-1][saved.name][0] == saved.get_messages()
    return Run(scenario, start, files.calls, acknowledged, contents)


def _read(scenario: Scenario, disk: Path, state: Path) -> Content:
    with open_store(disk / "store", state, sizes=scenario.sizes) as manager:
        return content(manager)


def violations(run: Run, folder: Path, *, long_size: bool, seed: int) -> Iterator[str]:
    """Yield a description of each crash that the store does not survive, in random order.

    Args:
        long_size: look at all crashes of the long size, not only at some.
    """
    states = list(run.crashes(LONG if long_size else QUICK, random.Random(seed)))
    tried = len(states) if long_size else min(MOST, len(states))
    print(f"{len(states)} states after {len(run.calls)} calls, of which {tried} are looked at")
    for count, (after, tree, allowed) in enumerate(random.Random(seed).sample(states, tried)):
        try:
            # Every third time the machine's own state is lost as well, so that another replica goes on.
            survive(
                run.scenario,
                tree,
                allowed,
                folder / "crashed",
                replica=None if count % 3 == 0 else run.scenario.replica,
            )
        except Exception as error:
            shown = sorted(path for path in tree if tree[path] is not None)
            yield f"after {after}: {type(error).__name__}: {error}\n  in the tree {shown}"
        finally:
            shutil.rmtree(folder / "crashed", ignore_errors=True)


def survive(scenario: Scenario, tree: Tree, allowed: list[Content], folder: Path, *, replica: str | None) -> None:
    """Open a store after a crash: it holds what it should, reading changes nothing, and one can go on with it."""
    folder.mkdir()
    disk, files = folder / "disk", Files(durable=False)
    write_tree(disk, tree)

    def opened() -> SessionManager:
        return open_store(disk / "store", folder / "state", files=files, replica=replica, sizes=scenario.sizes)

    with opened() as manager:
        found = content(manager)
    assert found in allowed or (scenario.apart and _each_in(found, allowed)), (
        f"holds {_counts(found)}, not {' or '.join(map(_counts, allowed))}"
    )
    assert read_tree(disk) == tree, "reading wrote into the store"
    with opened() as manager, warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, (messages, _, _) in found.items():
            session = manager.load_session(name)
            for number in (1001, 1002):
                session.add_message(message(number))
                manager.save_session(session)
            messages.extend(session.get_messages(2))
        fresh = manager.create_session("after the crash")
        found[fresh.name] = ([], {}, None)
    with opened() as manager:
        assert content(manager) == found, "what was saved after the crash is not there"


def _each_in(found: Content, allowed: list[Content]) -> bool:
    names = {name for content in (found, *allowed) for name in content}
    return all(any(found.get(name) == content.get(name) for content in allowed) for name in names)


def _counts(found: Content) -> str:
    return str({name: len(messages) for name, (messages, _, _) in found.items()})


def _digest(tree: Tree) -> bytes:
    parts = hashlib.sha256()
    for path in sorted(tree):
        parts.update(repr((path, tree[path])).encode())
    return parts.digest()
