"""The examples do what they say: they go on after their end, keep users apart, and survive `kill -9`."""

from __future__ import annotations

import base64
import importlib.util
import random
import subprocess
import sys
import warnings
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from coda_fs_session import SessionManager

from .manual import DOCS

EXAMPLES = DOCS / "examples"
STEPS = 8


def test_each_is_on_the_page_and_tested() -> None:
    """None is added without a line in the table, and a test here."""
    page, tests = (path.read_text(encoding="utf-8") for path in (DOCS / "examples.md", Path(__file__)))
    for example in EXAMPLES.glob("*.py"):
        assert f"(examples/{example.name})" in page
        assert example.stem in tests.replace("{example.name}", "")


def chat(typed: str, *arguments: str) -> str:
    command = [sys.executable, EXAMPLES / "terminal_chat.py", *arguments]
    return subprocess.run(command, input=typed, capture_output=True, text=True, check=True).stdout


def test_a_terminal_chat_goes_on(home: Path) -> None:
    """What was said is there the next time, and a branch leaves its parent as it was."""
    assert "question number 1." in chat("Hello\n", "chats")
    again = chat("Hello again\n/branch other\nElsewhere\n/branch terminal\n/list\n", "chats")
    assert "user: Hello" in again
    assert "question number 2." in again
    assert "question number 3." in again
    assert "'terminal' exists already" in again  # the error is shown, and the chat goes on
    assert "    4 terminal" in again
    with SessionManager({"session": {"storage_path": "chats"}}) as manager:
        assert len(manager.load_session("terminal")) == 4
        assert len(manager.load_session("other")) == 6


@pytest.fixture
def client(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    pytest.importorskip("fastapi", reason="fastapi is not installed: pip install '.[test]'")
    pytest.importorskip("httpx", reason="httpx is not installed: pip install '.[test]'")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # from some version on it wants another client than httpx
        from fastapi.testclient import TestClient

    monkeypatch.setenv("CHATS", str(home / "chats"))
    spec = importlib.util.spec_from_file_location("web_back_end", EXAMPLES / "web_back_end.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "web_back_end", module)
    spec.loader.exec_module(module)
    with TestClient(module.app) as client:
        yield client


def bearer(user: str) -> dict[str, str]:
    return {"Authorization": f"Bearer token-of-{user}"}


def test_a_web_back_end_keeps_users_apart(client: Any) -> None:
    """Two users have a chat of the same name each; nobody reads another's, and nobody without a token reads any."""
    for user in ("ann", "bob"):
        answer = client.post("/chats/plans", json={"text": f"I am {user}"}, headers=bearer(user))
        assert answer.json() == {"role": "assistant", "content": "I have read 1 messages."}
    assert [each["content"] for each in client.get("/chats/plans", headers=bearer("ann")).json()] == [
        "I am ann",
        "I have read 1 messages.",
    ]
    assert client.get("/chats/plans", headers=bearer("eve")).status_code == 401
    assert client.get("/chats/ann%2Fplans", headers=bearer("bob")).status_code == 404
    assert client.delete("/chats/plans", headers=bearer("bob")).status_code == 200
    assert client.get("/chats/plans", headers=bearer("bob")).status_code == 404
    assert [each["name"] for each in client.get("/chats", headers=bearer("ann")).json()] == ["plans"]


def test_a_web_back_end_forks(client: Any) -> None:
    """A fork takes over the first messages; a name that another chat has is refused."""
    for text in ("one", "two"):
        client.post("/chats/plans", json={"text": text}, headers=bearer("ann"))
    client.post("/chats/other", json={"text": "other"}, headers=bearer("ann"))
    forked = client.post("/chats/plans/fork", json={"name": "plan-b", "at": 2}, headers=bearer("ann"))
    assert forked.json() == {"name": "plan-b", "messages": 2}
    refused = client.post("/chats/plans/fork", json={"name": "other"}, headers=bearer("ann"))
    assert refused.status_code == 409
    assert client.post("/chats/plans/fork", json={"name": "a/b"}, headers=bearer("ann")).status_code == 422
    assert client.post("/chats/a%07b", json={"text": "?"}, headers=bearer("ann")).status_code == 422
    assert client.get("/chats/plans?limit=-1", headers=bearer("ann")).status_code == 422


def test_a_web_back_end_answers_many_at_once(client: Any, home: Path) -> None:
    """Requests for one chat come one after the other: each answer stands right below its question."""

    def ask(number: int) -> None:
        user = "ann" if number % 2 else "bob"
        assert client.post("/chats/busy", json={"text": str(number)}, headers=bearer(user)).status_code == 200

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(40)))
    with SessionManager({"session": {"storage_path": home / "chats"}}) as manager:
        for user in ("ann", "bob"):
            messages = manager.load_session(f"{user}/busy").get_messages()
            assert [message["role"] for message in messages] == ["user", "assistant"] * 20
            assert len({message["content"] for message in messages[::2]}) == 20


def test_a_web_back_end_shows_what_another_worker_saved(client: Any, home: Path) -> None:
    """A second process adds to a chat: the next request sees it."""
    client.post("/chats/plans", json={"text": "one"}, headers=bearer("ann"))
    with SessionManager({"session": {"storage_path": home / "chats"}}) as worker:
        session = worker.load_session("ann/plans")
        session.add_message({"role": "user", "content": "from elsewhere"})
        worker.save_session(session)
    answer = client.post("/chats/plans", json={"text": "two"}, headers=bearer("ann")).json()
    assert answer["content"] == "I have read 4 messages."


def test_an_image_agent_survives_kill_9(home: Path) -> None:
    """Killed at any moment and begun again, it saves each step once; what it told of is there."""
    command = [sys.executable, EXAMPLES / "image_agent.py", "chats", "agent", str(STEPS)]
    told = -1
    for attempt in range(STEPS):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as agent:
            assert agent.stdout is not None
            line = agent.stdout.readline()
            if attempt % 2:
                # In the middle of a step, after at least one more was told of.
                line = agent.stdout.readline() or line
            agent.kill()
            rest = agent.stdout.read().splitlines()
        told = max([told, *(int(each.split()[1]) for each in [line, *rest] if each)])
        with SessionManager({"session": {"storage_path": "chats"}}) as manager:
            messages = manager.load_session("agent").get_messages()
        assert [message["step"] for message in messages] == [step for step in range(len(messages) // 2) for _ in "ab"]
        assert len(messages) // 2 > told
    subprocess.run(command, check=True, capture_output=True)
    with SessionManager({"session": {"storage_path": "chats"}}) as manager:
        messages = manager.load_session("agent").get_messages()
    assert [message["step"] for message in messages] == [step for step in range(STEPS) for _ in "ab"]
    for message in messages[::2]:
        picture = base64.b64decode(message["content"][0]["data"])
        assert random.Random(message["step"]).randbytes(600) == zlib_rows(picture)[1:601]


def zlib_rows(png: bytes) -> bytes:
    """Return what the picture's one IDAT part holds."""
    begin = png.index(b"IDAT")
    length = int.from_bytes(png[begin - 4 : begin], "big")
    return zlib.decompress(png[begin + 4 : begin + 4 + length])
