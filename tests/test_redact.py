"""Redaction: no text that matches a pattern reaches the store, whichever way it was put into a session."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from storekit import message, open_store
from test_custom_storage import DictStorage, manage

from coda_fs_session import Redact, Session

SECRET = re.compile(r"sk-[a-z0-9]{4}[a-z0-9]*")
TEXTS = st.one_of(
    st.sampled_from(["", "sk-", "no secret", "ask-me", "[redacted]"]),
    st.from_regex(SECRET, fullmatch=True).map(lambda secret: f"key: {secret}, keep it"),
    st.text('sk-a1 "\\\n€', max_size=12),
)
VALUES = st.recursive(
    st.one_of(TEXTS, st.integers(-9, 9), st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
MESSAGES = st.dictionaries(st.one_of(st.just("content"), TEXTS), VALUES, min_size=1, max_size=3)


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def shape(value: Any) -> Any:
    """Return a value with every text and key taken out."""
    if isinstance(value, dict):
        return [shape(item) for item in value.values()]
    if isinstance(value, list):
        return [[shape(item)] for item in value]
    return "" if isinstance(value, str) else (type(value), value)


PATTERNS = ["sk-[a-z0-9]+", "a1", "s", r"-\[", r"k-?$", r"(?<=\])s", "ab|ba"]


@given(st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=3), st.sampled_from(["[*]", "", "#"]), MESSAGES)
def test_nothing_matches_afterwards(patterns: list[str], replacement: str, original: dict[str, Any]) -> None:
    """Whatever the patterns are and however often replacing makes new matches: none is left, in no value and no key.

    Nothing else is lost, and doing it again changes nothing.
    """
    hook = Redact(patterns, replacement)
    session = Session("chat")
    result = hook.message_added(session, original)
    assert not [text for text in texts(result) for pattern in patterns if re.search(pattern, text)]
    assert shape(result) == shape(original)
    assert hook.message_added(session, result) == result
    assert list(hook.message_added(session, result)) == list(result)


def test_what_comes_out() -> None:
    """Matches are replaced in every text, literally; keys that become one are told apart; numbers stay."""
    hook = Redact([r"sk-\w+", re.compile("PIN \\d+", re.I)], r"\1<gone>")
    given = {"content": "pin 1234 and sk-abc", "parts": [{"sk-a": 1, "sk-b": [2, "sk-c"]}], "n": 1234, "none": None}
    assert hook.message_added(Session("chat"), given) == {
        "content": r"\1<gone> and \1<gone>",
        "parts": [{r"\1<gone>": 1, r"\1<gone>~": [2, r"\1<gone>"]}],
        "n": 1234,
        "none": None,
    }
    assert Redact("ab", "").message_added(Session("chat"), {"content": "<aabb>"}) == {"content": "<>"}


@pytest.mark.parametrize(
    ("patterns", "replacement", "said"),
    [
        ([], "-", "at least one"),
        ("x*", "-", "empty text"),
        (["x", "-"], "-", "the replacement '-'"),
        ("(", "-", "no regular expression"),
    ],
)
def test_patterns_that_cannot_work(patterns: Any, replacement: str, said: str) -> None:
    """A pattern that could never be got rid of is refused at once, as is one that is none."""
    with pytest.raises(ValueError, match=said):
        Redact(patterns, replacement)


Step = Callable[["World", Any], None]


class World:
    """A store, a manager that redacts, and every way to put something into a session."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder, self.kept = folder, DictStorage()
        if kind == "custom":
            self.manager = manage(self.kept)
        else:
            self.manager = open_store(folder / "store", compress_messages=False)
        (folder / "outside").mkdir()
        self.manager.use(Redact(SECRET))
        self.manager._autosave._interval = 3600
        self.count = 0
        self.session = self.fresh()

    def name(self) -> str:
        self.count += 1
        return f"s{self.count}"

    def fresh(self) -> Session:
        return self.manager.create_session(self.name())

    def add(self, value: dict[str, Any]) -> None:
        self.session.add_message(value)

    def append(self, value: dict[str, Any]) -> None:
        self.session.messages.append(value)

    def insert(self, value: dict[str, Any]) -> None:
        self.session.messages.insert(0, value)

    def assign(self, value: dict[str, Any]) -> None:
        self.session.messages = [value, *self.session.get_messages(2)]

    def edit(self, value: dict[str, Any]) -> None:
        for each in self.session.messages[-1:]:
            each["nested"] = {"inner": [value]}

    def edit_text(self, value: dict[str, Any]) -> None:
        for each in self.session.messages[:1]:
            each["content"] = f"{each.get('content')} {json.dumps(value)}"

    def drop(self, value: dict[str, Any]) -> None:
        self.session.truncate_messages(1)

    def metadata(self, value: dict[str, Any]) -> None:
        self.session.update_metadata(value)

    def metadata_in_place(self, value: dict[str, Any]) -> None:
        self.session.metadata.setdefault("nested", []).append(value)

    def save(self, value: dict[str, Any]) -> None:
        self.manager.save_session(self.session)

    def autosave(self, value: dict[str, Any]) -> None:
        self.manager._autosave.save_all()

    def hand_made(self, value: dict[str, Any]) -> None:
        self.session = Session(self.name(), [value, {"n": 1}], {"given": value})
        self.manager.save_session(self.session)

    def branch(self, value: dict[str, Any]) -> None:
        self.session = self.manager.create_session(self.name(), branch_from=self.session.name)

    def load(self, value: dict[str, Any]) -> None:
        self.session = self.manager.load_session("s1")

    def rename(self, value: dict[str, Any]) -> None:
        if self.session.name != "s1":
            self.manager.rename_session(self.session.name, self.name())

    def large(self, value: dict[str, Any]) -> None:
        self.session.add_message({"content": message(1, 70_000)["content"] + json.dumps(value)})

    def bring(self, value: dict[str, Any]) -> None:
        self._import(value, self.name())

    def replace(self, value: dict[str, Any]) -> None:
        self._import(value, self.session.name)

    def _import(self, value: dict[str, Any], name: str) -> None:
        path = self.folder / "outside" / "export.json"
        path.write_text(json.dumps({"messages": [value], "metadata": {"given": value}}))
        self.session = self.manager.import_session(path, name=name, on_exists="replace")
        path.unlink()

    def leaks(self) -> list[str]:
        """Return every secret in any file, those of the state folder included, and in what the custom storage has."""
        found = [text for kept in self.kept.kept.values() for text in texts(json.loads(kept)) if SECRET.search(text)]
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        found += [str(path) for path in files if re.search(SECRET.pattern.encode(), path.read_bytes())]
        return found


WAYS = [name for name in vars(World) if not name.startswith("_") and name not in ("name", "fresh", "leaks")]


@pytest.mark.parametrize("kind", ["files", "custom"])
@settings(deadline=None, max_examples=40)
@given(steps=st.lists(st.tuples(st.sampled_from(WAYS), MESSAGES), min_size=1, max_size=12))
def test_no_secret_reaches_the_store(kind: str, steps: list[tuple[str, dict[str, Any]]]) -> None:
    """After any steps, and after each of them, no byte of the store or of the state folder is a secret's.

    In the end memory and store say the same, and nothing is unsaved.
    """
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), kind)
        for way, value in steps:
            getattr(world, way)(value)
            assert world.leaks() == []
        world.manager.save_session(world.session)
        assert not world.session.has_unsaved_changes
        stored = world.manager._storage.load(world.session.name)
        assert stored is not None
        assert (stored.get_messages(), stored.metadata) == (world.session.get_messages(), world.session.metadata)
        assert not [text for text in texts(stored.get_messages()) if SECRET.search(text)]
        world.manager.close()
        assert world.leaks() == []


def test_the_check_finds_leaks(tmp_path: Path) -> None:
    """Without the hook, what the test above looks for is there: in the ref, in an object, and in a custom storage."""
    for number, kind in enumerate(("files", "custom")):
        folder = tmp_path / str(number)
        folder.mkdir()
        world = World(folder, kind)
        world.manager._sessions.hooks = world.session._hooks = None
        world.large({"sk-abcdef": 1})
        world.save({})
        assert world.leaks() != []


def test_a_secret_put_back_writes_nothing(tmp_path: Path) -> None:
    """Where an edit puts back what was redacted, the redacted message is what is stored already: no new history."""
    manager = open_store(tmp_path / "store")
    manager.use(Redact(SECRET))
    session = manager.create_session("chat")
    session.add_message({"content": "the key is sk-abcdef"})
    manager.save_session(session)
    (ref,) = tmp_path.glob("store/refs/*/chat.jsonl")
    before = ref.read_bytes()
    session.messages[0]["content"] = "the key is sk-abcdef"
    manager.save_session(session)
    assert ref.read_bytes() == before
    assert session.messages == [{"content": "the key is [redacted]"}]
    assert not session.has_unsaved_changes
