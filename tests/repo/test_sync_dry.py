"""A dry run of a sync: it tells what the real one does, and writes nothing anywhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coda_fs_session import SessionManager, StoreError

from .machines import Machine, said
from .syncing import in_memory, some_sessions, states


def new(here: Machine, there: Machine) -> None:
    some_sessions(here)


def went_on(here: Machine, there: Machine) -> None:
    for name in ("chat", "talk", "doomed", "restless"):
        here.create(name, said(*range(60)))
    here.manager().sync(there.store)
    here.change("chat", "from here")
    there.change("talk", "from there")
    here.manager().delete_session("doomed")
    there.manager().rename_session("restless", "settled")
    here.create("mine", said("mine"))
    there.create("theirs", said("theirs"))


def diverged(here: Machine, there: Machine) -> None:
    here.create("chat", said(*range(5)))
    here.manager().sync(there.store)
    here.change("chat", "here")
    there.change("chat", *range(40))


def cloned(here: Machine, there: Machine) -> None:
    here.create("chat", said(*range(60)))
    clone = here.copied_to(there.folder, here.replica)
    here.change("chat", "first")
    clone.change("chat", "second")


def damaged(here: Machine, there: Machine) -> None:
    here.create("chat", said(*range(60)))
    there.create("talk", said(1))
    for path in sorted(here.store.glob("objects/*/*"))[:2]:
        path.chmod(0o600)
        path.write_bytes(b"x")
    there.only_ref().write_bytes(b"x\n")


def large(here: Machine, there: Machine) -> None:
    manager = here.manager()
    session = manager.create_session("chat")
    session.add_message(said("x" * 5_000_000)[0])
    manager.save_session(session)


def alike(here: Machine, there: Machine) -> None:
    here.create("chat", said(*range(60)))
    here.manager().sync(there.store)


@pytest.mark.parametrize("direction", ["both", "push", "pull"])
@pytest.mark.parametrize("happened", [new, went_on, diverged, cloned, damaged, large, alike])
def test_it_tells_what_a_sync_does(
    here: Machine, there: Machine, happened: Callable[[Machine, Machine], None], direction: Any
) -> None:
    """Its report is that of the sync after it, with what is left alone; until then not a byte or time changes."""
    happened(here, there)
    before = content(here.folder), content(there.folder)
    if direction == "pull" and not there.store.exists():
        with pytest.raises(StoreError, match="to pull from"):
            here.manager().sync(there.store, direction=direction, dry_run=True)
        return
    dry = here.manager().sync(there.store, direction=direction, dry_run=True)
    assert (content(here.folder), content(there.folder)) == before
    real = here.manager().sync(there.store, direction=direction)
    assert str(dry) == str(real)
    assert (dry.pushed, dry.pulled) == (real.pushed, real.pulled)


def content(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return what is below a folder, but for what saves work next time."""
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file() and "store" in path.parts
    }


def test_in_memory() -> None:
    """It takes managers as a sync does, also those that may only read."""
    one, other = in_memory("one-00000001"), in_memory("other-00000001")
    for manager, name in ((one, "a"), (other, "b")):
        manager.save_session(manager.create_session(name))
    before = states(one), states(other)
    dry = one.sync(other, dry_run=True)
    assert (dry.pushed.new, dry.pulled.new) == (("a",), ("b",))
    assert (states(one), states(other)) == before
    assert one.sync(other) == dry


def test_read_only(here: Machine, there: Machine, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    """A manager that may only read can try a sync out, and nobody is told that there is no store yet."""
    some_sessions(here)
    config = {"session": {"storage_path": here.store, "state_path": tmp_path / "state"}}
    with SessionManager(config, read_only=True) as manager:
        report = manager.sync(there.store, dry_run=True)
    assert report.pushed.new == tuple(here.names())
    assert not there.store.exists()
    assert not recwarn.list
