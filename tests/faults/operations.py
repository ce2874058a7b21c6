"""Everything that writes, in steps that can be done again when they failed."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crash.stores import REPLICA, SMALL, message

from coda_fs_session import Session, SessionError, SessionManager
from coda_fs_session.format.chunks import STANDARD, Sizes

Work = Callable[[SessionManager, Path], Generator["Step", Any, None]]


@dataclass(frozen=True, slots=True)
class Step:
    """One change.

    Attributes:
        do: makes it; what it returns is sent back to the operation.
        session: the object that it saves; it must be able to take more while it cannot be saved.
        again: makes it where it failed and may have been made all the same; None: as `do`.
        apart: it saves several sessions, each of which is old or new by itself.
        silent: it fails without an error, and leaves sessions unsaved.
        beside: it changes the store and then what is open. Where it failed and was made all the same, that shows it,
            or what it held until it is opened again, as after a change of another process.
    """

    do: Callable[[], Any]
    session: Session | None = None
    again: Callable[[], Any] | None = None
    apart: bool = False
    silent: bool = False
    beside: bool = False


Steps = Generator[Step, Any, None]


@dataclass(frozen=True, slots=True)
class Operation:
    """Something to fail in; the attributes are those of a crash scenario."""

    work: Work
    before: int | None = 3
    sizes: Sizes = SMALL
    replica: str = REPLICA
    torn: bytes = b""


def _create(manager: SessionManager, folder: Path) -> Steps:
    session = yield Step(lambda: manager.create_session("chat"))
    yield from _add(manager, session, 100)
    filled = Session("filled", [message(number) for number in range(15)], {"topic": "filled"})
    yield _saving(manager, filled)
    yield from _add(manager, filled, 1300)


def _create_beside(manager: SessionManager, folder: Path) -> Steps:
    for name, count in (("empty", 0), ("tail", 2), ("sealed", 6)):
        session = Session(name, [message(number) for number in range(count)])
        yield _saving(manager, session)
        yield from _add(manager, session, 100)


def _saving(manager: SessionManager, session: Session) -> Step:
    return Step(lambda: manager.save_session(session), session)


def _add(manager: SessionManager, session: Session, *lengths: int, count: int = 1) -> Steps:
    for length in lengths:
        for _ in range(count):
            session.add_message(message(len(session), length))
        yield _saving(manager, session)


def _save(*lengths: int, count: int = 1, live: bool = False) -> Work:
    def work(manager: SessionManager, folder: Path) -> Steps:
        session = manager.load_session("chat")
        if live:
            assert session.messages
        yield from _add(manager, session, *lengths, count=count)

    return work


def _metadata(manager: SessionManager, folder: Path) -> Steps:
    session = manager.load_session("chat")
    session.update_metadata({"topic": "other", "more": {"a": [1, 2]}})
    yield _saving(manager, session)
    del session.metadata["topic"]
    session.add_message(message(50))
    yield _saving(manager, session)


def _edit(*positions: int) -> Work:
    def work(manager: SessionManager, folder: Path) -> Steps:
        session = manager.load_session("chat")
        for position in positions:
            session.messages[position]["content"] = "edited"
            yield _saving(manager, session)
        session.messages.insert(positions[-1], message(60))
        session.update_metadata({"edited": True})
        yield _saving(manager, session)
        yield from _add(manager, session, 100, 1300)

    return work


def _truncate(manager: SessionManager, folder: Path) -> Steps:
    session = manager.load_session("chat")
    session.truncate_messages(7)
    yield _saving(manager, session)
    session.messages.pop()
    yield _saving(manager, session)
    session.truncate_messages(2)
    session.add_message(message(60))
    yield _saving(manager, session)


def _clear(manager: SessionManager, folder: Path) -> Steps:
    session = manager.load_session("chat")
    session.clear_messages()
    yield _saving(manager, session)
    yield from _add(manager, session, 100)
    session.clear_messages()
    yield from _add(manager, session, 100)


def _fork(at: int | None) -> Work:
    def work(manager: SessionManager, folder: Path) -> Steps:
        parent = manager.load_session("chat")
        if at is None:
            parent.add_message(message(50))  # a branch takes over what is not saved as well
        child = yield Step(lambda: manager.create_session("child", branch_from="chat", at=at))
        yield from _add(manager, child, 100, 1300)
        yield from _add(manager, parent, 100)

    return work


def _rename(manager: SessionManager, folder: Path) -> Steps:
    session = manager.load_session("chat")
    session.add_message(message(50))

    def again() -> None:
        if "talk" not in manager:
            manager.rename_session("chat", "talk")

    yield Step(lambda: manager.rename_session("chat", "talk"), again=again)
    yield _saving(manager, session)
    yield from _add(manager, session, 100, 1300)


def _delete(manager: SessionManager, folder: Path) -> Steps:
    delete = Step(lambda: manager.delete_session("chat"), again=lambda: manager.delete_session("chat", missing_ok=True))
    yield delete
    session = yield Step(lambda: manager.create_session("chat"))
    yield from _add(manager, session, 100)
    session.add_message(message(51))
    yield delete
    session = Session("chat", [message(52)])
    yield _saving(manager, session)


def _merge(manager: SessionManager, folder: Path) -> Steps:
    chat = manager.load_session("chat")
    child = yield Step(lambda: manager.create_session("child", branch_from="chat", at=2))
    yield from _add(manager, child, 100, 500)
    yield from _add(manager, chat, 700)
    # To merge again never merges twice.
    yield Step(lambda: manager.branches.merge("child", "chat"), beside=True)
    yield from _add(manager, child, 60)
    before = len(manager.load_session("chat"))

    def pick_again() -> None:
        if len(manager.load_session("chat")) == before:
            manager.branches.cherry_pick("child", [4], "chat")

    yield Step(lambda: manager.branches.cherry_pick("child", [4], "chat"), again=pick_again, beside=True)
    yield Step(lambda: manager.branches.merge("chat", "child", strategy="theirs"), beside=True)


def _undo(manager: SessionManager, folder: Path) -> Steps:
    session, history = manager.load_session("chat"), manager.history("chat")
    for _ in range(3):
        yield _going_back(session, history.undo)
    yield from _add(manager, session, 100, 1300)
    yield _going_back(session, history.undo)
    yield Step(lambda: manager.delete_session("chat"), again=lambda: manager.delete_session("chat", missing_ok=True))

    def again() -> None:
        if "chat" not in manager:
            history.undo()

    yield Step(history.undo, again=again)


def _restore(manager: SessionManager, folder: Path) -> Steps:
    session, history = manager.load_session("chat"), manager.history("chat")
    for count in (3, 6, 1):
        yield _going_back(session, lambda count=count: history.restore(count))
        yield from _add(manager, session, 100)


def _going_back(session: Session, go: Callable[[], object]) -> Step:
    before = len(session)

    def again() -> None:
        session.reload()
        if len(session) == before:
            go()

    return Step(go, again=again, beside=True)


def _tag(manager: SessionManager, folder: Path) -> Steps:
    session, history = manager.load_session("chat"), manager.history("chat")
    yield Step(lambda: history.tag("draft"))
    yield Step(lambda: history.tag("early", at=2))
    yield from _add(manager, session, 100)
    yield Step(lambda: history.untag("early"), again=lambda: "early" in history.tags() and history.untag("early"))


def _import(manager: SessionManager, folder: Path) -> Steps:
    path = manager.export_session("bystander", folder / "exported.json")
    yield Step(
        lambda: manager.import_session(path, name="imported"),
        again=lambda: manager.import_session(path, name="imported", on_exists="replace"),
    )
    imported = yield Step(lambda: manager.import_session(path, name="chat", on_exists="replace"))
    yield from _add(manager, imported, 100)


def _several(manager: SessionManager) -> list[Session]:
    sessions = [manager.load_session("chat"), manager.load_session("bystander")]
    sessions[0].add_message(message(50, 1300))
    sessions[1].messages[0]["content"] = "edited"
    sessions.append(manager.create_session("third")) if "third" in manager else None
    return sessions


def _save_all(manager: SessionManager, folder: Path) -> Steps:
    third = yield Step(lambda: manager.create_session("third"))
    for length in (50, 1300):
        sessions = _several(manager)
        third.add_message(message(51, length))
        yield Step(manager.save_all, sessions[0], apart=True)


def _autosave(manager: SessionManager, folder: Path) -> Steps:
    for _ in range(2):
        sessions = _several(manager)
        yield Step(manager._autosave.save_all, sessions[0], apart=True, silent=True)


def _transaction(manager: SessionManager, folder: Path) -> Steps:
    chat, is_written_down = manager.load_session("chat"), False
    chat.messages[1]["content"] = "edited"
    chat.add_message(message(50))
    beside = Session("beside", [message(number) for number in range(9)])
    beside.add_message(message(51))

    def make() -> None:
        nonlocal is_written_down
        try:
            with manager.transaction() as change:
                child = change.create_session("child", branch_from="chat", at=2)
                child.add_message(message(52, 1300))
                change.save_session(chat)
                change.save_session(beside)
                change.rename_session("chat", "talk")
                change.delete_session("bystander")
        except SessionError as error:
            is_written_down = any("written down" in note for note in getattr(error, "__notes__", ()))
            raise

    def again() -> None:
        if not is_written_down:
            make()
            return
        # Whatever writes next does all of it, and nothing twice.
        manager.create_session("next")
        manager.delete_session("next")
        manager.save_all()
        if beside.name in manager and beside.has_unsaved_changes:
            assert manager.load_session("beside").get_messages() == beside.get_messages()

    yield Step(make, again=again, apart=True)
    yield from _add(manager, chat, 100)


OPERATIONS = {
    "create": Operation(_create, before=None),
    "create beside others": Operation(_create_beside),
    "save one message": Operation(_save(100, 700, 2500), sizes=STANDARD),
    "save many messages": Operation(_save(90, 150, count=8), sizes=STANDARD),
    "save a live list": Operation(_save(100, 900, live=True), before=5),
    "save after a torn write": Operation(_save(100, 100), torn=b'{"prev":"12345'),
    "save what another replica began": Operation(_save(100, 900), replica="other-00000000"),
    "seal": Operation(_save(100, 500, 500, 1300), before=4),
    "big save": Operation(_save(150, count=24), before=6),
    "metadata": Operation(_metadata),
    "edit the tail": Operation(_edit(1, 2), sizes=STANDARD),
    "edit what is sealed": Operation(_edit(1, 11), before=14),
    "truncate": Operation(_truncate, before=14),
    "clear": Operation(_clear, before=7),
    "fork at the head": Operation(_fork(None), before=14),
    "fork in the middle": Operation(_fork(5), before=14),
    "rename": Operation(_rename, before=7),
    "delete": Operation(_delete, before=7),
    "merge": Operation(_merge, before=7),
    "undo": Operation(_undo, before=7),
    "restore": Operation(_restore, before=14),
    "tag": Operation(_tag, before=7),
    "import": Operation(_import, before=7),
    "several sessions at once": Operation(_save_all, before=7),
    "autosave": Operation(_autosave, before=7),
    "transaction": Operation(_transaction, before=7),
    "transaction of what another replica began": Operation(_transaction, before=7, replica="other-00000000"),
}
