"""The public API as a typed program uses it: never run, checked by mypy in strict mode."""

from __future__ import annotations

import re
from datetime import date, datetime
from pathlib import Path
from typing import Any, assert_type

from coda_fs_session import (
    Breakdown,
    Change,
    ConfigError,
    CorruptionError,
    History,
    HistoryEntry,
    ImportReport,
    InvalidMessageError,
    InvalidNameError,
    MakeStorable,
    ObjectNotYetHereError,
    PendingSave,
    Redact,
    SearchHit,
    SearchPlace,
    SearchProgress,
    SearchResult,
    Session,
    SessionAnalytics,
    SessionConflictError,
    SessionError,
    SessionEvent,
    SessionExistsError,
    SessionHook,
    SessionInfo,
    SessionManager,
    SessionNotFoundError,
    SessionStorage,
    SessionTooLargeError,
    SessionWarning,
    Sharing,
    StoreError,
    StoreFormatError,
    StoreFullError,
    StoreReadOnlyError,
    StoreStats,
    SyncProgress,
    SyncReport,
    SyncTransfer,
    Template,
    Templates,
    Transaction,
    Watch,
    __version__,
    jsonable,
)

assert_type(__version__, str)

# Managers, from anything that may hold a configuration.
SessionManager()
SessionManager(None)
SessionManager({})
SessionManager("~/chats")
SessionManager(Path("~/chats"))
SessionManager({"session": {"backend": "files", "storage_path": "~/chats", "autosave_interval": 0}})
SessionManager(config={"session": {"max_session_size": 100}, "model": {"name": "gpt-4"}})
SessionManager(token_counter=len)
SessionManager(token_counter=lambda text: len(text.split()))
SessionManager(message_counter=lambda message: len(message))
assert_type(SessionManager.from_toml("settings.toml"), SessionManager)
assert_type(SessionManager.from_toml(Path("settings.toml")), SessionManager)

with SessionManager() as manager:
    assert_type(manager, SessionManager)

# Sessions, loaded, started and branched.
session = manager.create_session("chat")
assert_type(session, Session)
assert_type(manager.load_session("chat"), Session)
assert_type(manager.create_session("branch", branch_from="chat"), Session)
assert_type(manager.create_session("branch", "chat", at=10), Session)

assert_type(session.name, str)
assert_type(session.messages, list[dict[str, Any]])
assert_type(session.metadata, dict[str, Any])
assert_type(session.created_at, datetime)
assert_type(session.updated, datetime)
assert_type(session.updated_at, datetime)
assert_type(session.parent, str | None)
assert_type(session.has_unsaved_changes, bool)
assert_type(session.is_stored, bool)
assert_type(len(session), int)

session.add_message({"role": "user", "content": "Hello"})
session.add_message({"role": "user", "content": [{"type": "text", "text": "Hello"}], "seen": True, "score": None})
assert_type(session.get_messages(), list[dict[str, Any]])
assert_type(session.get_messages(10), list[dict[str, Any]])
assert_type(session.get_messages(limit=None), list[dict[str, Any]])
session.messages = session.get_messages(limit=10)
session.messages.append({"role": "user", "content": "Bye"})
session.messages[0]["content"] = "Hello there"
session.update_metadata({"topic": "greetings", "tags": ["short"]})
session.truncate_messages(50)
session.clear_messages()
session.reload()
assert_type(session.get_token_count(), int)

Session("by-hand")
Session("by-hand", [{"role": "user", "content": "Hello"}], {"topic": "greetings"})
Session("by-hand", messages=None, metadata=None, created_at=datetime.now(), updated_at=datetime.now())

# What a manager does with them.
manager.save_session(session)
manager.save_session(session, updated_at=datetime.now())
assert_type(manager.list_sessions(prefix="a", where={"a": 1, ("b", "c"): None}, order="-size"), list[SessionInfo])
assert_type(manager.list_sessions(where=lambda info: info.message_count, since=datetime.now())[-1].cursor, str)
found = manager.search("a", session="b", role="user", since=datetime.now(), until=datetime.now(), limit=None)
assert_type(found, SearchResult)
assert_type(list(found), list[SearchHit])
assert_type(found[0].places, tuple[SearchPlace, ...])
assert_type((found.complete, found.total), tuple[bool, int | None])


def tell_search(told: SearchProgress) -> None:
    assert_type((told.done, told.total), tuple[int, int])


manager.search("a", progress=tell_search)
manager.create_session("old", branch_from="by-hand", created_at=datetime.now(), updated_at=datetime.now())
manager.save_all()
manager.rename_session("chat", "talk")
manager.delete_session("talk")
manager.delete_session("talk", missing_ok=True)
assert_type("talk" in manager, bool)
assert_type(manager.list_sessions(), list[SessionInfo])
assert_type(manager.get_session_info("talk"), SessionInfo | None)
assert_type(manager.export_session("talk", "talk.json"), Path)
assert_type(manager.export_session("talk", Path("talk.json"), overwrite=True), Path)
assert_type(manager.export_session("talk", "talk.md", format="md"), Path)
assert_type(manager.export_sessions(["talk"], "all", format="family", branches=True, redact=["x"]), list[Path])
manager.export_sessions(None, "all", format="pdf")  # type: ignore[arg-type]
assert_type(manager.import_session("talk.json"), Session)
assert_type(manager.import_session(Path("talk.json"), name="copy", on_exists="replace"), Session)
manager.import_session("talk.json", on_exists="merge")  # type: ignore[arg-type]
assert_type(manager.import_sessions("a.json", Path("b"), keep="all", progress=print), ImportReport)
manager.import_sessions("a.json", keep="some")  # type: ignore[arg-type]
manager.close()

# What it tells about them.
for info in manager.list_sessions():
    assert_type(info.name, str)
    assert_type(info.message_count, int)
    assert_type(info.created_at, datetime)
    assert_type(info.created, datetime)
    assert_type(info.updated_at, datetime)
    assert_type(info.metadata, dict[str, Any])
    assert_type(info.size_bytes, int)
    assert_type(info.parent, str | None)
    assert_type(info.forked_at, int | None)
    assert_type(info.replica, str | None)
    assert_type(info.error, SessionError | None)
    assert_type(info.sides, tuple[str, ...])
    assert_type(info.diverged_at, int | None)
    assert_type(info.preview.first, str | None)

assert_type(manager.deleted_sessions(), list[SessionInfo])
history = manager.history("talk")
assert_type(history, History)
for entry in history:
    assert_type(entry, HistoryEntry)
    assert_type(entry.id + entry.kind + entry.replica + entry.note, str)
    assert_type(entry.time, datetime)
    assert_type(entry.when, datetime)
    assert_type(entry.messages + entry.added, int)
    assert_type(entry.expired, bool)
    assert_type(entry.exact, bool)
assert_type(history.at(3), Session)
assert_type(history.undo(), HistoryEntry | None)
assert_type(history.restore(datetime.now()), HistoryEntry)
assert_type(history.tag("draft", at="0123456789ab:3"), HistoryEntry)
assert_type(history.tags(), dict[str, HistoryEntry])
history.untag("draft")
manager.create_session("earlier", branch_from="talk", at="draft")

assert_type(manager.kept_aside(), list[SessionInfo])
assert_type(manager.bring_back(), list[SessionInfo])
assert_type(manager.bring_back("talk"), list[SessionInfo])

stats = manager.stats()
assert_type(stats, StoreStats)
assert_type(stats.sessions + stats.messages + stats.objects, int)
assert_type(stats.logical_bytes + stats.stored_bytes + stats.shared_bytes, int)

# Bringing two stores together, and hearing of what happens.
report = manager.sync("/media/stick/chats")
assert_type(report, SyncReport)
assert_type(report.pushed, SyncTransfer)
assert_type(report.pulled.new + report.pulled.advanced + report.pulled.diverged, tuple[str, ...])
assert_type(report.pulled.deleted + report.pulled.renamed, tuple[str, ...])
assert_type(report.pulled.refs + report.pulled.objects + report.pulled.bytes, int)
assert_type(report.problems, tuple[StoreError, ...])
manager.sync(Path("chats"), direction="push")
manager.sync(SessionManager(), direction="pull", progress=print)


def show(progress: SyncProgress) -> None:
    assert_type(progress.done + progress.total + progress.bytes, int)
    print(progress.phase)


manager.sync("chats", progress=show)


def tell(event: SessionEvent) -> None:
    assert_type(event.name, str)
    assert_type(event.info, SessionInfo | None)
    assert_type(event.previous_name, str | None)
    if event.kind == "renamed":
        print(event.previous_name)


assert_type(manager.watch(tell), Watch)
with manager.watch(name="holiday") as watch:
    assert_type(watch.next(timeout=1.5), SessionEvent | None)
    for each in watch:
        assert_type(each, SessionEvent)
    watch.stop()


# Hooks: any object with one of the methods; the base class says what they look like.
class Stamp(SessionHook):
    def message_added(self, session: Session, message: dict[str, Any]) -> dict[str, Any]:
        return {**message, "session": session.name}

    def before_save(self, session: Session, pending: PendingSave) -> None:
        assert_type(pending.messages, list[dict[str, Any]])
        assert_type(pending.metadata, dict[str, Any])

    def after_load(self, session: Session) -> None:
        session.update_metadata({"seen": True})


remove = manager.use(Stamp())
remove()
manager.use(Redact("secret"))
manager.use(Redact([r"sk-\w+", re.compile(r"PIN \d+")], "-"))

# Several sessions in one go.
with manager.transaction() as change:
    assert_type(change, Transaction)
    assert_type(change.create_session("branch", branch_from="chat", at=1), Session)
    change.save_session(manager.load_session("chat"), expected="", on_conflict="raise")
    change.rename_session("a", "b")
    change.delete_session("b", missing_ok=True)

# Templates, from code and TOML.
assert_type(manager.templates, Templates)
template = manager.templates.register("tutor", system="For {subject}.", metadata={}, defaults={"subject": "art"})
assert_type(template, Template)
assert_type(template.parameters, frozenset[str])
manager.templates.register("two", system=["One.", "Two."], messages=[{"role": "user", "content": "Hello"}])
assert_type(manager.templates.load("settings.toml"), list[str])
assert_type(manager.templates.load({"templates": {}}), list[str])
assert_type(manager.templates.create("tutor", "lesson", subject="music"), Session)
for each_template in manager.templates:
    assert_type(each_template, str)

# How it is all used.
analytics = SessionAnalytics(manager)
assert_type(analytics.get_statistics(), dict[str, Any])
assert_type(analytics.get_activity_timeline(days=7), dict[date, int])
assert_type(analytics.get_growth(30), dict[date, int])
assert_type(analytics.get_sharing(), Sharing)
breakdown = analytics.get_breakdown()
assert_type(breakdown, Breakdown)
assert_type(breakdown["messages_by_role"], dict[str, int])
assert_type(breakdown["unreadable"], list[str])


# A storage of one's own: four methods, and the manager takes it.
class Nowhere(SessionStorage):
    def save(self, session: Session) -> None: ...

    def load(self, name: str) -> Session | None:
        return None

    def delete(self, name: str) -> None: ...

    def list_all(self) -> list[SessionInfo]:
        return []


SessionManager(storage=Nowhere())
SessionManager({}, storage=Nowhere(), token_counter=None)


# Errors, caught by what the caller does next.
def open_or_start(name: str) -> Session | None:
    try:
        return manager.load_session(name)
    except SessionNotFoundError:
        return manager.create_session(name)
    except ObjectNotYetHereError as late:
        assert_type(late.path, Path | None)
    except CorruptionError as damage:
        assert_type(damage.path, Path | None)
        assert_type(damage.line, int | None)
        print(damage.expected, damage.actual)
    except (StoreFormatError, StoreReadOnlyError, StoreFullError) as refused:
        assert_type(refused.path, Path | None)
    except InvalidMessageError as invalid:
        assert_type(invalid.value_path, str)
    return None


names: list[type[SessionError]] = [InvalidNameError, SessionConflictError, SessionExistsError, SessionTooLargeError]
values: list[type[ValueError]] = [ConfigError, InvalidMessageError, InvalidNameError]
lookups: list[type[LookupError]] = [SessionNotFoundError]
stores: list[type[StoreError]] = [CorruptionError, ObjectNotYetHereError, StoreFormatError, StoreFullError]
alarms: list[type[UserWarning]] = [SessionWarning]

# Values that JSON refuses.
assert_type(jsonable({"at": datetime.now()}), tuple[Any, list[Change]])
assert_type(jsonable(None)[1][0].path, str)
MakeStorable()
MakeStorable(changed=lambda session, changes: print(session.name, changes[0].was, changes[0].became))
manager.use(MakeStorable())
