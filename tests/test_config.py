"""The options: what each accepts, what it says when it does not, and where they come from."""

from __future__ import annotations

import configparser
import os
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from storekit import run_python

from coda_fs_session import ConfigError, SessionError, SessionManager, SessionWarning, StoreReadOnlyError
from coda_fs_session.config import Config, read_config, read_toml

NOT_NUMBERS: list[Any] = ["5", True, [5], {}, float("nan"), float("inf"), float("-inf"), -1, -0.001, 10**400, 1j]
NOT_INTEGERS: list[Any] = ["5", True, 5.0, [5], -1, float("inf")]
NOT_PATTERNS: list[Any] = [
    *("Keys", "sk-[a-z]+", "", True, 5, {}, ["("], ["a*"], ["", "a"]),
    *(["[a-z]+", "x"], [5], [None], [["a"]], ["a{99999999999}"]),
]

ACCEPTED: dict[str, list[Any]] = {
    "backend": ["files", "memory", "sqlite"],
    "storage_path": ["/data/sessions", Path("/data/sessions"), "relative/folder", "~/sessions"],
    "state_path": ["/data/state", Path("/data/state"), "~/state"],
    "replica": ["laptop-1a2b3c4d", "a", "0", "a" * 63],
    "durability": ["full", "none"],
    "on_conflict": ["append", "branch", "raise"],
    "diverged": ["shared", "own"],
    "compress_messages": [True, False],
    "compress_threshold_bytes": [1, 8192, 2**40],
    "max_session_size": [0, 100, 0.001, 1e308],
    "message_cache_size": [0, 1000],
    "autosave_interval": [0, 300, 0.05, 1e300],
    "connection_pool_size": [1, 5],
    "retention_days": [0, 30, 0.5],
    "gc_grace_days": [0, 30, 0.5],
    "purge_from": ["any", "none", [], ["desk", "laptop-1"]],
    "bucket": [{}, {"endpoint": "https://s3.example.org", "retries": 3, "allow_http": True}],
    "redact": ["keys", ["sk-[a-z]+"], [r"\d{16}", "keys"], []],
    "read_only": [True, False],
}

REFUSED: dict[str, tuple[list[Any], str]] = {
    "backend": (["", "Files", "postgres", 1, True, ["files"], b"files"], '"files" or "memory" or "sqlite"'),
    "storage_path": (["", 5, True, ["/data"], b"/data", "a\0b", "~nobody-has-this-name/x"], "a path"),
    "state_path": (["", 5, False, {}, "a\0b"], "a path"),
    "replica": (["", "-a", "A", "a b", "../x", "a/b", "a" * 64, "a\n", 5, "\u00e9"], "1 to 63 of a-z, 0-9 and -"),
    "durability": (["Full", "fsync", True, 1, ""], '"full" or "none"'),
    "on_conflict": (["merge", True, "", 0], '"append" or "branch" or "raise"'),
    "diverged": (["Own", "mine", True, "", 0, ["own"]], '"shared" or "own"'),
    "compress_messages": ([1, 0, "true", "yes", []], "true or false"),
    "compress_threshold_bytes": ([*NOT_INTEGERS, 0], "a whole number of bytes from 1"),
    "max_session_size": (NOT_NUMBERS, "a number of MB"),
    "message_cache_size": (NOT_INTEGERS, "a whole number of messages from 0"),
    "autosave_interval": (NOT_NUMBERS, "a number of seconds"),
    "connection_pool_size": ([*NOT_INTEGERS, 0], "a whole number of connections from 1"),
    "retention_days": (NOT_NUMBERS, "a number of days from 0"),
    "gc_grace_days": (NOT_NUMBERS, "a number of days from 0"),
    "purge_from": (["Any", "", 1, True, ["A"], [5], {"any": 1}], '"any", "none", or a list of ids'),
    "bucket": (["s3://chats", 1, [], {"region": ["eu"]}, {1: "a"}], "a table of texts, numbers, true and false"),
    "redact": (NOT_PATTERNS, '"keys", or a list of regular expressions'),
    "read_only": ([1, 0, "true", "yes", []], "true or false"),
}


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("CODA_FS_STATE", raising=False)
    monkeypatch.delenv("CODA_FS_REPLICA", raising=False)


def test_every_option_is_tested_here() -> None:
    """A new option cannot be forgotten in the tables of this file."""
    assert set(ACCEPTED) == set(REFUSED) == set(Config._fields)


def test_defaults(tmp_path: Path) -> None:
    """With nothing said, every option has the default that the manual promises."""
    assert read_config({}) == Config(
        backend="files",
        storage_path=str(tmp_path / "home" / ".coda" / "sessions"),
        state_path=None,
        replica=None,
        durability="full",
        on_conflict="append",
        diverged="shared",
        compress_messages=True,
        compress_threshold_bytes=8192,
        max_session_size=100,
        message_cache_size=1000,
        autosave_interval=300,
        connection_pool_size=5,
        retention_days=90,
        gc_grace_days=30,
    )


@pytest.mark.parametrize(
    "config", [None, {}, {"session": None}, {"session": {}}, {"other": 1}, {"session": {"backend": None}}]
)
def test_nothing_said_is_the_defaults(config: dict[str, Any] | None) -> None:
    """No config, an empty one, one without [session], and an option that is None all mean the defaults, silently."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_config(config) == read_config({})


@pytest.mark.parametrize(
    ("option", "value"), [(option, value) for option, values in ACCEPTED.items() for value in values]
)
def test_accepted(tmp_path: Path, option: str, value: Any) -> None:
    """Each accepted value is taken as it is (paths made absolute), and a manager works with it."""
    taken = getattr(read_config({"session": {option: value}}), option)
    assert taken == (os.path.abspath(os.path.expanduser(value)) if option.endswith("_path") else value)
    options = {"storage_path": str(tmp_path / "store"), "state_path": str(tmp_path / "state"), option: value}
    if option.endswith("_path"):
        options[option] = str(tmp_path / "other")
    refusal = pytest.raises(StoreReadOnlyError) if taken is True and option == "read_only" else nullcontext()
    with SessionManager({"session": options}) as manager, refusal:
        manager.create_session("chat").add_message({"role": "user", "content": "Hi"})


@pytest.mark.parametrize(
    ("option", "value"), [(option, value) for option, (values, _) in REFUSED.items() for value in values], ids=ascii
)
def test_refused(option: str, value: Any) -> None:
    """A wrong type or value is an error that names the option, what was given, and what it accepts."""
    with pytest.raises(ConfigError) as caught:
        SessionManager({"session": {option: value}})
    assert f"session.{option}" in str(caught.value)
    assert REFUSED[option][1] in str(caught.value)
    assert repr(value) in str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, SessionError)


def test_paths_expand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` is the home folder, and a relative path is fixed when it is read, not when the folder is changed later."""
    monkeypatch.chdir(tmp_path)
    config = read_config({"session": {"storage_path": "~/a", "state_path": "b/../c"}})
    assert config.storage_path == str(tmp_path / "home" / "a")
    assert config.state_path == str(tmp_path / "c")
    with SessionManager({"session": {"storage_path": "~/a", "state_path": "~/s"}}) as manager:
        manager.create_session("chat")
    assert (tmp_path / "home" / "a" / "FORMAT").exists()


@pytest.mark.parametrize("inside", ["", "/state", "/.state"])
def test_state_is_kept_out_of_the_store(tmp_path: Path, inside: str) -> None:
    """Machine state in the store would be synced: refused, and said why."""
    store = str(tmp_path / "store")
    with pytest.raises(ConfigError, match=r"session\.state_path.*outside of storage_path"):
        SessionManager({"session": {"storage_path": store, "state_path": store + inside}})
    assert not (tmp_path / "store").exists()


def test_a_mapping_whose_get_is_another_one(tmp_path: Path) -> None:
    """A ConfigParser is a mapping of tables too."""
    parser = configparser.ConfigParser()
    parser.read_string(f"[session]\nstorage_path = {tmp_path}\n")
    assert read_config(parser).storage_path == str(tmp_path)


def test_an_unknown_option_warns() -> None:
    """A misspelt option is a warning that names it and the known ones, at the caller's own line."""
    with pytest.warns(SessionWarning, match="autosave_intervall") as caught:
        SessionManager({"session": {"backend": "memory", "autosave_intervall": 5}})
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert "autosave_interval," in str(caught[0].message)


def test_other_tables_are_other_programs_business() -> None:
    """Only [session] is looked at: nothing else in a configuration shared by many programs warns or fails."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SessionManager({"session": {"backend": "memory"}, "sessions": {"backend": 5}, "tool": None, 5: "five"})  # type: ignore[dict-item]


@pytest.mark.parametrize("config", [b"files", 5, [("session", {})], True])
def test_a_config_that_is_no_mapping(config: Any) -> None:
    """What is neither a mapping nor a path is a ConfigError and not some TypeError from within."""
    with pytest.raises(ConfigError, match="config must be a dict or the path of a store, not "):
        SessionManager(config)


@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[str] | type[Path]) -> None:
    """The path of a store is the configuration that most programs need; everything else has its default."""
    monkeypatch.setenv("CODA_FS_STATE", str(tmp_path / "state"))
    assert read_config(kind("~/chats")) == read_config({"session": {"storage_path": "~/chats"}})
    with SessionManager(kind("~/chats")) as manager:
        manager.create_session("chat")
    assert (tmp_path / "home" / "chats" / "FORMAT").exists()


class _BytesPath(os.PathLike[bytes]):
    def __fspath__(self) -> bytes:
        return b"/data"


@pytest.mark.parametrize("path", ["", "a\0b", "https://chats", "host:chats", "~nobody-has-this-name/x", _BytesPath()])
def test_a_path_that_is_none(path: Any) -> None:
    """It is checked like the option that it stands for, and the error names that."""
    with pytest.raises(ConfigError, match="storage_path"):
        SessionManager(path)


@pytest.mark.parametrize("kind", [str, Path])
def test_the_path_of_a_toml_file(tmp_path: Path, kind: type[str] | type[Path]) -> None:
    """A file of options is not taken for a folder of sessions, and the error says what reads it."""
    with pytest.raises(ConfigError, match=r"SessionManager\.from_toml\("):
        SessionManager(kind(tmp_path / "settings.toml"))
    assert list(tmp_path.iterdir()) == []


def test_a_path_beside_a_storage() -> None:
    """Of two places for the sessions neither is left out silently."""
    with pytest.raises(ConfigError, match="storage="):
        SessionManager("~/chats", storage=SessionManager({"session": {"backend": "memory"}})._storage)


@pytest.mark.parametrize(
    ("config", "place"),
    [
        ({"storage_path": "~/chats"}, "at the top"),
        ({"storage_path": "~/chats", "model": {"name": "gpt-4"}, "replica": "desk"}, "at the top"),
        ({"sessions": {"storage_path": "~/chats"}}, 'in "sessions"'),
        ({"Session": {"storage_path": "~/chats"}}, 'in "Session"'),
        ({"tool": {"coda": {"session": {"storage_path": "~/chats"}}}}, 'in "tool.coda.session"'),
    ],
)
def test_options_that_nobody_would_read(tmp_path: Path, config: dict[str, Any], place: str) -> None:
    """Bug: the sessions went silently to the default folder. Now an error shows where the options belong."""
    with pytest.raises(ConfigError) as caught:
        SessionManager(config)
    assert place in str(caught.value)
    assert "'storage_path': '~/chats'" in str(caught.value)
    assert "{'session': {" in str(caught.value)
    assert not (tmp_path / "home").exists()
    # The way out that the error names, where they are another program's.
    assert read_config({**config, "session": {}}) == read_config({})


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ('storage_path = "~/chats"', "at the top"),
        ('[sessions]\nstorage_path = "~/chats"', "in [sessions]"),
        ('[coda.session]\nstorage_path = "~/chats"', "in [coda.session]"),
        ('[chat_sessions]\ncolour = "red"\nautosave_interval = 5\nstorage_path = "~/chats"', "in [chat_sessions]"),
    ],
)
def test_options_of_a_file_that_nobody_would_read(tmp_path: Path, content: str, place: str) -> None:
    """The same in TOML, with the file and in its own notation."""
    path = tmp_path / "config.toml"
    path.write_text(content)
    with pytest.raises(ConfigError) as caught:
        SessionManager.from_toml(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert place in str(caught.value)
    assert "[session]" in str(caught.value)
    assert "{" not in str(caught.value)
    path.write_text(f"{content}\n[session]\n")
    assert read_toml(path) == read_config({})


@pytest.mark.parametrize(
    "config",
    [
        {"backend": {"port": 80}},
        {"database": {"backend": "postgres"}},
        {"sessions": {"colour": "red"}},
        {"sessions": ["backend"], "session_name": "backend"},
        {5: {"backend": "five"}},
    ],
)
def test_what_is_no_option_of_ours_is_left_alone(config: dict[Any, Any]) -> None:
    """Tables of that name, options in a table that has nothing to do with sessions, and texts are nothing of ours."""
    assert read_config(config) == read_config({})


@pytest.mark.parametrize("table", ["files", 5, [], True])
def test_a_session_table_that_is_none(table: Any) -> None:
    """The same for [session]."""
    with pytest.raises(ConfigError, match="session must be a table"):
        SessionManager({"session": table})


def test_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CODA_FS_STATE and CODA_FS_REPLICA set their options where the configuration does not; empty is unset."""
    monkeypatch.setenv("CODA_FS_STATE", str(tmp_path / "from-environment"))
    monkeypatch.setenv("CODA_FS_REPLICA", "from-environment")
    config = read_config({})
    assert (config.state_path, config.replica) == (str(tmp_path / "from-environment"), "from-environment")
    config = read_config({"session": {"state_path": str(tmp_path / "explicit"), "replica": "explicit"}})
    assert (config.state_path, config.replica) == (str(tmp_path / "explicit"), "explicit")
    monkeypatch.setenv("CODA_FS_STATE", "")
    monkeypatch.setenv("CODA_FS_REPLICA", "")
    assert (read_config({}).state_path, read_config({}).replica) == (None, None)


def test_environment_decides_where_things_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables reach the disk: state stands where they say, and refs under the replica that they name."""
    monkeypatch.setenv("CODA_FS_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("CODA_FS_REPLICA", "usb-stick")
    with SessionManager({"session": {"storage_path": str(tmp_path / "store")}}) as manager:
        manager.create_session("chat")
    assert (tmp_path / "store" / "refs" / "usb-stick" / "chat.jsonl").exists()
    assert any((tmp_path / "state").iterdir())


def test_a_bad_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error about a value from the environment names the variable; explicit config makes up for it."""
    monkeypatch.setenv("CODA_FS_REPLICA", "Not Good")
    with pytest.raises(ConfigError, match="CODA_FS_REPLICA = 'Not Good'"):
        read_config({})
    assert read_config({"session": {"replica": "good"}}).replica == "good"


def test_sqlite_without_its_module() -> None:
    """In a Python without sqlite3 `backend = "sqlite"` is a ConfigError that says so; the others work on."""
    # In a process of its own: a package that is imported anew is another one, with which other tests would meet.
    done = run_python(
        """
        import sys
        sys.modules["sqlite3"] = None
        from coda_fs_session import ConfigError, SessionManager
        try:
            SessionManager({"session": {"backend": "sqlite"}})
        except ConfigError as error:
            print(error)
        SessionManager({"session": {"backend": "memory"}}).create_session("chat")
        """
    )
    assert "needs the module sqlite3" in done.stdout
    assert (done.returncode, done.stderr) == (0, "")


def test_from_toml(tmp_path: Path) -> None:
    """The options are read from the [session] table of a TOML file, other tables ignored."""
    path = tmp_path / "config.toml"
    path.write_text(
        '[other]\nx = 1\n[session]\nbackend = "memory"\nmax_session_size = 0.5\ncompress_messages = false\n',
        encoding="utf-8",
    )
    assert read_toml(path) == read_config(
        {"session": {"backend": "memory", "max_session_size": 0.5, "compress_messages": False}}
    )
    with SessionManager.from_toml(path, token_counter=lambda text: 7) as manager:
        session = manager.create_session("chat")
        session.add_message({"role": "user", "content": "Hi"})
        assert session.get_token_count() == 7


def test_from_toml_in_the_home_folder(tmp_path: Path) -> None:
    """`~` works in the path of the file too, and the path may be text."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "c.toml").write_text('[session]\nbackend = "memory"\n')
    assert "memory" in repr(SessionManager.from_toml("~/c.toml"))


@pytest.mark.parametrize(
    "content",
    [b"[session", b"session = 5", b'[session]\nbackend = "floppy"', b"\xff\xfe", b"[session]\nreplica = 2024-01-01"],
)
def test_from_toml_errors_name_the_file(tmp_path: Path, content: bytes) -> None:
    """Bad TOML, bad encoding and bad options are ConfigErrors that name the file."""
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"config\.toml"):
        SessionManager.from_toml(path)


def test_from_toml_of_nothing(tmp_path: Path) -> None:
    """A file that is not there, or is a folder, is a ConfigError with the reason."""
    with pytest.raises(ConfigError, match="No such file"):
        SessionManager.from_toml(tmp_path / "missing.toml")
    with pytest.raises(ConfigError, match="directory"):
        SessionManager.from_toml(tmp_path)


def test_from_toml_warns_at_the_caller(tmp_path: Path) -> None:
    """An unknown option in a file warns with the file's name, at the line of the caller."""
    path = tmp_path / "config.toml"
    path.write_text('[session]\nbackend = "memory"\ncolour = "blue"\n')
    with pytest.warns(SessionWarning, match=r"config\.toml.*colour") as caught:
        SessionManager.from_toml(path)
    assert caught[0].filename == __file__
