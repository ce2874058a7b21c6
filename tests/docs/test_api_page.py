"""What the API page says holds: its examples run, and its signatures, properties and options are the real ones.

By default this is the page beside this file; `pytest --api-page=PATH` (or `CODA_FS_API_PAGE`) holds another one
against the package in the same way.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import coda_fs_session
from coda_fs_session import Session, SessionManager

from .conftest import OWN_PAGE
from .examples import Config, run_examples
from .page import Passage, Problem, read_page
from .promises import check_listings, check_options, check_properties, check_signatures

OPTIONS = {
    *("backend", "storage_path", "state_path", "replica", "durability", "on_conflict", "compress_messages"),
    *("compress_threshold_bytes", "max_session_size", "message_cache_size", "autosave_interval"),
    *("connection_pool_size", "retention_days", "gc_grace_days"),
}


def test_examples_run_twice(page: list[Passage], config: Config) -> None:
    """Every Python block runs as printed, and again on the store that the first time left behind."""
    for manager in two_visits(config):
        report(run_examples(page, manager, config))


def test_listings_are_real(page: list[Passage]) -> None:
    """The classes that the page lists have those methods and fields, with those parameters, defaults and types."""
    report(check_listings(page))


def test_signatures_are_real(page: list[Passage]) -> None:
    """Every heading that shows a call shows one that the class accepts, and the type that it returns."""
    report(check_signatures(page))


def test_properties_exist(page: list[Passage], config: Config) -> None:
    """Every property on the page exists and has a value of the type given there."""
    with SessionManager(config) as manager:
        session = manager.create_session("any")
        report(check_properties(page, [manager, session, *manager.list_sessions(), manager.stats()]))


def test_options_are_accepted(page: list[Passage], config: Config, home: Path) -> None:
    """Every configuration on the page opens a manager without a warning; only its backend is exchanged."""
    report(check_options(page, config["session"]["backend"], home))


def test_own_page_leaves_nothing_out() -> None:
    """Our page shows every public name, method and option, so that the tests above cover them all."""
    passages = read_page(OWN_PAGE)
    text = OWN_PAGE.read_text("utf-8")
    assert [name for name in coda_fs_session.__all__ if name not in text and name != "__version__"] == []

    shown = {passage.text.split("(")[0] for passage in passages if passage.kind == "signature"}
    for owner in (SessionManager, Session):
        methods = {name for name, _ in inspect.getmembers(owner, inspect.isroutine) if not name.startswith("_")}
        assert methods - shown == set()

    toml = "\n".join(passage.text for passage in passages if passage.kind == "toml")
    assert [option for option in OPTIONS if f"\n{option} = " not in toml] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```python\nmanager.load_session('nobody')\n```", "SessionNotFoundError"),
        ("```python\nprint(1\n```", "SyntaxError"),
        ("```python\nimport sys\nsys.exit(3)\n```", "SystemExit"),
        ("```python\ndef f(x: Undefined): ...\n```", "NameError"),
        ("```python\nwhile True: input()\n```", "EOFError"),
        ("```python\nconfig = {'session': {'backend': 'sqlite', 'size': 1}}\n```", "size"),
        ("```toml\n[session]\nbackend = 'sqlite'\nsize = 1\n```", "size"),
        ("```toml\n[session]\nautosave_interval = 'often'\n```", "ConfigError"),
        ("```python\nclass Sessions:\n    x: int\n```", "no class Sessions"),
        ("```python\nclass SessionInfo:\n    name: str\n    size_bytes: int\n```", "not first ['name', 'size_bytes']"),
        ("```python\nclass SessionInfo:\n    name: int\n```", "SessionInfo.name is of type <class 'str'>, not int"),
        ("```python\nclass Session:\n    name: str\n```", "Session is no dataclass"),
        ("```python\nclass Session:\n    def jump(self):\n        ...\n```", "Session has no method 'jump'"),
        ("```python\nclass Session:\n    def truncate_messages(self, keep: int): ...\n```", "is really (max_messages"),
        ("## Session\n### truncate_messages()", "takes max_messages: int as well"),
        ("## Session\n### get_messages(limit: int | None = 10)", "has limit=None, not 10"),
        ("## Session\n### get_messages(limit: str)", "takes limit: int | None = None, not limit: str"),
        ("## Session\n### get_messages(limit: int) -> list[str]", "not list[str]"),
        ("## Session\n### jump() -> None", "Session has no method 'jump'"),
        ("## Sessions\n### jump() -> None", "No class that the headings name has no method"),
        ("## Session\n### Properties\n- `colour: str`: blue", "Session has no property 'colour'"),
        ("## Session\n### Properties\n- `name: int`", "Session.name is 'any', not of type int"),
    ],
)
def test_broken_pages_are_reported(text: str, said: str, home: Path) -> None:
    """A page that promises what is not so fails, and the failure names the page and the line, and shows the passage."""
    file = home / "page.md"
    file.write_text(f"# Title\n\n{text}\n", "utf-8")
    page = read_page(file)
    config = {"session": {"backend": "memory"}}
    with SessionManager(config) as manager:
        session = manager.create_session("any")
        problems = [
            *run_examples(page, manager, config),
            *check_listings(page),
            *check_signatures(page),
            *check_properties(page, [session, *manager.list_sessions()]),
            *check_options(page, "memory", home),
        ]
    assert len(problems) >= 1
    assert said in str(problems[0])
    passage = problems[0].passage
    assert str(problems[0]).startswith(f"{file}:{passage.line}: ")
    assert f"{passage.line} | {passage.text.splitlines()[0]}" in str(problems[0])
    assert passage.text.splitlines()[0] in file.read_text("utf-8").splitlines()[passage.line - 1]


def report(problems: list[Problem]) -> None:
    """Fail with all problems, if there are any."""
    if problems:
        pytest.fail("\n\n".join(map(str, problems)), pytrace=False)


def two_visits(config: Config) -> Iterator[SessionManager]:
    """Yield a manager of the same store twice: files are opened again, memory lives as long as its manager."""
    if config["session"]["backend"] == "memory":
        with SessionManager(config) as manager:
            yield manager
            yield manager
    else:
        for _ in range(2):
            with SessionManager(config) as manager:
                yield manager
