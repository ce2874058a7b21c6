"""The adapter of the Claude Agent SDK."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import pytest
from storekit import Opener, open_store

from coda_fs_session import SessionExistsError, SessionManager

from .kit import AdapterKit, framework, run

framework("claude_agent_sdk", "claude-agent-sdk")

from claude_agent_sdk import SessionKey
from claude_agent_sdk.testing import run_session_store_conformance

from coda_fs_session.integrations.claude_agent_sdk import CodaSessionStore


def key_of(key: str, subpath: str | None = None) -> SessionKey:
    made: SessionKey = {"project_key": "-home-ann", "session_id": key}
    if subpath is not None:
        made["subpath"] = subpath
    return made


def said(text: str, **more: Any) -> Any:
    entry = {"type": "user", "uuid": str(uuid4()), "message": {"role": "user", "content": text}}
    return {**entry, "timestamp": "2026-11-01T10:00:00.000Z", **more}


class TestKit(AdapterKit):
    shape = "claude-agent-sdk"

    def name(self, manager: SessionManager, key: str) -> str:
        return CodaSessionStore(manager)._sessions.name("-home-ann", key)

    async def add(self, manager: SessionManager, key: str, text: str) -> None:
        await CodaSessionStore(manager).append(key_of(key), [said(text)])

    async def texts(self, manager: SessionManager, key: str) -> list[str]:
        entries: list[Any] = await CodaSessionStore(manager).load(key_of(key)) or []
        return [entry["message"]["content"] for entry in entries]

    async def add_value(self, manager: SessionManager, key: str, value: Any) -> None:
        await CodaSessionStore(manager).append(key_of(key), [{"type": "x", "value": value}])  # type: ignore[typeddict-unknown-key]

    async def values(self, manager: SessionManager, key: str) -> list[Any]:
        entries: list[Any] = await CodaSessionStore(manager).load(key_of(key)) or []
        return [entry["value"] for entry in entries]


@pytest.fixture
def manager(make: Opener) -> Iterator[SessionManager]:
    with make() as manager:
        yield manager


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_the_contracts_of_the_sdk(tmp_path: Path, loop: str) -> None:
    """All 14, with every optional method, in both event loops."""
    managers: list[SessionManager] = []

    def fresh() -> CodaSessionStore:
        managers.append(open_store(tmp_path / f"{len(managers)}"))
        return CodaSessionStore(managers[-1])

    anyio.run(run_session_store_conformance, fresh, backend=loop)
    assert len(managers) > 12
    for each in managers:
        each.close()


def test_an_entry_is_added_once(manager: SessionManager) -> None:
    """What is tried again, by this store or another one, is there once; entries without uuid always count."""

    async def main() -> None:
        one, two = CodaSessionStore(manager), CodaSessionStore(manager)
        entries = [said("a"), said("b")]
        mode: Any = {"type": "mode", "value": "plan"}
        await one.append(key_of("s"), [*entries, mode])
        await two.append(key_of("s"), [said("c"), *entries, mode])
        await one.append(key_of("s"), [*entries, *entries, mode])
        loaded: list[Any] = await one.load(key_of("s")) or []
        assert [entry.get("message", {}).get("content", "mode") for entry in loaded] == [
            *("a", "b", "mode", "c", "mode", "mode")
        ]
        first = (await one.list_sessions("-home-ann"))[0]["mtime"]
        await one.append(key_of("s"), entries)
        assert (await one.list_sessions("-home-ann"))[0]["mtime"] == first

    run(main())


def test_an_entry_that_was_taken_away_is_added_again(manager: SessionManager) -> None:
    """What a store remembers of a transcript counts only as long as the transcript still has it."""

    async def main() -> None:
        one, two = CodaSessionStore(manager), CodaSessionStore(manager)
        first, other = said("first"), said("other")
        mode: Any = {"type": "mode", "value": "plan"}
        await one.append(key_of("s"), [mode])
        await one.append(key_of("s"), [first, mode])
        await one.append(key_of("s"), [first])
        manager.history("claude-agent-sdk/-home-ann/s").undo()
        await two.append(key_of("s"), [other, mode])
        await one.append(key_of("s"), [first, other])
        assert await one.load(key_of("s")) == [mode, other, mode, first]

    run(main())


@pytest.mark.filterwarnings("ignore::coda_fs_session.SessionWarning")
def test_an_entry_is_added_once_also_after_a_merge(tmp_path: Path) -> None:
    """An entry that machines have appended to a transcript while apart is there once when that is one again."""
    with open_store(tmp_path / "0") as one, open_store(tmp_path / "1") as two:
        stores = CodaSessionStore(one), CodaSessionStore(two)

        async def main() -> None:
            await stores[0].append(key_of("s"), [said("first")])
            one.sync(tmp_path / "1")
            entries = [said("here"), said("there")]
            for store, entry in zip(stores, entries, strict=True):
                await store.append(key_of("s"), [entry])
            one.sync(tmp_path / "1")
            listed = await stores[0].list_sessions("-home-ann")
            loaded = [await stores[0].load(key_of(each["session_id"])) for each in listed]
            told = {each["session_id"]: each["mtime"] for each in await stores[0].list_session_summaries("-home-ann")}
            assert told == {each["session_id"]: each["mtime"] for each in listed}
            assert sorted(str(each[-1]) for each in loaded if each) == sorted(map(str, entries))
            info = one.get_session_info("claude-agent-sdk/-home-ann/s")
            assert info is not None
            one.branches.merge(info.sides[0], info.name)
            for store in stores:
                await store.append(key_of("s"), entries)
                one.sync(tmp_path / "1")
            for store in stores:
                found: list[Any] = await store.load(key_of("s")) or []
                assert sorted(each["message"]["content"] for each in found) == ["first", "here", "there"]

        run(main())


def test_odd_keys(manager: SessionManager) -> None:
    """Keys that are long, or differ only in how their parts are put together, are different transcripts."""

    async def main() -> None:
        store = CodaSessionStore(manager)
        long = "d" * 200
        keys: list[SessionKey] = [
            {"project_key": long, "session_id": "s" * 60, "subpath": "subagents/agent-" + "é" * 60},
            {"project_key": long, "session_id": "s" * 60},
            {"project_key": "a/b", "session_id": "c"},
            {"project_key": "a", "session_id": "b/c"},
            {"project_key": "a", "session_id": "b", "subpath": "c"},
        ]
        for number, key in enumerate(keys):
            await store.append(key, [said(str(number))])
        assert [len(await store.load(key) or []) for key in keys] == [1] * 5
        assert [each["session_id"] for each in await store.list_sessions(long)] == ["s" * 60]
        assert await store.list_subkeys({"project_key": long, "session_id": "s" * 60}) == [keys[0].get("subpath")]
        assert await store.list_sessions("a") != []
        await store.delete(keys[1])
        assert await store.load(keys[0]) is None
        assert await store.load(keys[4]) is not None

    run(main())


def test_a_fork_shares(manager: SessionManager) -> None:
    """A fork has the entries up to one, is a branch of the session, and has a summary of its own."""

    async def main() -> None:
        store = CodaSessionStore(manager)
        entries = [said("first"), said("second"), {"type": "custom-title", "customTitle": "later"}]
        await store.append(key_of("s"), entries)
        made = await store.fork(key_of("s"), up_to=entries[1]["uuid"], new_session_id="fork")
        assert await store.load(made) == entries[:2]
        assert await store.load(await store.fork(key_of("s"))) == entries
        info = manager.get_session_info("claude-agent-sdk/-home-ann/fork")
        assert info is not None
        assert (info.parent, info.forked_at) == ("claude-agent-sdk/-home-ann/s", 2)
        summaries = {each["session_id"]: each["data"] for each in await store.list_session_summaries("-home-ann")}
        assert summaries["fork"]["first_prompt"] == "first"
        assert "custom_title" not in summaries["fork"]
        assert summaries["s"]["custom_title"] == "later"
        with pytest.raises(LookupError, match="no entry"):
            await store.fork(key_of("s"), up_to="nowhere")
        with pytest.raises(LookupError, match="no session"):
            await store.fork(key_of("nowhere"))
        with pytest.raises(SessionExistsError):
            await store.fork(key_of("s"), new_session_id="fork")

    run(main())


def test_an_import_of_the_same_makes_no_copy(manager: SessionManager, tmp_path: Path) -> None:
    """What the SDK has mirrored is left out of an import of the files of Claude Code; other files come in."""
    about = {"sessionId": "s", "cwd": "/home/ann", "version": "2"}
    main_lines = [said("hello", parentUuid=None, **about)]
    main_lines.append(said("more", parentUuid=main_lines[0]["uuid"], **about))
    agent = [said("task", parentUuid=None, isSidechain=True, agentId="1", **about)]
    other = [said("elsewhere", parentUuid=None, **{**about, "sessionId": "other"})]
    folder = tmp_path / "projects" / "-home-ann"
    for path, lines in (("s.jsonl", main_lines), ("s/subagents/agent-1.jsonl", agent), ("other.jsonl", other)):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")

    async def mirror() -> None:
        store = CodaSessionStore(manager)
        await store.append(key_of("s"), [{"type": "summary", "summary": "x"}, *main_lines])  # type: ignore[typeddict-unknown-key]
        await store.append(key_of("s", "subagents/agent-1"), agent)

    run(mirror())
    before = {info.name for info in manager.list_sessions(hidden=True)}
    for _ in range(2):
        manager.import_sessions(tmp_path / "projects", format="claude-code")
        new = {info.name for info in manager.list_sessions(hidden=True)} - before
        assert len(new) == 1
        (session,) = map(manager.load_session, new)
        assert session[0]["content"] == "elsewhere"
