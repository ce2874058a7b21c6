"""Random histories of two machines that purge: what goes, what stays, and how files get from one to the other.

Every message has a mark of its own. A world knows which sessions may show it, and where a purge took it out.
"""

from __future__ import annotations

import random
import re
import warnings
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from interchange.chats import chatgpt, put
from storekit import open_store

from coda_fs_session import SessionConflictError, SessionError, SessionManager, StoreError

from .purge_tools import carry_one, files
from .test_purge import contents

MARK = re.compile(rb"m[0-9a-f]{12}m")
SECRET = re.compile(rb"sk-[0-9a-f]{12}")
LARGE = 70_000
NAMES = ("ash", "birch", "cedar")
TOOLS = ("copying", "comparing", "sync")

Held = tuple[str, str]
"""A session, and the mark of a message that it has, or had."""


class Seen(NamedTuple):
    """The marks that a session shows, and those of all its states."""

    shown: set[str]
    ever: set[str]


@dataclass
class Machine:
    """A store, and a manager of it that is open until the next time."""

    store: Path
    manager: SessionManager = field(init=False)

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        options = {"replica": self.store.name, "state_path": f"{self.store}.{self.store.name}", "gc_grace_days": 0}
        self.manager = open_store(self.store, **options)

    def reopen(self) -> None:
        # What was changed elsewhere was nothing but what is stored already.
        with suppress(SessionConflictError):
            self.manager.close()
        self.open()

    def seen(self) -> dict[str, Seen]:
        """Return what is shown of all sessions that can be read whole, deleted ones too."""
        found = {}
        for info in [*self.manager.list_sessions(), *self.manager.deleted_sessions()]:
            with suppress(SessionError):
                history = self.manager.history(info.name)
                ever = {mark for entry in history for mark in marks(history.at(entry.id))}
                shown = set[str]() if info.name not in self.manager else marks(self.manager.load_session(info.name))
                found[info.name] = Seen(shown, ever | shown)
        return found

    def found(self, pattern: re.Pattern[bytes]) -> set[str]:
        """Return what of some kind any file has, be it of the store, the state folder, the trash or the index."""
        files = (path for path in self.store.parent.glob(f"{self.store.name}*/**/*") if path.is_file())
        return {each.decode() for path in files for data in contents(path) for each in pattern.findall(data)}


def marks(messages: Iterable[dict[str, Any]]) -> set[str]:
    return {mark.decode() for each in messages for mark in MARK.findall(str(each.get("content")).encode())}


def base(label: str) -> str:
    """Return the name that a session has, whichever of its sides a label names."""
    return label.partition("~")[0]


class World:
    """Two machines, a tool that carries files between them, and what their users were promised.

    Attributes:
        promised: what is to be there in the end; gone: what no session may show and no file have.
        unsure: what a purge on one machine and a change on the other made one of the two.
        hidden: what some state of a session does not show any more; purged: the names of sessions that were.
    """

    def __init__(self, folder: Path, seed: int, tool: str) -> None:
        self.rng, self.folder, self.tool = random.Random(f"{seed} {tool}"), folder, tool
        self.log: list[str] = []
        self.promised, self.gone = set[Held](), set[Held]()
        self.unsure, self.hidden = set[Held](), set[Held]()
        self.purged = set[str]()
        self.secrets, self.masked = dict[str, str](), set[str]()
        self.both: dict[str, bytes | None] = {}
        self.machines = [Machine(folder / name) for name in ("desk", "laptop")]
        self.chats = {f"trip {number}": self.mark() for number in range(2)}

    def close(self) -> None:
        for machine in self.machines:
            machine.manager.close()

    # Moves.

    def move(self) -> None:
        rng = self.rng
        machine = rng.choice(self.machines)
        weights = {
            self.save: 10,
            self.edit: 4,
            self.note: 2,
            self.undo: 2,
            self.fork: 4,
            self.merge: 3,
            self.delete: 2,
            self.purge: 3,
            self.purge_text: 3,
            self.bring_in: 2,
            self.keep_house: 3,
            self.carry: 9,
        }
        (chosen,) = rng.choices([*weights], [*weights.values()])
        if chosen != self.carry and rng.random() < 0.3:
            machine.reopen()
        try:
            chosen(machine)
        except SessionError as error:
            self.say(machine, chosen.__name__, "fails:", error)

    def say(self, machine: Machine, *words: object) -> None:
        self.log.append(f"{machine.store.name}: {' '.join(map(str, words))}")

    def mark(self) -> str:
        return f"m{self.rng.getrandbits(48):012x}m"

    def message(self) -> dict[str, Any]:
        mark, text = self.mark(), ""
        if self.rng.random() < 0.3:
            self.secrets[mark] = text = self.secret()
        large = "x" * LARGE if self.rng.random() < 0.1 else ""
        return {"role": "user", "content": f"{mark} {text} {large}"}

    def secret(self) -> str:
        return f"sk-{self.rng.getrandbits(48):012x}"

    def promise(self, label: str, given: Iterable[str]) -> None:
        """Take down that a session has these messages now."""
        held = {(base(label), mark) for mark in given}
        # On another machine it may be the session still that was purged: what of both is taken out then is no loss.
        self.unsure |= held & (self.gone | self.unsure)
        self.promised |= held - self.unsure
        self.gone -= held

    def take_up(self, machine: Machine, label: str, into: str = "") -> None:
        """Before a change: what a machine that has not heard of a purge has of a session is said again by that."""
        seen = machine.seen().get(label)
        held = {(base(each), mark) for each in (label, into or label) for mark in (seen.ever if seen else ())}
        self.unsure |= held & self.gone

    def hide(self, label: str, given: Iterable[str]) -> None:
        """Take down that a session shows these no more."""
        held = {(base(label), mark) for mark in given}
        self.hidden |= held
        if base(label) in self.purged:
            # Of a side that its machine goes on with, not having heard of that, only what it shows stays.
            self.unsure, self.promised = self.unsure | held, self.promised - held

    def label(self, machine: Machine) -> str | None:
        labels = [info.name for info in machine.manager.list_sessions()]
        return self.rng.choice(labels) if labels else None

    def save(self, machine: Machine) -> None:
        label = self.rng.choice([*NAMES, self.label(machine) or NAMES[0]])
        session = machine.manager.load_session(label) if label in machine.manager else None
        session = session or machine.manager.create_session(label)
        self.take_up(machine, label)
        new = [self.message() for _ in range(self.rng.randint(1, 3))]
        for each in new:
            session.add_message(each)
        machine.manager.save_session(session)
        self.promise(label, marks(new))
        self.say(machine, "saves", label, marks(new))

    def edit(self, machine: Machine) -> None:
        if (label := self.label(machine)) is None or not len(session := machine.manager.load_session(label)):
            return
        self.take_up(machine, label)
        place, new = self.rng.randrange(len(session)), self.message()
        old = marks([session.messages[place]])
        session.messages[place] = new
        machine.manager.save_session(session)
        self.hide(label, old)
        self.promise(label, marks([new]))
        self.say(machine, "edits", label, old, marks([new]))

    def note(self, machine: Machine) -> None:
        """What stands in metadata alone."""
        if (label := self.label(machine)) is not None:
            self.take_up(machine, label)
            session, secret = machine.manager.load_session(label), self.secret()
            session.metadata["note"] = secret
            machine.manager.save_session(session)
            self.secrets[f"{secret} of {label}"] = secret
            self.say(machine, "notes", secret, "in", label)

    def undo(self, machine: Machine) -> None:
        if (label := self.label(machine)) is not None:
            self.take_up(machine, label)
            before = marks(machine.manager.load_session(label))
            machine.manager.history(label).undo()
            self.hide(label, before)
            self.say(machine, "undoes a change of", label)

    def fork(self, machine: Machine) -> None:
        if (label := self.label(machine)) is not None:
            new = f"{base(label)} {self.rng.getrandbits(24):06x}"
            self.take_up(machine, label, new)
            made = machine.manager.create_session(new, branch_from=label)
            self.promise(new, marks(made))
            if self.tool == "comparing" and base(label) in self.purged:
                # See `purge`: the machine that purged it has not seen this branch.
                held = {(new, mark) for mark in marks(made)}
                self.unsure, self.promised = self.unsure | held, self.promised - held
                self.purged.add(new)
            self.say(machine, "forks", new, "from", label, marks(made))

    def merge(self, machine: Machine) -> None:
        source, into = self.label(machine), self.label(machine)
        sides = [info.name for info in machine.manager.list_sessions() if "~" in info.name]
        if sides:
            source = self.rng.choice(sides)
            into = base(source) if base(source) in machine.manager else into
        if source is None or into is None or source == into:
            return
        self.take_up(machine, source, into)
        brought = marks(machine.manager.load_session(source))
        hidden = {mark for name, mark in self.hidden if name == base(into)}
        machine.manager.branches.merge(source, into)
        # A merge does not bring back what was edited away, and says nothing anew of what both have.
        shown = marks(machine.manager.load_session(into))
        self.unsure |= {(base(into), mark) for mark in shown & hidden if (base(into), mark) not in self.promised}
        self.promise(into, brought & shown)
        if base(source) != base(into):
            # History of the one is history of the other from now on.
            ever = machine.seen()[into].ever
            self.unsure |= {(base(into), mark) for mark in ever if (base(into), mark) not in self.promised}
        self.say(machine, "merges", source, "into", into)

    def delete(self, machine: Machine) -> None:
        if (label := self.label(machine)) is not None:
            shown = marks(machine.manager.load_session(label))
            machine.manager.delete_session(label)
            self.hide(label, shown)
            self.say(machine, "deletes", label)

    def purge(self, machine: Machine) -> None:
        """Take a session out with all its sides, and its earlier ones that were deleted."""
        seen = machine.seen()
        names = sorted({base(label) for label in seen})
        if not names:
            return
        name = self.rng.choice(names)
        known = {mark for label, each in seen.items() if base(label) == name for mark in each.ever}
        if self.tool == "comparing":
            # It carries the removal of an object to where a branch needs it that this machine has not seen.
            unseen = {held for held in self.promised if held[1] in known and held[0] not in names}
            self.unsure, self.promised = self.unsure | unseen, self.promised - unseen
        self.purged.add(name)
        self.say(machine, "purges", name, known)
        try:
            for label in sorted(seen, key=lambda each: (base(each) != name, each)):
                if base(label) == name:
                    machine.manager.maintenance.purge(label)
        except SessionError:
            self.unsure |= {held for held in self.promised | self.gone if held[0] == name}
            raise
        finally:
            self.unsure |= {held for held in self.promised if held[0] == name and held in self.hidden}
            self.gone |= {(name, mark) for mark in known} - self.unsure
            self.promised -= self.gone | self.unsure

    def purge_text(self, machine: Machine) -> None:
        there = {text for text in self.secrets.values() if text not in self.masked and self.is_shown(machine, text)}
        if there:
            secret = self.rng.choice(sorted(there))
            report = machine.manager.maintenance.purge_text(secret)
            self.say(machine, "purges", secret, "of", [str(each) for each in report.places])
            if report.places:
                self.masked.add(secret)

    def is_shown(self, machine: Machine, text: str) -> bool:
        return bool(machine.manager.maintenance.purge_text(text, dry_run=True).places)

    def bring_in(self, machine: Machine) -> None:
        title, mark = self.rng.choice(sorted(self.chats.items()))
        path = put(self.folder, f"{title}.json", chatgpt({"u1": None, "a1": "u1"}, title=title, texts={"u1": mark}))
        machine.manager.import_sessions(path)
        for label, seen in machine.seen().items():
            if mark in seen.shown:
                self.promise(label, {mark})
        self.say(machine, "brings in", title, mark)

    def keep_house(self, machine: Machine) -> None:
        if self.rng.random() < 0.5:
            machine.manager.search("trip")
        else:
            report = machine.manager.maintenance.gc(dry_run=False)
            self.say(machine, "keeps house", report.freed.files)

    # Carrying.

    def carry(self, machine: Machine, *, whole: bool = False) -> None:
        there = self.machines[self.machines[0] is machine]
        partly = not whole and self.rng.random() < 0.5
        self.say(machine, "carries", "half" if partly else "all")
        if self.tool == "sync":
            machine.manager.sync(there.store)
            return
        paths = sorted({*files(machine.store), *files(there.store), *self.both})
        for path in paths:
            if not (partly and self.rng.random() < 0.35):
                carry_one(self.tool, self.both, machine.store / path, there.store / path, path)

    # Questions.

    def settle(self) -> None:
        """Let both machines hear of everything and do their part."""
        for _ in range(5):
            for machine in self.machines:
                with suppress(StoreError):
                    self.carry(machine, whole=True)
            for machine in self.machines:
                machine.reopen()
        for machine in self.machines:
            # What a machine shows of another one's refs it keeps until it looks at them again.
            machine.manager.list_sessions()
            machine.reopen()

    def hold(self) -> None:
        """Hold that what was purged is nowhere, and that everything else is on both machines.

        Raises:
            AssertionError: it is not so.
        """
        told = "\n".join(self.log)
        for machine in self.machines:
            name = machine.store.name
            findings = machine.manager.maintenance.check(full=True).findings
            assert not findings, f"{name} is not whole: {findings}\n{told}"
            seen = machine.seen()
            held = {(base(label), mark) for label, each in seen.items() for mark in each.ever}
            assert not self.promised - held, f"{name} has lost {self.promised - held}\n{told}"
            may_be = {mark for _, mark in self.promised | self.unsure}
            shown = {(base(label), mark) for label, each in seen.items() for mark in each.shown}
            # History goes back past a purge, to what other sessions have of that.
            shows = {each for each in held & self.gone - self.unsure if each in shown or each[1] not in may_be}
            assert not shows, f"{name} shows {shows}\n{told}"
            left = {mark for _, mark in self.gone} & machine.found(MARK) - may_be
            assert not left, f"a file of {name} has {left}\n{told}"
            left = self.masked & machine.found(SECRET)
            assert not left, f"a file of {name} has {left}\n{told}"
            self.hold_texts(machine, told)

    def hold_texts(self, machine: Machine, told: str) -> None:
        """Hold that of a message only the secret that was purged is another."""
        for info in machine.manager.list_sessions():
            for each in machine.manager.load_session(info.name):
                for mark in marks([each]):
                    secret = self.secrets.get(mark, "")
                    expected = "*" * len(secret) if secret in self.masked else secret
                    assert mark in self.chats.values() or str(each["content"]).split(" ")[1] == expected, told


def history(folder: Path, seed: int, tool: str, moves: int = 40) -> World:
    """Run one random history, and hold what is promised in the end."""
    world = World(folder, seed, tool)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for _ in range(moves):
                world.move()
            world.settle()
            world.hold()
        finally:
            world.close()
    return world
