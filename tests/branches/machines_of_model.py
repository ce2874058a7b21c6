"""Machines that work on one session, with the engine and the model side by side."""

from __future__ import annotations

import random
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
from simulator.machines import Clock
from simulator.places import MemoryPlace, Place

from coda_fs_session import SessionManager, SessionWarning
from coda_fs_session.backends.base import RefKey, Token
from coda_fs_session.format.generations import FIRST_GENERATION, StateId
from coda_fs_session.format.ids import CHAIN_START
from coda_fs_session.repo.branches.bases import state_id
from coda_fs_session.repo.content.state import State
from coda_fs_session.repo.lookup.names import resolve
from coda_fs_session.repo.repository import Repository
from coda_fs_session.repo.writing.merging import label_of

from .model import Node, base_of, merged, newest

OLDEST = Node(StateId(FIRST_GENERATION, 0, CHAIN_START), None, "begin", "chat")
STRATEGIES = ("append", "append", "append", "interleave", "ours", "theirs")


class Machines:
    """Machines, what is known of each state of the session, and what is done to it.

    Attributes:
        log: what happened, for people.
        said: every message that was saved, with the state that it led to; removed: those that somebody took away.
    """

    def __init__(self, count: int, rng: random.Random, place: Callable[..., Place] = MemoryPlace) -> None:
        self.rng = rng
        self.clocks = [Clock(number * 7) for number in range(count)]
        self.places = [place(f"machine-0000000{number}", self.clocks[number]) for number in range(count)]
        self.managers = [each.manager() for each in self.places]
        self.nodes: dict[tuple[str, StateId], Node] = {("chat", OLDEST.id): OLDEST}  # type: ignore[dict-item]
        self.log: list[str] = []
        self.said: Counter[str] = Counter()
        self.removed: set[str] = set()
        self.undid_merge = False
        self._number = 0

    def repo(self, machine: int) -> Repository:
        engine = self.managers[machine]._engine
        assert engine is not None
        return engine.repo

    def view(self, machine: int) -> dict[str, Node]:
        """Return the states that a machine shows, by the names that they go by; checked against the model."""
        repo, manager = self.repo(machine), self.managers[machine]
        shown: dict[str, Node] = {}
        for info in manager.list_sessions():
            head = resolve(repo, info.name).head
            assert head is not None
            shown[info.name] = self._node(head)
            assert info.message_count == len(shown[info.name].texts)
        refs = [self._node(repo.read(key)) for key, _ in repo.backend.refs()]
        expected = sorted((node.name, node.id) for node in newest(refs) if not node.deleted)
        found = sorted((node.name, node.id) for node in shown.values())
        assert found == expected, f"machine {machine} shows {self._told(found)}, expected {self._told(expected)}"
        return shown

    def _told(self, states: list[Any]) -> list[str]:
        return [f"{name}: {' '.join(self.nodes[name, state].texts)}" for name, state in states]

    def _node(self, head: State) -> Node:
        return self.nodes[head.name, state_id(head)]

    def _note(self, machine: int, label: str, **facts: Any) -> Node:
        """Note the state that a step led to, under the name that the engine gives it."""
        head = resolve(self.repo(machine), label).head
        assert head is not None, f"{label!r} is gone"
        texts = tuple(_texts(head))
        node = self._add(head, facts)
        assert node.texts == texts, f"{label!r} has {' '.join(texts)}, expected {' '.join(node.texts)}"
        return node

    def _add(self, head: State, facts: dict[str, Any]) -> Node:
        node = Node(state_id(head), **facts)
        known = self.nodes.setdefault((node.name, node.id), node)  # type: ignore[index]
        # What two machines do to one state is one step.
        assert (known.texts, known.step, known.parent) == (node.texts, node.step, node.parent)
        return known

    def act(self, machine: int, verb: str, pick: int, other: int) -> None:
        """Do something on a machine, with a session and a message or a session of it by number."""
        self.clocks[machine].tick()
        view = self.view(machine)
        labels = sorted(view)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SessionWarning)
            if not labels:
                # A name that was in use before is given anew by a step of its own.
                if not self._refs(machine):
                    self.begin(machine)
                return
            label = labels[pick % len(labels)]
            getattr(self, f"_{verb}")(machine, label, view, other)
        self.view(machine)

    def begin(self, machine: int) -> None:
        self.managers[machine].create_session("chat")
        self._append(machine, "chat", {"chat": OLDEST}, 0)

    def _message(self) -> str:
        self._number += 1
        text = "ok" if self.rng.random() < 0.15 else f"m{self._number}" + "." * (self._number % 5 * 40)
        self.said[text] += 1
        return text

    def _save(self, machine: int, label: str, texts: tuple[str, ...]) -> None:
        session = self.managers[machine].load_session(label)
        session.messages = [{"content": text} for text in texts]
        self.managers[machine].save_session(session)

    def _append(self, machine: int, label: str, view: dict[str, Node], other: int) -> None:
        node, text = view[label], self._message()
        session = self.managers[machine].load_session(label)
        session.add_message({"content": text})
        self.managers[machine].save_session(session)
        self.log.append(f"{machine} adds {text} to {label}")
        self._note(machine, label, parent=node, step="append", texts=(*node.texts, text), **_names(node))

    def _edit(self, machine: int, label: str, view: dict[str, Node], other: int) -> None:
        node = view[label]
        if not node.texts:
            return
        place, text = other % len(node.texts), self._message()
        if text == node.texts[place]:
            return
        self.removed.add(node.texts[place])
        texts = (*node.texts[:place], text, *node.texts[place + 1 :])
        self._save(machine, label, texts)
        self.log.append(f"{machine} edits {node.texts[place]} to {text} in {label}")
        self._note(machine, label, parent=node, step="edit", texts=texts, **_names(node))

    def _clear(self, machine: int, label: str, view: dict[str, Node], other: int) -> None:
        node = view[label]
        if not node.texts:
            return
        self.removed.update(node.texts)
        session = self.managers[machine].load_session(label)
        session.clear_messages()
        self.managers[machine].save_session(session)
        self.log.append(f"{machine} clears {label}")
        self._note(machine, label, parent=node, step="clear", texts=(), **_names(node))

    def _undo(self, machine: int, label: str, view: dict[str, Node], other: int) -> None:
        node = view[label]
        last = node
        while last.step == "undo":
            assert last.to is not None
            last = last.to
        before = last.parent
        if before is None or last.step not in ("append", "edit", "clear", "merge"):
            return
        if last.step != "merge":
            self.removed.update(set(node.texts) - set(before.texts))
        self.undid_merge |= last.step == "merge"
        refs = self._refs(machine)
        assert self.managers[machine].history(label).undo() is not None
        self.log.append(f"{machine} undoes {last.step} of {label}")
        for head in self._changed(machine, refs):
            generation = head.header.generation
            assert generation is not None
            if generation.operation == "part":
                (side,) = last.took
                target = base_of(before, side)
                self._add(head, {"parent": side, "step": "part", "to": target, "texts": side.texts, **_names(side)})
            else:
                assert generation.to == before.id
                label = label_of(self.repo(machine), head)
        self._note(machine, label, parent=node, step="undo", to=before, texts=before.texts, **_names(node))
        if last.step == "merge" and last.took[0].name in (node.name, *node.former_names):
            others = [shown for name, shown in self.view(machine).items() if name != label]
            assert any(last.took[0].id in shown.behind for shown in others), "what was taken in is shown nowhere"

    def _refs(self, machine: int) -> dict[RefKey, Token]:
        return dict(self.repo(machine).backend.refs())

    def _changed(self, machine: int, before: dict[RefKey, Token]) -> list[State]:
        repo = self.repo(machine)
        return [repo.read(key) for key, token in repo.backend.refs() if before.get(key) != token]

    def _rename(self, machine: int, label: str, view: dict[str, Node], other: int) -> None:
        node, new = view[label], ("chat", "talk", "letter")[other % 3]
        if new in view or any(new == each.name for each in self.nodes.values()):
            return
        self.managers[machine].rename_session(label, new)
        self.log.append(f"{machine} renames {label} to {new}")
        names = {"name": new, "former_names": (*node.former_names, node.name)}
        self._note(machine, new, parent=node, step="rename", texts=node.texts, **names)

    def _delete(self, machine: int, label: str, view: dict[str, Node], other: int) -> None:
        node = view[label]
        refs = self._refs(machine)
        self.managers[machine].delete_session(label)
        self.removed.update(node.texts)
        self.log.append(f"{machine} deletes {label}")
        for head in self._changed(machine, refs):
            self._add(head, {"parent": node, "step": "delete", **_names(node)})

    def _merge(self, machine: int, label: str, view: dict[str, Node], other: int) -> None:
        others = sorted(set(view) - {label})
        if others:
            self.merge(machine, others[other % len(others)], label, self.rng.choice(STRATEGIES), view)

    def merge(self, machine: int, source: str, into: str, strategy: str, view: dict[str, Node]) -> None:
        ours, theirs = view[into], view[source]
        base = base_of(ours, theirs)
        manager: SessionManager = self.managers[machine]
        tried = None
        if len(self.log) % 8 == 0:
            tried = manager.branches.merge(source, into, strategy=strategy, dry_run=True)  # type: ignore[arg-type]
        report = manager.branches.merge(source, into, strategy=strategy)  # type: ignore[arg-type]
        assert tried in (None, replace(report, entry="")), self.log
        self.log.append(f"{machine} merges {source} into {into} ({strategy})")
        if base is theirs:
            assert (report.added, report.removed) == (0, 0)
            return
        assert not report.interleaved
        texts = merged(base.texts if base else (), ours.texts, theirs.texts, strategy)
        if strategy in ("ours", "theirs"):
            self.removed |= {*ours.texts, *theirs.texts} - set(texts)
        assert len(texts) == len(ours.texts) + report.added - report.removed
        self._note(machine, report.name, parent=ours, step="merge", took=(theirs,), texts=texts, **_names(ours))

    def carry(self, source: int, target: int, *, stale: float = 0.0) -> None:
        """Copy the files of one machine to another, but for what that one writes itself; some do not come."""
        files, there = self.places[source].files(), self.places[target]
        kept = there.files()
        for path, data in sorted(files.items()):
            # Objects come before refs.
            if there.is_own(path) or (path.startswith("refs/") and self.rng.random() < stale):
                continue
            if path.startswith("refs/") and path in kept and self._is_older(path, data, target) and not stale:
                continue
            there.put(path, data)
        self.log.append(f"{source} -> {target}")

    def _is_older(self, path: str, data: bytes, target: int) -> bool:
        repo = self.repo(target)
        key = RefKey(path.partition("/")[2])
        snapshot = repo.backend.read_ref(key)
        now = self._node(repo.read(key))
        then = self._node(repo.fold(key, snapshot._replace(data=data)))
        return then.id in now.behind and then.id != now.id

    def carry_all(self) -> None:
        """Bring the newest of every file everywhere."""
        for source in range(len(self.places)):
            for target in range(len(self.places)):
                if source != target:
                    own = self.places[source].files()
                    for path, data in own.items():
                        if not path.startswith("refs/") or self.places[source].is_own(path):
                            self.places[target].put(path, data)


def _names(node: Node) -> dict[str, Any]:
    return {"name": node.name, "former_names": node.former_names}


def _texts(head: State) -> list[str]:
    return [orjson.loads(line)["content"] for line in head.messages.read(head.start, head.count)]
