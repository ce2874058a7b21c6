"""Machines whose sessions of one name are different conversations."""

from __future__ import annotations

import orjson

from coda_fs_session.format.ids import CHAIN_START, chain_message

from .machines import Machine, said

FIRST, SECOND, THIRD = sorted("xyz", key=lambda text: chain_message(CHAIN_START, orjson.dumps(said(text)[0])))
"""Texts in the order in which, as first messages, they keep a name."""


def exchange(*machines: Machine) -> None:
    """Carry what each machine has written to all others."""
    for one in machines:
        for other in machines:
            if one is not other and (one.store / "refs" / one.replica).exists():
                (one.store / "objects").mkdir(exist_ok=True)
                one.send_to(other)


def apart(one: Machine, other: Machine, name: str = "default") -> str:
    """Let two machines begin a session of one name, and tell each other; the second one's gets the name returned."""
    one.create(name, said(FIRST))
    other.create(name, said(SECOND))
    exchange(one, other)
    (derived,) = set(other.names()) - {name}
    return derived
