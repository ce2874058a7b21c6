"""A block of any changes leads to what the same verbs lead to one by one."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from storekit import message, open_store
from test_transaction import found

from coda_fs_session import SessionError, SessionManager, Transaction

NAMES = "abcde"


def steps(chance: random.Random) -> list[tuple[Any, ...]]:
    """Return some verbs with names, and what to do with a session before it is saved."""
    made: list[tuple[Any, ...]] = []
    new: set[str] = set()
    for number in range(chance.randint(2, 12)):
        name, other = chance.choice(NAMES), chance.choice(NAMES)
        kind = chance.choice(["create", "change", "change", "branch", "rename", "delete"])
        match kind:
            case "change":
                how = chance.choice(["add", "add", "drop", "edit", "clear", "metadata"])
                made.append((kind, name, how, number))
            case "branch":
                made.append((kind, name, other, chance.choice([None, 0, 1, 2])))
            case "rename" if name in new:
                # It is made under its last name at once: its branches know it by that alone.
                continue
            case "rename":
                made.append((kind, name, other))
            case _:
                made.append((kind, name))
        if made[-1][0] in ("create", "change", "branch", "rename"):
            new.update(made[-1][1:3] if made[-1][0] == "rename" else [name])
    return made


def do(verbs: SessionManager | Transaction, step: tuple[Any, ...]) -> str:
    """Do one step; return the kind of its error, or nothing."""
    try:
        match step:
            case "create", name:
                verbs.create_session(name)
            case "branch", name, parent, at:
                verbs.create_session(name, branch_from=parent, at=at)
            case "rename", name, new:
                verbs.rename_session(name, new)
            case "delete", name:
                verbs.delete_session(name)
            case "change", name, how, number:
                session = verbs.create_session(name)
                match how:
                    case "add":
                        session.add_message(message(number))
                    case "drop":
                        session.drop_last()
                    case "clear":
                        session.clear_messages()
                    case "metadata":
                        session.update_metadata({"number": number})
                    case _ if session.messages:
                        session.messages[0]["content"] = f"edited {number}"
                verbs.save_session(session)
    except (SessionError, ValueError) as error:
        return type(error).__name__
    return ""


@pytest.mark.parametrize("backend", ["files", "memory", "sqlite"])
def test_a_block_does_what_its_verbs_do(tmp_path: Path, backend: str, long_size: bool, seed: int) -> None:
    """After each of several blocks the store holds what it holds where each verb was done at once, with the same
    errors on the way; what is open of it is saved, and another manager finds it so."""
    for history in range(300 if long_size else 12):
        chance = random.Random(f"{seed} {history}")
        block, single = (open_store(tmp_path / f"{name}-{history}", backend=backend) for name in ("block", "single"))
        for _ in range(4):
            chosen = steps(chance)
            wanted = [do(single, step) for step in chosen]
            with block.transaction() as change:
                assert [do(change, step) for step in chosen] == wanted, f"{history}: {chosen}"
            assert found(block) == found(single), f"{history}: {chosen}"
            for session in list(block._sessions):
                assert not session.has_unsaved_changes, f"{history}: {session} {chosen}"
                assert block.load_session(session.name) is session, f"{history}: {session} {chosen}"
        if backend != "memory":
            with open_store(tmp_path / f"block-{history}", backend=backend) as again:
                assert found(again) == found(single)
        block.close()
        single.close()
