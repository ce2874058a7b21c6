"""Two Syncthing daemons between two stores."""

from __future__ import annotations

from pathlib import Path

from .stores import Machine, begin, check, diverge, tool
from .syncthing import connected

CLONE = "clone-00000003"


def test_both_sides_write_while_disconnected(here: Machine, there: Machine, tmp_path: Path) -> None:
    """Every message is on both sides and both show the same; there is nothing for Syncthing to see a conflict in."""
    with connected(tool("syncthing"), tmp_path / "syncthing", here.store, there.store) as pair:
        begin(here)
        pair.sync()
        assert there.texts() == here.texts()
        with pair.disconnected():
            diverge(here, there)
        pair.sync()
        check(here, there)
        assert here.data() == there.data()
        assert not list(here.store.rglob("*sync-conflict*"))


def test_a_real_conflict(here: Machine, there: Machine, tmp_path: Path) -> None:
    """Two machines that write as one replica (a copied disk image) do give Syncthing a conflict: its copy, whatever
    it is called, is one more ref, and every message is on both sides."""
    with connected(tool("syncthing"), tmp_path / "syncthing", here.store, there.store) as pair:
        first, second = Machine(here.folder, CLONE), Machine(there.folder, CLONE)
        first.work(["say", "chat", "both 1", "both 2"])
        pair.sync()
        with pair.disconnected():
            first.work(["say", "chat", *(f"here {number}" for number in range(20))])
            second.work(["say", "chat", *(f"there {number}" for number in range(30))])
        pair.sync()
        pair.sync()
        assert [path.name for path in here.store.rglob("*sync-conflict*")]
        everything = {"both 1", "both 2", *(f"here {n}" for n in range(20)), *(f"there {n}" for n in range(30))}
        assert here.texts() == there.texts() == everything
        assert here.view() == there.view()
