"""What programs do with a manager, each with what must be stored once it was interrupted and done again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from coda_fs_session import Session, SessionError, SessionManager, SessionNotFoundError

Texts = list[str]


@dataclass
class Work:
    """One piece of work, which can be done again after an interrupt.

    Attributes:
        do: the work; sessions: the objects that it is about, to be compared with what is stored.
        expected: the texts of each session afterwards, None where there must not be one.
    """

    do: Callable[[], object]
    sessions: list[Session]
    expected: dict[str, Texts | None]


Maker = Callable[[SessionManager, str], Work]


def say(session: Session, *texts: str) -> None:
    for text in texts:
        session.add_message({"role": "user", "content": text})


def texts_of(session: Session) -> Texts:
    return [message["content"] for message in session.get_messages()]


def _begun(manager: SessionManager, name: str, *texts: str) -> Session:
    session = manager.create_session(name)
    say(session, *texts)
    manager.save_session(session)
    return session


def append(manager: SessionManager, name: str) -> Work:
    session = _begun(manager, name, "1")
    say(session, "2")
    return Work(lambda: manager.save_session(session), [session], {name: ["1", "2"]})


def append_to_the_live_list(manager: SessionManager, name: str) -> Work:
    session = _begun(manager, name, "1")
    session.messages.append({"role": "user", "content": "2"})
    return Work(lambda: manager.save_session(session), [session], {name: ["1", "2"]})


def first_save(manager: SessionManager, name: str) -> Work:
    session = Session(name)
    say(session, "1", "2")
    return Work(lambda: manager.save_session(session), [session], {name: ["1", "2"]})


def edit(manager: SessionManager, name: str) -> Work:
    session = _begun(manager, name, "1", "2", "3")
    session.messages[1]["content"] = "two"
    return Work(lambda: manager.save_session(session), [session], {name: ["1", "two", "3"]})


def remove(manager: SessionManager, name: str) -> Work:
    session = _begun(manager, name, "1", "2", "3")
    del session.messages[1]
    return Work(lambda: manager.save_session(session), [session], {name: ["1", "3"]})


def edit_what_is_sealed(manager: SessionManager, name: str) -> Work:
    large = [f"{number} " * 35_000 for number in range(3)]
    session = _begun(manager, name, *large)
    session.messages[1]["content"] = "two"
    return Work(lambda: manager.save_session(session), [session], {name: [large[0], "two", large[2]]})


def seal(manager: SessionManager, name: str) -> Work:
    """Six objects: they are synced by several threads."""
    session = _begun(manager, name, "1")
    large = [f"{number} " * 35_000 for number in range(6)]
    say(session, *large)
    return Work(lambda: manager.save_session(session), [session], {name: ["1", *large]})


def truncate(manager: SessionManager, name: str) -> Work:
    session = _begun(manager, name, "1", "2", "3")
    session.truncate_messages(1)
    say(session, "4")
    return Work(lambda: manager.save_session(session), [session], {name: ["3", "4"]})


def metadata(manager: SessionManager, name: str) -> Work:
    session = _begun(manager, name, "1")
    session.update_metadata({"model": "some"})
    say(session, "2")
    return Work(lambda: manager.save_session(session), [session], {name: ["1", "2"]})


def create(manager: SessionManager, name: str) -> Work:
    return Work(lambda: manager.create_session(name), [], {name: []})


def branch(manager: SessionManager, name: str) -> Work:
    session = _begun(manager, name, "1")
    say(session, "2")

    def do() -> None:
        manager.create_session(f"{name}-b", branch_from=name)
        manager.save_session(session)

    return Work(do, [session], {name: ["1", "2"], f"{name}-b": ["1", "2"]})


def transaction(manager: SessionManager, name: str) -> Work:
    sessions = [_begun(manager, each, "1") for each in (name, f"{name}-b")]

    def do() -> None:
        with manager.transaction() as change:
            for session in sessions:
                change.save_session(session)

    for session in sessions:
        say(session, "2")
    return Work(do, sessions, {session.name: ["1", "2"] for session in sessions})


def rename(manager: SessionManager, name: str) -> Work:
    session = _begun(manager, name, "1")
    say(session, "2")

    def do() -> None:
        try:
            manager.rename_session(name, f"{name}-new")
        except SessionNotFoundError:
            # It was renamed before the interrupt came.
            assert f"{name}-new" in manager
        manager.save_session(session)

    return Work(do, [session], {name: None, f"{name}-new": ["1", "2"]})


def delete(manager: SessionManager, name: str) -> Work:
    _begun(manager, name, "1")
    return Work(lambda: manager.delete_session(name, missing_ok=True), [], {name: None})


def delete_and_make_anew(manager: SessionManager, name: str) -> Work:
    _begun(manager, name, "1")
    manager.delete_session(name)
    session = Session(name)
    say(session, "2")
    return Work(lambda: manager.save_session(session), [session], {name: ["2"]})


def save_all(manager: SessionManager, name: str) -> Work:
    sessions = [_begun(manager, f"{name}-{letter}", "1") for letter in "ab"]
    for session in sessions:
        say(session, "2")
    return Work(manager.save_all, sessions, {session.name: ["1", "2"] for session in sessions})


def close(manager: SessionManager, name: str) -> Work:
    session = _begun(manager, name, "1")
    say(session, "2")
    return Work(manager.close, [session], {name: ["1", "2"]})


def leave(manager: SessionManager, name: str) -> Work:
    """As at the end of a ``with`` block."""
    session = _begun(manager, name, "1")
    say(session, "2")
    return Work(lambda: manager.__exit__(None, None, None), [session], {name: ["1", "2"]})


def leave_by_an_error(manager: SessionManager, name: str) -> Work:
    """As at the end of a ``with`` block that Ctrl-C has ended."""
    session = _begun(manager, name, "1")
    say(session, "2")
    error = KeyboardInterrupt()
    return Work(lambda: manager.__exit__(KeyboardInterrupt, error, None), [session], {name: ["1", "2"]})


def bulk(manager: SessionManager, name: str) -> Work:
    """As a program that goes on after an interrupt at the very end of the block: it closes the manager first."""
    manager.create_session(f"{name}-before")
    names = [f"{name}-{letter}" for letter in "abc"]

    def do() -> None:
        try:
            block = manager.bulk()
        except SessionError:
            manager.close()
            block = manager.bulk()
        with block:
            for each in names:
                session = manager.create_session(each)
                if not session.messages:
                    say(session, "1")
                manager.save_session(session)

    return Work(do, [], {f"{name}-before": [], **{each: ["1"] for each in names}})


def tag(manager: SessionManager, name: str) -> Work:
    session = _begun(manager, name, "1", "2")
    return Work(lambda: manager.history(name).tag("here", 1), [session], {name: ["1", "2"]})


def merge(manager: SessionManager, name: str) -> Work:
    """Done again it brings nothing more."""
    session = _begun(manager, name, "1")
    other = manager.create_session(f"{name}-other", branch_from=name)
    say(other, "2")
    manager.save_session(other)
    expected: dict[str, Texts | None] = {name: ["1", "2"], f"{name}-other": ["1", "2"]}
    return Work(lambda: manager.branches.merge(other.name, name), [session, other], expected)


def restore(manager: SessionManager, name: str) -> Work:
    session = _begun(manager, name, "1")
    entry = next(iter(manager.history(name)))
    say(session, "2")
    manager.save_session(session)
    return Work(lambda: manager.history(name).restore(entry.id), [session], {name: ["1"]})


EVERY: tuple[Maker, ...] = (
    append,
    append_to_the_live_list,
    first_save,
    edit,
    remove,
    edit_what_is_sealed,
    seal,
    truncate,
    metadata,
    create,
    branch,
    rename,
    delete,
    delete_and_make_anew,
    save_all,
    close,
    leave,
    leave_by_an_error,
    bulk,
    transaction,
    tag,
    merge,
    restore,
)
