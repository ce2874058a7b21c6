"""A store for the tests of the command."""

from __future__ import annotations

from pathlib import Path

import pytest

from .command import Command


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """The command, with no store yet."""
    return Command(tmp_path)


@pytest.fixture(params=["files", "sqlite"])
def on_each(request: pytest.FixtureRequest, tmp_path: Path) -> Command:
    """The command on a store of each backend, with one session."""
    command = Command(tmp_path, request.param)
    command.fill("trip")
    return command


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The command on a store with sessions, for tests that only read."""
    command = Command(tmp_path_factory.mktemp("filled"))
    command.fill("trip to Oman", topic="travel", source={"tool": "chat"})
    command.fill("notes")
    command.fill("helper", **{"coda_fs_session.hidden": True, "session_id": "9eda1058-7c11"})
    with command.manager() as manager:
        branch = manager.create_session("trip by train", branch_from="trip to Oman", at=1)
        branch.add_message({"role": "assistant", "content": "```sh\nls\n```\nand\n```py\nx = 1\n```"})
        manager.save_session(branch)
    return command
