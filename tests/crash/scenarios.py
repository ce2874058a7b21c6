"""What a process does until the power fails. After each ``yield`` the change is acknowledged."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from coda_fs_session import Session, SessionManager
from coda_fs_session.format.chunks import STANDARD, Sizes

from .stores import REPLICA, SMALL, message

Work = Callable[[SessionManager], Iterator[Session | None]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """Something to crash in.

    Attributes:
        work: the changes; each yields the session that was saved, to compare memory and store, or None.
        before: how many messages the session "chat" has at the start; None: there is no store yet.
        sizes: STANDARD keeps everything in the ref's lines, SMALL seals every few messages.
        replica: who goes on; another one than at the start has no ref of its own yet.
        torn: what an earlier crash left at the end of the ref of "chat".
        apart: a change saves several sessions, each of which is old or new by itself.
    """

    work: Work
    before: int | None = 3
    sizes: Sizes = SMALL
    replica: str = REPLICA
    torn: bytes = b""
    apart: bool = False


def prepare(scenario: Scenario, manager: SessionManager) -> None:
    """Make what a scenario starts from: the session "chat", and one beside it that nothing touches."""
    if scenario.before is None:
        return
    for name, count in (("chat", scenario.before), ("bystander", 12)):
        session = manager.create_session(name)
        for number in range(count):
            session.add_message(message(number))
            if number % 5 == 4:
                manager.save_session(session)
        session.update_metadata({"topic": name})
        manager.save_session(session)


def _create(manager: SessionManager) -> Iterator[Session | None]:
    yield manager.create_session("chat")
    yield manager.create_session("Ünïcode / name")
    filled = Session("filled", [message(number) for number in range(15)], {"topic": "filled"})
    manager.save_session(filled)
    yield filled


def _save(manager: SessionManager, *lengths: int, count: int = 1) -> Iterator[Session | None]:
    session = manager.load_session("chat")
    for length in lengths:
        for _ in range(count):
            session.add_message(message(len(session), length))
        manager.save_session(session)
        yield session


def _metadata(manager: SessionManager) -> Iterator[Session | None]:
    session = manager.load_session("chat")
    session.update_metadata({"topic": "other", "more": {"a": [1, 2]}})
    manager.save_session(session)
    yield session
    del session.metadata["topic"]
    manager.save_session(session)
    yield session


def _edit(manager: SessionManager, *positions: int) -> Iterator[Session | None]:
    session = manager.load_session("chat")
    for position in positions:
        session.messages[position]["content"] = "edited"
        manager.save_session(session)
        yield session
    session.add_message(message(99, 1300))
    manager.save_session(session)
    yield session


def _shorten(manager: SessionManager) -> Iterator[Session | None]:
    session = manager.load_session("chat")
    for change in (lambda: session.truncate_messages(7), session.messages.pop, session.clear_messages):
        change()
        manager.save_session(session)
        yield session
    session.add_message(message(1))
    manager.save_session(session)
    yield session


def _fork(manager: SessionManager, at: int | None) -> Iterator[Session | None]:
    child = manager.create_session("child", branch_from="chat", at=at)
    yield child
    for length in (100, 1300):
        child.add_message(message(50, length))
        manager.save_session(child)
        yield child
    yield manager.create_session("grandchild", branch_from="child")


def _rename(manager: SessionManager) -> Iterator[Session | None]:
    session = manager.load_session("chat")
    manager.rename_session("chat", "talk")
    yield session
    session.add_message(message(50))
    manager.save_session(session)
    yield session


def _delete(manager: SessionManager) -> Iterator[Session | None]:
    manager.delete_session("chat")
    yield None
    session = manager.create_session("chat")
    yield session
    session.add_message(message(50))
    manager.save_session(session)
    yield session


def _go_back(manager: SessionManager) -> Iterator[Session | None]:
    session, history = manager.load_session("chat"), manager.history("chat")
    for go in (history.undo, history.undo, lambda: history.restore(6), lambda: history.tag("draft", at=2)):
        go()
        yield session
    session.add_message(message(50))
    manager.save_session(session)
    yield session
    manager.delete_session("chat")
    yield None
    history.restore("draft")
    yield manager.load_session("chat")


def _truncate(manager: SessionManager) -> Iterator[Session | None]:
    session = manager.load_session("chat")
    session.truncate_messages(3)
    session.add_message(message(60))
    manager.save_session(session)
    yield session
    session.truncate_messages(1)
    manager.save_session(session)
    yield session


def _clear(manager: SessionManager) -> Iterator[Session | None]:
    session = manager.load_session("chat")
    session.clear_messages()
    manager.save_session(session)
    yield session
    session.add_message(message(60, 1300))
    manager.save_session(session)
    yield session


def _import(manager: SessionManager) -> Iterator[Session | None]:
    with tempfile.TemporaryDirectory() as folder:
        path = manager.export_session("bystander", f"{folder}/exported.json")
        yield manager.import_session(path, name="imported")
        session = manager.import_session(path, name="chat", on_exists="replace")
        yield session
    session.add_message(message(60))
    manager.save_session(session)
    yield session


def _merge(manager: SessionManager) -> Iterator[Session | None]:
    chat, child = manager.load_session("chat"), manager.create_session("child", branch_from="chat", at=2)
    yield child
    for session in (child, chat):
        for number in range(3):
            session.add_message(message(60 + number, 500))
        session.update_metadata({"topic": session.name})
        manager.save_session(session)
        yield session
    manager.branches.merge("child", "chat")
    yield chat
    child.add_message(message(70))
    manager.save_session(child)
    yield child
    manager.branches.cherry_pick("child", [5], "chat")
    yield chat
    manager.branches.merge("chat", "child", strategy="theirs")
    yield child


def _tick(manager: SessionManager) -> None:
    """Do what the timer does."""
    manager._autosave.save_all()


def _several(manager: SessionManager, save: Callable[[SessionManager], None]) -> Iterator[Session | None]:
    third = manager.create_session("third")
    yield third
    chat, bystander = manager.load_session("chat"), manager.load_session("bystander")
    for length in (100, 1300):
        for session in (third, chat):
            session.add_message(message(50, length))
        bystander.messages[0]["content"] = f"edited {length}"
        save(manager)
        yield chat


def _bulk(manager: SessionManager) -> Iterator[Session | None]:
    with manager.bulk():
        for number, name in enumerate("ab"):
            session = manager.create_session(name)
            for length in (100, 500, 1300):
                session.add_message(message(50 + number, length))
                manager.save_session(session)
        branch = manager.create_session("branch", branch_from="a", at=2)
    yield branch


SCENARIOS = {
    "create": Scenario(_create, before=None),
    "save one message": Scenario(lambda manager: _save(manager, 100, 700, 2500), sizes=STANDARD),
    "save many messages": Scenario(lambda manager: _save(manager, 90, 150, count=8), sizes=STANDARD),
    "save after a torn write": Scenario(lambda manager: _save(manager, 100, 100), torn=b'{"prev":"12345'),
    "save what another replica began": Scenario(lambda manager: _save(manager, 100, 900), replica="other-00000000"),
    "seal": Scenario(lambda manager: _save(manager, 100, 500, 500, 1300), before=4),
    "seal many": Scenario(lambda manager: _save(manager, 150, count=16), before=6),
    "metadata": Scenario(_metadata),
    "edit the tail": Scenario(lambda manager: _edit(manager, 1, 2), sizes=STANDARD),
    "edit what is sealed": Scenario(lambda manager: _edit(manager, 1, 13), before=14),
    "shorten": Scenario(_shorten, before=14),
    "truncate to what is new": Scenario(_truncate, before=7),
    "clear the tail": Scenario(_clear, sizes=STANDARD),
    "undo, restore and tag": Scenario(_go_back, before=7),
    "fork at the head": Scenario(lambda manager: _fork(manager, None), before=14),
    "fork in the middle": Scenario(lambda manager: _fork(manager, 5), before=14),
    "rename": Scenario(_rename, before=7),
    "delete": Scenario(_delete, before=7),
    "merge": Scenario(_merge, before=7),
    "import": Scenario(_import, before=7),
    "several sessions at once": Scenario(lambda manager: _several(manager, SessionManager.save_all), apart=True),
    "bulk": Scenario(_bulk, apart=True),
    "autosave": Scenario(lambda manager: _several(manager, _tick), before=7, apart=True),
}
