"""Templates: a session begins as one says, once and as a whole, and every mistake in one is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from storekit import Opener, open_store
from test_custom_storage import DictStorage

from coda_fs_session import ConfigError, Redact, Session, SessionHook, SessionManager
from coda_fs_session.templates import Templates

TOML = """
[session]
autosave_interval = 0

[templates.code_review]
system = "You are an expert code reviewer."

[templates.code_review.metadata]
created_from_template = true

[templates.tutoring]
system = ["You are a patient tutor for {subject}.", "Write {{braces}} in {language}."]
parameters = { language = "English" }
messages = [{ role = "user", content = "Teach me {subject}.", level = 1 }]
metadata = { subject = "{subject}", about = ["{subject}", { n = 2 }] }
"""


def test_from_code(make: Opener) -> None:
    """A registered template gives a session its messages and metadata, and it is stored at once."""
    manager = make()
    template = manager.templates.register(
        "tutoring", system="A tutor for {subject}.", metadata={"subject": "{subject}", "tags": ["{subject}", 1]}
    )
    assert template.parameters == {"subject"}
    session = manager.templates.create("tutoring", "python-basics", subject="Python")
    assert session.get_messages() == [{"role": "system", "content": "A tutor for Python."}]
    assert session.metadata == {"subject": "Python", "tags": ["Python", 1], "template": "tutoring"}
    assert not session.has_unsaved_changes
    stored = manager._storage.load("python-basics")
    assert stored is not None
    assert (stored.get_messages(), stored.metadata) == (session.get_messages(), session.metadata)
    assert manager.load_session("python-basics") is session


def test_from_toml(make: Opener, tmp_path: Path) -> None:
    """Templates in a file beside the options: lists of system messages, defaults, nested metadata, doubled braces."""
    path = tmp_path / "settings.toml"
    path.write_text(TOML, encoding="utf-8")
    manager = make()
    assert manager.templates.load(path) == ["code_review", "tutoring"]
    assert (list(manager.templates), len(manager.templates)) == (["code_review", "tutoring"], 2)
    review = manager.templates.create("code_review", "pr-123")
    assert review.metadata == {"created_from_template": True, "template": "code_review"}
    session = manager.templates.create("tutoring", "lesson", subject="chess {x}")
    assert [each["content"] for each in session.messages] == [
        "You are a patient tutor for chess {x}.",
        "Write {braces} in English.",
        "Teach me chess {x}.",
    ]
    assert session.messages[2]["level"] == 1
    assert session.metadata["about"] == ["chess {x}", {"n": 2}]
    assert manager.templates.create("tutoring", "other", subject=3, language="Danish").messages[1]["content"] == (
        "Write {braces} in Danish."
    )


def test_applied_once(make: Opener) -> None:
    """An existing session, unsaved changes and all, is loaded as it is: the template is for the beginning."""
    manager = make()
    manager.templates.register("a", system="Begin.")
    plain = manager.create_session("plain")
    assert manager.templates.create("a", "plain") is plain
    assert (plain.messages, plain.metadata) == ([], {})
    session = manager.templates.create("a", "chat")
    session.clear_messages()
    session.add_message({"role": "user", "content": "Hi"})
    manager.templates.register("a", system="Begin otherwise.")
    assert manager.templates.create("a", "chat") is session
    assert session.get_messages() == [{"role": "user", "content": "Hi"}]


def test_sessions_share_nothing_with_the_template(make: Opener) -> None:
    """Changing a session, or what was registered, changes no later session."""
    manager = make()
    metadata: dict[str, Any] = {"tags": ["a"]}
    manager.templates.register("a", messages=[{"role": "user", "parts": [1]}], metadata=metadata)
    metadata["tags"].append("b")
    first = manager.templates.create("a", "first")
    first.messages[0]["parts"].append(2)
    first.metadata["tags"].append("c")
    second = manager.templates.create("a", "second")
    assert (second.messages[0]["parts"], second.metadata["tags"]) == ([1], ["a"])


def test_parameters_are_checked(make: Opener) -> None:
    """A missing or unknown parameter, or an unknown template, is named with what there is; no session is made."""
    manager = make()
    manager.templates.register("a", system="{x} {y}", defaults={"y": 1})
    with pytest.raises(ConfigError, match=r"template 'a' has no parameter z and needs x; its parameters are: x, y"):
        manager.templates.create("a", "chat", z=1)
    with pytest.raises(ConfigError, match=r"no template 'b'; there are: a"):
        manager.templates.create("b", "chat")
    assert "b" not in manager.templates
    assert manager.list_sessions() == []


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("templates = 1", "templates must be a table of templates, not int"),
        ("[templates]\na = 1", "templates.a must be a table, not int"),
        ("[templates.a]\nsytem = 'x'", "templates.a has an unknown key sytem; known are system, messages"),
        ("[templates.a]\nsystem = 1", "system must be text"),
        ("[templates.a]\nsystem = ['x', 1]", "system must be text"),
        ("[templates.a]\nmessages = ['x']", "messages must be a list"),
        ("[templates.a]\nmetadata = ['x']", "metadata must be a table, not list"),
        ("[templates.a]\nparameters = 'x'", "parameters must be a list of names"),
        ("[templates.a]\nsystem = '{x'", "templates.a: "),
        ("[templates.a]\nsystem = '{}'", "no {name}"),
        ("[templates.a]\nsystem = '{0}'", "no {name}"),
        ("[templates.a]\nsystem = '{x.y}'", "no {name}"),
        ("[templates.a]\nsystem = '{x:{y}}'", "no {name}"),
        ("[templates.a]\nsystem = '{x!r}'", "no {name}"),
        ("[templates.a]\nsystem = '{x}'\nparameters = []", "parameters does not name x"),
        ("[templates.a]\nsystem = '{x}'\nparameters = ['x', 'y']", "no text has a place for the parameter y"),
        ("[templates.a]\nmetadata = { day = 2024-05-17 }", "metadata.day"),
        ("[templates", "cannot read the templates"),
    ],
)
def test_mistakes_in_a_file(make: Opener, tmp_path: Path, toml: str, said: str) -> None:
    """Each is a `ConfigError` that says where and what, and none of the file's templates is taken."""
    path = tmp_path / "templates.toml"
    path.write_text("[templates.good]\nsystem = 'x'\n" * toml.startswith("[templates.") + toml, encoding="utf-8")
    manager = make()
    with pytest.raises(ConfigError) as caught:
        manager.templates.load(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert list(manager.templates) == []


def test_other_sources(make: Opener, tmp_path: Path) -> None:
    """A mapping is as good as a file; a file without templates has none, and one that is not there is an error."""
    manager = make()
    assert manager.templates.load({"templates": {"a": {"system": "{x}", "parameters": ["x"]}}, "other": 1}) == ["a"]
    assert manager.templates.load({}) == []
    with pytest.raises(ConfigError, match=r"missing\.toml"):
        manager.templates.load(tmp_path / "missing.toml")


def test_hooks_see_what_a_template_adds(tmp_path: Path) -> None:
    """To hooks the messages of a template are added like others; one that refuses leaves no session behind."""

    class Stamp(SessionHook):
        def message_added(self, session: Any, message: dict[str, Any]) -> None:
            message["stamp"] = session.name

        def before_save(self, session: Any, pending: Any) -> None:
            if "refuse" in pending.metadata:
                raise RuntimeError

    for manager in open_store(tmp_path / "store"), SessionManager({}, storage=DictStorage()):
        manager.use(Redact("sk-[a-z]+"))
        manager.use(Stamp())
        manager.templates.register("a", system="The key is {key}.", metadata={"key": "{key}"})
        manager.templates.register("b", system="x", metadata={"refuse": 1})
        session = manager.templates.create("a", "chat", key="sk-abc")
        assert session.messages == [{"role": "system", "content": "The key is [redacted].", "stamp": "chat"}]
        assert session.metadata["key"] == "[redacted]"
        with pytest.raises(RuntimeError):
            manager.templates.create("b", "other")
        assert [info.name for info in manager.list_sessions()] == ["chat"]


def test_another_process_is_faster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a session of the name appears between looking and creating, that one is loaded, as it is."""
    manager, other = open_store(tmp_path / "store"), open_store(tmp_path / "store")
    manager.templates.register("a", system="Begin.")
    save = SessionManager.save_session

    def late(self: SessionManager, session: Any) -> None:
        if self is manager:
            monkeypatch.undo()
            save(other, Session(session.name, [{"content": "theirs"}]))
        save(self, session)

    monkeypatch.setattr(SessionManager, "save_session", late)
    session = manager.templates.create("a", "chat")
    assert session.get_messages() == [{"content": "theirs"}]


def test_one_object_per_manager(make: Opener) -> None:
    """`templates` is always the same object, so what is registered stays."""
    manager = make()
    assert isinstance(manager.templates, Templates)
    assert manager.templates is manager.templates
