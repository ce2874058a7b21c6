"""The public surface: what can be imported, how errors are caught, what a person sees at the prompt."""

from __future__ import annotations

import pickle
import re
import warnings
from datetime import datetime
from importlib import metadata, resources
from pathlib import Path
from typing import get_type_hints

import pytest
from storekit import fill, open_store, run_python

import coda_fs_session
from coda_fs_session import (
    ConfigError,
    CorruptionError,
    ExportError,
    HistoryError,
    HistoryExpiredError,
    InvalidMessageError,
    InvalidNameError,
    ObjectNotYetHereError,
    PartialSessionError,
    Session,
    SessionConflictError,
    SessionError,
    SessionExistsError,
    SessionInfo,
    SessionManager,
    SessionNotFoundError,
    SessionStorage,
    SessionTooLargeError,
    SessionWarning,
    StoreError,
    StoreFormatError,
    StoreFullError,
    StoreGoneError,
    StoreReadOnlyError,
    StoreStats,
    UnsupportedError,
)

ERRORS = {name: getattr(coda_fs_session, name) for name in coda_fs_session.__all__ if name.endswith("Error")}


def test_all_is_sorted_and_complete() -> None:
    """`__all__` is sorted, and holds exactly the names that users may import."""
    assert coda_fs_session.__all__ == sorted(coda_fs_session.__all__)
    assert set(coda_fs_session.__all__) == {
        *("SearchHit", "SearchPlace", "SearchProgress", "SearchResult"),
        *("SessionEvent", "SyncProgress", "SyncReport", "SyncTransfer", "Watch"),
        *("Branch", "Diff", "Difference", "Joint", "MergeReport", "Tree"),
        *("Change", "ImportReport", "MakeStorable", "jsonable"),
        *("PendingSave", "Redact", "SessionHook", "Template", "Templates", "Transaction"),
        *("Breakdown", "SessionAnalytics", "Sharing"),
        *(
            "CheckReport",
            "DiscardReport",
            "Finding",
            "ForgetReport",
            "Forgotten",
            "GcAmount",
            "GcReport",
            "Lost",
            "Mended",
            "PurgedPlace",
            "PurgeReport",
        ),
        *("RepairReport", "ReplicaInfo", "RetireReport"),
        *("History", "HistoryEntry", "HistoryError", "HistoryExpiredError"),
        *(
            "Preview",
            "Session",
            "SessionInfo",
            "SessionManager",
            "SessionStorage",
            "StoreDescription",
            "StoreStats",
            "SessionWarning",
            "__version__",
        ),
        *("SessionError", "SessionNotFoundError", "SessionExistsError", "SessionConflictError"),
        *("SessionTooLargeError", "InvalidNameError", "InvalidMessageError", "ConfigError"),
        *("StoreError", "StoreFormatError", "StoreGoneError", "StoreReadOnlyError", "StoreFullError"),
        *("CorruptionError", "ObjectNotYetHereError", "PartialSessionError", "ExportError", "UnsupportedError"),
    }


def test_everything_in_all_can_be_imported() -> None:
    """A star import gives every public name, and each class says that it lives at the top of the package or below."""
    names: dict[str, object] = {}
    exec("from coda_fs_session import *", names)
    for name in coda_fs_session.__all__:
        assert name in names
        assert getattr(names[name], "__module__", "coda_fs_session").split(".")[0] == "coda_fs_session"


def test_names_come_when_they_are_asked_for() -> None:
    """Importing the package loads nothing else of it; who only catches its errors does not load the engine."""
    script = """
        import sys
        import coda_fs_session
        known = set(sys.modules)
        assert not {name for name in known if name.startswith("coda_fs_session.")}
        assert set(coda_fs_session.__all__) <= set(dir(coda_fs_session))
        try:
            coda_fs_session.SesionManager
        except AttributeError as error:
            print(error)
        from coda_fs_session import SessionNotFoundError
        assert not {"orjson", "coda_fs_session.session"} & set(sys.modules)
        from coda_fs_session import *
        import pickle, coda_fs_session.manager
        assert SessionManager is coda_fs_session.SessionManager is coda_fs_session.manager.SessionManager
        assert pickle.loads(pickle.dumps(SessionManager)) is SessionManager
    """
    done = run_python(script)
    assert (done.stdout, done.stderr) == ("module 'coda_fs_session' has no attribute 'SesionManager'\n", "")


def test_reading_loads_only_what_it_needs(tmp_path: Path) -> None:
    """A process starts without what takes long to import and serves other ends.

    Opening a store takes the backend alone; showing the last messages of a session also what reads, and nothing that
    writes or lists.
    """
    script = """
        import sys
        from coda_fs_session import SessionManager

        def loaded(*names):
            return {name for name in sys.modules if any(f"{name}.".startswith(f"coda_fs_session.{n}.") for n in names)}

        manager = SessionManager({"session": {"storage_path": sys.argv[1], "state_path": sys.argv[2]}})
        late = {"asyncio", "filelock", "logging", "pathlib", "platformdirs", "secrets", "tempfile", "zstandard"}
        ours = ("analytics", "hooks", "interchange", "repo.events.watch", "repo.sync", "templates")
        ours += ("repo.writing", "repo.lookup.listing", "repo.ancestry.lineage", "repo.reverts.put_back")
        ours += ("backends.sqlite", "backends.memory")
        reading = ("session", "storage", "repo.repository", "repo.storage", "repo.index", "repo.lookup", "repo.content")
        reading += ("manager.open_sessions", "manager.autosave", "format.records", "format.refs")
        print(*late & set(sys.modules), *loaded(*ours, *reading))
        assert len(manager.load_session("chat").get_messages(limit=2)) == 2
        print(*late & set(sys.modules), *loaded(*ours))
        assert len(loaded(*reading)) > 10
    """
    with open_store(tmp_path / "store") as manager:
        fill(manager, "chat")
    while open_store(tmp_path / "store")._store.has_moved:
        # Within a tick of the disk's clock after a change nothing is noted of the store: another could leave its time.
        pass
    done = run_python(script, tmp_path / "store", tmp_path / "store.state")
    assert (done.stdout, done.stderr) == ("\n\n", "")


@pytest.mark.parametrize(
    ("error", "parents"),
    [
        (SessionNotFoundError, (SessionError, LookupError)),
        (SessionExistsError, (SessionError,)),
        (SessionConflictError, (SessionError,)),
        (SessionTooLargeError, (SessionError,)),
        (InvalidNameError, (SessionError, ValueError)),
        (InvalidMessageError, (SessionError, ValueError)),
        (ConfigError, (SessionError, ValueError)),
        (StoreError, (SessionError,)),
        (StoreFormatError, (StoreError,)),
        (StoreReadOnlyError, (StoreError,)),
        (PartialSessionError, (StoreReadOnlyError,)),
        (ExportError, (SessionError, ValueError)),
        (HistoryError, (SessionError, LookupError)),
        (HistoryExpiredError, (HistoryError,)),
        (UnsupportedError, (SessionError,)),
        (StoreFullError, (StoreError,)),
        (StoreGoneError, (StoreError,)),
        (CorruptionError, (StoreError,)),
        (ObjectNotYetHereError, (StoreError,)),
        (SessionError, (Exception,)),
        (SessionWarning, (UserWarning,)),
    ],
)
def test_error_tree(error: type[Exception], parents: tuple[type[Exception], ...]) -> None:
    """Each error has the parents by which callers catch it, those of the standard library included, and no others."""
    assert error.__bases__ == parents


def test_every_error_is_a_session_error() -> None:
    """`except SessionError` catches whatever the package raises."""
    assert all(issubclass(error, SessionError) for error in ERRORS.values())


def test_corruption_is_not_what_a_sync_has_still_to_bring() -> None:
    """Who handles damage does not by accident handle a file that is merely late, and the other way round."""
    assert not issubclass(ObjectNotYetHereError, CorruptionError)
    assert not issubclass(CorruptionError, ObjectNotYetHereError)


def test_store_errors_carry_fields() -> None:
    """Errors about a file name it in `.path`; damage is located by line, with what was expected and what was found."""
    for error in (StoreError, StoreFormatError, StoreReadOnlyError, StoreFullError):
        assert error("broken", Path("refs/x.jsonl")).path == Path("refs/x.jsonl")
        assert str(error("broken")) == "broken"
    damage = CorruptionError("the id is wrong", Path("refs/x.jsonl"), line=3, expected="aa", actual="bb")
    assert (damage.path, damage.line, damage.expected, damage.actual) == (Path("refs/x.jsonl"), 3, "aa", "bb")
    assert all(part in str(damage) for part in (str(damage.path), "line 3", "the id is wrong", "aa", "bb"))


def test_an_invalid_message_is_located() -> None:
    """`InvalidMessageError.value_path` leads to the value that is refused, through lists and dicts."""
    session = Session("chat", [{"role": "user", "content": "Hi"}])
    with pytest.raises(InvalidMessageError) as caught:
        session.add_message({"role": "assistant", "tool_calls": [{"arguments": float("inf")}]})
    assert caught.value.value_path == "messages[1].tool_calls[0].arguments"
    assert caught.value.value_path in str(caught.value)
    assert len(session) == 1


@pytest.mark.parametrize(
    "error",
    [
        SessionNotFoundError("chat"),
        InvalidMessageError("messages[0].score", "NaN is no JSON"),
        StoreFullError("no room", Path("refs/x.jsonl")),
        StoreGoneError("the store is gone", Path("chats")),
        CorruptionError("wrong id", Path("refs/x.jsonl"), line=3, expected="aa", actual="bb"),
        ObjectNotYetHereError("0" * 64, Path("objects/00")),
        PartialSessionError("chat", 3),
        ExportError("is not JSON", Path("chat.json")),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_survive_the_way_from_a_worker(error: SessionError) -> None:
    """An error that comes back from another process has the same text and the same fields."""
    there_and_back = pickle.loads(pickle.dumps(error))
    assert type(there_and_back) is type(error)
    assert str(there_and_back) == str(error)
    assert vars(there_and_back) == vars(error)


def test_version() -> None:
    """`__version__` is a release number, the one under which the package is installed."""
    assert re.fullmatch(r"\d+\.\d+(\.\d+)?((a|b|rc|\.dev)\d+)?", coda_fs_session.__version__)
    try:
        installed = metadata.version("coda-fs-session")
    except metadata.PackageNotFoundError:
        pytest.skip("runs from a checkout that is not installed")
    assert installed == coda_fs_session.__version__


def test_types_of_signatures_can_be_looked_up() -> None:
    """`typing.get_type_hints` works on every public class, method and property, in a process that has loaded no more.

    Tools that make documents or forms of signatures need it; it used to raise NameError for `sync` and others.
    """
    script = """
        import inspect, typing
        import coda_fs_session
        for name in coda_fs_session.__all__:
            public = getattr(coda_fs_session, name)
            members = vars(public).values() if inspect.isclass(public) else ()
            for each in (public, *members):
                each = getattr(each, "fget", None) or getattr(each, "__func__", each)
                if inspect.isclass(each) or inspect.isfunction(each):
                    typing.get_type_hints(each)
        print(typing.get_type_hints(coda_fs_session.SessionManager.sync)["return"].__name__)
    """
    done = run_python(script)
    assert (done.stdout, done.stderr) == ("SyncReport\n", "")


def test_package_is_typed() -> None:
    """Type checkers find `py.typed` beside the code, and every public method says what it takes and returns."""
    assert resources.files(coda_fs_session).joinpath("py.typed").is_file()
    for owner in (SessionManager, Session, SessionStorage):
        for name, method in vars(owner).items():
            if callable(method) and not name.startswith("_"):
                assert "return" in method.__annotations__, f"{owner.__name__}.{name}"


def test_public_names_are_documented() -> None:
    """`help()` has something to say of every public class and method."""
    for name in set(coda_fs_session.__all__) - {"__version__"}:
        public = getattr(coda_fs_session, name)
        assert public.__doc__, name
        for member, value in vars(public).items():
            if not member.startswith("_") and (callable(value) or isinstance(value, property)):
                assert value.__doc__, f"{name}.{member}"


def test_reprs_say_what_one_looks_at() -> None:
    """A repr names the class, the session and its size, without printing a conversation."""
    session = Session("plans", [{"role": "user", "content": "a long story"}] * 3)
    assert re.fullmatch(r"<?Session\b.*'plans'.*\b3\b.*", repr(session))
    assert "a long story" not in repr(session)

    moment = datetime(2024, 5, 17, 12, 30)
    info = SessionInfo("plans", 3, moment, moment, {"topic": "summer"}, 120)
    assert re.fullmatch(r"<?SessionInfo\b.*'plans'.*\b3\b.*", repr(info))


def test_manager_repr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A manager's repr says where its sessions are."""
    monkeypatch.setenv("CODA_FS_STATE", str(tmp_path / "state"))
    with SessionManager({"session": {"storage_path": str(tmp_path / "store")}}) as manager:
        assert repr(manager).lstrip("<").startswith("SessionManager")
        assert str(tmp_path / "store") in repr(manager)
    with SessionManager({"session": {"backend": "memory"}}) as manager:
        assert "memory" in repr(manager)
        assert repr(manager.stats()).startswith("StoreStats(sessions=0, messages=0, ")
        assert isinstance(manager.stats(), StoreStats)


def test_info_is_a_value() -> None:
    """Two descriptions of the same state are equal: the six fields of the API page come first, by position."""
    moment = datetime(2024, 5, 17, 12, 30)
    info = SessionInfo("plans", 3, moment, moment, {}, 120)
    assert info == SessionInfo("plans", 3, moment, moment, {}, 120)
    assert (info.parent, info.forked_at, info.replica, info.error) == (None, None, None, None)
    assert list(get_type_hints(SessionInfo))[:6] == [
        *("name", "message_count", "created_at", "updated_at", "metadata", "size_bytes")
    ]


def test_storage_is_four_methods() -> None:
    """A storage of one's own needs the four methods of the API page and no others."""
    assert SessionStorage.__abstractmethods__ == {"save", "load", "delete", "list_all"}


FAILING_AUTOSAVE = """
import logging, sys
from coda_fs_session import SessionManager

logging.basicConfig(level=sys.argv[1]) if sys.argv[1:] else None
manager = SessionManager({"session": {"backend": "memory"}})
session = manager.create_session("chat")
session.add_message({"role": "user"})
manager._storage.save = None
manager._autosave.save_all()
manager._autosave.forget(session)
"""


def test_logging_is_silent_until_asked_for() -> None:
    """The package logs to `coda_fs_session`, which has a `NullHandler`, so nothing appears that nobody configured."""
    assert run_python(FAILING_AUTOSAVE).stderr == ""
    shown = run_python(FAILING_AUTOSAVE, "ERROR").stderr
    assert shown.startswith("ERROR:coda_fs_session:autosave of session 'chat' failed")
    assert "Traceback" in shown


def test_warnings_can_be_filtered_as_a_class() -> None:
    """`SessionWarning` alone turns the package's warnings into errors, or off."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", SessionWarning)
        with pytest.raises(SessionWarning, match="colour"):
            SessionManager({"session": {"backend": "memory", "colour": "blue"}})
