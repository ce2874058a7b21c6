"""Run the Python examples of an API page, top to bottom, as a reader would who types them in."""

from __future__ import annotations

import copy
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import coda_fs_session
from coda_fs_session import SessionManager

from .page import Passage, Problem

Config = dict[str, Any]

PUBLIC = {name: getattr(coda_fs_session, name) for name in coda_fs_session.__all__}
TYPED_IN = ("Hello!", "And what is a branch?", "quit")
MESSAGES = (
    {"role": "user", "content": "How do I reverse a list in Python?"},
    {"role": "assistant", "content": "Call `reversed(items)`, or `items.reverse()` in place."},
)


def run_examples(passages: Iterable[Passage], manager: SessionManager, config: Config) -> list[Problem]:
    """Run the page's Python blocks in order and return those that raised.

    Each block starts with the supplied names as new, and with what the blocks above it defined besides.

    Args:
        passages: The page, as `read_page` returns it.
        manager: What the examples call `manager`; it stays open.
        config: What they call `config`; every block has its own copy.
    """
    problems = []
    defined: dict[str, Any] = {}
    with _host_application():
        for passage in passages:
            if passage.kind == "python":
                defined |= _supplied(manager, config)
                if (problem := _run(passage, defined)) is not None:
                    problems.append(problem)
    return problems


def _run(example: Passage, names: dict[str, Any]) -> Problem | None:
    # The empty lines above the code give it the line numbers that it has on the page.
    source = "\n" * (example.line - 1) + example.text
    try:
        exec(compile(source, str(example.page), "exec", dont_inherit=True), names)
    except (Exception, SystemExit) as error:
        trace = error.__traceback__.tb_next if error.__traceback__ else None
        return Problem(example, "".join(traceback.format_exception(type(error), error, trace)).strip())
    return None


def _supplied(manager: SessionManager, config: Config) -> dict[str, Any]:
    manager.create_session("old-chat")  # there to be deleted
    session = manager.create_session("session-of-the-page")
    session.messages = [dict(message) for message in MESSAGES]
    return PUBLIC | {
        "__name__": "__main__",
        "Any": Any,
        "Path": Path,
        "datetime": datetime,
        "config": copy.deepcopy(config),
        "manager": manager,
        "session": session,
        "input": _scripted_input(),
    }


def _scripted_input() -> Callable[[str], str]:
    lines = iter(TYPED_IN)

    def scripted_input(prompt: str = "") -> str:
        try:
            return next(lines)
        except StopIteration:
            raise EOFError(f"the example read on after {TYPED_IN[-1]!r}") from None

    return scripted_input


class ProviderFactory:
    """Stand-in for the factory of AI providers that examples import from the host application."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def create(self, name: str) -> ProviderFactory:
        return self

    def chat(self, *, messages: list[dict[str, Any]], model: str) -> SimpleNamespace:
        return SimpleNamespace(content=f"{model} has read {len(messages)} messages.")


@contextmanager
def _host_application() -> Iterator[None]:
    """Provide the modules of the host application by the names under which examples import them."""
    coda, base, providers = (ModuleType(name) for name in ("coda", "coda.base", "coda.base.providers"))
    coda.base = base  # type: ignore[attr-defined]
    base.session = coda_fs_session  # type: ignore[attr-defined]
    base.providers = providers  # type: ignore[attr-defined]
    providers.ProviderFactory = ProviderFactory  # type: ignore[attr-defined]
    made = {"coda": coda, "coda.base": base, "coda.base.session": coda_fs_session, "coda.base.providers": providers}
    sys.modules.update(made)
    try:
        yield
    finally:
        # These alone: what the examples were the first to import must not be imported a second time.
        for name in made:
            del sys.modules[name]
