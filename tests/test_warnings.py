"""Warnings name the line of the program that called, however deep in the package they come up."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from repo.machines import Machine, said

from coda_fs_session import SessionManager, SessionWarning


def blamed(caught: pytest.WarningsRecorder) -> set[str]:
    found = {warning.filename for warning in caught if issubclass(warning.category, SessionWarning)}
    assert found, "nothing was warned of"
    return found


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path, "here-00000001")
    machine.create("chat", said(1))
    return machine


def test_an_unknown_option() -> None:
    with pytest.warns(SessionWarning) as caught:
        SessionManager({"session": {"backend": "memory", "colour": "red"}})
    assert blamed(caught) == {__file__}


def test_a_change_that_became_a_branch(machine: Machine) -> None:
    manager = machine.manager(on_conflict="branch")
    session = manager.load_session("chat")
    machine.change("chat", "elsewhere")
    session.add_message(said("here")[0])
    with pytest.warns(SessionWarning, match="is now the session") as caught:
        manager.save_session(session)
    assert blamed(caught) == {__file__}


def test_a_session_that_goes_by_another_name_now(machine: Machine, tmp_path: Path) -> None:
    there = machine.copied_to(tmp_path / "there", "there-00000002")
    machine.change("chat", "here")
    there.change("chat", "there")
    managers = machine.manager(), there.manager()
    sessions = [manager.load_session("chat") for manager in managers]
    machine.send_to(there)
    there.send_to(machine)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for manager, session in zip(managers, sessions, strict=True):
            manager.load_session("chat")
            session.reload()
    assert {str(each.message)[:34] for each in caught} == {"session 'chat' was continued on an"}
    assert {each.filename for each in caught} == {__file__}


def test_what_was_put_back(machine: Machine) -> None:
    ref = machine.only_ref()
    before = ref.read_bytes()
    machine.change("chat", 2)
    # By a rename, as tools do: what is written in place shows when a manager opens only as long as times are young.
    ref.with_name(".copy").write_bytes(before)
    ref.with_name(".copy").replace(ref)
    with pytest.warns(SessionWarning, match="put back") as caught:
        machine.manager().close()
    # The manager of these tests is opened by their own helper.
    assert {Path(name).name for name in blamed(caught)} == {"machines.py"}
