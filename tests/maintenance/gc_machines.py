"""The machines of the model: what a replica knows and keeps, and what its processes do, one file at a time.

Each verb is a generator. Where it yields, its process may be killed, another one of the machine may do something, and
tools may carry files.
"""

from __future__ import annotations

from collections.abc import Generator, Hashable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from .gc_tools import Folder, Listed, Name, Object, Ref, Said

Id = Hashable
Steps = Generator[None, None, bool]


@dataclass(frozen=True)
class Rules:
    """The rules of the protocol; without any of them something is lost."""

    acknowledge: bool = True  # Only what every other replica has acknowledged is deleted.
    by_list: bool = True  # An acknowledgement names the list, not how many lists its replica had made.
    look: bool = True  # A replica acknowledges only what no ref that is here needs.
    whole: bool = True  # It does so only if all that its refs need is here: a missing node hides what is below it.
    another_name: bool = True  # What is on a list is not named; it is written under another name.
    walk: bool = True  # A writer looks at all that a new ref names, not only at what it writes.
    for_ever: bool = True  # A name that was on a list is never used again, not only until it is deleted.
    look_again: bool = True  # Before a file is deleted, what is needed is written under another name.
    lock: bool = True  # What acknowledges or deletes reads the lists, waits for what names objects, and looks then.
    fresh: bool = True  # What names objects reads the lists once it is waited for.
    record_first: bool = True  # What a replica says is in its record before it is in the store.
    put_back: bool = True  # What a tool or a backup reverted of a replica's own files is put back from the record.
    trash: bool = True  # What is deleted is kept aside for a while.
    grace: bool = True  # One run counts at most a third of the grace, whatever the clock says.


class Says(NamedTuple):
    """What a replica says; a list is known by its key."""

    version: int = 0
    condemned: Hashable = None
    done: frozenset[Hashable] = frozenset()
    acknowledged: frozenset[Hashable] = frozenset()
    retired: frozenset[str] = frozenset()


def below(ids: Iterable[Id]) -> set[Id]:
    """Return these ids and all that are below them: what a list node names is part of its id."""
    found: set[Id] = set()
    for identity in ids:
        found.add(identity)
        if isinstance(identity, tuple):
            found |= below(identity)
    return found


@dataclass
class Machine:
    """One machine: a store, and what is in its state folder.

    Attributes:
        own: the record of its own files.
        first: when an object was first seen unneeded; credit: what it counts instead of time.
        trash: what it deleted, by id, with the credit of then.
        shared: how many processes are naming objects; held: whether one keeps house.
    """

    name: str
    rules: Rules
    grace: int
    store: Folder
    replica: str = ""
    own: dict[Name, Any] = field(default_factory=dict)
    first: dict[Object, int] = field(default_factory=dict)
    trash: dict[Id, int] = field(default_factory=dict)
    credit: int = 0
    clock: int = 0
    last: int = 0
    shared: int = 0
    held: bool = False
    retirements: int = 0

    def __post_init__(self) -> None:
        self.replica = self.replica or self.name

    # What is here.

    def refs(self) -> dict[Name, Any]:
        return {name: value for name, value in self.store.files.items() if isinstance(name, Ref)}

    def says(self) -> dict[str, Says]:
        return {name.replica: value for name, value in self.store.files.items() if isinstance(name, Said)}

    def said(self) -> Says:
        """Return what this replica says: of the record and the store the later one."""
        both = [place.get(Said(self.replica)) for place in (self.own, self.store.files)]
        return max((each for each in both if each is not None), default=Says())

    def copies(self, identity: Id) -> list[Object]:
        return [name for name in self.store.files if isinstance(name, Object) and name.id == identity]

    def needed(self) -> tuple[set[Id], bool]:
        """Return what the refs here need, as far as it can be told, and whether all of it is here."""
        there = {name.id for name in self.store.files if isinstance(name, Object)}
        needed: set[Id] = set()
        waiting = [identity for _, ids in self.refs().values() for identity in ids]
        while waiting:
            identity = waiting.pop()
            if identity not in needed:
                needed.add(identity)
                if identity in there and isinstance(identity, tuple):
                    waiting.extend(identity)
        return needed, needed <= there

    def files_of(self, key: Hashable) -> frozenset[Object]:
        return self.store.files.get(Listed(key), frozenset())

    def listed(self) -> set[Object]:
        """Return the files on all lists that some replica names, as far as they are here."""
        keys: set[Hashable] = set()
        for replica, says in self.says().items():
            keys.add(says.condemned)
            if self.rules.for_ever:
                keys |= says.done
            if self.rules.for_ever or replica == self.replica:
                keys |= says.acknowledged
        if not self.rules.for_ever:
            keys -= self.said().done
            keys -= {key for key in keys if not any(file in self.store.files for file in self.files_of(key))}
        return {file for key in keys for file in self.files_of(key)}

    def others(self) -> set[str]:
        """Return the replicas that have a file here and that nobody has retired."""
        there = {name.replica for name in self.store.files if isinstance(name, Ref | Said)}
        retired = {replica for says in self.says().values() for replica in says.retired}
        return there - {self.replica} - retired

    def may_acknowledge(self, key: Hashable) -> bool:
        """Tell whether nothing that the refs here need is on a list alone."""
        needed, whole = self.needed()
        if Listed(key) not in self.store.files or (self.rules.whole and not whole):
            return False
        listed = self.listed()
        needs = any(
            file.id in needed and all(copy in listed for copy in self.copies(file.id)) for file in self.files_of(key)
        )
        return not (self.rules.look and needs)

    def has_all(self, key: Hashable) -> bool:
        """Tell whether each replica that is waited for has acknowledged a list."""
        heard = self.says()
        return all(other in heard and key in heard[other].acknowledged for other in self.others())

    # Single steps.

    def speak(self, **changes: Any) -> Steps:
        said = self.said()
        new = said._replace(version=said.version + 1, **changes)
        if self.rules.record_first:
            self.own[Said(self.replica)] = new
            yield
        self.store.put(Said(self.replica), new)
        yield
        self.own[Said(self.replica)] = new
        return True

    def secure(self, identity: Id, listed: set[Object], *, has_it: bool) -> bool:
        """See to it that an id may be named: there is a copy that is on no list."""
        copies = self.copies(identity)
        taken = listed if self.rules.another_name else set()
        if any(copy not in taken for copy in copies):
            return True
        if not copies and not has_it:
            return False
        free = 1
        while Object(identity, free) in taken or Object(identity, free) in copies:
            free += 1
        self.store.put(Object(identity, free), identity)
        return True

    def put_back(self) -> None:
        for name, value in self.own.items() if self.rules.put_back else ():
            there = self.store.files.get(name)
            if there is None or there[0] < value[0]:
                self.store.put(name, value)
            elif there[0] > value[0]:
                # It was killed between the write and the record.
                self.own[name] = there

    def renew(self) -> bool:
        """Take a new id if somebody has retired this one, and go on saying so of it."""
        if not any(self.replica in says.retired for says in self.says().values()):
            return False
        self.retirements += 1
        said = Says(1, retired=frozenset((self.replica,)))
        self.replica = f"{self.name}{self.retirements}"
        self.own = {Said(self.replica): said}
        self.store.put(Said(self.replica), said)
        return True

    def wait_for_naming(self) -> Generator[None, None, None]:
        """Wait until each process that names objects, and may not know the lists of now, has written its ref."""
        while self.rules.lock and self.shared:
            yield

    def bury(self, key: Hashable, needed: set[Id]) -> Steps:
        """Delete the files of a list, and write what is needed under another name first."""
        for file in sorted(self.files_of(key), key=repr):
            if file not in self.store.files:
                continue
            if self.rules.look_again and file.id in needed:
                self.secure(file.id, self.listed() | self.files_of(key), has_it=True)
                yield
            if self.rules.trash:
                self.trash[file.id] = self.credit
            self.store.remove(file)
            yield
        return True

    def rescue(self) -> Steps:
        """Put back what a ref needs, from what was deleted here."""
        for identity in sorted(self.needed()[0], key=repr):
            if identity in self.trash and not self.copies(identity):
                self.secure(identity, self.listed(), has_it=True)
                yield
        return True


@dataclass
class Process:
    """One process of a machine, and what it has in memory.

    Attributes:
        opened: the ids that a ref named when it was opened here; listed: the lists of then.
    """

    machine: Machine
    opened: frozenset[Id] = frozenset()
    listed: set[Object] = field(default_factory=set)

    def naming(self, steps: Steps) -> Steps:
        """Run a verb that names objects; who keeps house waits for it."""
        machine = self.machine
        if not machine.rules.fresh:
            self.listed = machine.listed()
            yield
        machine.shared += 1
        try:
            if machine.rules.fresh:
                self.listed = machine.listed()
            return (yield from steps)
        finally:
            machine.shared -= 1

    def keeping_house(self, steps: Steps) -> Steps:
        """Run a verb that only one process of the machine runs at a time."""
        machine = self.machine
        while machine.held:
            yield
        machine.held = True
        try:
            return (yield from steps)
        finally:
            machine.held = False

    def open(self, name: Name) -> Steps:
        self.opened = self.machine.store.files[name][1]
        return True
        yield

    def write(self, name: Ref, ids: Iterable[Id], *, has: set[Id], base: Any = None) -> Steps:
        """Write a ref that names these ids: those in `has` from memory, the others as they are here.

        Args:
            base: what the ref was when this process read it; None for a new one.
        """
        machine = self.machine
        named = below(base[1]) if base is not None else set()
        for identity in sorted(below(ids) - named, key=lambda each: (isinstance(each, tuple), repr(each))):
            if identity in has or machine.rules.walk:
                if not machine.secure(identity, self.listed, has_it=identity in has):
                    return False
            elif not machine.copies(identity):
                return False
            yield
        if machine.store.files.get(name) != base or name.replica != machine.replica:
            return False
        value = (1 if base is None else base[0] + 1, frozenset(ids))
        machine.store.put(name, value)
        yield
        machine.own[name] = value
        return True

    def save(self, ids: Iterable[Id], *, new: bool) -> Steps:
        """Keep ids in a new ref: from memory where they are new, else those of a ref that was opened (a fork)."""
        machine = self.machine
        refs = [each for each in {*machine.refs(), *machine.own} if isinstance(each, Ref)]
        numbers = [each.number for each in refs if each.replica == machine.replica]
        name = Ref(machine.replica, 1 + max(numbers, default=0))
        has = below(ids) if new else set()
        return self.naming(self.write(name, ids, has=has))

    def seal(self, name: Ref, more: Iterable[Id]) -> Steps:
        """Add ids from memory to a ref of this replica, whose own ids it goes on naming."""
        base = self.machine.store.files[name]
        return self.naming(self.write(name, {*base[1], *more}, has=below(more), base=base))

    def drop(self, name: Ref) -> Steps:
        """Let a ref name nothing: what a short retention does to an old state."""
        base = self.machine.store.files[name]
        return self.naming(self.write(name, (), has=set(), base=base))

    # Keeping house.

    def gc(self) -> Steps:
        return self.keeping_house(self._gc())

    def acknowledge(self) -> Steps:
        return self.keeping_house(self._acknowledge())

    def retire(self, replica: str) -> Steps:
        machine = self.machine
        return self.keeping_house(machine.speak(retired=machine.said().retired | {replica}))

    def _gc(self) -> Steps:
        machine, rules = self.machine, self.machine.rules
        yield from self._acknowledge()
        passed, machine.last = machine.clock - machine.last, machine.clock
        machine.credit += max(0, min(passed, machine.grace // 3) if rules.grace else passed)
        for identity in [each for each, when in machine.trash.items() if machine.credit - when >= machine.grace]:
            del machine.trash[identity]
        yield from machine.wait_for_naming()
        needed, whole = machine.needed()
        if rules.whole and not whole:
            return False
        old = set()
        for file in [each for each in machine.store.files if isinstance(each, Object)]:
            if file.id in needed:
                machine.first.pop(file, None)
            elif machine.credit - machine.first.setdefault(file, machine.credit) >= machine.grace:
                old.add(file)
        said = machine.said()
        if said.condemned is not None:
            if not rules.acknowledge or machine.has_all(said.condemned):
                yield from machine.bury(said.condemned, needed)
                yield from machine.speak(condemned=None, done=said.done | {said.condemned})
        elif old:
            key: Hashable = frozenset(old)
            if not rules.by_list:
                key = (machine.replica, len(said.done))
            machine.store.put(Listed(key), frozenset(old))
            yield
            yield from machine.speak(condemned=key, acknowledged=said.acknowledged | {key})
        return True

    def _acknowledge(self) -> Steps:
        machine, rules = self.machine, self.machine.rules
        heard = machine.says()
        here = {name.key for name in machine.store.files if isinstance(name, Listed)}
        yield from machine.wait_for_naming()
        yield from machine.rescue()
        needed, whole = machine.needed()
        if rules.whole and not whole:
            return False
        known = machine.said().acknowledged
        condemned = ({says.condemned for says in heard.values()} - known) & here
        for file in sorted({file for key in condemned for file in machine.files_of(key)}, key=repr):
            if rules.look and file.id in needed:
                machine.secure(file.id, machine.listed(), has_it=False)
                yield
        if condemned:
            yield from machine.speak(acknowledged=known | condemned)
        for key in sorted({key for says in heard.values() for key in says.done}, key=repr):
            yield from machine.bury(key, needed)
        return True


def without(rule: str) -> Rules:
    return replace(Rules(), **{rule: False})
