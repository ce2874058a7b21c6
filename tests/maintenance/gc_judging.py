"""The model as the judge of the engine: a real store is laid before it, and it says what may be done there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import NamedTuple

from simulator.reader import Files, StoreReader

from .gc_machines import Machine, Rules, Says
from .gc_tools import Folder, Listed, Object, Ref, Said

_ID = re.compile(rb"[0-9a-f]{64}")


class Laid(NamedTuple):
    """A store as the model has it.

    Attributes:
        machine: of the model, with these files in its store.
        named: by its path the ids of all objects that a ref leads to.
    """

    machine: Machine
    named: dict[str, frozenset[str]]


def lay(files: Files, replica: str, reader: StoreReader) -> Laid:
    """Lay the files of a store before the model.

    What a ref needs is found without the engine: each id in it, and in what is called so, of which there is an object.

    Args:
        replica: whose machine it is.
    """
    folder, named = Folder(replica), dict[str, frozenset[str]]()
    there: dict[str, bytes] = {}
    for path, data in files.items():
        if path.startswith("objects/"):
            name = path.rpartition("/")[2]
            there.setdefault(name[:64], reader.unpacked(data))
            folder.files[Object(name[:64], path)] = name[:64]
    refs = reader.refs(files)
    for path, data in files.items():
        if path.startswith("refs/") and path.endswith("/replica.json"):
            says = json.loads(data)
            folder.files[Said(says["replica"])] = Says(
                says["writes"],
                says.get("condemned"),
                frozenset(says.get("done", ())),
                frozenset(says.get("acknowledged", ())),
                frozenset(says.get("retired", ())),
            )
            for key in {says.get("condemned"), *says.get("done", ()), *says.get("acknowledged", ())} & there.keys():
                names = [json.loads(line)[0] for line in there[key].splitlines()]
                folder.files[Listed(key)] = frozenset(Object(name.rpartition("/")[2][:64], name) for name in names)
        elif path in refs:
            named[path] = _below(data, there) | refs[path].missing
            header = json.loads(data.partition(b"\n")[0])
            folder.files[Ref(header["replica"], path)] = (1, named[path])
    return Laid(Machine(replica, Rules(), 0, folder, replica), named)


def _below(data: bytes, there: dict[str, bytes]) -> frozenset[str]:
    found: set[str] = set()
    waiting = [data]
    while waiting:
        for each in _ID.findall(waiting.pop()):
            identity = each.decode()
            if identity in there and identity not in found:
                found.add(identity)
                waiting.append(there[identity])
    return frozenset(found)


def judge(before: Laid, after: Laid, *, removed: Iterable[str], added: Iterable[str]) -> None:
    """Hold that the engine did nothing but what the model allows.

    Args:
        before, after: the store around something that the engine did.
        removed, added: the paths of objects that went and came by that.

    Raises:
        AssertionError: it did.
    """
    was, now = before.machine, after.machine
    listed = was.listed()
    said, says = was.says().get(now.replica, Says()), now.says().get(now.replica, Says())
    needed, _ = now.needed()
    # What others say may have come by what the engine did.
    heard = (*was.says().items(), *now.says().items())
    others = {key for replica, each in heard if replica != now.replica for key in each.done}
    may_go = {file.copy for key in {*others, *said.done, *says.done} for file in now.files_of(key)}
    if said.condemned is not None and was.has_all(said.condemned):
        may_go |= {file.copy for file in was.files_of(said.condemned)}
    for path in removed:
        identity = path.rpartition("/")[2][:64]
        assert path in may_go, f"{path} was deleted, though not all have acknowledged that"
        assert identity not in needed or now.copies(identity), f"{path} was deleted, and is needed"
    for path in added:
        assert path not in {file.copy for file in listed}, f"{path} was written, and is on a list"
    for key in says.done - said.done:
        assert was.has_all(key), f"list {key} is done, though not all have acknowledged it"
    for key in says.acknowledged - said.acknowledged:
        assert key == says.condemned or now.may_acknowledge(key), f"list {key} was acknowledged, and something needs it"
    taken = {file.copy for file in listed}
    for path, named in after.named.items():
        for identity in named - before.named.get(path, frozenset()) if path.split("/")[1] == now.replica else ():
            copies = now.copies(identity)
            assert not copies or any(copy.copy not in taken for copy in copies), (
                f"{path} came to name {identity}, which is on a list"
            )
